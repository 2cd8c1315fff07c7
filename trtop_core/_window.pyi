"""See ext/trtop_core/_window.pyx."""

from typing import final

EPOCH_NS: int
LEVELS: tuple[tuple[int, int, int], ...]

@final
class WindowLog: ...
