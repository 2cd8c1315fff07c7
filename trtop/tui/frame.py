"""A screen full of lines: a frame with a title around them, cut to a size. Pure.

Takes blocks of lines by importance and a size, gives exactly as many lines as the terminal has,
none wider than it. Never raises, however small the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from trtop.escape import display_width
from trtop.table.text import Line, Role, Span, line_of, plain


@dataclass(frozen=True, slots=True)
class TerminalCaps:
    """What the terminal can show.

    Attributes:
        color: it has colours, and the user wants them; else high values get a mark.
        ascii_only: nothing but ASCII.
    """

    color: bool = True
    ascii_only: bool = False


@dataclass(frozen=True, slots=True)
class Size:
    """The terminal's size, in characters."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A screen to show.

    Attributes:
        lines: exactly as many as the terminal has.
        cursor: column and line of the visible cursor, None for none.
        rows: of lines that stand for a row, which one.
        headings: of the line with headings (its number), from and up to which column is which key.
        page: rows or lines on one screen.
        first: the first row or line shown.
        keys: of the bottom line, from and up to which column stands which key.
    """

    lines: tuple[Line, ...]
    cursor: tuple[int, int] | None = None
    rows: dict[int, int] = field(default_factory=dict)
    headings: dict[int, tuple[tuple[int, int, str], ...]] = field(default_factory=dict)
    page: int = 1
    first: int = 0
    keys: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Borders:
    """The characters of a frame."""

    top: str
    side: str
    bottom: str
    rule: str

    @staticmethod
    def of(caps: TerminalCaps) -> Borders:
        """Drawn lines, or ASCII."""
        return Borders("++", "|", "++", "-") if caps.ascii_only else Borders("┌┐", "│", "└┘", "─")


def cut(line: Line, width: int, ascii_only: bool = False) -> Line:
    """A line within a width; where it is cut, a mark says so."""
    if display_width(plain(line)) <= width:
        return line
    parts: list[Span] = []
    left = width
    for i, span in enumerate(line):
        taken = display_width(span.text)
        is_last = display_width(plain(line[i + 1 :])) == 0
        if taken < left or (taken == left and is_last):
            parts.append(span)
            left -= taken
            continue
        if left > 0:
            parts.append(Span(_head(span.text, left, ascii_only), span.role))
        break
    return tuple(parts)


def filled(line: Line, width: int, ascii_only: bool = False) -> Line:
    """A line of exactly a width."""
    used = display_width(plain(line))
    if used > width:
        line = cut(line, width, ascii_only)
        used = display_width(plain(line))
    return (*line, Span(" " * (width - used))) if used < width else line


def bordered(line: Line, width: int, caps: TerminalCaps) -> Line:
    """A line between the frame's sides."""
    if width < 4:
        return cut(line, width, caps.ascii_only)
    side = Span(Borders.of(caps).side, Role.DIM)
    return (side, *filled(line, width - 2, caps.ascii_only), side)


def edge(width: int, caps: TerminalCaps, left: Line, right: Line, is_top: bool) -> Line:
    """The top or the bottom of a frame, with text in it.

    Args:
        width: of the terminal.
        caps: what it can show.
        left: text at the left; cut where there is no room.
        right: text at the right; left out where there is no room.
        is_top: which edge.
    """
    borders = Borders.of(caps)
    corners = borders.top if is_top else borders.bottom
    if width < 8:
        return cut(left, width, caps.ascii_only)
    room = width - 6
    left_width, right_width = (display_width(plain(part)) for part in (left, right))
    if right_width and left_width + right_width + 4 > room:
        right, right_width = (), 0
    left = cut(left, room, caps.ascii_only)
    left_width = display_width(plain(left))
    parts: list[str | Span] = [Span(corners[0] + borders.rule, Role.DIM)]
    used = 2
    if left:
        parts += [" ", *left, " "]
        used += left_width + 2
    ending: list[str | Span] = [" ", *right, " "] if right else []
    used += right_width + 2 if right else 0
    parts.append(Span(borders.rule * (width - used - 2), Role.DIM))
    parts += [*ending, Span(borders.rule + corners[1], Role.DIM)]
    return line_of(*parts)


_SELECTED = {
    Role.NOTABLE: Role.SELECTED_NOTABLE,
    Role.SELECTED_NOTABLE: Role.SELECTED_NOTABLE,
    Role.HIGH: Role.SELECTED_HIGH,
    Role.VERDICT: Role.SELECTED_HIGH,
    Role.SELECTED_HIGH: Role.SELECTED_HIGH,
}
"""Roles under a bar that differ from ``Role.SELECTED``."""


def highlighted(line: Line) -> Line:
    """A line with a bar on it; what is high stays so."""
    return tuple(
        Span(
            span.text,
            _SELECTED.get(span.role, Role.SELECTED),
        )
        for span in line
    )


def to_height(lines: Sequence[Line], height: int) -> tuple[Line, ...]:
    """Exactly so many lines."""
    kept = list(lines[:height])
    return tuple(kept + [()] * (height - len(kept)))


def wrapped(items: Sequence[Line], width: int, gap: str = "  ") -> list[Line]:
    """Items side by side, in as many lines as it takes; none is broken."""
    lines: list[Line] = []
    current: Line = ()
    for item in items:
        joined = line_of(*current, gap, *item) if current else item
        if current and display_width(plain(joined)) > width:
            lines.append(current)
            current = item
        else:
            current = joined
    return [*lines, current] if current else lines


def _head(text: str, width: int, ascii_only: bool) -> str:
    """The start of a text, with a mark where it was cut."""
    mark = "~" if ascii_only else "…"
    kept = text
    while kept and display_width(kept) + 1 > width:
        kept = kept[:-1]
    return kept + mark
