"""See ext/trtop_core/_records.pyx."""

from typing import Any

import numpy.typing as npt

def check_layouts(
    ts_limit_ns: int,
    index: npt.NDArray[Any],
    segments: npt.NDArray[Any],
    counters: npt.NDArray[Any],
    stats: npt.NDArray[Any],
    keys: npt.NDArray[Any],
) -> None: ...
