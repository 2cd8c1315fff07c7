"""See ext/trtop_core/_shards.pyx."""

from typing import Any, final

import numpy as np
import numpy.typing as npt

from trtop_core._flows import Flows
from trtop_core._sketch import SketchStore

SHARDS_LIMIT: int

@final
class ShardedBatch:
    @property
    def n_packets(self) -> int: ...
    def let_go(self) -> None: ...

@final
class Shards:
    flows: list[Flows]
    def __init__(self, flows: list[Flows]) -> None: ...
    def prepare(
        self,
        data: npt.NDArray[np.uint8],
        index: npt.NDArray[Any],
        spare: ShardedBatch | None = None,
    ) -> ShardedBatch: ...
    def count(self, batch: ShardedBatch, shard: int) -> None: ...
    def count_in_turn(self, batch: ShardedBatch) -> None: ...
    def usage(self, shard: int) -> tuple[int, int, int, int, int, int]: ...
    @property
    def bounds(self) -> tuple[int, int, int, int, int, int]: ...
    def share_sketches(self, store: SketchStore) -> None: ...
    @property
    def n_rows(self) -> int: ...
    def join_rows(self) -> None: ...
