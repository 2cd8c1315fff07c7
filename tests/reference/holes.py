"""The sequence numbers of one direction that the capture never held.

Takes what arrived, what the peer acknowledged and the clock; gives which bytes filled a hole and
which holes have become capture gaps. Positions are plain integers (sequence numbers unwrapped by
the caller). Never decides what a segment is called: that is the connection's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MAX_HOLES = 16
# How long an acknowledged hole may still be filled by a packet that the capture saw late.
JUDGE_AFTER_NS = 1_000_000_000

Span = tuple[int, int]


@dataclass(frozen=True)
class Hole:
    """Positions start … end − 1, unheld since `opened_ns`; `acked_ns` is the clock at their ACK."""

    start: int
    end: int
    opened_ns: int
    acked_ns: int | None


@dataclass(frozen=True)
class Verdict:
    """What judging came to: gaps that adjoin no counted one, and bytes in all of them."""

    n_gaps: int
    n_bytes: int


class Holes:
    """Open holes in ascending order, and what became of earlier ones."""

    def __init__(self) -> None:
        self.open: list[Hole] = []
        # Never held, but no holes any more: judged, and below a mid-stream direction's first ACK.
        self.judged: list[Span] = []
        self.dropped: list[Span] = []
        self._gaps: list[Span] = []
        self.judged_to = 0

    def add(self, start: int, end: int, opened_ns: int, acked_ns: int | None) -> None:
        """Open a hole above all others."""
        self.open.append(Hole(start, end, opened_ns, acked_ns))

    def open_within(self, start: int, end: int) -> list[Span]:
        """The parts of start … end − 1 that lie in open holes."""
        parts = [(max(hole.start, start), min(hole.end, end)) for hole in self.open]
        return [(low, high) for low, high in parts if low < high]

    def fill(self, start: int, end: int) -> list[int]:
        """Take held positions out; return when each hole that they fell into was opened."""
        opened_ns: list[int] = []
        rest: list[Hole] = []
        for hole in self.open:
            low, high = max(hole.start, start), min(hole.end, end)
            if low >= high:
                rest.append(hole)
                continue
            opened_ns.append(hole.opened_ns)
            for part in ((hole.start, low), (high, hole.end)):
                if part[0] < part[1]:
                    rest.append(Hole(*part, hole.opened_ns, hole.acked_ns))
        self.open = rest
        self.judged = _without(self.judged, start, end)
        self.dropped = _without(self.dropped, start, end)
        return opened_ns

    def acknowledge(self, ack: int, now_ns: int) -> None:
        """Note the clock at which positions below `ack` were first acknowledged."""
        rest: list[Hole] = []
        for hole in self.open:
            if hole.acked_ns is not None or hole.start >= ack:
                rest.append(hole)
                continue
            split = min(hole.end, ack)
            rest.append(Hole(hole.start, split, hole.opened_ns, now_ns))
            if split < hole.end:
                rest.append(Hole(split, hole.end, hole.opened_ns, None))
        self.open = rest

    def drop_below(self, position: int) -> None:
        """Forget the holes below a mid-stream direction's first ACK: nobody can judge them."""
        for hole in self.open:
            if hole.start < position:
                self.dropped.append((hole.start, min(hole.end, position)))
        self.open = [
            Hole(max(hole.start, position), hole.end, hole.opened_ns, hole.acked_ns)
            for hole in self.open
            if hole.end > position
        ]

    def due_ns(self) -> int | None:
        """The clock at which the next hole is judged, if one waits for it."""
        acked = [hole.acked_ns for hole in self.open if hole.acked_ns is not None]
        return min(acked) + JUDGE_AFTER_NS if acked else None

    def judge_due(self, now_ns: int) -> Verdict:
        """Judge what has been acknowledged for a second."""
        return self._judge(
            [
                hole
                for hole in self.open
                if hole.acked_ns is not None and now_ns >= hole.acked_ns + JUDGE_AFTER_NS
            ]
        )

    def judge_acked(self) -> Verdict:
        """Judge everything acknowledged, however recently: closing, or the end of the capture."""
        return self._judge([hole for hole in self.open if hole.acked_ns is not None])

    def judge_surplus(self) -> Verdict:
        """Judge the lowest runs of holes until no more than 16 are left."""
        n_gaps = n_bytes = 0
        while len(runs := self._runs()) > MAX_HOLES:
            verdict = self._judge(runs[0])
            n_gaps += verdict.n_gaps
            n_bytes += verdict.n_bytes
        return Verdict(n_gaps, n_bytes)

    def is_open_below(self, position: int) -> bool:
        return any(hole.start < position for hole in self.open)

    def misses(self, start: int, end: int | None) -> bool:
        """Whether any position from `start` up to `end` (None: without limit) was never held."""
        spans = [(hole.start, hole.end) for hole in self.open] + self.judged + self.dropped
        return any(high > start and (end is None or low < end) for low, high in spans)

    def clamp(self, now_ns: int) -> None:
        """What was acknowledged in the future was acknowledged now."""
        self.open = [
            hole if hole.acked_ns is None else replace(hole, acked_ns=min(hole.acked_ns, now_ns))
            for hole in self.open
        ]

    def _runs(self) -> list[list[Hole]]:
        runs: list[list[Hole]] = []
        for hole in self.open:
            if runs and runs[-1][-1].end == hole.start:
                runs[-1].append(hole)
            else:
                runs.append([hole])
        return runs

    def _judge(self, holes: list[Hole]) -> Verdict:
        n_gaps = n_bytes = 0
        for hole in holes:
            self.open.remove(hole)
            self.judged.append((hole.start, hole.end))
            self.judged_to = max(self.judged_to, hole.end)
            if hole.acked_ns is None:
                continue
            n_gaps += not any(hole.start == high or hole.end == low for low, high in self._gaps)
            n_bytes += hole.end - hole.start
            self._gaps.append((hole.start, hole.end))
        return Verdict(n_gaps, n_bytes)


def _without(spans: list[Span], start: int, end: int) -> list[Span]:
    if start >= end:
        return spans
    rest: list[Span] = []
    for low, high in spans:
        if low < min(high, start):
            rest.append((low, min(high, start)))
        if max(low, end) < high:
            rest.append((max(low, end), high))
    return rest
