"""See ext/trtop_core/_window.pyx."""

EPOCH_NS: int
LEVELS: tuple[tuple[int, int, int], ...]
