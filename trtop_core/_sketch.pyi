"""See ext/trtop_core/_sketch.pyx."""

from typing import Any, final

import numpy as np
import numpy.typing as npt

from trtop_core._window import WindowLog

PAGES_PER_SKETCH: int
MAX_DESTINATIONS_LIMIT: int
BINS_IN_PAGE: int

_Arrays = tuple[npt.NDArray[Any], npt.NDArray[np.uint32], npt.NDArray[np.uint64]]

@final
class SketchStore:
    n_unbinned: int
    stats_log: WindowLog | None
    pages_log: WindowLog | None
    def __init__(self, n_destinations: int, max_pages: int, windows: set[int]) -> None: ...
    def record(self, destination: int, sketch: int, value: int) -> None: ...
    def clear(self, n_destinations: int) -> None: ...
    def absorb(self, other: SketchStore, n_destinations: int) -> None: ...
    def forget_extremes(self, n_destinations: int) -> None: ...
    def export(self, n_destinations: int) -> _Arrays: ...
    def export_window(
        self, n_destinations: int, level: int, first_slot: int, first_epoch: int
    ) -> _Arrays: ...
    def saved_pages(
        self, level: int, first_slot: int, pages: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.uint64]]: ...
    def first_slot(self, level: int) -> int: ...
