"""See ext/trtop_core/_table.pyx."""

from typing import Any, final

import numpy as np
import numpy.typing as npt

from trtop_core._destinations import DestinationTable

SHORT_REST_NS: int
LONG_REST_NS: int
MIN_RECORDS: int

@final
class ConnectionTable:
    n_connections: int
    def __init__(
        self,
        max_connections: int,
        hash_words: npt.NDArray[np.uint64],
        destinations: DestinationTable,
    ) -> None: ...
    def set_rest(self, short_ns: int, long_ns: int, min_records: int) -> None: ...
    def pack_resting(self, now_ns: int) -> int: ...
    @property
    def n_records(self) -> int: ...
    @property
    def n_packed(self) -> int: ...
    @property
    def packed_bytes(self) -> int: ...
    @property
    def pool_bytes(self) -> int: ...
    def copies(
        self, start: int, end: int, is_wanted: npt.NDArray[np.uint8] | None
    ) -> npt.NDArray[Any]: ...
    def of_destinations(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]: ...
    def part(self, start: int, end: int) -> npt.NDArray[Any]: ...
    def remembered(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint64]]: ...
    @property
    def n_numbers(self) -> int: ...
