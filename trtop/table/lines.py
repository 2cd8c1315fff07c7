"""The lines of the table itself: headings and rows, in the columns of a layout.

Takes a layout and its cells, gives lines with roles, all of the layout's width. High values have a
role, and follow a ``!`` where the layout has room for marks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trtop.escape import display_width, shorten
from trtop.metrics.format import fitting
from trtop.table.layout import MARK_WIDTH, VERDICT_HEADING, Cell, Layout, Placed
from trtop.table.marks import verdict_role
from trtop.table.rows import QuickRow
from trtop.table.text import HIGH_MARK, Line, Role, Span, line_of
from trtop_core.metric_types import Group
from trtop_core.verdicts.causes import WORDS

SUSPECT_MARK = "?"


@dataclass(frozen=True, slots=True)
class Grid:
    """A layout, and how its lines look.

    Attributes:
        layout: columns and widths.
        heading: of the names.
        ascii_only: nothing but ASCII.
        short_names: what is shown of names that are too wide.
    """

    layout: Layout
    heading: str
    ascii_only: bool = False
    short_names: Mapping[str, str] = field(default_factory=dict)

    def group_line(self) -> Line:
        """The classic groups over their columns; empty where there is no column."""
        rule = "-" if self.ascii_only else "─"
        groups: list[tuple[Group, int]] = []
        for placed in self.layout.placed:
            group = placed.column.group
            if groups and groups[-1][0] is group:
                groups[-1] = group, groups[-1][1] + placed.width + 1
            else:
                groups.append((group, placed.width))
        spans = []
        for group, width in groups:
            title = fitting(group.value, width)[:width]
            spans.append(title if len(title) >= width - 1 else f"{title} ".ljust(width, rule))
            spans[-1] = spans[-1].ljust(width)
        if not spans:
            return ()
        margin = " " * (MARK_WIDTH + self.layout.name_width + 1)
        if self.layout.verdict_width:
            margin += " " * (self.layout.verdict_width + 1)
        return line_of(margin, Span(" ".join(spans).rstrip(), Role.DIM))

    def heading_line(self, sort_key: str) -> Line:
        """The columns' headings; the one that rows are sorted by stands out."""
        role = Role.SORTED if sort_key == "destination" else Role.PLAIN
        parts: list[str | Span] = [" " * MARK_WIDTH, *self._name(self.heading, role)]
        role = Role.SORTED if sort_key == "verdict" else Role.BOLD
        parts += self._verdict(VERDICT_HEADING, role)
        for placed in self.layout.placed:
            text = fitting(placed.column.headings, placed.width)
            role = Role.SORTED if placed.column.key == sort_key else Role.BOLD
            parts += [" " * (1 + placed.width - len(text)), Span(text, role)]
        return line_of(*parts)

    def row_line(
        self, row: QuickRow, name: str, cells: Sequence[Cell], role: Role = Role.PLAIN
    ) -> Line:
        """One row.

        Args:
            row: whose verdict it is, and whether the capture missed a part of it.
            name: what it is called, escaped.
            cells: one for each column of the layout.
            role: of the name.
        """
        parts = list(self.row_head(row, name, role))
        for placed, cell in zip(self.layout.placed, cells, strict=True):
            parts += cell_line(cell, placed)
        return tuple(parts)

    def row_head(self, row: QuickRow, name: str, role: Role = Role.PLAIN) -> Line:
        """What stands before the numbers of a row, as ``row_line`` has it."""
        mark = Span(SUSPECT_MARK, Role.WARNING) if row.suspect else " " * MARK_WIDTH
        parts: list[str | Span] = [mark, *self._name(name, role)]
        if row.is_total:
            parts += self._verdict("", Role.PLAIN)
        elif self.layout.verdict_width:
            parts += self._verdict(WORDS[row.cause], verdict_role(row))
        return line_of(*parts)

    def _verdict(self, word: str, role: Role) -> tuple[str | Span, ...]:
        """A verdict behind a name; nothing where none are shown."""
        width = self.layout.verdict_width
        return (" ", Span(word, role), " " * (width - len(word))) if width else ()

    def _name(self, name: str, role: Role) -> tuple[Span, str]:
        shown = self.short_names.get(name)
        if shown is None:
            shown = shorten(name, self.layout.name_width, self.ascii_only)
        return Span(shown, role), " " * (self.layout.name_width - display_width(shown))


def cell_line(cell: Cell, placed: Placed) -> Line:
    """The space before a column, and its number with its mark."""
    text = cell_text(cell, placed)
    return line_of(" " * (1 + placed.width - len(text)), Span(text, cell.role))


def cell_text(cell: Cell, placed: Placed) -> str:
    """A number as its column shows it, with its mark."""
    text = cell.form(placed.level)
    return HIGH_MARK + text if cell.is_marked and placed.mark_width else text
