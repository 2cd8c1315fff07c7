"""``TableStyle``: how a table is drawn. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trtop.metrics.columns import CellFormat, Column
from trtop.table.text import HIGH_MARK, Line, Role, Span, Theme, line_of, painted
from trtop_core.metric_types import Thresholds


@dataclass(frozen=True, slots=True)
class TableStyle:
    """How a table is drawn.

    Attributes:
        width: columns of the terminal; None shows every column in full.
        color: use SGR sequences (bold, colours).
        ascii_only: nothing but ASCII.
        thresholds: by column key, instead of the columns' own.
        columns: which ones, in their order; empty: all, as far as there is room.
        theme: which colours stand for what.
    """

    width: int | None = None
    color: bool = False
    ascii_only: bool = False
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    theme: Theme = Theme.TERMINAL

    def paint(self, text: str, role: Role) -> str:
        """The text in its role, where there is colour."""
        return self.painted(line_of(Span(text, role)))

    def painted(self, line: Line) -> str:
        """A line in its roles, where there is colour."""
        return painted(line, self.color, self.theme)

    def cell_format(self, percentile: float) -> CellFormat:
        """The format of cells in this style."""
        return CellFormat(
            percentile=percentile,
            micro="u" if self.ascii_only else "µ",
            thresholds=self.thresholds,
            mark_width=0 if self.color else len(HIGH_MARK),
        )
