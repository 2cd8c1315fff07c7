"""ZMTP 3.1 without keys, the side of a ROUTER: bytes ↔ messages, with a bound on each message.

Takes bytes in any pieces, gives whole messages and what is to be sent back; refuses a message
before it has collected it. libzmq collects all parts of a message, however many there are, before
anybody can look at it, so one peer could fill the memory. Knows no socket and no clock.

Source: rfc.zeromq.org/spec/37 (ZMTP 3.1), with the NULL mechanism.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from trtop_core.wire import MAX_REQUEST_BYTES

MAX_MESSAGE_BYTES = 4 * MAX_REQUEST_BYTES
"""Bytes of all parts of a message, framing included; a question takes 16 KiB at most."""

MAX_PARTS = 4
"""Parts that are kept; a question has one, or two. The rest is counted and thrown away."""

MAX_COMMAND_BYTES = 1024
"""Metadata of a handshake: a type of socket, an identity."""

MAX_REPLIES = 64
"""Answers to PING that wait for a peer which does not read; more are not given."""

MORE, LONG, COMMAND = 1, 2, 4

GREETING_BYTES = 64

_MECHANISM = b"NULL".ljust(20, b"\0")
_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_GREETING = _SIGNATURE + b"\x03\x01" + _MECHANISM + bytes(32)
_MAJOR = 3

_SHORT_LIMIT = 256


class ZmtpError(ValueError):
    """The peer does not speak this protocol, or says too much: hang up."""


class Zmtp:
    """One connection.

    Attributes:
        replies: what the peer must be sent, in this order; whoever sends it takes it out.
        is_ready: both sides have said who they are.
    """

    def __init__(self) -> None:
        self.replies: list[bytes] = [_GREETING]
        self.is_ready = False
        self._buffer = bytearray()
        self._has_greeted = False
        self._parts: list[bytes] = []
        self._n_bytes = 0

    def feed(self, data: bytes) -> list[list[bytes]]:
        """Take bytes.

        Returns:
            The messages that are complete now, of each the first ``MAX_PARTS`` parts.

        Raises:
            ZmtpError: hang up.
        """
        self._buffer += data
        messages: list[list[bytes]] = []
        if not self._has_greeted and not self._take_greeting():
            return messages
        while (found := self._next_frame()) is not None:
            flags, body = found
            if flags & COMMAND:
                self._take_command(body)
                continue
            if len(self._parts) < MAX_PARTS:
                self._parts.append(body)
            if not flags & MORE:
                messages.append(self._parts)
                self._parts, self._n_bytes = [], 0
        return messages

    def _take_greeting(self) -> bool:
        """Whether it is whole; what is wrong with it is seen as early as that."""
        greeting = self._buffer[:GREETING_BYTES]
        n_bytes = len(greeting)
        if n_bytes and greeting[0] != _SIGNATURE[0]:
            raise ZmtpError("no signature")
        if n_bytes > 9 and greeting[9] != _SIGNATURE[9]:
            raise ZmtpError("no signature")
        if n_bytes > 10 and greeting[10] < _MAJOR:
            raise ZmtpError("a version before 3")
        if n_bytes < GREETING_BYTES:
            return False
        if greeting[12:32] != _MECHANISM:
            raise ZmtpError("a mechanism that is not NULL")
        del self._buffer[:GREETING_BYTES]
        self._has_greeted = True
        self.replies.append(_ready())
        return True

    def _next_frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        flags, size, start = buffer[0], buffer[1], 2
        if flags & LONG:
            start = 9
            if len(buffer) < start:
                return None
            (size,) = struct.unpack_from(">Q", buffer, 1)
        self._check(flags, start + size)
        if len(buffer) < start + size:
            return None
        body = bytes(buffer[start : start + size])
        del buffer[: start + size]
        if not flags & COMMAND:
            self._n_bytes += start + size
        return flags, body

    def _check(self, flags: int, n_bytes: int) -> None:
        """Look at a frame before it is collected."""
        if flags > MORE | LONG | COMMAND or flags & (MORE | COMMAND) == MORE | COMMAND:
            raise ZmtpError("flags that there are not")
        if flags & COMMAND:
            if n_bytes > MAX_COMMAND_BYTES:
                raise ZmtpError("too long a command")
        elif not self.is_ready:
            raise ZmtpError("a message before the handshake")
        elif self._n_bytes + n_bytes > MAX_MESSAGE_BYTES:
            raise ZmtpError("too long a message")

    def _take_command(self, body: bytes) -> None:
        length = body[0] if body else 0
        name, rest = body[1 : 1 + length], body[1 + length :]
        if name == b"READY":
            self.is_ready = True
        elif name == b"ERROR" or not self.is_ready:
            raise ZmtpError("no handshake")
        elif name == b"PING" and len(self.replies) < MAX_REPLIES:
            self.replies.append(_command(b"PONG", rest[2:]))  # behind a time to live: the context


def encode(parts: Sequence[bytes]) -> list[bytes]:
    """A message as bytes to send one after the other; long parts are not copied."""
    pieces: list[bytes] = []
    for number, part in enumerate(parts):
        flags = MORE if number < len(parts) - 1 else 0
        if len(part) < _SHORT_LIMIT:
            pieces.append(bytes((flags, len(part))) + part)
        else:
            pieces += [struct.pack(">BQ", flags | LONG, len(part)), part]
    return pieces


def _command(name: bytes, rest: bytes) -> bytes:
    body = bytes((len(name),)) + name + rest
    if len(body) < _SHORT_LIMIT:
        return bytes((COMMAND, len(body))) + body
    return struct.pack(">BQ", COMMAND | LONG, len(body)) + body


def _ready() -> bytes:
    properties = ((b"Socket-Type", b"ROUTER"), (b"Identity", b""))
    return _command(
        b"READY",
        b"".join(
            bytes((len(name),)) + name + struct.pack(">I", len(value)) + value
            for name, value in properties
        ),
    )
