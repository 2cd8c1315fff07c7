"""See ext/trtop_core/_destinations.pyx."""

from typing import Any, final

import numpy as np
import numpy.typing as npt

from trtop_core._window import WindowLog

@final
class DestinationTable:
    log: WindowLog | None
    n_rows: int
    numbering: DestinationTable | None
    def __init__(
        self,
        max_rows: int,
        hash_words: npt.NDArray[np.uint64],
        windows: set[int],
        numbering: DestinationTable | None = None,
    ) -> None: ...
    def export(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...
    def export_window(
        self, level: int, first_slot: int, first_epoch: int
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...
    def saved(
        self, level: int, first_slot: int, rows: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[Any]]: ...
    def first_slot(self, level: int) -> int: ...
