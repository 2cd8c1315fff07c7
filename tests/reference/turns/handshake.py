"""The TLS handshake of one connection: where it ends, how long it takes, whether it fails.

Takes the new data of both sides in the order of arrival; counts `tls_latency` and `tls_failed`, and
tells which client bytes lie behind the Finished. Knows types and lengths only: a Finished of TLS
1.3 is an application record of a length that hardly anything else has (RFC 8446 §4.4.4, §5.2).
"""

from __future__ import annotations

from ..clock import Moment
from ..data import Ledger, NewData
from . import tls
from .tls import Record, RecordWalk, offers_h2, starts_record


class Handshake:
    """What is known of the TLS of one connection; nothing, until its records are seen."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.client_records = RecordWalk()
        self.server_records = RecordWalk()
        self.has_finished = False
        self.is_13 = False
        # Whether the ClientHello offers HTTP/2; None if that is not known.
        self.offers_h2: bool | None = None
        self._has_hello = False
        self._has_failed = False
        # Of the latency: the ClientHello until it is sampled, and the last of the handshake.
        self._hello: Moment | None = None
        self._last: Moment | None = None
        # Whether application data followed the ClientHello.
        self._is_over = False
        # Of the current handshake turn.
        self._finished_end: int | None = None
        self._may_finish = False
        self._others_stood_before = False
        # The last segment walked for it, and its records behind the Finished.
        self._behind_finished: tuple[NewData, list[Record]] | None = None

    # --- the client ---------------------------------------------------------------------------

    def starts_turn(self, data: NewData) -> bool:
        """Whether a client run that begins with `data` is a turn of the handshake."""
        head = data.head
        if starts_record(head, tls.CHANGE_CIPHER_SPEC, tls.ALERT, tls.HANDSHAKE):
            return True
        return self._starts_finished(head)

    def _starts_finished(self, head: bytes) -> bool:
        """Whether bytes start with a Finished of TLS 1.3, maybe behind EndOfEarlyData."""
        if not self._has_hello or self.has_finished or self._is_over:
            return False
        if not starts_record(head, tls.APPLICATION_DATA) or len(head) < tls.RECORD_HEADER_BYTES:
            return False
        length = int.from_bytes(head[3:5], "big")
        if length == tls.TLS13_END_OF_EARLY_DATA_BYTES:
            next_head = head[tls.RECORD_HEADER_BYTES + length :]
            length = int.from_bytes(next_head[3:5], "big")
            if len(next_head) < tls.RECORD_HEADER_BYTES:
                return True
        return length in tls.TLS13_FINISHED_BYTES

    def begin_turn(self, data: NewData) -> None:
        self.client_records.restart()
        self._finished_end = None
        self._may_finish = starts_record(data.head, tls.APPLICATION_DATA)
        self._others_stood_before = False

    def client_data(self, data: NewData) -> int | None:
        """Follow a handshake turn; return where application data begins, if it does."""
        if self._finished_end is None or data.new_start < self._finished_end:
            self._last = data.moment
        if self._finished_end is None:
            records = self._walk_client(data)
            while records and self._finished_end is None:
                self._client_record(records.pop(0), data.moment)
            self._behind_finished = (data, records)
        if self._finished_end is None or data.end <= self._finished_end:
            return None
        return max(data.new_start, self._finished_end)

    def application_records(self, data: NewData) -> list[Record]:
        """Return the client's records in a segment, but for those up to the Finished."""
        if self._behind_finished is not None and self._behind_finished[0] is data:
            return self._behind_finished[1]
        return self._walk_client(data)

    def client_alert(self, data: NewData) -> None:
        """A lone alert that starts no turn."""
        self.client_records.restart()
        for record in self._walk_client(data):
            if record.kind == tls.APPLICATION_DATA or record.ends_connection:
                self.fail_unfinished(by_client=True)

    def _walk_client(self, data: NewData) -> list[Record]:
        return self.client_records.walk(data.new_start, data.head, data.end)

    def _client_record(self, record: Record, moment: Moment) -> None:
        if record.kind == tls.CHANGE_CIPHER_SPEC:
            self._may_finish = True
        elif record.kind == tls.ALERT:
            if record.ends_connection:
                self.fail_unfinished(by_client=True)
        elif record.kind == tls.HANDSHAKE:
            if record.starts_client_hello and not self._has_hello:
                self._has_hello = True
                self._ledger.add("tls_hellos")
                self._hello = moment
                self.offers_h2 = offers_h2(record)
            elif self._may_finish and not record.is_client_hello:
                self._finish(record, is_13=False)
            else:
                self._others_stood_before = True
        elif self._may_finish and record.length in tls.TLS13_FINISHED_BYTES:
            self._finish(record, is_13=True)
        elif self._may_finish and record.length == tls.TLS13_ALERT_BYTES:
            self.fail_unfinished(by_client=True)
        elif record.length != tls.TLS13_END_OF_EARLY_DATA_BYTES:
            self._others_stood_before = True

    def _finish(self, record: Record, is_13: bool) -> None:
        self.has_finished = True
        self.is_13 = is_13
        self._finished_end = record.end

    def application_data(self, is_server_seen: bool) -> None:
        """The first application data behind a ClientHello: how long the handshake took."""
        self._is_over = self._has_hello
        if self._hello is not None and self._last is not None and is_server_seen:
            self._ledger.latency("tls_latency", self._hello, self._last)
        self._hello = None

    # --- the server ---------------------------------------------------------------------------

    def server_data(self, data: NewData, is_shape_known: bool) -> list[Record]:
        """Follow the server's records as long as they tell something; return those of `data`."""
        if starts_record(data.head, tls.CHANGE_CIPHER_SPEC, tls.HANDSHAKE):
            self._last = data.moment
        if not self._has_hello or (self._is_over and is_shape_known):
            self.server_records.restart()
            return []
        records = self.server_records.walk(data.new_start, data.head, data.end)
        for record in records:
            self._server_record(record)
        return records

    def _server_record(self, record: Record) -> None:
        is_encrypted = record.kind == tls.APPLICATION_DATA
        if self.is_13 and is_encrypted and record.length == tls.TLS13_ALERT_BYTES:
            self._refuse()
        if record.kind != tls.ALERT or not record.ends_connection:
            return
        self.fail_unfinished(by_client=False)
        # In TLS 1.2 the server refuses before its own ChangeCipherSpec, in clear.
        if record.length == tls.PLAIN_ALERT_BYTES:
            self._refuse()

    def _refuse(self) -> None:
        if self.has_finished and self._others_stood_before and not self._is_over:
            self._fail(by_client=False)

    # --- ending -------------------------------------------------------------------------------

    def fail_unfinished(self, by_client: bool) -> None:
        """The connection ends: that fails a handshake without a Finished."""
        if self._has_hello and not self.has_finished and not self._is_over:
            self._fail(by_client)

    def _fail(self, by_client: bool) -> None:
        if not self._has_failed:
            self._has_failed = True
            self._ledger.add("tls_failed")
            self._ledger.add("tls_failed_in", not by_client)
