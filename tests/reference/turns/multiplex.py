"""Connections on which both sides talk at once, so that alternation measures nothing.

Takes what client runs acknowledge, and the lengths of the first TLS records; tells whether the
connection is multiplexed. Under TLS an HTTP/2 opening is known by its shape alone: preface and
SETTINGS of the client, SETTINGS of the server (RFC 9113 §3.4, §6.5).
"""

from __future__ import annotations

from collections.abc import Iterable

from . import tls
from .tickets import MAX_TICKET_BYTES, MIN_TICKET_BYTES
from .tls import Record

HTTP2_PREFACE = b"PRI * HTTP/2.0"
N_CROSSED_RUNS = 2
# Every host takes segments of so many bytes (RFC 9293 §3.7.1): shorter ones are no part of a burst.
MIN_SEGMENT_BYTES = 536

PREFACE_BYTES = 24
SETTINGS_BYTES = tuple(9 + 6 * n for n in range(11))
WINDOW_UPDATE_BYTES = 13
SETTINGS_ACK_BYTES = 9
# What a record adds to its content: the tag and content type, or nonce and tag (AES-GCM).
TLS13_OVERHEAD_BYTES = 17
TLS12_OVERHEAD_BYTES = 24


class Crossing:
    """Client runs that crossed data of the server on their way, tickets apart.

    At the server's host such a run does not acknowledge all that the server had sent. At the
    client's the server's data behind it acknowledge nothing of it.
    """

    def __init__(self) -> None:
        self._server_end: int | None = None
        self._n_crossed = 0

    def server_sent(self, end: int) -> None:
        self._server_end = end if self._server_end is None else max(end, self._server_end)

    def crosses(self, acked: int | None) -> bool:
        """Whether a run whose first segment acknowledges that is crossed."""
        return self._server_end is not None and (acked is None or acked < self._server_end)

    def add(self) -> bool:
        """Count a crossed run; return whether it is the second."""
        self._n_crossed += 1
        return self._n_crossed == N_CROSSED_RUNS


class Http2Shape:
    """Whether the first application records under TLS look like HTTP/2; `is_h2` is None until
    that is decided."""

    def __init__(self) -> None:
        self.is_h2: bool | None = None
        # It is not, but the acknowledgements of both sides may tell yet that it was.
        self.lacks_acks = False
        self._has_preface = False
        self._has_settings = False
        # Behind the client's SETTINGS its first record held more: the server must confirm them, or
        # have sent its own before it got them.
        self._has_more = False
        self._is_early = False
        self._server_len: int | None = None
        # The length of the server's leading records, which may be tickets.
        self._ticket_len: int | None = None

    @property
    def needs_client(self) -> bool:
        return self.is_h2 is None and not self._has_settings

    def client_segment(self, records: Iterable[Record], is_13: bool) -> None:
        """Judge the client's first and, behind a bare preface, second application record."""
        lengths = [_content_len(record, is_13) for record in records]
        if not lengths and not self._has_preface:
            self.is_h2 = False
        may_have_more = False
        if lengths and not self._has_preface:
            self._has_preface = True
            if lengths[0] == PREFACE_BYTES:
                del lengths[0]
            else:
                lengths[0] -= PREFACE_BYTES
                may_have_more = True
        if lengths:
            self._has_more = (
                may_have_more and not _is_settings(lengths[0]) and lengths[0] > SETTINGS_BYTES[0]
            )
            self._has_settings = self._has_more or _is_settings(lengths[0])
            if not self._has_settings:
                self.is_h2 = False
        self._decide(is_13)

    def server_segment(self, records: Iterable[Record], is_13: bool, is_early: bool) -> None:
        """Look for the server's first application record that is no ticket; `is_early`: it was
        sent before the client's first had arrived there."""
        for record in records:
            if self._server_len is not None:
                break
            if record.kind != tls.APPLICATION_DATA:
                continue
            may_be_ticket = is_13 and MIN_TICKET_BYTES <= record.length <= MAX_TICKET_BYTES
            if self._ticket_len is None and may_be_ticket:
                self._ticket_len = record.length
            elif record.length != self._ticket_len:
                self._server_len = record.length
                self._is_early = is_early
        self._decide(is_13)

    def end(self, is_13: bool) -> None:
        """Nothing more will tell: the server's leading records were no tickets."""
        if self._server_len is None:
            self._server_len = self._ticket_len
        self._decide(is_13)
        self.is_h2 = bool(self.is_h2)

    def _decide(self, is_13: bool) -> None:
        if self.is_h2 is not None or not self._has_settings or self._server_len is None:
            return
        content_len = self._server_len - _overhead(is_13)
        is_confirmed = _is_settings(content_len - SETTINGS_ACK_BYTES)
        is_plain = not self._has_more or self._is_early
        self.is_h2 = is_confirmed or (is_plain and _is_settings(content_len))
        self.lacks_acks = not self.is_h2 and _is_settings(content_len)


class SettingsAcks:
    """Whether the first segment of each side behind the server's SETTINGS acknowledges SETTINGS.

    Both together are HTTP/2: HTTP/1.1 has no request as short as the client's.
    """

    def __init__(self, is_13: bool) -> None:
        self.is_possible = True
        self._payload_len = tls.RECORD_HEADER_BYTES + SETTINGS_ACK_BYTES + _overhead(is_13)
        self._sides: set[bool] = set()

    def segment(self, from_client: bool, head: bytes, n_bytes: int) -> bool:
        """Take new data of a segment (`head` captured of `n_bytes`); return whether both are."""
        if from_client in self._sides:
            return False
        length = int.from_bytes(head[3:5], "big")
        self.is_possible = (
            len(head) >= tls.RECORD_HEADER_BYTES
            and tls.starts_record(head, tls.APPLICATION_DATA)
            and n_bytes == self._payload_len == tls.RECORD_HEADER_BYTES + length
        )
        self._sides.add(from_client)
        return self.is_possible and len(self._sides) == 2


def _overhead(is_13: bool) -> int:
    return TLS13_OVERHEAD_BYTES if is_13 else TLS12_OVERHEAD_BYTES


def _content_len(record: Record, is_13: bool) -> int:
    """Bytes of what a record carries; −1 if it carries no application data."""
    if record.kind != tls.APPLICATION_DATA:
        return -1
    return record.length - _overhead(is_13)


def _is_settings(length: int) -> bool:
    """Whether so many bytes are SETTINGS, with a WINDOW_UPDATE or without."""
    return length in SETTINGS_BYTES or length - WINDOW_UPDATE_BYTES in SETTINGS_BYTES
