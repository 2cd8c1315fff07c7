"""Requests and responses of one connection, as far as alternation tells.

Takes the new data of both sides in the order of arrival; counts turns into the connection's ledger.
Never sees retransmitted, reordered or keep-alive bytes, except to be told that a client's segment
was sent again or that a server's filled a hole.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..data import Answer, Kind, Ledger, NewData, Sides, Turn
from . import tls
from .handshake import Handshake
from .http2 import Http2
from .multiplex import HTTP2_PREFACE, MIN_SEGMENT_BYTES, Crossing, Http2Shape, SettingsAcks
from .responses import Responses
from .tickets import Held, ticket_len
from .tls import Record, is_lone_alert


class Turns:
    """The alternation of one connection; its open turn is `_current`."""

    def __init__(self, ledger: Ledger, sides: Sides, banner_possible: bool) -> None:
        self.responses = Responses(ledger, sides)
        self.handshake = Handshake(ledger)
        self._ledger = ledger
        self._sides = sides
        self._banner_possible = banner_possible
        self._current: Turn | None = None
        self._has_client_data = False
        # Session tickets: whether the next request turn may begin with some, and those held.
        self._tickets_possible = False
        self._may_hold = False
        self._held: Held | None = None
        # Multiplexing: what crossed, and the shape of the first records.
        self._is_multiplexed = False
        self._crossing = Crossing()
        self._shape: Http2Shape | None = None
        self._acks: SettingsAcks | None = None
        self._had_finished = False
        # Whether the current request counts only once it is no HTTP/2.
        self._is_suspended = False
        # The frames of both sides; until the client sends it may still turn out to be HTTP/2.
        self._http2: Http2 | None = Http2(ledger, self.responses)

    # --- the client ---------------------------------------------------------------------------

    def client_data(self, data: NewData, is_server_seen: bool) -> None:
        """New data of the client."""
        self._banner_possible = False
        if not self._has_client_data:
            self._has_client_data = True
            self._recognise_preface(data)
        if self._http2 is not None:
            self._http2.client_data(data)
            self._stop_following_if_lost()
            return
        held = self._held
        if held is not None and data.acked is not None and data.acked >= held.end:
            self.decide()
        self._confirm(True, data)
        current = self._current
        if current is not None and not current.is_answered:
            self._go_on(current, data, is_server_seen)
        else:
            self._begin_run(data, is_server_seen)

    def _begin_run(self, data: NewData, is_server_seen: bool) -> None:
        if is_lone_alert(data.payload, data.payload_len):
            self.end_response()
            self._current = None
            self.handshake.client_alert(data)
            return
        is_handshake = self.handshake.starts_turn(data)
        is_crossed = not is_handshake and self._crossing.crosses(data.acked)
        if is_crossed:
            self._cross()
        self.end_response()
        if is_handshake:
            self._begin(Kind.HANDSHAKE, data, data.new_start)
            self._ledger.add("tls_turns")
            self.handshake.begin_turn(data)
            self._follow_handshake(data, is_server_seen)
        else:
            self.handshake.client_records.restart()
            turn = self._begin_request(data, data.new_start, is_server_seen)
            turn.may_be_crossed = turn.may_be_crossed and not is_crossed

    def _go_on(self, current: Turn, data: NewData, is_server_seen: bool) -> None:
        if current.kind is Kind.HANDSHAKE:
            current.asked, current.waits_since_ns = data.moment, data.now_ns
            self._follow_handshake(data, is_server_seen)
            return
        current.asked, current.waits_since_ns = data.moment, data.now_ns
        if self._shape is not None and self._shape.needs_client:
            self._judge_client_shape(data)

    def _follow_handshake(self, data: NewData, is_server_seen: bool) -> None:
        app_start = self.handshake.client_data(data)
        if self.handshake.has_finished and not self._had_finished:
            self._had_finished = True
            self._tickets_possible = self.handshake.is_13
            self._shape = Http2Shape()
        if app_start is not None and not is_lone_alert(data.payload, data.payload_len):
            self._begin_request(data, app_start, is_server_seen)

    def _begin_request(self, data: NewData, asked_from: int, is_server_seen: bool) -> Turn:
        self.handshake.application_data(is_server_seen)
        turn = self._begin(Kind.REQUEST, data, asked_from)
        self._may_hold, self._tickets_possible = self._tickets_possible, False
        if self._shape is not None and self._shape.needs_client:
            turn.is_counted = False
            self._is_suspended = True
            self._judge_client_shape(data)
        elif not self._is_multiplexed:
            self._ledger.add("requests")
        return turn

    def _begin(self, kind: Kind, data: NewData, asked_from: int) -> Turn:
        self._held = None
        before = self._current
        self._current = Turn(kind, data.client_start, data.server_start, asked_from, data.moment)
        self._current.may_be_crossed = (
            before is not None
            and before.kind is Kind.REQUEST
            and before.n_bytes - before.n_ticket_bytes < MIN_SEGMENT_BYTES
        )
        self._current.is_counted = not self._is_multiplexed
        self._current.waits_since_ns = data.now_ns
        return self._current

    def client_sent_again(self, start: int, end: int) -> None:
        """Note that the client repeated data."""
        if self._http2 is not None:
            self._http2.sent_again(start, end)
        current = self._current
        if current is not None and not current.is_answered and end > current.asked_from:
            current.was_sent_again = True

    # --- the server ---------------------------------------------------------------------------

    def server_data(self, data: NewData) -> None:
        """New data of the server."""
        if self._http2 is not None:
            if not self._has_client_data:
                self._http2.start_server_unasked(data)
            self._http2.server_data(data)
            if self._has_client_data:
                self._stop_following_if_lost()
                return
        if not self._follow_server_records(data):
            return
        current = self._current
        if current is None:
            if self._banner_possible:
                self._ledger.add("banners")
                self._banner_possible = False
        elif current.is_answered:
            if current.kind is Kind.REQUEST:
                self.responses.grow(current, data.moment, data.n_bytes)
        else:
            self._answer(current, data)

    def server_filled(self, data: NewData, filled_to: int) -> None:
        """Data of the server that fills a hole and holds nothing new."""
        current = self._current
        if self._http2 is not None or current is None:
            return
        start = current.server_start
        is_of_turn = start is None or filled_to > self._sides.server.position_of(start)
        if current.is_answered:
            if current.kind is Kind.REQUEST:
                self.responses.fill(current, data.moment, data.n_bytes, is_of_turn)
        elif is_of_turn and not is_lone_alert(data.payload, data.payload_len):
            # Late data tell nothing by what they acknowledge.
            current.may_be_crossed = False
            self._answer(current, data)

    def _follow_server_records(self, data: NewData) -> bool:
        """Look at the records of a segment; return whether it may belong to a turn."""
        self._confirm(False, data)
        records = self.handshake.server_data(data, self._shape is None)
        is_alert = is_lone_alert(data.payload, data.payload_len)
        if self.handshake.has_finished and self._shape is not None and not is_alert:
            asked = self._current if self._is_suspended else None
            is_early = asked is None or (data.acked is not None and data.acked <= asked.asked_from)
            self._shape.server_segment(records, self.handshake.is_13, is_early)
            self._act_on_shape()
        if self._is_ticket_before_request(data):
            return True
        self._crossing.server_sent(data.end)
        return not is_alert

    def _is_ticket_before_request(self, data: NewData) -> bool:
        is_ticket_like = ticket_len(data.payload, data.payload_len) is not None
        if self._tickets_possible:
            return is_ticket_like
        current = self._current
        is_open = current is not None and not current.is_answered
        return self._may_hold and is_open and is_ticket_like

    def _answer(self, current: Turn, data: NewData) -> None:
        """The first data of the server since the client's run, tickets apart."""
        if current.kind is Kind.HANDSHAKE:
            current.is_answered = True
            return
        is_handshake = tls.starts_record(data.head, tls.CHANGE_CIPHER_SPEC, tls.HANDSHAKE)
        if is_handshake and self.handshake.has_finished:
            return
        if self._may_hold and self._hold(current, data):
            return
        self._held = None
        self._settle_shape()
        answer = self.responses.answer(current, data)
        if self._crosses(current, data, answer):
            self._cross()
        self.responses.begin(current, answer)
        self.responses.grow(current, data.moment, data.n_bytes)
        self._crossing.server_sent(data.end)

    def _hold(self, current: Turn, data: NewData) -> bool:
        """Hold a segment that may be a ticket; return whether it is held."""
        length = ticket_len(data.payload, data.payload_len)
        if length is None:
            return False
        held = self._held
        if held is None:
            answer = self.responses.answer(current, data)
            self._held = Held(length, answer, data.end, [(data.moment, data.n_bytes, False)])
            return True
        if not held.may_be_ticket(length, data.moment, data.floor_ns):
            return False
        held.end = max(held.end, data.end)
        is_excused = self.responses.was_closed_since(held.segments[-1][0])
        held.segments.append((data.moment, data.n_bytes, is_excused))
        return True

    # --- multiplexing -------------------------------------------------------------------------

    def _recognise_preface(self, data: NewData) -> None:
        http2 = self._http2
        if http2 is None:
            return
        if not data.head.startswith(HTTP2_PREFACE):
            self._http2 = None
            return
        self._multiplex()
        http2.start_client(data.new_start)
        if data.acked is not None:
            http2.start_server(data.acked)

    def _stop_following_if_lost(self) -> None:
        if self._http2 is not None and not self._http2.is_followed:
            self._http2 = None
            self._ledger.add("multiplexed_unfollowed")

    def _judge_client_shape(self, data: NewData) -> None:
        assert self._shape is not None
        handshake = self.handshake
        records: Iterable[Record] = ()
        if handshake.offers_h2 is not False:
            records = handshake.application_records(data)
        self._shape.client_segment(records, handshake.is_13)
        self._act_on_shape()

    def _act_on_shape(self) -> None:
        """Count the first request behind a handshake, or take the connection for HTTP/2."""
        if self._shape is None or self._shape.is_h2 is None:
            return
        if self._shape.lacks_acks and self.handshake.offers_h2:
            self._acks = SettingsAcks(self.handshake.is_13)
        is_h2, self._shape = self._shape.is_h2, None
        is_suspended, self._is_suspended = self._is_suspended, False
        if is_h2:
            self._multiplex()
        elif is_suspended and self._current is not None and not self._is_multiplexed:
            self._current.is_counted = True
            self._ledger.add("requests")

    def _settle_shape(self) -> None:
        """Decide about a request that waits for it: nothing more will tell."""
        if self._is_suspended and self._shape is not None:
            self._shape.end(self.handshake.is_13)
            self._act_on_shape()

    def _confirm(self, from_client: bool, data: NewData) -> None:
        """Look whether the first segments behind the server's SETTINGS acknowledge SETTINGS."""
        if self._acks is None:
            return
        if self._acks.segment(from_client, data.head, data.end - data.new_start):
            self._multiplex()
            self._acks = None
        elif not self._acks.is_possible:
            self._acks = None

    def _crosses(self, current: Turn, data: NewData, answer: Answer) -> bool:
        """Whether data, a message of their own, were sent before the server had any of the run.

        What the client has acknowledged was captured late: it arrived before the run was sent.
        """
        acked = self._sides.server.acked
        return (
            current.may_be_crossed
            and data.payload_len < MIN_SEGMENT_BYTES
            and data.acked is not None
            and data.acked <= current.asked_from
            and (acked is None or data.new_start >= acked)
            and not answer.is_withheld
        )

    def _cross(self) -> None:
        if self._crossing.add():
            self._multiplex()

    def _multiplex(self) -> None:
        if self._is_multiplexed:
            return
        self._is_multiplexed = True
        self._ledger.add("multiplexed")
        self._ledger.add("multiplexed_unfollowed", self._http2 is None)
        if self._current is not None:
            self._current.is_counted = False

    # --- ending -------------------------------------------------------------------------------

    def decide(self) -> None:
        """Nothing more will tell tickets from a response, or HTTP/2 from one request."""
        self._settle_shape()
        held, current = self._held, self._current
        self._held = None
        if held is None or current is None or current.is_answered:
            return
        self.responses.begin(current, held.answer)
        for moment, n_bytes, is_excused in held.segments:
            self.responses.grow(current, moment, n_bytes, is_excused)
        current.n_ticket_bytes = sum(n_bytes for _, n_bytes, _ in held.segments[:-1])
        self._crossing.server_sent(held.end)

    def end_response(self) -> None:
        """Sample time to last byte: at the client's next data, server's FIN, or closing."""
        if self._current is not None:
            self.responses.end(self._current)
        if self._http2 is not None:
            for turn in self._http2.streams.values():
                self.responses.end(turn)

    @property
    def n_responses_to_sample(self) -> int:
        """Responses of the connection, if they tell how it was reused."""
        is_blind = self._is_multiplexed and self._http2 is None
        return 0 if is_blind else self.responses.n_responses

    def clamp(self, now_ns: int) -> None:
        """Bring times of the future back to now."""
        for turn in self._open_turns():
            turn.waits_since_ns = min(turn.waits_since_ns, now_ns)

    def _open_turns(self) -> list[Turn]:
        turns = [self._current] if self._current is not None else []
        return turns + list(self._http2.streams.values() if self._http2 is not None else ())

    @property
    def undecided(self) -> Turn | None:
        """The first request behind a handshake that has no answer and may yet be HTTP/2."""
        current = self._current
        is_open = self._is_suspended and self._held is None and current is not None
        return current if is_open and current is not None and not current.is_answered else None

    def waiting(self) -> list[Turn]:
        """The requests without an answer, those apart of which nothing is decided."""
        turns = [self._current] if self._current is not None and self._held is None else []
        if self._http2 is not None:
            turns += self._http2.streams.values()
        return [turn for turn in turns if turn.is_waiting]
