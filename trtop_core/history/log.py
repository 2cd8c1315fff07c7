"""``History``: what was counted when, over all of an engine's time, in bounded memory.

Takes the ends of seconds from an engine, gives slots of capture time: of 1 s for the last ten
minutes, of 10 s for the last six hours, of a minute beyond; in each the busiest and worst rows one
by one, and exactly what all rows together grew by. Where memory ends, slots keep fewer rows, and
then the oldest slots become longer. Nothing is done per packet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
import numpy.typing as npt

from trtop_core._state import State
from trtop_core.history.making import Made, Scratch, Span, make_slot, row_of_pages
from trtop_core.history.slots import Slot, joined
from trtop_core.history.sums import Sums

SECOND_S, TEN_S, MINUTE_S = 1, 10, 60

LEVEL_OF = {SECOND_S: 0, TEN_S: 1, MINUTE_S: 2}
"""Whose window's log tells what changed in a slot of that length."""

FINE_S = 600
"""Slots of a second are kept so long."""

MIDDLE_S = 6 * 3600
"""Slots of ten seconds are kept so long."""

MAX_ROWS = 200
"""Rows of a slot that are kept one by one while there is room."""

MIN_ROWS = 4
"""Fewer are not kept: the oldest slots become longer instead."""

SHRUNK = 0.9
"""Share of the bound that is left full when room is made, so that it is not made at every slot."""

SLOT_NS = 1_000_000
ROW_NS = 150
PIECE_NS = 35
"""What a slot costs, each row that changed in it, and each sketch and page of bins; measured."""

EARNED_NS = 2
"""What may be spent per packet: 2.5 % of the least that counting one takes with all windows; caches
that a slot leaves cold cost as much again."""

TEN_DEBT_NS = 3_000_000
MINUTE_DEBT_NS = 12_000_000
"""What changes may cost beyond what was earned, before slots become longer."""

FIRST_SLOTS = 1200
"""So many slots are made however few packets they hold."""

LOW_SLOTS = 600
"""Of these, so many are of ten seconds; when they are used up, slots are of a minute unless packets
have earned shorter ones."""


class History:
    """Slots of an engine's time.

    Args:
        max_bytes: bound on its memory.
        n_rows: rows of the engine, at most.
        n_pages: pages of its sketches, at most.
        is_paced: time goes by as packets come, so that a slot every second is cheap.
        credit_ns: what changes may cost besides what packets earn.

    Attributes:
        n_bytes: what the slots that have ended take.
        n_lost: slots in which more changed than the logs hold: they have no rows.
    """

    def __init__(
        self,
        max_bytes: int,
        n_rows: int,
        n_pages: int,
        is_paced: bool = False,
        credit_ns: int = 0,
    ) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self.n_lost = 0
        self._scratch = Scratch(n_rows, n_pages)
        self._sums = Sums()
        self._is_paced = is_paced
        # What may be spent on slots as such, and on what changed in them.
        self._slots_ns = FIRST_SLOTS * SLOT_NS
        self._changes_ns = credit_ns
        self._fine: deque[Slot] = deque()
        self._tens: deque[Slot] = deque()
        self._minutes: deque[Slot] = deque()
        self._length_s = SECOND_S
        self._longest_s = MINUTE_S
        self._start: int | None = None
        self._n_packets = 0

    def end_epoch(
        self, state: State, epoch: int, new_epoch: int, health: npt.NDArray[np.void]
    ) -> None:
        """A second of the windows' time has ended.

        Args:
            state: the engine's tables; no sample waits.
            epoch: which.
            new_epoch: the one that begins.
            health: the raw counters of the capture, which change with the next packet.
        """
        if self._start is None:
            self._start = new_epoch
            return
        if new_epoch // self._length_s == self._start // self._length_s:
            return
        made = self._made(state, epoch, health)
        slot = made.slot
        n_packets = int(health["verdicts"].sum())
        earned_ns = (n_packets - self._n_packets) * EARNED_NS
        spent_ns = made.n_rows * ROW_NS + made.n_pieces * PIECE_NS
        self._changes_ns += earned_ns - spent_ns
        self._slots_ns += max(0, earned_ns - spent_ns) - SLOT_NS
        if n_packets > self._n_packets or not slot.is_empty:
            self._sums.add(slot)
            self._append(slot, lambda: row_of_pages(state.sketches.export(0)[1]))
        self._n_packets = n_packets
        self._length_s = self._next_length_s(epoch, new_epoch)
        self._start = new_epoch // self._length_s * self._length_s

    def slots(self) -> Iterator[Slot]:
        """The slots that have ended, the oldest first."""
        return chain(self._minutes, self._tens, self._fine)

    def open_slot(self, state: State, epoch: int, health: npt.NDArray[np.void]) -> Slot | None:
        """What was counted since the last slot ended; None before the first packet.

        Args:
            state: the engine's tables, settled.
            epoch: the second of the windows' time that it is.
            health: the raw counters of the capture now.
        """
        return None if self._start is None else self._made(state, epoch, health).slot

    def _made(self, state: State, epoch: int, health: npt.NDArray[np.void]) -> Made:
        assert self._start is not None
        span = Span(self._start, epoch + 1, LEVEL_OF[self._length_s])
        made = make_slot(state, span, health, self._scratch, MAX_ROWS)
        if made is not None:
            return made
        self.n_lost += 1
        self._longest_s = max(SECOND_S, *(n for n in LEVEL_OF if n < self._length_s), 0)
        slot = self._sums.rest(state, span, health)
        return Made(slot, len(state.destinations.export()[0]), len(state.sketches.export(0)[1]))

    def _next_length_s(self, epoch: int, new_epoch: int) -> int:
        """How long the next slot is: one that begins behind the last one."""
        wanted_s = SECOND_S
        if not self._is_paced:
            wanted_s = self._affordable_s()
        fitting = [
            length_s
            for length_s in LEVEL_OF
            if length_s <= min(wanted_s, self._longest_s)
            and new_epoch // length_s * length_s > epoch
        ]
        return max(fitting)

    def _affordable_s(self) -> int:
        """The shortest slots that have been earned."""
        if self._slots_ns < 0 or self._changes_ns < -MINUTE_DEBT_NS:
            return MINUTE_S
        is_low = self._slots_ns < LOW_SLOTS * SLOT_NS or self._changes_ns < -TEN_DEBT_NS
        return TEN_S if is_low else SECOND_S

    def _append(self, slot: Slot, row_of_page: Callable[[], npt.NDArray[np.intp]]) -> None:
        self._fine.append(slot)
        self.n_bytes += slot.nbytes
        self._age(self._fine, self._tens, TEN_S, slot.end_epoch - FINE_S)
        self._age(self._tens, self._minutes, MINUTE_S, slot.end_epoch - MIDDLE_S)
        if self.n_bytes > self.max_bytes:
            self._shrink(row_of_page())

    def _age(self, young: deque[Slot], old: deque[Slot], length_s: int, until_epoch: int) -> None:
        """Join slots that have ended before an epoch into longer ones."""
        while young:
            number = young[0].start_epoch // length_s
            if (number + 1) * length_s > until_epoch:
                return
            parts = [young.popleft()]
            while young and young[0].start_epoch // length_s == number:
                parts.append(young.popleft())
            old.append(self._replaced(parts, joined(parts)))

    def _replaced(self, parts: list[Slot], slot: Slot) -> Slot:
        self.n_bytes += slot.nbytes - sum(part.nbytes for part in parts)
        return slot

    def _shrink(self, row_of_page: npt.NDArray[np.intp]) -> None:
        """Make room: first with fewer rows, then with fewer slots."""
        target_bytes = SHRUNK * self.max_bytes
        while self.n_bytes > target_bytes:
            n_rows = max((len(slot.rows) for slot in self.slots()), default=0)
            if n_rows > MIN_ROWS:
                self._thin(max(MIN_ROWS, n_rows // 2), target_bytes, row_of_page)
            elif not self._join_oldest():
                return

    def _thin(self, n_rows: int, target_bytes: float, row_of_page: npt.NDArray[np.intp]) -> None:
        """Leave so many rows in the slots, the oldest first, until there is room."""
        for slots in (self._minutes, self._tens, self._fine):
            for i, slot in enumerate(slots):
                if len(slot.rows) > n_rows:
                    slots[i] = self._replaced([slot], slot.thinned(n_rows, row_of_page))
                    if self.n_bytes <= target_bytes:
                        return

    def _join_oldest(self) -> bool:
        """Make each two of the older half of the slots one; whether there were any."""
        slots = list(self.slots())
        half = max(2, len(slots) // 4 * 2)
        if len(slots) < 2:
            return False
        pairs = [slots[i : i + 2] for i in range(0, half, 2)]
        merged = [self._replaced(pair, joined(pair)) for pair in pairs]
        for kind in (self._minutes, self._tens, self._fine):
            n_gone = min(half, len(kind))
            half -= n_gone
            for _ in range(n_gone):
                kind.popleft()
        self._minutes.extendleft(reversed(merged))
        return True
