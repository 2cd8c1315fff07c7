"""See ext/trtop_core/_tap.pyx."""

from typing import Any

import numpy as np
import numpy.typing as npt

def hint_size() -> int: ...
def spot(
    data: npt.NDArray[np.uint8],
    index: npt.NDArray[Any],
    decap: bool,
    known: npt.NDArray[np.uint64],
    seed: npt.NDArray[np.uint64],
    dns: npt.NDArray[Any],
    hellos: npt.NDArray[Any],
) -> tuple[int, int]: ...
