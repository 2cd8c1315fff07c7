"""Arrays of records are where and what they should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trtop_core.memory import CACHE_LINE_BYTES, aligned_zeros, take_records
from trtop_core.metrics import COUNTER_ROW
from trtop_core.records import DESTINATION_KEY, SKETCH_STATS

N_RECORDS = 7


@pytest.mark.parametrize("dtype", [COUNTER_ROW, DESTINATION_KEY, SKETCH_STATS], ids=range(3))
@pytest.mark.parametrize("rows", [[], [6], [3, 3, 0], [6, 5, 4, 3, 2, 1, 0]], ids=str)
def test_records_are_taken_as_numpy_takes_them(dtype: np.dtype[Any], rows: list[int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, N_RECORDS * dtype.itemsize, np.uint8)
    records = noise.view(dtype)
    at = np.array(rows, np.intp)
    taken = take_records(records, at)
    assert (taken.dtype, taken.shape) == (dtype, (len(rows),))
    assert taken.tobytes() == records[at].tobytes()
    taken.view(np.uint8)[:] = 0
    assert records.tobytes() == noise.tobytes()


def test_records_of_whole_lines_touch_no_other() -> None:
    records = aligned_zeros(N_RECORDS, np.dtype("V128"))
    assert records.ctypes.data % CACHE_LINE_BYTES == 0
    assert (len(records), records.tobytes()) == (N_RECORDS, bytes(128 * N_RECORDS))
