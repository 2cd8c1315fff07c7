"""``Unpacker``: a stream that may be compressed becomes plain bytes.

Takes the stream in any pieces; passes a plain one through without a copy, and gives a compressed
one, of any number of members, in bounded pieces. Says how far it came when the data is damaged.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trtop_core.savefile.walk import ByteArray
from trtop_core.sources.codecs import MAGIC_LEN, Codec, find_codec

PIECE_BYTES = 256 * 1024
"""Unpacked bytes are joined to about this before they are given out."""

HEADROOM = 64 * 1024
"""Free bytes at the start of every piece that goes in or out; see ``CaptureReader.feed``."""

DAMAGED = "compressed data damaged"
CUT_OFF = "compressed data cut off"
TRAILING = "compressed data followed by something else"


class UnpackError(Exception):
    """The compressed stream cannot be unpacked further; what came before was given out."""


class OverLimitError(UnpackError):
    """Unpacking the stream would take more memory than the limit; it may be undamaged."""


def with_headroom(data: bytes | bytearray) -> ByteArray:
    """A copy of some bytes, behind ``HEADROOM`` free ones."""
    piece = np.empty(HEADROOM + len(data), np.uint8)
    piece[HEADROOM:] = np.frombuffer(data, np.uint8)
    return piece


class Unpacker:
    """Unpacks one stream.

    What the library unpacked is given out before damage is told. The call that fails takes its own
    output with it: less than 4 KiB (gzip, xz) or 64 KiB (lz4), or 1 KiB compressed (zstd).
    """

    def __init__(self) -> None:
        self._is_plain: bool | None = None
        self._codec: Codec | None = None
        # The start of the stream, or of what follows a member, until it can be recognised.
        self._head = b""

    def feed(self, piece: ByteArray) -> Iterator[ByteArray]:
        """Give what the stream's next bytes hold.

        Args:
            piece: the bytes, behind ``HEADROOM`` free ones, as are those given out.

        Raises:
            UnpackError: the compressed data is damaged, or over a limit.
        """
        if self._is_plain is None:
            self._head += piece[HEADROOM:].tobytes()
            if len(self._head) < MAGIC_LEN:
                return
            piece = with_headroom(self._head)
            self._is_plain = find_codec(self._head) is None
            self._head = b""
        if self._is_plain:
            yield piece
        else:
            yield from self._join(self._unpack(piece[HEADROOM:]))

    def finish(self) -> Iterator[ByteArray]:
        """Give what was held back, since the stream has ended.

        Raises:
            UnpackError: it ended inside a member.
        """
        if self._codec is not None or (self._head and find_codec(self._head) is not None):
            raise UnpackError(CUT_OFF)
        if self._head and self._is_plain is not None:
            raise UnpackError(TRAILING)
        if self._head:
            yield with_headroom(self._head)

    def _join(self, parts: Iterator[bytes]) -> Iterator[ByteArray]:
        """Join small parts; what is there goes out before damage is told."""
        joined = bytearray()
        damage: UnpackError | None = None
        while damage is None:
            try:
                part = next(parts, None)
            except UnpackError as error:
                damage = error
                part = None
            if part is not None:
                joined += part
            if joined and (part is None or len(joined) >= PIECE_BYTES):
                yield with_headroom(joined)
                joined.clear()
            if part is None:
                break
        if damage is not None:
            raise damage

    def _unpack(self, piece: ByteArray) -> Iterator[bytes]:
        start = 0
        unused = b""
        while start < len(piece) or unused:
            if self._codec is None:
                fresh = piece[start : start + MAGIC_LEN].tobytes() if not unused else b""
                start += len(fresh)
                unused = self._start_member(self._head + unused + fresh)
                continue
            codec = self._codec
            data = unused
            if not data:
                data = piece[start : start + codec.in_bytes].tobytes()
                start += len(data)
            try:
                yield codec.step(data)
                while codec.has_more and (part := codec.step(b"")):
                    yield part
            except codec.error as error:
                reason = codec.over_limit(error)
                raise (OverLimitError(reason) if reason else UnpackError(DAMAGED)) from error
            unused = b""
            if codec.is_done:
                unused = codec.unused
                self._codec = None

    def _start_member(self, data: bytes) -> bytes:
        """Recognise what follows a member, and give back the bytes to unpack.

        Zeros between members are padding (tapes, xz).
        """
        data = data.lstrip(b"\0")
        self._head = b""
        codec = find_codec(data)
        if codec is not None:
            self._codec = codec()
            return data
        if len(data) >= MAGIC_LEN:
            raise UnpackError(TRAILING)
        self._head = data
        return b""
