"""Latencies between two packets, sampled once it is known whether their times may be believed.

Takes two moments and the row to count in; gives samples, and lets round trips lower the floor.
What ends at a packet whose own time still waits to be believed is kept until the next packet
decides (one packet's worth at most). Never judges a time itself: the clock does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .clock import Clock, Moment
from .rows import Row


class Measurement(Protocol):
    """Something that is counted as soon as its times are known."""

    def count(self, clock: Clock) -> None: ...


@dataclass
class Latency:
    """A sample of one latency, less `less_ns` but never below 0."""

    row: Row
    name: str
    start: Moment
    end: Moment
    less_ns: int = 0

    def count(self, clock: Clock) -> None:
        latency_ns = clock.latency_ns(self.start, self.end)
        if latency_ns is not None:
            self.row.sample(self.name, max(0, latency_ns - self.less_ns))


class Lowered(Protocol):
    """What a round trip lowers: the least of its connection so far."""

    def lower(self, rtt_ns: int, name: str) -> None: ...


@dataclass
class RoundTrip:
    """A sample of a round trip, which lowers its connection's floor."""

    row: Row
    name: str
    start: Moment
    end: Moment
    floor: Lowered

    def count(self, clock: Clock) -> None:
        rtt_ns = clock.latency_ns(self.start, self.end)
        if rtt_ns is None:
            return
        self.row.sample(self.name, rtt_ns)
        self.floor.lower(rtt_ns, self.name)


class Measurements:
    """Counts at once, or keeps in order what ends at the packet that waits."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._waiting: list[Measurement] = []

    def add(self, measurement: Measurement) -> None:
        if self.clock.waiting is None:
            measurement.count(self.clock)
        else:
            self._waiting.append(measurement)

    def add_behind_round_trips(self, measurement: Measurement) -> None:
        """Count at once, unless a round trip waits that it may depend on."""
        if any(isinstance(waiting, RoundTrip) for waiting in self._waiting):
            self._waiting.append(measurement)
        else:
            measurement.count(self.clock)

    def settle(self) -> None:
        """Count what waited; the clock knows by now which times were no times."""
        waiting, self._waiting = self._waiting, []
        for measurement in waiting:
            measurement.count(self.clock)

    def latency(self, row: Row, name: str, start: Moment, end: Moment, less_ns: int = 0) -> None:
        self.add(Latency(row, name, start, end, less_ns))
