"""TLS records: their headers, alerts, and what a ClientHello offers.

Takes the bytes of segments as far as they were captured; gives types, lengths and places. Never
decrypts: of an encrypted record type and length are all that is known (RFC 8446 §5.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from .walk import Header, HeaderWalk

CHANGE_CIPHER_SPEC = 20
ALERT = 21
HANDSHAKE = 22
APPLICATION_DATA = 23
MAJOR_VERSION = 3
CLIENT_HELLO = 1
RECORD_HEADER_BYTES = 5

# An encrypted TLS 1.3 alert: 2 bytes, the content type and a 16-byte tag (RFC 8446 §5.2).
TLS13_ALERT_BYTES = 19
# The length of a Finished: a 4-byte header and a hash, SHA-256 or SHA-384.
# With SHA-256 and SHA-384; Java's JSSE pads its own by 16 bytes.
TLS13_FINISHED_BYTES = (53, 69, 69 + 16)
# The length of EndOfEarlyData: a 4-byte header and no body.
TLS13_END_OF_EARLY_DATA_BYTES = 21

PLAIN_ALERT_BYTES = 2
ALERT_WARNING = 1
ALERT_CLOSE_NOTIFY = 0
EXTENSION_ALPN = 16


@dataclass(frozen=True)
class Record:
    """One record whose header was captured, and the captured start of its body."""

    start: int
    kind: int
    length: int
    body: bytes

    @property
    def end(self) -> int:
        return self.start + RECORD_HEADER_BYTES + self.length

    @property
    def starts_client_hello(self) -> bool:
        return self.kind == HANDSHAKE and self.body[:1] == bytes([CLIENT_HELLO])

    @property
    def is_client_hello(self) -> bool:
        """A plain ClientHello: the first bytes of an encrypted message hardly add up to one."""
        if not self.starts_client_hello:
            return False
        return len(self.body) < 4 or int.from_bytes(self.body[1:4], "big") + 4 == self.length

    @property
    def ends_connection(self) -> bool:
        """An alert that is fatal, closes, or cannot be read: a plain warning ends nothing."""
        is_plain = self.length == PLAIN_ALERT_BYTES and len(self.body) >= PLAIN_ALERT_BYTES
        if is_plain and self.body[0] == ALERT_WARNING:
            return self.body[1] == ALERT_CLOSE_NOTIFY
        return True


def starts_record(head: bytes, *kinds: int) -> bool:
    """Whether bytes look like the start of a record; two of them tell."""
    return len(head) > 1 and head[0] in kinds and head[1] == MAJOR_VERSION


def is_lone_alert(payload: bytes, payload_len: int) -> bool:
    """Whether a segment is exactly one record that is an alert, plain or (TLS 1.3) encrypted."""
    if len(payload) < RECORD_HEADER_BYTES or not starts_record(payload, ALERT, APPLICATION_DATA):
        return False
    length = int.from_bytes(payload[3:5], "big")
    if payload_len != RECORD_HEADER_BYTES + length:
        return False
    return payload[0] == ALERT or length == TLS13_ALERT_BYTES


def _record_len(head: bytes) -> int | None:
    kinds = (CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA)
    if not starts_record(head, *kinds):
        return None
    return RECORD_HEADER_BYTES + int.from_bytes(head[3:5], "big")


class RecordWalk:
    """The records of one direction. Where no header's place is known, a segment may start one."""

    def __init__(self) -> None:
        self._walk = HeaderWalk(RECORD_HEADER_BYTES, _record_len)

    def restart(self) -> None:
        self._walk.restart(None)

    def walk(self, start: int, head: bytes, end: int) -> list[Record]:
        next_byte = self._walk.next_byte
        if next_byte is None or next_byte < start:
            self._walk.restart(start)
        return [_record(header) for header in self._walk.walk(start, head, end)]


def _record(header: Header) -> Record:
    length = int.from_bytes(header.head[3:5], "big")
    return Record(header.start, header.head[0], length, header.body[:length])


def offers_h2(hello: Record) -> bool | None:
    """Whether a ClientHello offers HTTP/2 by ALPN (RFC 7301); None if it was not captured whole."""
    body = hello.body
    if len(body) < hello.length:
        return None
    # Header, version, random; then session id, cipher suites, compression methods.
    at = 4 + 2 + 32
    for size in (1, 2, 1):
        at += size + int.from_bytes(body[at : at + size], "big")
    end = at + 2 + int.from_bytes(body[at : at + 2], "big")
    at += 2
    while at + 4 <= min(end, len(body)):
        kind = int.from_bytes(body[at : at + 2], "big")
        length = int.from_bytes(body[at + 2 : at + 4], "big")
        if kind == EXTENSION_ALPN:
            return _names_h2(body[at + 6 : at + 4 + length])
        at += 4 + length
    return False


def _names_h2(names: bytes) -> bool:
    at = 0
    while at < len(names):
        size = names[at]
        if names[at + 1 : at + 1 + size] == b"h2":
            return True
        at += 1 + size
    return False
