"""``TimelineRecorder``: an engine fed along a grid of capture time, and what came in each slot.

Takes batches as an engine does, and passes them on in parts. The first slots are short; each time
there are too many, several become one, so that an hour costs no more memory than a minute. The
engine counts what it would have counted without a recorder: its clock is not moved. What a timer
counts in a silence is so told with the packet that ends it.
"""

from __future__ import annotations

from collections.abc import Sequence

from trtop_core.batch import PacketBatch
from trtop_core.engine import Engine
from trtop_core.pace import Pace
from trtop_core.records import NS_PER_MS
from trtop_core.slot_record import (
    Progress,
    Slot,
    SlotRecord,
    coarser,
    merge_slots,
    no_progress,
    slot_between,
)
from trtop_core.timing import Grid

FIRST_SLOT_NS = 100 * NS_PER_MS

FACTORS = (2, 5, 2, 5, 2, 3, 2, 5, 2, 3, 2, 3, 2, 2)
"""How many slots become one, each time: 0.1, 0.2, 1, 2, 10, 20, 60, 120, 600, 1200 s, 1, 2, 6, 12,
24 h; then 2 at a time."""

MAX_SLOTS = 300
"""More than a page has room for bars; after widening there are at least 60."""

MAX_CELLS = 400_000
"""Bound on slots times destinations: 88 bytes and some bins each, where all are busy."""

MIN_SLOTS = 12
"""However many destinations there are."""


class TimelineRecorder:
    """Feeds an engine, and keeps what came when.

    Args:
        engine: counts; nobody else feeds it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._grid = Grid(FIRST_SLOT_NS)
        self._pace = Pace(self._grid)
        self._slot_ns = FIRST_SLOT_NS
        self._n_widened = 0
        self._slots: list[Slot] = []
        self._before: Progress | None = None
        self._first_ns: int | None = None
        self._next_end_ns = 0
        self._open: list[Slot] = []

    def feed(self, batch: PacketBatch) -> None:
        """Count the packets of a batch.

        Raises:
            ValueError: a packet of the index lies outside the batch's data.
        """
        for part, moments in self._pace.cut(batch):
            self._take(part, moments)

    def idle(self) -> None:
        """Nothing came for a while: a packet whose time is in doubt counts now."""
        for part, moments in self._pace.flush(is_end=False):
            self._take(part, moments)

    def finish(self) -> None:
        """The capture ends; the engine's too."""
        for part, moments in self._pace.flush(is_end=True):
            self._take(part, moments)
        self._engine.finish()

    def timeline(self) -> SlotRecord:
        """What came in each slot until now."""
        now = self._engine.progress()
        slots = list(self._slots)
        if self._first_ns is not None:
            slots.append(self._until(now))
        return SlotRecord(now.keys, self._first_ns, self._slot_ns, tuple(slots))

    def _take(self, part: PacketBatch, moments: Sequence[int]) -> None:
        if self._first_ns is None and self._pace.clock_ns is not None:
            self._first_ns = self._pace.clock_ns
            self._next_end_ns = self._first_ns + self._slot_ns
        self._engine.feed(part)
        if not moments:
            return
        every_ns = self._slot_ns
        now = self._engine.progress()
        for moment_ns in moments:
            if moment_ns >= self._next_end_ns:  # else it is no end of a slot any more
                self._end_slot(moment_ns, now)
        # The clock may have stepped over the moments that are missing here.
        self._next_end_ns += self._grid.next_ns - every_ns - moments[-1]
        self._grid.widen(self._slot_ns, self._next_end_ns)

    def _until(self, now: Progress) -> Slot:
        """The slot that is not over."""
        return merge_slots([*self._open, slot_between(now, self._before or no_progress(now))])

    def _end_slot(self, moment_ns: int, now: Progress) -> None:
        """Keep the slot that ends at a moment; several become one where there are too many."""
        self._slots.append(self._until(now))
        self._open.clear()
        self._before = now
        self._next_end_ns = moment_ns + self._slot_ns
        n_bound = max(MIN_SLOTS, min(MAX_SLOTS, MAX_CELLS // max(1, len(now.keys))))
        while len(self._slots) >= n_bound:
            factor = FACTORS[self._n_widened] if self._n_widened < len(FACTORS) else 2
            n_left = len(self._slots) % factor
            self._slots = list(coarser(self._slots, factor))
            if n_left:  # the last one goes on
                self._open.append(self._slots.pop())
            self._next_end_ns = moment_ns + (factor - n_left) * self._slot_ns
            self._slot_ns *= factor
            self._n_widened += 1
