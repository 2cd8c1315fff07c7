"""What one side of a connection has sent and what the other acknowledged of it.

Takes the sequence numbers of each segment and of the peer's ACKs; gives what of a segment is new,
what filled a hole, how many bytes an ACK acknowledged, and what was never held. Positions are
unwrapped sequence numbers. Never looks at flags other than SYN and FIN, nor at payload.
"""

from __future__ import annotations

from dataclasses import dataclass

from .holes import Holes, Verdict

SEQUENCE_MODULUS = 1 << 32
# No window reaches further (RFC 7323 §2.3): an ACK that does is not of this connection.
MAX_ACK_AHEAD = 1 << 30


@dataclass(frozen=True)
class Start:
    """Where a turn starts on one side: a position, or a raw sequence number if none was seen."""

    number: int
    is_raw: bool = False


@dataclass(frozen=True)
class Taken:
    """What a segment's sequence space turned out to be.

    `new_start` is its first new position, `filled_to` the end of the last payload in a hole.
    """

    start: int
    data_end: int
    end: int
    has_new_data: bool
    is_first_fin: bool
    new_start: int
    reached_before: int
    n_bytes: int
    filled_since_ns: int | None
    filled_to: int | None

    @property
    def is_new(self) -> bool:
        return self.has_new_data or self.is_first_fin


class Direction:
    """One direction of one connection."""

    def __init__(self) -> None:
        self.is_seen = False
        self.n_segments = 0
        self.first_seq: int | None = None
        self.has_acknowledged = False
        self.has_fin = False
        self.had_zero_window = False
        self.knows_start = False
        self.holes = Holes()
        # The highest position that payload, SYN or FIN reached; a first segment without sets it.
        self.reached: int | None = None
        # All below is held, a hole, or given up: holes open from here on.
        self.frontier = 0
        self.acked: int | None = None
        # The peer's highest ACK as it stood in a segment; `acked` starts at the first position.
        self.highest_ack: int | None = None
        self._has_sent = False
        self._first: int = 0
        self._early_acks: list[int] = []

    def unwrap(self, number: int) -> int:
        """Return the position nearest to what was reached that has this sequence number."""
        if self.reached is None:
            return number
        ahead = (number - self.reached) % SEQUENCE_MODULUS
        return self.reached + (ahead - SEQUENCE_MODULUS if ahead >> 31 else ahead)

    def start_at(self, seq: int, ts_ns: int, now_ns: int) -> int:
        """Begin with the sequence number after a SYN; return the bytes acknowledged already."""
        position = self.unwrap(seq)
        self.knows_start = True
        if self.reached is not None and self._has_sent and position <= self.reached:
            return 0
        acks = self._early_acks if self.highest_ack is None else [self.highest_ack]
        self.highest_ack = None
        self.reached = self.frontier = self.acked = self._first = position
        self.holes = Holes()
        self._early_acks = []
        return sum(self.acknowledge(ack, ts_ns, now_ns) for ack in acks)

    def begin(self, seq: int, ts_ns: int, now_ns: int) -> int:
        """Begin in mid-stream with a first segment; return the bytes acknowledged already."""
        if self.reached is not None:
            return 0
        self.reached = self.frontier = self._first = seq
        acks, self._early_acks = self._early_acks, []
        return sum(self.acknowledge(ack, ts_ns, now_ns) for ack in acks)

    def take(self, seq: int, payload_len: int, is_fin: bool, ts_ns: int) -> Taken:
        """Account for a segment's payload and FIN."""
        assert self.reached is not None
        start = self.unwrap(seq)
        data_end = start + payload_len
        end = data_end + is_fin
        reached = self.reached
        is_first_fin = is_fin and not self.has_fin
        n_new = max(0, data_end - max(start, reached))
        filled = self.holes.open_within(start, min(data_end, reached))
        filled_since = self.holes.fill(start, end)
        if end > start:
            if start > self.frontier:
                self.holes.add(self.frontier, start, ts_ns, None)
            self.frontier = max(self.frontier, end)
            self.reached = max(reached, end)
            self._has_sent = True
        self.has_fin = self.has_fin or is_fin
        return Taken(
            start=start,
            data_end=data_end,
            end=end,
            has_new_data=n_new > 0,
            is_first_fin=is_first_fin,
            new_start=max(start, reached),
            reached_before=reached,
            n_bytes=n_new + sum(high - low for low, high in filled),
            filled_since_ns=max(filled_since, default=None),
            filled_to=filled[-1][1] if filled else None,
        )

    def acknowledge(self, ack: int, ts_ns: int, now_ns: int) -> int:
        """Account for the peer's ACK; return the bytes that it newly acknowledged."""
        if self.reached is None:
            # Of the ACKs for a side not seen yet the first and the highest are remembered.
            if not self._early_acks:
                self._early_acks = [ack, ack]
            elif 0 < (ack - self._early_acks[1]) % SEQUENCE_MODULUS < 1 << 31:
                self._early_acks[1] = ack
            return 0
        position = self.unwrap(ack)
        if position > self.reached + MAX_ACK_AHEAD:
            return 0
        if self.highest_ack is None or position > self.highest_ack:
            self.highest_ack = position
        if self.acked is None:
            # The first ACK of a mid-stream direction: what lies below may have passed before.
            self.acked = max(self._first, position)
            self.holes.drop_below(position)
            if position > self.frontier:
                self.holes.dropped.append((self.frontier, position))
                self.frontier = position
            return 0
        if position <= self.acked:
            return 0
        n_bytes = position - self.acked
        self.acked = position
        if position > self.frontier:
            self.holes.add(self.frontier, position, ts_ns, None)
            self.frontier = position
        self.holes.acknowledge(position, now_ns)
        return n_bytes

    def turn_start(self) -> Start | None:
        """Where a turn that begins now starts: the higher of what was sent and acknowledged."""
        if self.reached is not None:
            return Start(self.frontier)
        return Start(self._early_acks[1], is_raw=True) if self._early_acks else None

    def position_of(self, start: Start) -> int:
        return self.unwrap(start.number) if start.is_raw else start.number

    def misses(self, start: Start | None, end: int | None = None) -> bool:
        """Whether any byte from a turn's start up to `end` was never held by the capture."""
        if start is None or self.reached is None:
            return False
        position = self.position_of(start)
        is_below = not self.knows_start and position < min(self._first, end or self._first)
        return is_below or self.holes.misses(position, end)

    def judge_due(self, now_ns: int) -> Verdict:
        """Judge the holes that have been acknowledged for a second."""
        return self._judged(self.holes.judge_due(now_ns))

    def judge_acked(self) -> Verdict:
        """Judge all acknowledged holes."""
        return self._judged(self.holes.judge_acked())

    def judge_surplus(self) -> Verdict:
        """Judge the lowest of too many holes."""
        return self._judged(self.holes.judge_surplus())

    def _judged(self, verdict: Verdict) -> Verdict:
        # A judged hole is none any more, even where nothing later was seen: what fills it is old.
        if self.reached is not None:
            self.reached = max(self.reached, self.holes.judged_to)
        return verdict

    def clamp(self, now_ns: int) -> None:
        """Bring times of the future back to now."""
        self.holes.clamp(now_ns)
