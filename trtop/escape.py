"""Text from outside made safe and measurable for a terminal.

Takes names (of destinations, of files) that anyone on the network may have chosen, gives text that
moves no cursor, changes no colour and reverses no reading order. Every name that reaches a
terminal passes through here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_NOT_NARROW = re.compile("[^\x00-\u02ff\u2010-\u2027\u2500-\u259f]")
"""Characters that may take another width than one column: all but Latin letters, dashes, dots and
what frames and bars are drawn of."""

ELLIPSIS = "…"
ELLIPSIS_ASCII = "~"

HEAD = 3
"""Characters that are kept of the beginning of a name of which another part tells it apart."""

CONTEXT = 2
"""Characters that are kept before that part."""


def escape(text: str, ascii_only: bool = False) -> str:
    r"""Control, format, bidi and other unprintable characters as visible escapes.

    Args:
        text: anything; a name that holds a line feed becomes ``a\x0ab``.
        ascii_only: escape all that is not ASCII too.

    Returns:
        Printable text on one line. A backslash is doubled, so that no two names look the same.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(_escaped(char, ascii_only) for char in text)


def display_width(text: str) -> int:
    """Columns that escaped text takes on a terminal: wide characters 2, combining marks 0."""
    if text.isascii() or _NOT_NARROW.search(text) is None:
        return len(text)
    return sum(_char_width(char) for char in text)


def shorten(name: str, width: int, ascii_only: bool = False) -> str:
    """A name within ``width`` columns, keeping the part that tells destinations apart.

    An address loses its middle, a name with a port keeps the port, any other name loses its end.

    Args:
        name: escaped text.
        width: columns, at least 1.
        ascii_only: mark the cut with ``~`` rather than an ellipsis.
    """
    if display_width(name) <= width:
        return name
    mark = ELLIPSIS_ASCII if ascii_only else ELLIPSIS
    if width <= 3:
        return _head(name, width - 1) + mark
    host, colon, port = name.rpartition(":")
    if name.count(":") >= 2 and name.isascii():
        tail_width = (width - 1) // 2
        if host.endswith("]"):
            tail_width = max(tail_width, min(len(port) + 4, width - 4))
        return _head(name, width - 1 - tail_width) + mark + name[-tail_width:]
    if colon and port.isdigit() and width > len(port) + 3:
        if host.replace(".", "").isdigit() and width > len(port) + 3 + HEAD:
            return host[:HEAD] + mark + host[len(port) + 2 + HEAD - width :] + colon + port
        return _head(host, width - len(port) - 2) + mark + colon + port
    return _head(name, width - 1) + mark


def distinct(names: Sequence[str], width: int, ascii_only: bool = False) -> dict[str, str]:
    """Names within ``width`` columns; those that ``shorten`` makes alike keep where they differ.

    Args:
        names: escaped texts.
        width: columns, at least 1.
        ascii_only: mark cuts with ``~`` rather than an ellipsis.

    Returns:
        What is shown of each name that is too wide. Some may still look alike where they differ in
        several places, or where there is no room.
    """
    too_wide = dict.fromkeys(name for name in names if display_width(name) > width)
    shown = {name: shorten(name, width, ascii_only) for name in too_wide}
    alike: dict[str, list[str]] = {}
    for name, text in shown.items():
        alike.setdefault(text, []).append(name)
    mark = ELLIPSIS_ASCII if ascii_only else ELLIPSIS
    for group in alike.values():
        if len(group) > 1:
            place = _n_common(min(group), max(group))
            shown |= {name: _around(name, place, width, mark) for name in group}
    return shown


def _n_common(first: str, last: str) -> int:
    """How many characters two texts have in common at their beginning."""
    pairs = enumerate(zip(first, last, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(last)))


def _around(name: str, place: int, width: int, mark: str) -> str:
    """A name cut so that what stands at a place is kept, and a port at its end."""
    host, colon, port = name.rpartition(":")
    end = f"{colon}{port}" if colon and port.isdigit() and place < len(host) else ""
    host = host if end else name
    room = width - len(end)
    start = min(place - CONTEXT, len(host) - (room - HEAD - len(mark)))
    if start <= HEAD or room <= HEAD + 2 * len(mark):
        return shorten(name, width, mark == ELLIPSIS_ASCII)
    begin = _head(host, HEAD) + mark
    tail = host[start:]
    if display_width(tail) > (left := room - display_width(begin)):
        tail = _head(tail, left - len(mark)) + mark
    return begin + tail + end


def _escaped(char: str, ascii_only: bool) -> str:
    if char == "\\":
        return "\\\\"
    if char.isprintable() and (char.isascii() or not ascii_only):
        return char
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _head(text: str, width: int) -> str:
    """Leading characters of a text, as many as fit."""
    used = 0
    for i, char in enumerate(text):
        used += _char_width(char)
        if used > width:
            return text[:i]
    return text
