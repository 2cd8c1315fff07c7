"""Capture time: a clock that follows the packets' timestamps, but no stray one.

Takes the timestamp of every packet in the order of the file, and times that a live clock reached;
gives the time that timers see, and tells of a latency whether it may be believed. Knows nothing of
connections: whoever keeps times of its own is told by `Change` when to bring them back to now.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

NS_PER_S = 1_000_000_000
# A packet further ahead than this waits for the next one to confirm its time.
MAX_AHEAD_NS = 20 * NS_PER_S
# A packet at most this far behind confirms the time before it; further behind, the clock is wrong.
MAX_BEHIND_NS = 10 * NS_PER_S
# So many packets in a row further behind than that turn the clock back.
N_BEHIND_TO_STEP = 32
# A jump further forward than this is a step: nothing was measured across it.
MAX_JUMP_NS = 24 * 3600 * NS_PER_S
# Timestamps are clamped here (the year 2116): whatever lies there has no known time.
TS_LIMIT_NS = (1 << 62) - 1


@dataclass(frozen=True)
class Moment:
    """The timestamp of one packet and the packet's number in the order of the file."""

    ns: int
    serial: int

    @property
    def is_clamped(self) -> bool:
        return abs(self.ns) >= TS_LIMIT_NS


class Change(enum.Enum):
    """What a packet's time did to the clock."""

    NONE = enum.auto()
    WAS_STRAY = enum.auto()
    WAS_BELIEVED = enum.auto()
    STEPPED_BACK = enum.auto()


class Clock:
    """The latest believed timestamp. One packet at most waits to be believed."""

    def __init__(self) -> None:
        self.now_ns: int | None = None
        self.waiting: Moment | None = None
        self.n_steps = 0
        self.n_strays = 0
        self._n_packets = 0
        self._first_ns: int | None = None
        self._jumped_ns = 0
        # The first packet of the row that lies too far behind, and how many there are.
        self._behind_from = 0
        self._n_behind = 0
        # For each step, the first packet on the other side of it.
        self._sides: list[int] = []
        # Packets whose timestamps measure nothing.
        self._timeless: set[int] = set()

    @property
    def span_ns(self) -> int:
        """Time since the first packet, less what steps jumped."""
        if self._first_ns is None or self.now_ns is None:
            return 0
        return self.now_ns - self._first_ns - self._jumped_ns

    # --- moving -------------------------------------------------------------------------------

    def number(self, ts_ns: int) -> Moment:
        """Give the next packet its number, and clamp its time."""
        self._n_packets += 1
        return Moment(max(-TS_LIMIT_NS, min(TS_LIMIT_NS, ts_ns)), self._n_packets)

    def settle(self, moment: Moment) -> Change:
        """Decide by the next packet about one that waits; if that is believed, so is the next."""
        waiting, self.waiting = self.waiting, None
        if waiting is None:
            return Change.NONE
        if moment.ns < waiting.ns - MAX_BEHIND_NS:
            self.n_strays += 1
            self._timeless.add(waiting.serial)
            return Change.WAS_STRAY
        assert self.now_ns is not None
        # Of two jumps at once the later is the edge; what lies between them is on neither side.
        jumps_before = waiting.ns - self.now_ns > MAX_JUMP_NS
        jumps_behind = moment.ns - waiting.ns > MAX_JUMP_NS
        if jumps_before and jumps_behind:
            self._timeless.add(waiting.serial)
        is_edge = jumps_before and not jumps_behind
        self._move(max(waiting.ns, moment.ns), waiting.serial if is_edge else moment.serial)
        return Change.WAS_BELIEVED

    def take(self, moment: Moment) -> Change:
        """Move to a packet's time, wait with it, or step back to it."""
        if self._first_ns is None:
            self._first_ns = moment.ns
        if self.now_ns is None:
            self.now_ns = moment.ns
        if moment.ns < self.now_ns - MAX_BEHIND_NS:
            return self._fall_behind(moment)
        self._n_behind = 0
        if moment.ns > self.now_ns + MAX_AHEAD_NS:
            self.waiting = moment
        else:
            self._move(moment.ns, moment.serial)
        return Change.NONE

    def advance(self, now_ns: int) -> None:
        """Let a live clock go on by itself."""
        if self.waiting is not None and now_ns >= self.waiting.ns:
            serial, self.waiting = self.waiting.serial, None
            self._move(now_ns, serial)
        else:
            self._move(now_ns, self._n_packets + 1)

    def end(self) -> None:
        """End the capture: a packet that still waits is believed, unless it is a day ahead."""
        if self.waiting is not None and self.now_ns is not None:
            waiting = self.waiting
            if waiting.ns <= self.now_ns + MAX_JUMP_NS:
                self.waiting = None
                self._move(waiting.ns, waiting.serial)

    def _fall_behind(self, moment: Moment) -> Change:
        if not self._n_behind:
            self._behind_from = moment.serial
        self._n_behind += 1
        if self._n_behind < N_BEHIND_TO_STEP:
            return Change.NONE
        assert self.now_ns is not None
        self._n_behind = 0
        self._step(moment.ns, self._behind_from)
        return Change.STEPPED_BACK

    def _move(self, to_ns: int, serial: int) -> None:
        if self.now_ns is not None and to_ns - self.now_ns > MAX_JUMP_NS:
            self._step(to_ns, serial)
        self.now_ns = to_ns if self.now_ns is None else max(self.now_ns, to_ns)

    def _step(self, to_ns: int, serial: int) -> None:
        """Jump; packets from `serial` on are on the other side of the step."""
        assert self.now_ns is not None
        self.n_steps += 1
        self._jumped_ns += to_ns - self.now_ns
        self._sides.append(serial)
        self.now_ns = to_ns

    # --- measuring ----------------------------------------------------------------------------

    def latency_ns(self, start: Moment, end: Moment) -> int | None:
        """Time between two packets, or None if it is no sample."""
        if start.is_clamped or end.is_clamped:
            return None
        if any(start.serial < first <= end.serial for first in self._sides):
            return None
        if {start.serial, end.serial} & self._timeless or end == self.waiting:
            return None
        return end.ns - start.ns if end.ns >= start.ns else None
