"""HTTP/2 frames as stories need them (RFC 9113 §4.1): header blocks are not decoded by anybody."""

from __future__ import annotations

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
END_STREAM, END_HEADERS = 0x1, 0x4


def frame(kind: int, flags: int, stream_id: int, body: bytes = b"") -> bytes:
    """A frame: length, type, flags, stream."""
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + body


def settings(n: int = 2) -> bytes:
    return frame(SETTINGS, 0, 0, bytes(6 * n))


def headers(stream_id: int, ends: bool = False, length: int = 30) -> bytes:
    """A HEADERS frame that holds all headers, and ends its stream or not."""
    flags = END_HEADERS | (END_STREAM if ends else 0)
    return frame(HEADERS, flags, stream_id, bytes(length))


def data(stream_id: int, length: int, ends: bool = False) -> bytes:
    return frame(DATA, END_STREAM if ends else 0, stream_id, bytes(length))


def rst_stream(stream_id: int) -> bytes:
    return frame(RST_STREAM, 0, stream_id, bytes(4))


SETTINGS_ACK = frame(SETTINGS, 1, 0)
