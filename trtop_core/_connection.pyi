"""See ext/trtop_core/_connection.pyx."""

from typing import Any

import numpy as np
import numpy.typing as npt

DIRECTION: np.dtype[np.void]
TURN: np.dtype[np.void]
CONNECTION: np.dtype[np.void]
STATE_BITS: dict[str, int]
TURN_BITS: dict[str, int]
PROTOCOL_BITS: dict[str, int]
IS_TIMED: int

def packed_and_back(
    connections: npt.NDArray[Any], keys: npt.NDArray[Any], base_ns: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]: ...
