"""Requests, responses and TLS handshake turns of one connection.

Takes the new data of both sides in the order of arrival; counts turns and samples their latencies
into the row it is given. Never sees retransmitted, reordered or keep-alive bytes, except to be
told that a client's segment was sent again.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .rows import Row

STREAM_BYTES = 1 << 20
STALL_NS = 1_000_000_000

TLS_CHANGE_CIPHER_SPEC = 20
TLS_ALERT = 21
TLS_HANDSHAKE = 22
TLS_APPLICATION_DATA = 23
TLS_MAJOR_VERSION = 3
TLS_CLIENT_HELLO = 1
TLS_RECORD_HEADER_BYTES = 5
# An encrypted TLS 1.3 alert: 2 bytes, the content type and a 16-byte tag (RFC 8446 §5.2).
TLS13_ALERT_BYTES = 19


@dataclass(frozen=True)
class NewData:
    """A segment with new data. `payload` is what was captured of all its `payload_len` bytes,
    `head` what was captured from the first new byte on; positions are unwrapped."""

    ts_ns: int
    payload: bytes
    payload_len: int
    head: bytes
    n_bytes: int
    new_start: int
    own_reached: int
    peer_reached: int | None

    def starts_record(self, *types: int) -> bool:
        return len(self.head) > 1 and self.head[0] in types and self.head[1] == TLS_MAJOR_VERSION

    @property
    def is_client_hello(self) -> bool:
        is_handshake = self.starts_record(TLS_HANDSHAKE)
        return is_handshake and self.head[5:6] == bytes([TLS_CLIENT_HELLO])

    @property
    def is_alert(self) -> bool:
        """Exactly one record that is an alert, plain or (TLS 1.3) encrypted."""
        if len(self.payload) < TLS_RECORD_HEADER_BYTES or self.payload[1] != TLS_MAJOR_VERSION:
            return False
        record_len = int.from_bytes(self.payload[3:5], "big")
        if self.payload_len != TLS_RECORD_HEADER_BYTES + record_len:
            return False
        return self.payload[0] == TLS_ALERT or (
            self.payload[0] == TLS_APPLICATION_DATA and record_len == TLS13_ALERT_BYTES
        )


class Kind(enum.Enum):
    REQUEST = enum.auto()
    HANDSHAKE = enum.auto()


@dataclass
class Turn:
    """One run of client data and the run of server data that answers it.

    `client_from` and `server_from` are what either side had reached when the turn began."""

    kind: Kind
    client_from: int
    server_from: int | None
    asked_from: int
    asked_ns: int
    was_sent_again: bool = False
    is_answered: bool = False
    is_withheld: bool = False
    is_sampled: bool = False
    first_ns: int = 0
    last_ns: int = 0
    n_bytes: int = 0
    n_stalls: int = 0
    is_stream: bool = False
    stream_ns: int = 0


class Turns:
    """The alternation of one connection; its open turn is `current`."""

    def __init__(self, banner_possible: bool) -> None:
        self.current: Turn | None = None
        self.n_responses = 0
        self._banner_possible = banner_possible
        self._n_handshakes = 0
        self._saw_hello = False
        # When the ClientHello was sent, until its latency is sampled.
        self._hello_ns: int | None = None
        self._handshake_ns = 0
        self._window_was_zero = False
        self._window_is_zero = False

    @property
    def is_asking(self) -> bool:
        return self.current is not None and not self.current.is_answered

    def client_window(self, is_zero: bool) -> None:
        """Note what window the client advertises: a pause behind a closed one is no stall."""
        self._window_is_zero = is_zero
        self._window_was_zero = self._window_was_zero or is_zero

    def client_data(self, data: NewData, row: Row) -> None:
        self._banner_possible = False
        if self.is_asking:
            self._go_on_asking(data, row)
            return
        self.end_response(row)
        self.current = None
        if not data.is_alert:
            is_handshake = data.starts_record(TLS_CHANGE_CIPHER_SPEC, TLS_ALERT, TLS_HANDSHAKE)
            self._begin(Kind.HANDSHAKE if is_handshake else Kind.REQUEST, data, row)

    def _go_on_asking(self, data: NewData, row: Row) -> None:
        turn = self.current
        assert turn is not None
        if (
            turn.kind is Kind.HANDSHAKE
            and self._n_handshakes > 1
            and data.starts_record(TLS_APPLICATION_DATA)
            and not data.is_alert
        ):
            self._begin(Kind.REQUEST, data, row)
            return
        turn.asked_ns = data.ts_ns
        if turn.kind is Kind.HANDSHAKE:
            self._handshake_ns = data.ts_ns

    def _begin(self, kind: Kind, data: NewData, row: Row) -> None:
        self.current = Turn(kind, data.own_reached, data.peer_reached, data.new_start, data.ts_ns)
        if kind is Kind.HANDSHAKE:
            row.add("tls_turns")
            self._n_handshakes += 1
            if data.is_client_hello and not self._saw_hello:
                self._saw_hello = True
                self._hello_ns = data.ts_ns
            self._handshake_ns = data.ts_ns
            return
        row.add("requests")
        if self._hello_ns is not None:
            row.sample("tls_latency", self._handshake_ns - self._hello_ns)
            self._hello_ns = None

    def client_sent_again(self, end: int) -> None:
        """Note that the client repeated data up to `end`."""
        if self.current is not None and self.is_asking and end > self.current.asked_from:
            self.current.was_sent_again = True

    def server_data(self, data: NewData, row: Row, is_withheld: bool, floor_ns: int | None) -> None:
        if data.is_alert:
            return
        if data.starts_record(TLS_CHANGE_CIPHER_SPEC, TLS_HANDSHAKE):
            self._handshake_ns = data.ts_ns
        turn = self.current
        if turn is None:
            if self._banner_possible:
                row.add("banners")
                self._banner_possible = False
            return
        if not turn.is_answered:
            turn.is_answered = True
            turn.is_withheld = is_withheld
            turn.first_ns = turn.last_ns = data.ts_ns
            if turn.kind is Kind.REQUEST:
                self._first_response(turn, row, floor_ns)
        if turn.kind is Kind.REQUEST:
            self._stream(turn, data, row)
        turn.last_ns = data.ts_ns
        self._window_was_zero = self._window_is_zero

    def _first_response(self, turn: Turn, row: Row, floor_ns: int | None) -> None:
        row.add("responses")
        self.n_responses += 1
        if turn.was_sent_again:
            row.add("slow_by_loss")
        if turn.is_withheld:
            return
        response_time_ns = turn.first_ns - turn.asked_ns
        row.sample("response_time", response_time_ns)
        if floor_ns is not None and response_time_ns >= 0:
            row.sample("server_time", max(0, response_time_ns - floor_ns))

    def _stream(self, turn: Turn, data: NewData, row: Row) -> None:
        is_stall = data.ts_ns - turn.last_ns > STALL_NS and not self._window_was_zero
        grown_ns = max(0, data.ts_ns - turn.first_ns - turn.stream_ns)
        turn.n_stalls += is_stall
        turn.stream_ns += grown_ns
        self._grow(turn, row, data.n_bytes, grown_ns, is_stall)

    def server_filled(self, n_bytes: int, row: Row) -> None:
        """Count what reached an open response late."""
        turn = self.current
        if n_bytes and turn is not None and turn.is_answered and turn.kind is Kind.REQUEST:
            self._grow(turn, row, n_bytes, 0, False)

    @staticmethod
    def _grow(turn: Turn, row: Row, n_bytes: int, grown_ns: int, is_stall: bool) -> None:
        turn.n_bytes += n_bytes
        if turn.is_stream:
            row.add("stream_bytes", n_bytes)
            row.add("stream_ns", grown_ns)
            row.add("stalls", is_stall)
        elif turn.n_bytes >= STREAM_BYTES:
            turn.is_stream = True
            row.add("streams")
            row.add("stream_bytes", turn.n_bytes)
            row.add("stream_ns", turn.stream_ns)
            row.add("stalls", turn.n_stalls)

    def end_response(self, row: Row) -> None:
        """Sample time to last byte, once: at the client's next data, server's FIN, or closing."""
        turn = self.current
        if turn is None or not turn.is_answered or turn.is_sampled:
            return
        turn.is_sampled = True
        if turn.kind is Kind.REQUEST and not turn.is_withheld:
            row.sample("response_duration", turn.last_ns - turn.asked_ns)
