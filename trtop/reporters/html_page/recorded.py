"""``Recorded``: what a page shows besides the snapshot: what came when, and slow connections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trtop_core.slot_record import SlotRecord
from trtop_core.slow_connections import SlowConnections
from trtop_core.snapshot import Snapshot

SLOW_PER_DESTINATION = 3
"""Connections of one destination that a page lists."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded while a capture was read.

    Attributes:
        timeline: what came in each slot.
        slow: the slowest connections of each destination.
        places: shape (n,), by row of the timeline: the snapshot's row that it is part of, below 0
            for none. ``slow`` has the same rows.
    """

    timeline: SlotRecord
    slow: SlowConnections
    places: npt.NDArray[np.intp]


Recording = Callable[[Snapshot], Recorded | None]
"""What was recorded, placed in the rows of a snapshot."""
