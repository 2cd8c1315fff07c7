"""Fuzz target: any bytes are the packets and the error that a plain reader finds, however cut.

The first two bytes of an input choose the cut: the length of pieces, and the room in front of each
that a started record may be put into. The rest is a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from reference.packets.savefile import read_pieces, twin_read
from seeds import MAX_SEED_BYTES, captures
from target import Target

PIECES = (1, 3, 7, 16, 24, 64, 1000, 1 << 16)
ROOM = (0, 0, 8, 64)

MAX_PIECES = 100
"""Of one input: a piece costs as much as a packet."""


def run(data: bytes) -> None:
    """One file, in pieces and by the plain reader."""
    if len(data) < 3:
        return
    content = data[2:]
    piece = max(PIECES[data[0] % len(PIECES)], len(content) // MAX_PIECES)
    room = ROOM[data[1] % len(ROOM)]
    pieces = [content[at : at + piece] for at in range(0, len(content), piece)]
    assert read_pieces(pieces, room) == twin_read(content)


def seeds() -> Iterator[bytes]:
    """Whole files and cut ones, each with a cut of its own."""
    cuts = product(range(len(PIECES)), range(len(ROOM)))
    for content, cut in zip(captures(), [*cuts] * 100, strict=False):
        yield bytes(cut) + content[:MAX_SEED_BYTES]


TARGET = Target(
    run,
    seeds,
    max_bytes=2 + MAX_SEED_BYTES,
    words=(
        b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1",
        b"\xa1\xb2\xcd\x34", b"\x34\xcd\xb2\xa1", b"\n\r\r\n", b"\x1a\x2b\x3c\x4d",
        b"\x4d\x3c\x2b\x1a", b"\x01\x00\x00\x00", b"\x02\x00\x00\x00", b"\x03\x00\x00\x00",
        b"\x05\x00\x00\x00", b"\x06\x00\x00\x00", b"\x00\x00\x00\x06", b"\x1c\x00\x00\x00",
        b"\x20\x00\x00\x00", b"\x00\x00\x00\x20", b"\x09\x00\x01\x00", b"\x0e\x00\x08\x00",
        b"\x00\x00\x04\x00", b"\x00\x01\x00\x00", b"\xff\xff\xff\xff", b"\x40\x00\x00\x00",
    ),
)  # fmt: skip
