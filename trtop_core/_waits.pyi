"""See ext/trtop_core/_waits.pyx."""

import numpy as np
import numpy.typing as npt

from trtop_core._state import State

def longest_waits(
    state: State, is_wanted: npt.NDArray[np.uint8], waits_ns: npt.NDArray[np.int64]
) -> None: ...
