"""Arrays of records: made so that they begin at the start of a cache line, and copied as words."""

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


def take_records(records: npt.NDArray[Any], rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Some records, in the order given; numpy by itself copies them field by field, at 10 ns each.

    Args:
        records: shape (n,), contiguous, of a dtype of whole 64-bit words.
        rows: shape (m,), each within 0 … n - 1.

    Returns:
        Shape (m,), of the same dtype.
    """
    n_words = records.dtype.itemsize // 8
    words = records.view(np.uint64).reshape(len(records), n_words)[rows]
    return words.view(records.dtype).reshape(len(rows))
