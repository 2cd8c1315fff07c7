"""Captures as files: paths go in, batches of packets come out.

Opens files, pipes and growing files, unpacks compressed ones, and drives ``trtop_core.savefile``
with their bytes. The only part of the core that touches files; how it waits is passed in.
"""

from trtop_core.sources.reading import Batches, ReadResult, read_into
from trtop_core.sources.source import (
    IDLE,
    ORDER_SLACK_NS,
    OUT_OF_ORDER,
    Source,
    bytes_of,
    open_capture,
)

__all__ = [
    "IDLE",
    "ORDER_SLACK_NS",
    "OUT_OF_ORDER",
    "Batches",
    "ReadResult",
    "Source",
    "bytes_of",
    "open_capture",
    "read_into",
]
