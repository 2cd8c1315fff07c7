"""Arrays that begin at the start of a cache line, so that records of whole lines touch no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

CACHE_LINE_BYTES = 64


def aligned_zeros(n_records: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Zeroed records, mapped when they are first touched.

    Args:
        n_records: shape of the result is (n_records,).
        dtype: of one record.
    """
    record = np.dtype(dtype)
    n_bytes = n_records * record.itemsize
    raw = np.zeros(n_bytes + CACHE_LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE_BYTES
    return raw[start : start + n_bytes].view(record)
