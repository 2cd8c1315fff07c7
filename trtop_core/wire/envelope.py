"""The bytes around every message: a mark, the protocol's version, then MessagePack."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from trtop_core.errors import one_line
from trtop_core.wire.errors import WireError, WireVersionError

MAGIC = b"trtop"

VERSION = 3
"""Rises whenever a message changes its form or its meaning. A new message is no change: who does
not know it refuses it as malformed. Nor is a new metric: who does not know it leaves it out."""

HEADER_BYTES = len(MAGIC) + 1

MAX_REQUEST_BYTES = 1 << 14
"""A request is a few names and numbers, or the keys of ``MAX_ACTIVITY_ROWS`` rows."""

MAX_REPLY_BYTES = 1 << 16
"""A reply without its snapshot: a host name and some notices."""

MAX_SNAPSHOT_BYTES = 1 << 29
"""An engine's bounds allow about 400 MiB: 131,072 rows of 640 bytes, 32 M bins of 10 bytes."""

MAX_DETAIL_BYTES = 1 << 20
"""One row with all its bins is below 200 KiB; ``MAX_CONNECTIONS`` twice is 160 KiB."""

MAX_WHY = 200
"""Characters of a decoder's own words; unknown fields stand there by name."""

T = TypeVar("T")


def pack_message(payload: bytes) -> bytes:
    """A payload behind the header."""
    return b"%s%c%s" % (MAGIC, VERSION, payload)


def version_of(data: bytes | memoryview) -> int:
    """The version of the protocol that a message is in.

    Raises:
        WireError: it is no message of this protocol.
    """
    if len(data) < HEADER_BYTES or bytes(data[: len(MAGIC)]) != MAGIC:
        raise WireError("no message of trtop")
    return data[len(MAGIC)]


def unpack_message(
    data: bytes | memoryview, decoder: msgspec.msgpack.Decoder[T], max_bytes: int
) -> T:
    """What a message holds.

    Args:
        data: as received.
        decoder: of the messages that may come.
        max_bytes: longer ones are not looked at.

    Raises:
        WireVersionError: it is of another version.
        WireError: it is too long, or something else.
    """
    if len(data) > max_bytes:
        raise WireError(f"{len(data):,} bytes are more than the {max_bytes:,} of a message")
    version = version_of(data)
    if version != VERSION:
        raise WireVersionError(version, VERSION)
    return unpack_payload(data, decoder)


def unpack_payload(data: bytes | memoryview, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """What a message of whatever version holds.

    Raises:
        WireError: it cannot be read.
    """
    try:
        return decoder.decode(memoryview(data)[HEADER_BYTES:])
    except msgspec.DecodeError as error:
        raise WireError(f"a message that cannot be read: {_bounded(str(error))}") from None
    except (ValueError, OverflowError, RecursionError):
        raise WireError("a message that cannot be read") from None


def _bounded(text: str) -> str:
    """A text in which the sender's own names may stand, as one line of bounded length."""
    shown = one_line(text[:MAX_WHY])
    return shown if len(text) <= MAX_WHY else shown + "…"
