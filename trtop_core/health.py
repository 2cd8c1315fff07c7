"""``Health``: what a capture held, lost and could not read. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

SUSPECT_COMPLETENESS = 0.999
"""Completeness below which a destination's row is suspect."""

SUSPECT_LOSS = 0.001
"""Share of lost packets above which every row is suspect."""


@dataclass(frozen=True, slots=True)
class Health:
    """May the numbers be trusted? What the capture held, lost and could not read.

    Attributes:
        packets: packets that reached the decoder.
        not_tcp: of these, packets without TCP.
        undecoded: of these, packets that should have held TCP, by reason (``Verdict`` names).
        duplicates: segments that the capture held twice.
        untimed: packets without a timestamp, skipped before the decoder.
        evicted: connections that a full table forgot: unproven ones first, then closed ones, idle
            ones, the rest; of each the longest idle first.
        holes_unkept: holes judged at once since the memory for holes was full.
        samples_unbinned: latencies that found no memory for a bin: they are in count, sum, min
            and max, not in the percentiles.
        received: what the capturing side says it received, None where it does not say.
        kernel_dropped: what the kernel dropped for lack of room; None where unknown.
        interface_dropped: what the interface dropped; None where unknown.
        read_lost: packets that the kernel kept and a capture process could not read.
        interruptions: times that capturing stopped by itself: a capture process died.
        interrupted_ns: time in which nothing was captured for that reason; of several interfaces
            or engines together, the sum.
        clock_steps: times that capture time jumped back, or forward by more than a day.
        stray_times: packets whose time was no time, which never moved the clock.
    """

    packets: int = 0
    not_tcp: int = 0
    undecoded: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    untimed: int = 0
    evicted: int = 0
    holes_unkept: int = 0
    samples_unbinned: int = 0
    received: int | None = None
    kernel_dropped: int | None = None
    interface_dropped: int | None = None
    read_lost: int = 0
    interruptions: int = 0
    interrupted_ns: int = 0
    clock_steps: int = 0
    stray_times: int = 0

    @property
    def loss(self) -> float | None:
        """Share of packets that the capture lost, 0 … 1; None where unknown."""
        known = [n for n in (self.kernel_dropped, self.interface_dropped) if n is not None]
        if not known:
            return None
        dropped = sum(known) + self.read_lost
        total = self.received if self.received else self.packets + dropped
        return min(1.0, dropped / total) if total else 0.0

    @property
    def interrupted(self) -> bool:
        """Whether nothing was captured for a while."""
        return self.interruptions > 0 or self.interrupted_ns > 0

    def record(self) -> dict[str, Any]:
        """Plain data, every field under its own name; unknown is None."""
        record = {item.name: getattr(self, item.name) for item in fields(self)}
        record["undecoded"] = dict(self.undecoded)
        return record

    def since(self, before: Health) -> Health:
        """What came after an earlier moment of the same capture."""
        differences: dict[str, Any] = {}
        for item in fields(Health):
            new, old = getattr(self, item.name), getattr(before, item.name)
            if item.name == "undecoded":
                left = {reason: n - old.get(reason, 0) for reason, n in new.items()}
                differences[item.name] = {reason: n for reason, n in left.items() if n}
            else:
                differences[item.name] = None if new is None else new - (old or 0)
        return Health(**differences)

    @staticmethod
    def merged(parts: Sequence[Health]) -> Health:
        """The health of several captures together; a sum with an unknown part is unknown."""
        merged: dict[str, Any] = {}
        for item in fields(Health):
            values = [getattr(part, item.name) for part in parts]
            if item.name == "undecoded":
                names = dict.fromkeys(name for value in values for name in value)
                merged[item.name] = {
                    name: sum(value.get(name, 0) for value in values) for name in names
                }
            else:
                merged[item.name] = None if None in values else sum(values)
        return Health(**merged)


def is_suspect(completeness: float | None, loss: float | None) -> bool:
    """The capture missed so much that a row's counters are lower bounds."""
    return (completeness is not None and completeness < SUSPECT_COMPLETENESS) or (
        loss is not None and loss > SUSPECT_LOSS
    )
