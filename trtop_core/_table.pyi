"""See ext/trtop_core/_table.pyx."""

from typing import Any

import numpy as np
import numpy.typing as npt

STATE_BITS: dict[str, int]
TURN_BITS: dict[str, int]

class ConnectionTable:
    n_connections: int
    def of_destinations(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]: ...
