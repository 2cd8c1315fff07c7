"""Pure numbers: bytes, arrays and time come in as arguments; counters and sketches come out."""

import numpy as np

from trtop_core import records
from trtop_core._records import check_layouts
from trtop_core.batch import CaptureCounters, PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.decode import Segments, decode
from trtop_core.engine import Engine
from trtop_core.errors import DamagedCaptureError, NotACaptureError, TrtopError
from trtop_core.merging.snapshots import merge
from trtop_core.metrics import COUNTER_ROW
from trtop_core.snapshot import Snapshot
from trtop_core.view import View

__all__ = [
    "CaptureCounters",
    "DamagedCaptureError",
    "Engine",
    "EngineConfig",
    "NotACaptureError",
    "PacketBatch",
    "Segments",
    "Snapshot",
    "TrtopError",
    "View",
    "decode",
    "merge",
]

check_layouts(
    records.TS_LIMIT_NS,
    *(
        np.zeros(1, dtype)
        for dtype in (
            records.PACKET_INDEX,
            records.SEGMENT,
            COUNTER_ROW,
            records.SKETCH_STATS,
            records.DESTINATION_KEY,
        )
    ),
)
