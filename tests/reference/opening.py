"""How a connection came about: SYN, SYN/ACK, the proof that the handshake completed.

Takes the segments that may open a connection; counts attempts, answers and time-outs into the row
it is given. Never follows payload, and knows of a mid-stream connection only its SYN/ACKs.
"""

from __future__ import annotations

from .clock import NS_PER_S, Moment
from .data import Ledger
from .direction import MAX_ACK_AHEAD, SEQUENCE_MODULUS, Direction
from .floor import Floor
from .measure import RoundTrip
from .packets.decode import Segment

# An ACK with payload this much later than two round trips after the SYN/ACK shows idleness.
LATE_ACK_NS = 1_000_000
ANSWER_TIMEOUT_NS = 20 * NS_PER_S


class Opening:
    """The opening of one connection, an attempt if its SYN was seen first."""

    def __init__(self, segment: Segment, moment: Moment, now_ns: int) -> None:
        self.is_attempt = segment.is_syn and not (segment.is_ack or segment.is_rst)
        self.isn = segment.seq
        self.began = moment
        self._latest_synack: Moment | None = None
        self._syn_clock_ns = now_ns
        self.n_syns = 0
        self.n_syn_bytes = 0
        # Every SYN/ACK as (ISN, ack), the first first.
        self.synacks: list[tuple[int, int]] = []
        self.has_est = False
        self.is_waiting = self.is_attempt
        self.is_unanswered = False

    @property
    def is_answered(self) -> bool:
        return bool(self.synacks) or self.has_est

    @property
    def waits_again(self) -> bool:
        """Whether it waits for an answer to a SYN that was sent again."""
        return self.is_waiting and self.n_syns > 1

    def repeats_syn(self, segment: Segment) -> bool:
        """Whether a client's SYN is one more of this attempt, or the late one of a swapped pair."""
        if self.is_attempt:
            return segment.seq == self.isn
        return any(ack == _next(segment.seq) for _, ack in self.synacks[:1])

    def due_ns(self) -> int | None:
        return self._syn_clock_ns + ANSWER_TIMEOUT_NS if self.is_waiting else None

    def clamp(self, now_ns: int) -> None:
        """Bring times of the future back to now."""
        self._syn_clock_ns = min(self._syn_clock_ns, now_ns)

    def time_out(self, ledger: Ledger) -> None:
        if self.is_waiting:
            ledger.add("timeouts")
            self.is_waiting = False
            self.is_unanswered = True

    def take(
        self, is_client: bool, segment: Segment, moment: Moment, ledger: Ledger, floor: Floor
    ) -> bool:
        """Count a SYN or SYN/ACK; return whether its payload and ACK are to be believed."""
        if not segment.is_ack:
            self._count_syn(segment, ledger)
            return True
        if not self.is_attempt:
            self.synacks.append((segment.seq, segment.ack))
            return True
        acked = (segment.ack - _next(self.isn)) % SEQUENCE_MODULUS
        if is_client or acked > self.n_syn_bytes:
            return False
        if not self.synacks and self.n_syns == 1:
            # Karn: nobody can tell which of several SYNs is answered.
            round_trip = RoundTrip(ledger.row, "syn_rtt", self.began, moment, floor)
            ledger.measurements.add(round_trip)
        self._latest_synack = moment
        return self._count_synack(segment, ledger)

    def _count_syn(self, segment: Segment, ledger: Ledger) -> None:
        if not self.is_attempt:
            return
        self.n_syns += 1
        self.n_syn_bytes = max(self.n_syn_bytes, segment.payload_len)
        if self.n_syns > 1:
            ledger.add("syn_retrans")

    def _count_synack(self, segment: Segment, ledger: Ledger) -> bool:
        is_first = not self.synacks
        self.synacks.append((segment.seq, segment.ack))
        if is_first:
            ledger.add("synack")
            self._end_wait()
            return True
        ledger.add("synack_retrans")
        # Of several ISNs the client's ACK will tell which one is the server's.
        return segment.seq == self.synacks[0][0]

    def believes_ack(self, ack: int, client: Direction) -> bool:
        """Before a SYN/ACK, a server's ACK beyond what the client sent is a stale end's."""
        if not self.is_attempt or self.synacks or client.reached is None:
            return True
        return client.unwrap(ack) <= client.reached

    def prove_by_server(self, ack: int, client: Direction, ledger: Ledger) -> None:
        """A server that acknowledges data beyond the SYN's has completed the handshake."""
        if self.has_est or not self.believes_ack(ack, client) or client.reached is None:
            return
        position = client.unwrap(ack)
        syn_end = client.unwrap(_next(self.isn + self.n_syn_bytes))
        if syn_end < position <= client.reached + MAX_ACK_AHEAD:
            self._establish(ledger)

    def prove_by_client(
        self, segment: Segment, moment: Moment, ledger: Ledger, floor: Floor
    ) -> int | None:
        """Count a client's ACK as proof; return the server's ISN if it is not the first seen."""
        if self.has_est:
            return None
        if not self.synacks:
            self._establish(ledger)
            return None
        chosen = self._acknowledged(segment.ack)
        if chosen is None:
            return None
        self._establish(ledger)
        isn, ack = chosen
        is_third = segment.ack == _next(isn) and segment.seq == ack
        if is_third and not self._shows_idleness(segment, floor):
            ledger.latency("connect_latency", self.began, moment)
        return isn if isn != self.synacks[0][0] else None

    def _shows_idleness(self, segment: Segment, floor: Floor) -> bool:
        """Whether the bare ACK was missed, so that the client's first data stands for it."""
        if not segment.payload_len or floor.syn_rtt_ns is None or self._latest_synack is None:
            return False
        return segment.ts_ns - self._latest_synack.ns > 2 * floor.syn_rtt_ns + LATE_ACK_NS

    def _acknowledged(self, ack: int) -> tuple[int, int] | None:
        """Return the SYN/ACK that a client's ACK tells to be the server's: exactly, or at all."""
        for max_ahead in (0, MAX_ACK_AHEAD):
            for isn, synack_ack in self.synacks:
                if (ack - _next(isn)) % SEQUENCE_MODULUS <= max_ahead:
                    return isn, synack_ack
        return None

    def _establish(self, ledger: Ledger) -> None:
        self.has_est = True
        ledger.add("est")
        self._end_wait()

    def _end_wait(self) -> None:
        self.is_waiting = self.is_unanswered = False


def _next(seq: int) -> int:
    return (seq + 1) % SEQUENCE_MODULUS
