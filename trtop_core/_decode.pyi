"""See ext/trtop_core/_decode.pyx."""

from typing import Any

import numpy as np
import numpy.typing as npt

def decode_into(
    data: npt.NDArray[np.uint8], index: npt.NDArray[Any], out: npt.NDArray[Any], decap: bool
) -> None: ...
def check_bounds(data: npt.NDArray[np.uint8], index: npt.NDArray[Any]) -> None: ...
