"""Where the length-prefixed units of a byte stream start: TLS records, HTTP/2 frames.

Takes the new bytes of each segment, as far as they were captured; gives the headers found. A
header's place follows from the length before it, across segments; a header cut in two by a segment
boundary is put together. Never buffers more than one header, and never looks behind a header that
was not captured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Header:
    """One header and what was captured behind it in its own segment; positions are unwrapped."""

    start: int
    head: bytes
    body: bytes


class HeaderWalk:
    """Walks one direction. `at` is where the next header starts; None if nobody knows."""

    def __init__(self, size: int, unit_len: Callable[[bytes], int | None]) -> None:
        self._size = size
        # From a header to the length of its unit, header included; None: that is no header.
        self._unit_len = unit_len
        self._partial = b""
        self.at: int | None = None

    @property
    def next_byte(self) -> int | None:
        """The first byte that is not known of the header to come."""
        return None if self.at is None else self.at + len(self._partial)

    def restart(self, at: int | None) -> None:
        """Go on with a header at a place that is known otherwise."""
        self.at = at
        self._partial = b""

    def walk(self, start: int, head: bytes, end: int) -> list[Header]:
        """Return the headers completed in start … end − 1, of which `head` was captured."""
        found: list[Header] = []
        while self.at is not None and self.at < end:
            next_byte = self.at + len(self._partial)
            captured = head[next_byte - start :] if next_byte >= start else b""
            if not captured:
                # In a hole, or beyond the captured bytes.
                self.restart(None)
                break
            header = self._partial + captured[: self._size - len(self._partial)]
            body = captured[self._size - len(self._partial) :]
            if len(header) < self._size:
                if next_byte + len(captured) < end:
                    self.restart(None)
                self._partial = header if self.at is not None else b""
                break
            length = self._unit_len(header)
            if length is None:
                self.restart(None)
                break
            found.append(Header(self.at, header, body))
            self.restart(self.at + length)
        return found
