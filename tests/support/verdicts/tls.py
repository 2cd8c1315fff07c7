"""TLS as a capture shows it: record headers and a ClientHello; what is inside is not encrypted."""

from __future__ import annotations

import struct

from .conversation import Conversation

CHANGE_CIPHER, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23

TAG_BYTES = 17
"""What a record of TLS 1.3 is longer than what it holds."""

FINISHED_BYTES = 53

PREFACE_BYTES, FRAME_BYTES, SETTING_BYTES, WINDOW_UPDATE_BYTES = 24, 9, 6, 13


def record(kind: int, body: bytes | int) -> bytes:
    """Give a record with a body, or with so many bytes."""
    body = bytes(body) if isinstance(body, int) else body
    return struct.pack(">BHH", kind, 0x0303, len(body)) + body


def client_hello(protocols: tuple[bytes, ...] = ()) -> bytes:
    """Give a ClientHello (RFC 8446 §4.1.2) that offers some protocols (RFC 7301)."""
    extensions = struct.pack(">HHBH", 43, 3, 2, 0x0304)
    if protocols:
        names = b"".join(bytes([len(name)]) + name for name in protocols)
        extensions += struct.pack(">HHH", 16, len(names) + 2, len(names)) + names
    body = struct.pack(">H", 0x0303) + bytes(32) + bytes([32]) + bytes(32)
    body += struct.pack(">HH", 2, 0x1301) + b"\x01\x00"
    body += struct.pack(">H", len(extensions)) + extensions
    return record(HANDSHAKE, b"\x01" + len(body).to_bytes(3, "big") + body)


def greet(talk: Conversation, protocols: tuple[bytes, ...] = ()) -> None:
    """Send a ClientHello."""
    talk.out(client_hello(protocols))


def shake_hands(talk: Conversation, n_tickets: int, protocols: tuple[bytes, ...] = ()) -> None:
    """Shake hands as TLS 1.3 does; tickets come a round trip after the client is done."""
    greet(talk, protocols)
    answer_greeting(talk)
    talk.out(record(CHANGE_CIPHER, 1) + record(DATA, FINISHED_BYTES))
    talk.pause(talk.rtt_ms)
    for _ in range(n_tickets):
        talk.back(record(DATA, 250))
    talk.acknowledge()
    talk.pause(0.5)


def answer_greeting(talk: Conversation) -> None:
    """Send the server's flight."""
    talk.pause(talk.rtt_ms + 1)
    flight = record(HANDSHAKE, 122) + record(CHANGE_CIPHER, 1) + record(DATA, 600)
    talk.back(flight + record(DATA, FINISHED_BYTES))
    talk.acknowledge()
    talk.pause(1)


def open_http2(talk: Conversation, n_settings: int) -> None:
    """Send what HTTP/2 begins with over TLS 1.3: preface and SETTINGS of either side."""
    settings = FRAME_BYTES + SETTING_BYTES * n_settings
    talk.out(record(DATA, PREFACE_BYTES + settings + WINDOW_UPDATE_BYTES + TAG_BYTES))
    talk.out(record(DATA, 60 + TAG_BYTES))
    talk.pause(talk.rtt_ms)
    talk.back(record(DATA, settings + WINDOW_UPDATE_BYTES + TAG_BYTES))
    talk.acknowledge()


def turn(talk: Conversation, n_out: int, n_in: int, after_ms: float) -> None:
    """Ask and be answered, a record each."""
    talk.out(record(DATA, n_out))
    talk.pause(talk.rtt_ms + after_ms)
    talk.back(record(DATA, n_in))
    talk.acknowledge()
    talk.pause(0.3)
