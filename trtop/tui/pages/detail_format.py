"""How the lines of the drill-down are written: how wide, in which characters. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from trtop.metrics import format as units
from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.frame import TerminalCaps
from trtop_core.snapshot import DETAIL_PERCENTILES

LATENCY_NAME_WIDTH = 9
COUNT_WIDTH = 6
VALUE_WIDTH = 7
"""Columns of a latency and the gap before it; a mark takes one more, where there is room."""

MIN_WIDE = 70
"""Characters from which on connections show how long they have been silent."""


@dataclass(frozen=True, slots=True)
class DetailFormat:
    """How lines are written.

    Attributes:
        width: characters of a line.
        caps: what the terminal can show.
    """

    width: int
    caps: TerminalCaps

    @property
    def micro(self) -> str:
        """The letter of micro units."""
        return "u" if self.caps.ascii_only else "µ"

    @property
    def value_width(self) -> int:
        """Characters of a latency, the gap before it included."""
        wanted = VALUE_WIDTH + (not self.caps.color)
        room = self.width - 1 - LATENCY_NAME_WIDTH - COUNT_WIDTH
        return max(1, min(wanted, room // (len(DETAIL_PERCENTILES) + 1)))

    def duration(self, ns: int) -> str:
        """A duration as text; a dash if it is below 0, which stands for none."""
        return units.NO_SAMPLE if ns < 0 else units.duration(ns, self.micro)


def title_line(text: str, more: str = "") -> Line:
    """The heading of a part of the drill-down."""
    return line_of(" ", Span(text, Role.SORTED), more)
