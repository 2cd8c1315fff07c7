"""The least round trip of one connection: what the path itself takes.

Takes round trips as they are sampled and the clock; gives the floor, and samples it as `path_rtt`
at the end of each slot of 10 s in which the connection had a segment, and at its first closing.
Times one client segment at a time (`net_rtt`), never a retransmitted one (Karn, RFC 6298 §3).
"""

from __future__ import annotations

from dataclasses import dataclass

from .clock import NS_PER_S, Clock, Moment
from .measure import Measurements, RoundTrip
from .rows import Row

SLOT_NS = 10 * NS_PER_S


@dataclass
class _Closing:
    """The floor at closing, behind round trips that the closing packet itself may sample."""

    row: Row
    floor: Floor

    def count(self, _: Clock) -> None:
        if self.floor.least_ns is not None:
            self.row.sample("path_rtt", self.floor.least_ns)


class Floor:
    """Round trips of one connection whose first segment came at `first_ns` of the clock."""

    def __init__(self, first_ns: int) -> None:
        self.least_ns: int | None = None
        self.syn_rtt_ns: int | None = None
        self._first_ns = self._last_ns = first_ns
        # The end of the slot of the latest segment, until the floor has been sampled there.
        self._slot_end_ns: int | None = None
        # The one timed segment: start, end, when it was sent.
        self._timed: tuple[int, int, Moment] | None = None

    # --- timing -------------------------------------------------------------------------------

    def time(self, start: int, end: int, moment: Moment) -> None:
        """Time a segment of new data, unless one is timed already."""
        if self._timed is None:
            self._timed = (start, end, moment)

    def sent_again(self, start: int, end: int) -> None:
        """Nobody can tell which of two transmissions an ACK answers (Karn)."""
        if self._timed is not None and start < self._timed[1] and end > self._timed[0]:
            self._timed = None

    def acknowledged(
        self, position: int, moment: Moment, row: Row, measurements: Measurements
    ) -> None:
        """End the timing if an ACK covers the timed segment."""
        if self._timed is not None and position >= self._timed[1]:
            sent = self._timed[2]
            self._timed = None
            measurements.add(RoundTrip(row, "net_rtt", sent, moment, self))

    def stop_timing(self) -> None:
        self._timed = None

    # --- the floor ----------------------------------------------------------------------------

    def segment(self, now_ns: int) -> None:
        """A segment came: the slot that it lies in counts."""
        self._last_ns = now_ns
        n_slots = (now_ns - self._first_ns) // SLOT_NS + 1
        self._slot_end_ns = self._first_ns + n_slots * SLOT_NS

    def lower(self, rtt_ns: int, name: str) -> None:
        if name == "syn_rtt":
            self.syn_rtt_ns = rtt_ns
        self.least_ns = rtt_ns if self.least_ns is None else min(self.least_ns, rtt_ns)

    def due_ns(self) -> int | None:
        return self._slot_end_ns

    def run_timers(self, now_ns: int, idle_ns: int, row: Row) -> None:
        """Sample the floor if the slot of the latest segment has ended before idling closes it."""
        if self._slot_end_ns is None or now_ns < self._slot_end_ns or idle_ns <= self._slot_end_ns:
            return
        self._slot_end_ns = None
        if self.least_ns is not None:
            row.sample("path_rtt", self.least_ns)

    def close(self, is_first: bool, row: Row, measurements: Measurements) -> None:
        """Sample the floor at the first closing; a slot that is cut short gives nothing."""
        self._slot_end_ns = None
        if is_first:
            measurements.add_behind_round_trips(_Closing(row, self))

    def clamp(self, now_ns: int) -> None:
        """Bring times of the future back to now."""
        self._first_ns = min(self._first_ns, now_ns)
        self._last_ns = min(self._last_ns, now_ns)
        if self._slot_end_ns is not None:
            self.segment(self._last_ns)
