"""One TCP connection: what its segments and timers count.

Takes segments that the flow table found to belong here, with the clock of capture time; counts
into the row of its destination. Never decides to which connection a segment belongs, nor which
row is its.
"""

from __future__ import annotations

from .decode import Segment
from .direction import MAX_ACK_AHEAD, SEQUENCE_MODULUS, Direction, Taken
from .holes import Verdict
from .opening import NS_PER_S, Opening
from .rows import REUSE, Row
from .turns import NewData, Turns

CLOSED_MEMORY_NS = 60 * NS_PER_S
TIMED_OUT_MEMORY_NS = 300 * NS_PER_S
FOREVER_NS = 1 << 62
# What the network reorders within; later it was most likely sent again (Wireshark's default).
REORDER_NS = 3_000_000

Endpoint = tuple[bytes, int]


class Connection:
    """A 4-tuple and one opening. `client` and `server` are endpoints, `row` their destination's."""

    def __init__(
        self, client: Endpoint, server: Endpoint, opening: Opening, row: Row, now_ns: int
    ) -> None:
        self.client = client
        self.server = server
        self.row = row
        self.opening = opening
        self.directions = {client: Direction(), server: Direction()}
        self.turns = Turns(banner_possible=opening.is_attempt)
        # Per sender, the last counted segments as (timestamp, what duplicates must equal).
        self.recent: dict[Endpoint, list[tuple[int, tuple[int, ...]]]] = {client: [], server: []}
        self.n_segments = 0
        self.last_ns = now_ns
        self.last_order = 0

        self.has_rst = False
        self.has_fin = False
        self.is_closed = False
        self.is_idle = False
        self.is_fragmented = False
        self.one_sided_decided = False
        self.reuse_sampled = False

        # The least round trip so far, and the one timed segment as (start, end, timestamp).
        self.floor_ns: int | None = None
        self.timed: tuple[int, int, int] | None = None
        row.add("syn" if opening.is_attempt else "midstream")

    # --- identity -----------------------------------------------------------------------------

    def repeats_syn(self, sender: Endpoint, segment: Segment) -> bool:
        """Whether a SYN belongs here instead of starting a new connection."""
        return not self.has_rst and sender == self.client and self.opening.repeats_syn(segment)

    def accepts_synack(self, sender: Endpoint, segment: Segment) -> bool:
        """Whether a SYN/ACK belongs here instead of starting a new connection."""
        if self.opening.is_attempt:
            return True
        if sender == self.server and (segment.seq, segment.ack) in self.opening.synacks:
            return True
        receiver = self.server if sender == self.client else self.client
        return self.directions[receiver].first_seq == segment.ack

    def is_turned_by(self, sender: Endpoint, segment: Segment) -> bool:
        """Whether a SYN/ACK comes from the side that was taken for the client."""
        is_synack = segment.is_syn and segment.is_ack and not segment.is_rst
        return is_synack and not self.opening.is_attempt and sender == self.client

    def swap_roles(self, row: Row) -> None:
        """What follows counts in the row of the true server."""
        self.client, self.server = self.server, self.client
        self.row = row
        # What were taken for requests and responses were none of this server's.
        self.turns = Turns(banner_possible=False)
        self.timed = None

    # --- segments -----------------------------------------------------------------------------

    def take(self, sender: Endpoint, segment: Segment, now_ns: int) -> None:
        """Count a segment of this connection."""
        is_client = sender == self.client
        own = self.directions[sender]
        peer = self.directions[self.server if is_client else self.client]
        self.n_segments += 1
        self.last_ns = now_ns
        if self.is_idle:
            self.is_idle = self.is_closed = False
        own.is_seen = True
        self.is_fragmented = self.is_fragmented or segment.is_fragment
        if segment.is_rst:
            self._reset(is_client)
            return
        own.has_acknowledged = own.has_acknowledged or segment.is_ack
        if own.first_seq is None:
            own.first_seq = segment.seq
        if segment.is_syn and not self._syn(is_client, own, segment, now_ns):
            return
        if not segment.is_syn and not segment.is_fin:
            self._window(is_client, segment.window == 0)
        seq = (segment.seq + 1) % SEQUENCE_MODULUS if segment.is_syn else segment.seq
        self.row.add("acked_bytes", own.begin(seq, segment.ts_ns, now_ns))
        if segment.is_ack and not segment.is_syn and self.opening.is_attempt:
            self._prove(is_client, peer, segment, now_ns)

        peer_reached = peer.reached
        floor_ns = self.floor_ns
        is_keepalive = _is_keepalive(own, segment)
        is_fin = segment.is_fin and not segment.is_syn
        taken = own.take(seq, segment.payload_len, is_fin, segment.ts_ns)
        self._name(is_client, segment, taken, is_keepalive)
        if segment.is_ack:
            self._acknowledge(is_client, peer, segment, now_ns)
        self._count_gaps(own.judge_surplus())
        self._count_gaps(peer.judge_surplus())
        if not self.has_rst:
            self._end_timing_if_sent_again(is_client, segment, taken)
            if taken.has_new_data:
                self._new_data(is_client, segment, taken, peer_reached, floor_ns)
            elif not is_client:
                self.turns.server_filled(taken.n_bytes, self.row)
        if is_fin:
            self._fin(is_client)

    def _syn(self, is_client: bool, own: Direction, segment: Segment, now_ns: int) -> bool:
        if not self.opening.take(is_client, segment, self.row):
            return False
        if not own.knows_start:
            start = (segment.seq + 1) % SEQUENCE_MODULUS
            self.row.add("acked_bytes", own.start_at(start, segment.ts_ns, now_ns))
        if self.opening.syn_rtt_ns is not None:
            self._lower_floor(self.opening.syn_rtt_ns)
        return True

    def _window(self, is_client: bool, is_zero: bool) -> None:
        if is_zero:
            self.row.add("zero_window_out" if is_client else "zero_window_in")
        if is_client:
            self.turns.client_window(is_zero)

    def _lower_floor(self, rtt_ns: int) -> None:
        self.floor_ns = rtt_ns if self.floor_ns is None else min(self.floor_ns, rtt_ns)

    def _prove(self, is_client: bool, peer: Direction, segment: Segment, now_ns: int) -> None:
        if not is_client:
            self.opening.prove_by_server(segment.ack, peer, self.row)
            return
        isn = self.opening.prove_by_client(segment, self.row)
        if isn is not None:
            start = (isn + 1) % SEQUENCE_MODULUS
            self.row.add("acked_bytes", peer.start_at(start, segment.ts_ns, now_ns))

    def _name(self, is_client: bool, segment: Segment, taken: Taken, is_keepalive: bool) -> None:
        """Count bytes, and what a segment without new data is called."""
        self.row.add("bytes_out" if is_client else "bytes_in", taken.n_bytes)
        if is_keepalive:
            self.row.add("keepalives")
            return
        if segment.is_syn or taken.is_new or taken.end == taken.start:
            return
        if taken.filled_since_ns is not None:
            age_ns = segment.ts_ns - taken.filled_since_ns
            if age_ns <= max(REORDER_NS, self.opening.syn_rtt_ns or 0):
                self.row.add("out_of_order")
                return
        if taken.end <= taken.reached_before:
            self.row.add("retrans_out" if is_client else "retrans_in")
            if is_client:
                self.turns.client_sent_again(taken.end)

    def _acknowledge(self, is_client: bool, peer: Direction, segment: Segment, now_ns: int) -> None:
        if not is_client and not self.opening.believes_ack(segment.ack, peer):
            return
        self.row.add("acked_bytes", peer.acknowledge(segment.ack, segment.ts_ns, now_ns))
        if is_client or self.timed is None or self.has_rst or peer.reached is None:
            return
        _, end, sent_ns = self.timed
        if end <= peer.unwrap(segment.ack) <= peer.reached + MAX_ACK_AHEAD:
            self.timed = None
            rtt_ns = segment.ts_ns - sent_ns
            self.row.sample("net_rtt", rtt_ns)
            if rtt_ns >= 0:
                self._lower_floor(rtt_ns)

    def _end_timing_if_sent_again(self, is_client: bool, segment: Segment, taken: Taken) -> None:
        """Karn: nobody can tell which of two transmissions an ACK answers (RFC 6298 §3)."""
        if not is_client or self.timed is None or not segment.payload_len:
            return
        start, end, _ = self.timed
        if taken.start < end and taken.data_end > start:
            self.timed = None

    def _new_data(
        self,
        is_client: bool,
        segment: Segment,
        taken: Taken,
        peer_reached: int | None,
        floor_ns: int | None,
    ) -> None:
        data = NewData(
            ts_ns=segment.ts_ns,
            payload=segment.payload,
            payload_len=segment.payload_len,
            head=segment.payload[taken.new_start - taken.start :],
            n_bytes=taken.n_bytes,
            new_start=taken.new_start,
            own_reached=taken.reached_before,
            peer_reached=peer_reached,
        )
        if not is_client:
            self.turns.server_data(data, self.row, self._is_withheld(taken), floor_ns)
            return
        self.turns.client_data(data, self.row)
        holes = self.directions[self.client].holes
        if self.timed is None and not segment.is_syn and not holes.is_open_below(taken.start):
            self.timed = (taken.start, taken.data_end, segment.ts_ns)

    def _is_withheld(self, taken: Taken) -> bool:
        """Whether the capture missed part of what a response time would be taken from."""
        turn = self.turns.current
        if turn is None:
            return False
        client, server = self.directions[self.client], self.directions[self.server]
        return client.holes.misses(turn.client_from, None) or (
            turn.server_from is not None and server.holes.misses(turn.server_from, taken.start)
        )

    # --- ending -------------------------------------------------------------------------------

    def _reset(self, is_client: bool) -> None:
        if self.has_rst:
            return
        if self.has_fin:
            self.row.add("rst_after_fin")
        else:
            self.row.add("rst")
            self.row.add("rst_out" if is_client else "rst_in")
            if not is_client and self.opening.is_attempt and not self.opening.is_answered:
                self.row.add("refused")
        self.opening.is_waiting = False
        self.close()
        self.has_rst = True
        self.timed = None

    def _fin(self, is_client: bool) -> None:
        if not self.has_rst:
            if not self.has_fin:
                self.row.add("fin_out" if is_client else "fin_in")
            if not is_client:
                self.turns.end_response(self.row)
        self.has_fin = True
        if all(direction.has_fin for direction in self.directions.values()):
            self.close()

    def supersede(self) -> None:
        """A new opening took the 4-tuple."""
        self.opening.time_out(self.row)
        self.leave()

    @property
    def eviction_order(self) -> tuple[int, int]:
        """What is least goes first from a full table: by its rank, then by its last segment."""
        is_proven = self.opening.has_est if self.opening.is_attempt else self.n_segments > 1
        if not is_proven:
            rank = 0
        elif not self.is_closed:
            rank = 3
        else:
            rank = 2 if self.is_idle else 1
        return rank, self.last_order

    def evict(self) -> None:
        """The table needs the room: an attempt that still waits counts in nothing any more."""
        self.opening.is_waiting = False
        self.leave()

    def leave(self) -> None:
        """Nothing will be heard of the connection again."""
        self.close()
        self._judge_acked()

    def close(self) -> None:
        """Do what closing does, unless it is closed already."""
        if self.is_closed:
            return
        self.is_closed = True
        if not self.has_rst:
            self.turns.end_response(self.row)
        self._judge_acked()
        self._decide_one_sided()
        if self.turns.n_responses and not self.reuse_sampled:
            self.reuse_sampled = True
            self.row.sample(REUSE, self.turns.n_responses)

    def finish(self) -> None:
        """The capture ends."""
        self._judge_acked()
        self._decide_one_sided()

    def _decide_one_sided(self) -> None:
        if self.one_sided_decided:
            return
        self.one_sided_decided = True
        seen = [direction for direction in self.directions.values() if direction.is_seen]
        if self.n_segments >= 2 and len(seen) == 1 and seen[0].has_acknowledged:
            self.row.add("one_sided")

    def _judge_acked(self) -> None:
        for direction in self.directions.values():
            self._count_gaps(direction.judge_acked())

    def _count_gaps(self, verdict: Verdict) -> None:
        if not self.is_fragmented:
            self.row.add("capture_gaps", verdict.n_gaps)
            self.row.add("gap_bytes", verdict.n_bytes)

    # --- time ---------------------------------------------------------------------------------

    @property
    def is_active(self) -> bool:
        return not self.is_closed and not self.opening.is_unanswered

    def due_ns(self, idle_timeout_ns: int) -> int:
        """The earliest clock at which a timer of this connection runs out."""
        holes = [direction.holes.due_ns() for direction in self.directions.values()]
        idle_ns = None if self.is_closed else self.last_ns + idle_timeout_ns
        due = [self._forget_ns(), idle_ns, self.opening.due_ns(), *holes]
        return min(due_ns for due_ns in due if due_ns is not None)

    def _forget_ns(self) -> int:
        if self.is_closed and not self.is_idle:
            return self.last_ns + CLOSED_MEMORY_NS
        return self.last_ns + (TIMED_OUT_MEMORY_NS if self.opening.is_unanswered else FOREVER_NS)

    def run_timers(self, now_ns: int, idle_timeout_ns: int) -> bool:
        """Do what is due; return whether the connection is to be forgotten."""
        answer_due_ns = self.opening.due_ns()
        if answer_due_ns is not None and now_ns >= answer_due_ns:
            self.opening.time_out(self.row)
        for direction in self.directions.values():
            self._count_gaps(direction.judge_due(now_ns))
        if not self.is_closed and now_ns >= self.last_ns + idle_timeout_ns:
            self.close()
            self.is_idle = True
        if now_ns < self._forget_ns():
            return False
        self.leave()
        return True


def _is_keepalive(own: Direction, segment: Segment) -> bool:
    if segment.is_syn or segment.is_fin or segment.payload_len > 1:
        return False
    if own.reached is None or own.highest_ack is None or own.highest_ack < own.reached:
        return False
    return own.unwrap(segment.seq) == own.reached - 1
