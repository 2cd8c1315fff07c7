"""How a connection came about: SYN, SYN/ACK, the proof that the handshake completed.

Takes the segments that may open a connection; counts attempts, answers and time-outs into the row
it is given. Never follows payload, and knows of a mid-stream connection only its SYN/ACKs.
"""

from __future__ import annotations

from .decode import Segment
from .direction import MAX_ACK_AHEAD, SEQUENCE_MODULUS, Direction
from .rows import Row

NS_PER_S = 1_000_000_000
ANSWER_TIMEOUT_NS = 20 * NS_PER_S


class Opening:
    """The opening of one connection, an attempt if its SYN was seen first."""

    def __init__(self, segment: Segment, now_ns: int) -> None:
        self.is_attempt = segment.is_syn and not (segment.is_ack or segment.is_rst)
        self.isn = segment.seq
        self.syn_ns = segment.ts_ns
        self.syn_clock_ns = now_ns
        self.n_syns = 0
        self.n_syn_bytes = 0
        # Every SYN/ACK as (ISN, ack), the first first.
        self.synacks: list[tuple[int, int]] = []
        self.has_est = False
        self.is_waiting = self.is_attempt
        self.is_unanswered = False
        self.syn_rtt_ns: int | None = None

    @property
    def is_answered(self) -> bool:
        return bool(self.synacks) or self.has_est

    def repeats_syn(self, segment: Segment) -> bool:
        """Whether a client's SYN is one more of this attempt, or the late one of a swapped pair."""
        if self.is_attempt:
            return segment.seq == self.isn
        return any(ack == _next(segment.seq) for _, ack in self.synacks[:1])

    def due_ns(self) -> int | None:
        return self.syn_clock_ns + ANSWER_TIMEOUT_NS if self.is_waiting else None

    def time_out(self, row: Row) -> None:
        if self.is_waiting:
            row.add("timeouts")
            self.is_waiting = False
            self.is_unanswered = True

    def take(self, is_client: bool, segment: Segment, row: Row) -> bool:
        """Count a SYN or SYN/ACK; return whether its payload and ACK are to be believed."""
        if not segment.is_ack:
            self._syn(segment, row)
            return True
        if not self.is_attempt:
            self.synacks.append((segment.seq, segment.ack))
            return True
        acked = (segment.ack - _next(self.isn)) % SEQUENCE_MODULUS
        if is_client or acked > self.n_syn_bytes:
            return False
        return self._synack(segment, row)

    def _syn(self, segment: Segment, row: Row) -> None:
        if not self.is_attempt:
            return
        self.n_syns += 1
        self.n_syn_bytes = max(self.n_syn_bytes, segment.payload_len)
        if self.n_syns > 1:
            row.add("syn_retrans")

    def _synack(self, segment: Segment, row: Row) -> bool:
        is_first = not self.synacks
        self.synacks.append((segment.seq, segment.ack))
        if is_first:
            row.add("synack")
            self._end_wait()
            if self.n_syns == 1:  # Karn: nobody can tell which of several SYNs is answered.
                self._sample_syn_rtt(segment.ts_ns - self.syn_ns, row)
            return True
        row.add("synack_retrans")
        # Of several ISNs the client's ACK will tell which one is the server's.
        return segment.seq == self.synacks[0][0]

    def _sample_syn_rtt(self, rtt_ns: int, row: Row) -> None:
        row.sample("syn_rtt", rtt_ns)
        if rtt_ns >= 0:
            self.syn_rtt_ns = rtt_ns

    def believes_ack(self, ack: int, client: Direction) -> bool:
        """Before a SYN/ACK, a server's ACK beyond what the client sent is a stale end's."""
        if not self.is_attempt or self.synacks or client.reached is None:
            return True
        return client.unwrap(ack) <= client.reached

    def prove_by_server(self, ack: int, client: Direction, row: Row) -> None:
        """A server that acknowledges data beyond the SYN's has completed the handshake."""
        if self.has_est or not self.believes_ack(ack, client) or client.reached is None:
            return
        position = client.unwrap(ack)
        syn_end = client.unwrap(_next(self.isn + self.n_syn_bytes))
        if syn_end < position <= client.reached + MAX_ACK_AHEAD:
            self._establish(row)

    def prove_by_client(self, segment: Segment, row: Row) -> int | None:
        """Count a client's ACK as proof; return the server's ISN if it is not the first seen."""
        if self.has_est:
            return None
        if not self.synacks:
            self._establish(row)
            return None
        chosen = self._acknowledged(segment.ack)
        if chosen is None:
            return None
        self._establish(row)
        isn, ack = chosen
        if segment.ack == _next(isn) and segment.seq == ack:
            row.sample("connect_latency", segment.ts_ns - self.syn_ns)
        return isn if isn != self.synacks[0][0] else None

    def _acknowledged(self, ack: int) -> tuple[int, int] | None:
        """Return the SYN/ACK that a client's ACK tells to be the server's: exactly, or at all."""
        for max_ahead in (0, MAX_ACK_AHEAD):
            for isn, synack_ack in self.synacks:
                if (ack - _next(isn)) % SEQUENCE_MODULUS <= max_ahead:
                    return isn, synack_ack
        return None

    def _establish(self, row: Row) -> None:
        self.has_est = True
        row.add("est")
        self._end_wait()

    def _end_wait(self) -> None:
        self.is_waiting = self.is_unanswered = False


def _next(seq: int) -> int:
    return (seq + 1) % SEQUENCE_MODULUS
