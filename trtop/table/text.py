"""Lines of text whose parts have roles, and their form for a plain terminal.

A role says what a part means, never which colour it has: a printed table turns it into SGR
sequences here, the screen into attributes of its own. Nothing sets a background, so both work on
dark and on light ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

HIGH_MARK = "!"
"""Stands before what is high where there is no colour."""


class Role(Enum):
    """What a part of a line means; the value is its SGR parameters."""

    PLAIN = ""
    BOLD = "1"
    DIM = "2"
    NOTABLE = "33"
    HIGH = "31"
    VERDICT = "1;31"
    WARNING = "1;35"
    SORTED = "1;4"
    SELECTED = "7"
    SELECTED_NOTABLE = "7;33"
    SELECTED_HIGH = "1;7;31"
    KEY = "1;7"


class Theme(Enum):
    """Which colours stand for what; the value is what ``--theme`` takes."""

    DARK = "dark"
    LIGHT = "light"
    MONO = "mono"
    TERMINAL = "terminal"


class Palette(NamedTuple):
    """Colours of 256, by what they stand for; None: those of the terminal's own eight."""

    high: int | None = None
    notable: int | None = None
    warning: int | None = None


PALETTES = {
    Theme.DARK: Palette(high=203, notable=221, warning=213),
    Theme.LIGHT: Palette(high=124, notable=94, warning=90),
    Theme.MONO: Palette(),
    Theme.TERMINAL: Palette(),
}
"""Readable on a black and on a white background; the terminal's own are what its user chose."""

MARKED = (Role.HIGH, Role.VERDICT)
"""What follows a mark where there is no colour."""


class Span(NamedTuple):
    """Some text in one role; printable, without control characters."""

    text: str
    role: Role = Role.PLAIN


Line = tuple[Span, ...]


def line_of(*parts: str | Span) -> Line:
    """A line from text and spans; empty ones are left out."""
    spans: list[Span] = []
    for part in parts:
        if isinstance(part, Span):
            if part.text:
                spans.append(part)
        elif part:
            spans.append(Span(part))
    return tuple(spans)


def plain(line: Iterable[Span]) -> str:
    """The text alone."""
    return "".join([span.text for span in line])


def painted(line: Iterable[Span], color: bool, theme: Theme = Theme.TERMINAL) -> str:
    """The text with SGR sequences, where there is colour."""
    if not color:
        return plain(line)
    return "".join(
        f"\x1b[{_sgr(span.role, theme)}m{span.text}\x1b[0m" if span.role.value else span.text
        for span in line
    )


def _sgr(role: Role, theme: Theme) -> str:
    """The parameters of a role in a theme."""
    palette = PALETTES[theme]
    own = {"31": palette.high, "33": palette.notable, "35": palette.warning}
    found = []
    for parameter in role.value.split(";"):
        color = own.get(parameter)
        found.append(parameter if color is None else f"38;5;{color}")
    return ";".join(found)
