"""See ext/trtop_core/_history.pyx."""

from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._window import WindowLog

_Words = npt.NDArray[np.uint64]
_Marks = npt.NDArray[np.uint8]
_Items = npt.NDArray[np.uint32]

def reaches(log: WindowLog, level: int, first_slot: int) -> bool: ...
def row_scores(
    log: WindowLog,
    level: int,
    first_slot: int,
    now: _Words,
    fields: _Items,
    weights: npt.NDArray[np.float32],
    marks: _Marks,
    totals: _Words,
) -> tuple[_Items, npt.NDArray[np.float32], _Words]: ...
def grown_rows(
    log: WindowLog, level: int, items: _Items, places: _Words, now: _Words
) -> _Words: ...
def grown_stats(
    log: WindowLog,
    level: int,
    first_slot: int,
    now: _Words,
    is_kept: _Marks,
    marks: _Marks,
    totals: _Words,
) -> tuple[_Items, _Words, int]: ...
def grown_bins(
    log: WindowLog,
    level: int,
    first_slot: int,
    pages: _Words,
    page_keys: _Items,
    is_kept: _Marks,
    marks: _Marks,
    totals: _Words,
) -> tuple[_Items, _Words, int]: ...
def mark_cells(at: _Items, width: int, marks: _Marks) -> None: ...
def add_cells(
    at: _Items, amounts: npt.NDArray[Any], rows: _Items, width: int, out: _Words
) -> None: ...
def outer_bins(
    page_keys: _Items,
    pages: _Words,
    pages_per_sketch: int,
    first: npt.NDArray[np.int64],
    last: npt.NDArray[np.int64],
) -> None: ...
