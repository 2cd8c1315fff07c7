"""See ext/trtop_core/_state.pyx."""

from typing import Any, final

import numpy as np
import numpy.typing as npt

from trtop_core._connection_log import ConnectionLog
from trtop_core._destinations import DestinationTable
from trtop_core._holes import HolePool
from trtop_core._sketch import SketchStore
from trtop_core._table import ConnectionTable
from trtop_core.config import EngineConfig

HEALTH: np.dtype[np.void]
NETWORK: np.dtype[np.void]

@final
class State:
    table: ConnectionTable
    destinations: DestinationTable
    sketches: SketchStore
    holes: HolePool
    log: ConnectionLog | None
    def __init__(
        self,
        config: EngineConfig,
        hash_words: npt.NDArray[np.uint64],
        local: npt.NDArray[Any],
        windows: set[int],
        bounds: tuple[int, int],
        history: object | None = None,
        numbering: DestinationTable | None = None,
    ) -> None: ...
    @property
    def shift_ns(self) -> int: ...
    def set_local(self, local: npt.NDArray[Any]) -> None: ...
