"""Which columns fit on a terminal, and how wide each becomes.

Takes the cells of the columns, asked for one after the other by importance, and a width; gives the
columns to draw, in the order of the screen. The least important are left out first; what is left
over goes to exact numbers and full names before it goes to more columns. Never draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from trtop.metrics.columns import COLUMNS, CellFormat, Column, Value
from trtop.metrics.format import Forms
from trtop.table.marks import MARKS, marks_of
from trtop.table.rows import Figures, QuickRow
from trtop.table.text import MARKED, Role
from trtop_core.verdicts.causes import WORDS

SHORTEST = 9
"""Beyond the number of forms of any cell."""

N_CORE_COLUMNS = 10
"""Columns that are shown in full before any further column is shown at all."""

MAX_LEFT_OUT = 4
"""A narrow column is no stopgap where more than so many main ones before it have no room."""

MARK_WIDTH = 1
"""Left of the name: room for the mark of suspect rows."""

VERDICT_HEADING = "Verdict"

MIN_NAME_WIDTH = 15
"""An IPv4 address in full."""

NAME_SHARE = 0.25
"""A longer name may take this share of the line before the columns are chosen."""


@dataclass(slots=True)
class Cell:
    """One number on the screen; equal ones of a column are one object.

    Attributes:
        forms: its texts, from the most exact to the shortest.
        role: how it stands out.
    """

    forms: Forms
    role: Role

    def form(self, level: int) -> str:
        """One of its texts; the shortest where there are fewer."""
        return self.forms[min(level, len(self.forms) - 1)]

    @property
    def is_marked(self) -> bool:
        """Whether a mark stands before it where there is no colour."""
        return self.role in MARKED


@dataclass(slots=True)
class Placed:
    """A column that is drawn.

    Attributes:
        column: what it shows.
        cells: one per row, that of the totals first.
        different: each of these once.
        width: characters, without the space before it.
        mark_width: characters that the mark of a high number takes besides its text.
        level: which form all its cells have; one with fewer forms has its shortest.
    """

    column: Column
    cells: Sequence[Cell]
    different: Sequence[Cell]
    width: int
    mark_width: int
    level: int = 0

    @property
    def full_width(self) -> int:
        """Characters that its most exact numbers take, and its longest heading."""
        return max(self.width, self.width_of(0), len(self.column.headings[0]))

    def width_of(self, level: int) -> int:
        """Characters that its numbers take in one form, marks included."""
        return max(
            len(cell.form(level)) + cell.is_marked * self.mark_width for cell in self.different
        )

    def settle(self, left: int) -> int:
        """Take the most exact form that fits into its width and so many more characters.

        Returns:
            How much wider it has become.
        """
        n_levels = max(len(cell.forms) for cell in self.different)
        for self.level in range(n_levels):
            if (grown := self.width_of(self.level) - self.width) <= left:
                self.width += max(0, grown)
                return max(0, grown)
        return 0


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is laid out.

    Attributes:
        name_width: characters of the names, without the mark before them.
        placed: the columns from left to right.
        verdict_width: characters of the verdicts between them; 0: not shown.
        n_left_out: main columns for which there is no room.
    """

    name_width: int
    placed: Sequence[Placed]
    verdict_width: int = 0
    n_left_out: int = 0

    @property
    def width(self) -> int:
        """Characters of a line."""
        verdict = self.verdict_width + 1 if self.verdict_width else 0
        numbers = sum(placed.width + 1 for placed in self.placed)
        return MARK_WIDTH + self.name_width + verdict + numbers


def lay_out(
    rows: Sequence[QuickRow],
    name_width: int,
    width: int | None,
    cell_format: CellFormat,
    columns: Sequence[Column] = COLUMNS,
    first: Sequence[Column] = (),
) -> Layout:
    """Choose columns and widths.

    Args:
        rows: what will be drawn, the totals first.
        name_width: of the longest name.
        width: columns of the terminal; None shows everything in full.
        cell_format: how cells are written.
        columns: what there is to choose from, in the order of the screen.
        first: of these, which stay the longest where there is little room, the first of them the
            very longest; others leave by importance.
    """
    causes = {row.cause for row in rows if not row.is_total}
    verdict_width = max(len(VERDICT_HEADING), *(len(WORDS[cause]) for cause in causes), 0)
    parts = _parts(rows)

    def fill(column: Column) -> Placed:
        return _filled(column, parts, cell_format)

    if width is None:
        everything = [fill(column) for column in columns]
        for placed in everything:
            placed.width = placed.full_width
        return Layout(name_width, everything, verdict_width)
    if width - MARK_WIDTH - min(name_width, MIN_NAME_WIDTH) <= verdict_width:
        verdict_width = 0
    taken = verdict_width + 1 if verdict_width else 0
    places = {column.name: i for i, column in enumerate(first)}
    last = len(places)
    ranked = sorted(columns, key=lambda one: (places.get(one.name, last), one.importance))
    n_core = max(N_CORE_COLUMNS, len(places))
    fitted = _fitted(fill, name_width, width - taken, ranked[:n_core], ranked[n_core:])
    order = {column.name: i for i, column in enumerate(columns)}
    in_order = sorted(fitted.placed, key=lambda one: order[one.column.name])
    return replace(fitted, placed=in_order, verdict_width=verdict_width)


def _fitted(
    fill: Callable[[Column], Placed],
    longest_name: int,
    width: int,
    core: Sequence[Column],
    others: Sequence[Column],
) -> Layout:
    """As many columns as fit, those first that come first in their order."""
    room = max(1, width - MARK_WIDTH)
    name_width = min(longest_name, max(MIN_NAME_WIDTH, int(width * NAME_SHARE)), room)
    left = room - name_width
    chosen = _fitting(fill, core, left, MAX_LEFT_OUT)
    n_left_out = len(core) - len(chosen)
    left -= sum(placed.width + 1 for placed in chosen)
    for placed in chosen:
        left -= placed.settle(left)
    grown = min(longest_name - name_width, left)
    name_width, left = name_width + grown, left - grown
    further = _fitting(fill, others, left)
    left -= sum(placed.width + 1 for placed in further)
    chosen += further
    for placed in chosen:
        left -= placed.settle(left)
    for placed in chosen:
        grown = placed.full_width - placed.width
        if grown <= left:
            placed.width += grown
            left -= grown
    for placed in chosen:
        placed.settle(0)
    return Layout(name_width, chosen, n_left_out=n_left_out)


def _fitting(
    fill: Callable[[Column], Placed],
    columns: Sequence[Column],
    left: int,
    max_left_out: int = sys.maxsize,
) -> list[Placed]:
    """The columns that fit side by side into the characters that are left, the first ones first.

    Args:
        fill: gives a column its cells.
        columns: the most important first.
        left: characters.
        max_left_out: none behind so many that did not fit.
    """
    chosen: list[Placed] = []
    for i, column in enumerate(columns):
        if i - len(chosen) > max_left_out:
            break
        if left <= column.floor:
            continue
        placed = fill(column)
        if placed.width < left:
            chosen.append(placed)
            left -= placed.width + 1
    return chosen


def _parts(rows: Sequence[QuickRow]) -> list[tuple[Figures, list[int]]]:
    """Rows by where their numbers are: neighbours of one table together."""
    parts: list[tuple[Figures, list[int]]] = []
    for row in rows:
        if not parts or parts[-1][0] is not row.figures:
            parts.append((row.figures, []))
        parts[-1][1].append(row.idx)
    return parts


class _Cells(dict[tuple[Value, int], Cell]):
    """The cells of a column by value and mark, each made when it is first asked for."""

    def __init__(self, column: Column, micro: str) -> None:
        super().__init__()
        self._column = column
        self._micro = micro

    def __missing__(self, key: tuple[Value, int]) -> Cell:
        value, mark = key
        cell = self[key] = Cell(self._column.forms(value, self._micro), MARKS[mark])
        return cell


def _filled(
    column: Column, parts: Sequence[tuple[Figures, list[int]]], cell_format: CellFormat
) -> Placed:
    percentile = column.percentile or cell_format.percentile
    limits = cell_format.thresholds.get(column.metric.name)
    known = _Cells(column, cell_format.micro)
    cells: list[Cell] = []
    for figures, idxs in parts:
        values = column.values(figures, percentile)
        marks = marks_of(column.metric, figures, percentile, limits).tolist()
        cells += [known[values[idx], marks[idx]] for idx in idxs]
    placed = Placed(column, cells, list(known.values()), 0, cell_format.mark_width)
    placed.width = max(column.floor, len(column.headings[-1]), placed.width_of(SHORTEST))
    return placed
