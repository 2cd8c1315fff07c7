"""One TCP connection: what its segments and timers count.

Takes segments that the flow table found to belong here, with their moment and the clock of capture
time; counts into the row of its destination. Never decides to which connection a segment belongs,
nor which row is its.
"""

from __future__ import annotations

from .clock import Moment
from .data import NewData
from .direction import MAX_ACK_AHEAD, SEQUENCE_MODULUS, Direction, Start, Taken
from .life import Endpoint, Life
from .measure import Measurements
from .naming import is_keepalive, is_young
from .opening import Opening
from .packets.decode import Segment
from .rows import Row


class Connection(Life):
    """A 4-tuple and one opening, that counts its segments."""

    def __init__(
        self,
        ends: tuple[Endpoint, Endpoint],
        opening: Opening,
        row: Row,
        measurements: Measurements,
        now_ns: int,
    ) -> None:
        super().__init__(ends, opening, row, measurements, now_ns)
        # Per sender, the last counted segments as (order, timestamp, what duplicates must equal).
        self.recent: dict[Endpoint, list[tuple[int, int, tuple[int, ...]]]]
        self.recent = {end: [] for end in ends}
        self.ledger.add("syn" if opening.is_attempt else "midstream")

    # --- identity -----------------------------------------------------------------------------

    def repeats_syn(self, sender: Endpoint, segment: Segment) -> bool:
        """Whether a SYN belongs here instead of starting a new connection."""
        is_client = sender == self.client
        return not self.ending.has_rst and is_client and self.opening.repeats_syn(segment)

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
        # What were taken for requests and responses were none of this server's.
        self.count_in(row, banner_possible=False)
        self.floor.stop_timing()

    # --- segments -----------------------------------------------------------------------------

    def take(self, sender: Endpoint, segment: Segment, moment: Moment, now_ns: int) -> None:
        """Count a segment of this connection; `now_ns` is the clock that its timers see."""
        is_client = sender == self.client
        own = self.sides.client if is_client else self.sides.server
        peer = self.sides.server if is_client else self.sides.client
        self.last_ns = now_ns
        self.ending.resume()
        self.floor.segment(now_ns)
        own.is_seen = True
        own.n_segments += 1
        self.is_fragmented = self.is_fragmented or segment.is_fragment
        if segment.is_rst:
            self._reset(is_client, moment)
            return
        own.has_acknowledged = own.has_acknowledged or segment.is_ack
        own_start = own.turn_start()
        if own.first_seq is None:
            own.first_seq = segment.seq
        if segment.is_syn and not self._syn(is_client, own, segment, moment, now_ns):
            return
        if not segment.is_syn and not segment.is_fin:
            self._window(is_client, segment.window == 0, moment)
        seq = (segment.seq + 1) % SEQUENCE_MODULUS if segment.is_syn else segment.seq
        self.ledger.add("acked_bytes", own.begin(seq, segment.ts_ns, now_ns))
        own_start = own_start or own.turn_start()
        if segment.is_ack and not segment.is_syn and self.opening.is_attempt:
            self._prove(is_client, peer, segment, moment, now_ns)

        floor_ns = self.floor.least_ns
        was_keepalive = is_keepalive(own, segment)
        is_fin = segment.is_fin and not segment.is_syn
        taken = own.take(seq, segment.payload_len, is_fin, segment.ts_ns)
        self._name(is_client, segment, taken, was_keepalive)
        if segment.is_ack:
            self._acknowledge(is_client, peer, segment, moment, now_ns)
        self.count_gaps(own.judge_surplus())
        self.count_gaps(peer.judge_surplus())
        if not self.ending.has_rst:
            if is_client and segment.payload_len:
                self.floor.sent_again(taken.start, taken.data_end)
            data = self._new_data(is_client, segment, taken, (moment, now_ns), own_start, floor_ns)
            self._follow(is_client, segment, taken, data)
        if is_fin:
            self._fin(is_client)
        self.end_requests_if_due()

    def _syn(
        self, is_client: bool, own: Direction, segment: Segment, moment: Moment, now_ns: int
    ) -> bool:
        if not self.opening.take(is_client, segment, moment, self.ledger, self.floor):
            return False
        if not own.knows_start:
            start = (segment.seq + 1) % SEQUENCE_MODULUS
            self.ledger.add("acked_bytes", own.start_at(start, segment.ts_ns, now_ns))
        return True

    def _window(self, is_client: bool, is_zero: bool, moment: Moment) -> None:
        own = self.sides.client if is_client else self.sides.server
        if is_zero:
            if not own.had_zero_window:
                own.had_zero_window = True
                side = "out" if is_client else "in"
                self.ledger.add(f"zero_window_connections_{side}")
            self.ledger.add("zero_window_out" if is_client else "zero_window_in")
        if is_client:
            self.turns.responses.client_window(is_zero, moment)

    def _prove(
        self, is_client: bool, peer: Direction, segment: Segment, moment: Moment, now_ns: int
    ) -> None:
        if not is_client:
            self.opening.prove_by_server(segment.ack, peer, self.ledger)
            return
        isn = self.opening.prove_by_client(segment, moment, self.ledger, self.floor)
        if isn is not None:
            start = (isn + 1) % SEQUENCE_MODULUS
            self.ledger.add("acked_bytes", peer.start_at(start, segment.ts_ns, now_ns))

    def _name(self, is_client: bool, segment: Segment, taken: Taken, was_keepalive: bool) -> None:
        """Count bytes, and what a segment without new data is called."""
        self.ledger.add("bytes_out" if is_client else "bytes_in", taken.n_bytes)
        if segment.payload_len:
            self.ledger.add("segments_out" if is_client else "segments_in")
        if was_keepalive:
            self.ledger.add("keepalives")
            return
        if segment.is_syn or taken.is_new or taken.end == taken.start:
            return
        if not segment.payload_len:
            if taken.end <= taken.reached_before:
                self.ledger.add("fin_retrans")
            return
        if taken.filled_since_ns is not None:
            age_ns = segment.ts_ns - taken.filled_since_ns
            if is_young(age_ns, self.floor.least_ns):
                self.ledger.add("out_of_order")
                return
        if taken.end <= taken.reached_before:
            self.ledger.add("retrans_out" if is_client else "retrans_in")
            if is_client:
                self.turns.client_sent_again(taken.start, taken.end)

    def _acknowledge(
        self, is_client: bool, peer: Direction, segment: Segment, moment: Moment, now_ns: int
    ) -> None:
        if not is_client and not self.opening.believes_ack(segment.ack, peer):
            return
        self.ledger.add("acked_bytes", peer.acknowledge(segment.ack, segment.ts_ns, now_ns))
        if is_client or self.ending.has_rst or peer.reached is None:
            return
        position = peer.unwrap(segment.ack)
        if position <= peer.reached + MAX_ACK_AHEAD:
            self.floor.acknowledged(position, moment, self.ledger.row, self._measurements)

    def _new_data(
        self,
        is_client: bool,
        segment: Segment,
        taken: Taken,
        time: tuple[Moment, int],
        own_start: Start | None,
        floor_ns: int | None,
    ) -> NewData:
        moment, now_ns = time
        peer = self.sides.server if is_client else self.sides.client
        peer_start = peer.turn_start()
        return NewData(
            moment=moment,
            now_ns=now_ns,
            payload=segment.payload,
            payload_len=segment.payload_len,
            head=segment.payload[taken.new_start - taken.start :],
            n_bytes=taken.n_bytes,
            start=taken.start,
            new_start=taken.new_start,
            end=taken.data_end,
            client_start=own_start if is_client else peer_start,
            server_start=peer_start if is_client else own_start,
            acked=peer.unwrap(segment.ack) if segment.is_ack else None,
            floor_ns=floor_ns,
        )

    def _follow(self, is_client: bool, segment: Segment, taken: Taken, data: NewData) -> None:
        """Tell the turns of a segment's data."""
        if not taken.has_new_data:
            if not is_client and taken.filled_to is not None:
                self.turns.server_filled(data, taken.filled_to)
            return
        if not is_client:
            self.turns.server_data(data)
            return
        self.turns.client_data(data, self.sides.server.is_seen)
        if not segment.is_syn and not self.sides.client.holes.is_open_below(taken.start):
            self.floor.time(taken.start, taken.data_end, data.moment)

    # --- ending -------------------------------------------------------------------------------

    def _reset(self, is_client: bool, moment: Moment) -> None:
        if self.ending.has_rst:
            return
        if self.ending.has_fin:
            self.ledger.add("rst_after_fin")
        else:
            self.ledger.add("rst")
            self.ledger.add("rst_out" if is_client else "rst_in")
            if not is_client:
                self._reset_by_server(moment)
        self.opening.is_waiting = False
        self.turns.handshake.fail_unfinished(is_client)
        self.close()
        self.ending.has_rst = True
        self.floor.stop_timing()

    def _reset_by_server(self, moment: Moment) -> None:
        if self.opening.is_attempt and not self.opening.is_answered:
            self.ledger.add("refused")
        else:
            self.ledger.latency("reset_age", self.opening.began, moment)

    def _fin(self, is_client: bool) -> None:
        if not self.ending.has_rst:
            self.turns.handshake.fail_unfinished(is_client)
            if not self.ending.has_fin:
                self.ledger.add("fin_out" if is_client else "fin_in")
            if not is_client:
                self.ending.ends_requests = True
                self.end_requests_if_due()
                self.turns.end_response()
        self.ending.has_fin = True
        if all(direction.has_fin for direction in self.directions.values()):
            self.close()
