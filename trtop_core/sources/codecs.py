"""Decompressors of one member each, behind one small interface.

Takes compressed bytes in small pieces, gives bounded pieces of what they hold. Recognises formats
by their magic bytes, never by a name. The formats themselves are left to their libraries.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

OUT_BYTES = 4 * 1024
"""Most that gzip and xz give at once. What a failing call had unpacked is lost, so little is."""

LZ4_OUT_BYTES = 64 * 1024
"""lz4 unpacks blocks of 64 KiB and more, fast enough for smaller calls to show."""

IN_BYTES = 16 * 1024
"""Compressed bytes put in at once."""

ZSTD_IN_BYTES = 1024
"""zstd knows no bound on its output. A block of 4 bytes becomes 128 KiB at most, so this much
becomes 32 MiB at worst."""

MIB = 1024 * 1024

ZSTD_WINDOW_BYTES = 128 * MIB
"""Longest window, which zstd allocates: its own limit, which ``zstd -d --long=31`` lifts."""

XZ_MEMORY_BYTES = 256 * MIB
"""Most that xz may allocate; ``xz -9`` takes 65 MiB to unpack."""


XZ_OVER_LIMIT = "Memory usage limit exceeded"
"""What Python's lzma says then; it has no error of its own for it."""

ZSTD_HEADER_LEN = 18
"""Longest header of a frame (RFC 8878 §3.1.1.1), the magic number included."""


class Codec(Protocol):
    """Unpacks one member; after ``is_done`` it takes nothing more.

    Attributes:
        in_bytes: most bytes to put in at once.
        is_done: the member has ended.
        has_more: another ``step(b"")`` may give more.
        unused: what was put in beyond the member's end.
        error: what the library raises for damaged data.
    """

    in_bytes: int
    is_done: bool
    has_more: bool
    unused: bytes
    error: type[Exception]

    def step(self, data: bytes) -> bytes:
        """Put in some compressed bytes and get some of what is unpacked."""
        ...

    def over_limit(self, error: Exception) -> str | None:
        """What is over which limit; None if the error means damage."""
        ...


class GzipCodec:
    """gzip, RFC 1952."""

    in_bytes = IN_BYTES
    is_done = has_more = False
    unused = b""
    error: type[Exception] = zlib.error

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def step(self, data: bytes) -> bytes:
        """Decompress a piece (a ``Codec``)."""
        member = self._member
        out = member.decompress(member.unconsumed_tail + data, OUT_BYTES)
        self.is_done = member.eof
        self.has_more = not member.eof and len(out) == OUT_BYTES
        self.unused = member.unused_data
        return out

    def over_limit(self, error: Exception) -> str | None:
        """None: 32 KiB are enough for any gzip."""
        return None


class FrameCodec:
    """xz and lz4, whose libraries share an interface."""

    in_bytes = IN_BYTES
    is_done = has_more = False
    unused = b""

    def __init__(self, member: Any, out_bytes: int, error: type[Exception]) -> None:
        self._member = member
        self._out_bytes = out_bytes
        self.error = error

    def step(self, data: bytes) -> bytes:
        """Decompress a piece (a ``Codec``)."""
        out = bytes(self._member.decompress(data, self._out_bytes))
        self.is_done = self._member.eof
        self.has_more = not self._member.eof and not self._member.needs_input
        self.unused = self._member.unused_data or b""
        return out

    def over_limit(self, error: Exception) -> str | None:
        """The limit of xz that an error means (a ``Codec``); lz4 has none."""
        if str(error) != XZ_OVER_LIMIT:
            return None
        return (
            f"over the limit of {XZ_MEMORY_BYTES // MIB} MiB: the memory that its xz dictionary "
            "takes (unpack it with xz -d)"
        )


class ZstdCodec:
    """zstd, RFC 8878."""

    in_bytes = ZSTD_IN_BYTES
    is_done = has_more = False
    unused = b""

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - most captures are not compressed

        unpacker = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
        self._member = unpacker.decompressobj()
        self._header = b""
        self._header_of = zstandard.get_frame_parameters
        self.error: type[Exception] = zstandard.ZstdError

    def step(self, data: bytes) -> bytes:
        """Decompress a piece (a ``Codec``)."""
        if len(self._header) < ZSTD_HEADER_LEN:
            self._header += data[: ZSTD_HEADER_LEN - len(self._header)]
        out = bytes(self._member.decompress(data))
        self.is_done = self._member.eof
        self.unused = bytes(self._member.unused_data)
        return out

    def over_limit(self, error: Exception) -> str | None:
        """The limit of a window that the frame is over (a ``Codec``)."""
        try:
            window_bytes = self._header_of(self._header).window_size
        except self.error:
            return None
        if window_bytes <= ZSTD_WINDOW_BYTES:
            return None
        return (
            f"over the limit of {ZSTD_WINDOW_BYTES // MIB} MiB: its zstd window of "
            f"{window_bytes // MIB:,} MiB (unpack it with zstd -d --long=31)"
        )


def _xz() -> Codec:
    import lzma  # noqa: PLC0415 - most captures are not compressed

    member = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
    return FrameCodec(member, OUT_BYTES, lzma.LZMAError)


def _lz4() -> Codec:
    import lz4.frame  # noqa: PLC0415 - most captures are not compressed

    return FrameCodec(lz4.frame.LZ4FrameDecompressor(), LZ4_OUT_BYTES, RuntimeError)


MAGIC: dict[bytes, Callable[[], Codec]] = {
    b"\x1f\x8b": GzipCodec,
    b"\xfd7zXZ\x00": _xz,
    b"\x28\xb5\x2f\xfd": ZstdCodec,
    b"\x04\x22\x4d\x18": _lz4,
    # Skippable frames, with which pzstd starts its files; lz4's look the same.
    **{bytes([low]) + b"\x2a\x4d\x18": ZstdCodec for low in range(0x50, 0x60)},
}

MAGIC_LEN = max(map(len, MAGIC))


def find_codec(head: bytes) -> Callable[[], Codec] | None:
    """What unpacks a stream that starts with these bytes, or None if it is not compressed."""
    for magic, codec in MAGIC.items():
        if head.startswith(magic):
            return codec
    return None
