"""TLS records as stories need them: types, lengths and places are right, what they hold is not."""

from __future__ import annotations

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO = 1, 2
WARNING, FATAL = 1, 2
CLOSE_NOTIFY, HANDSHAKE_FAILURE, UNRECOGNISED_NAME = 0, 40, 112


def record(kind: int, body: bytes) -> bytes:
    """A record (RFC 8446 §5.1)."""
    return bytes([kind, 3, 3]) + len(body).to_bytes(2, "big") + body


def encrypted(length: int) -> bytes:
    """An application record of so many bytes, its header of 5 apart."""
    return record(DATA, bytes(length))


def alert(level: int, description: int) -> bytes:
    """A plain alert."""
    return record(ALERT, bytes([level, description]))


def hello(*alpn: str, n_ciphers: int = 2) -> bytes:
    """A ClientHello (RFC 8446 §4.1.2) that offers these protocols by ALPN (RFC 7301)."""
    names = b"".join(bytes([len(name)]) + name.encode() for name in alpn)
    server_name = b"\0\0\0\5\0\3\0\0\0"
    extensions = server_name
    if alpn:
        body = len(names).to_bytes(2, "big") + names
        extensions += b"\0\20" + len(body).to_bytes(2, "big") + body
    ciphers = b"\x13\x01" * n_ciphers
    body = b"\3\3" + bytes(32) + b"\0" + len(ciphers).to_bytes(2, "big") + ciphers + b"\1\0"
    body += len(extensions).to_bytes(2, "big") + extensions
    message = bytes([CLIENT_HELLO]) + len(body).to_bytes(3, "big") + body
    return record(HANDSHAKE, message)


CCS = record(CHANGE_CIPHER_SPEC, b"\1")
SERVER_FLIGHT_12 = record(HANDSHAKE, bytes([SERVER_HELLO]) + bytes(90))
CLIENT_FLIGHT_12 = record(HANDSHAKE, b"\20" + bytes(69)) + CCS + record(HANDSHAKE, bytes(40))
SERVER_FINISHED_12 = CCS + record(HANDSHAKE, bytes(40))
SERVER_FLIGHT_13 = record(HANDSHAKE, bytes([SERVER_HELLO]) + bytes(89)) + CCS + encrypted(500)
FINISHED_13 = encrypted(53)
CLIENT_FLIGHT_13 = CCS + FINISHED_13
END_OF_EARLY_DATA = encrypted(21)
ALERT_13 = encrypted(19)
TICKET = encrypted(250)
