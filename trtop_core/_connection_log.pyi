"""See ext/trtop_core/_connection_log.pyx."""

from typing import Any, final

import numpy as np
import numpy.typing as npt

@final
class ConnectionLog:
    n_lost: int
    def __init__(self, max_connections: int) -> None: ...
    def take(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint64]]: ...

def check_layout() -> None: ...
