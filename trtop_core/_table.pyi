"""See ext/trtop_core/_table.pyx."""

from typing import Any, final

import numpy as np
import numpy.typing as npt

STATE_BITS: dict[str, int]
TURN_BITS: dict[str, int]
PROTOCOL_BITS: dict[str, int]

@final
class ConnectionTable:
    n_connections: int
    def __init__(self, max_connections: int, hash_words: npt.NDArray[np.uint64]) -> None: ...
    def of_destinations(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]: ...
    def part(self, start: int, end: int) -> npt.NDArray[Any]: ...
    def remembered(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint64]]: ...
    @property
    def n_numbers(self) -> int: ...
