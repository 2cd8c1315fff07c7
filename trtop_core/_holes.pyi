"""See ext/trtop_core/_holes.pyx."""

from typing import final

@final
class HolePool:
    n_unkept: int
    def __init__(self, max_nodes: int) -> None: ...
