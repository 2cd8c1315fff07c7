"""See ext/trtop_core/_state.pyx."""

from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._sketch import SketchStore
from trtop_core._table import ConnectionTable
from trtop_core.config import EngineConfig

HEALTH: np.dtype[np.void]
NETWORK: np.dtype[np.void]

class DestinationTable:
    def export(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...
    def export_window(
        self, level: int, first_slot: int, first_epoch: int
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...
    def saved(
        self, level: int, first_slot: int, rows: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[Any]]: ...
    def first_slot(self, level: int) -> int: ...

class HolePool:
    n_unkept: int

class State:
    table: ConnectionTable
    destinations: DestinationTable
    sketches: SketchStore
    holes: HolePool
    def __init__(
        self,
        config: EngineConfig,
        hash_words: npt.NDArray[np.uint64],
        local: npt.NDArray[Any],
        windows: set[int],
        bounds: tuple[int, int],
    ) -> None: ...
    def set_local(self, local: npt.NDArray[Any]) -> None: ...
