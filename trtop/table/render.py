"""The table: a snapshot as lines of text for a terminal of any width.

Takes a snapshot and a style, gives lines that never exceed the width. What a verdict rests on is
bold and red where there is colour and follows a ``!`` where there is none; rows that the capture
saw only in part follow a ``?``. Never writes anywhere, never asks the terminal anything.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Sequence

from trtop.escape import display_width, distinct, escape, shorten
from trtop.metrics.columns import COLUMNS, CellFormat
from trtop.table.health import health_items, warnings
from trtop.table.layout import Layout, lay_out
from trtop.table.lines import Grid, cell_line, cell_text
from trtop.table.rows import QuickRow, quick_rows, quick_totals
from trtop.table.style import TableStyle
from trtop.table.text import HIGH_MARK, Role
from trtop_core.snapshot import Snapshot

HEADING = "destination"

TOTALS_OF_ALL = "total of all"
"""Heading of the totals where a filter leaves out rows: the totals do not."""

ITEM_GAP = "  "

HIGH_LEGEND = "! what the verdict rests on, or beyond a threshold"
WIDTH_HINT = "every column; --width 80: the most important ones"
SUSPECT_LEGEND = "? the capture missed part of it: counters are lower bounds"


def render(
    snapshot: Snapshot, style: TableStyle, row_names: Sequence[str] | None = None
) -> Iterator[str]:
    """The whole report, line by line, without line ends.

    Args:
        snapshot: what it shows.
        style: how it is drawn.
        row_names: what rows are called, not escaped; None: as their addresses.
    """
    rows = [quick_totals(snapshot), *quick_rows(snapshot)]
    called = [row_label(row) for row in rows] if row_names is None else [rows[0].name, *row_names]
    if is_part(snapshot):
        called[0] = TOTALS_OF_ALL
    names = [escape(name, style.ascii_only) for name in called]
    cell_format = style.cell_format(snapshot.view.percentile)
    longest_name = max(len(HEADING), *(display_width(name) for name in names))
    columns = style.columns or COLUMNS
    layout = lay_out(rows, longest_name, style.width, cell_format, columns, style.columns)
    short_names = distinct(names, layout.name_width, style.ascii_only)
    grid = Grid(layout, HEADING, style.ascii_only, short_names)

    yield from _health_lines(snapshot, rows[0], style, cell_format)
    yield ""
    if layout.placed:
        yield style.painted(grid.group_line())
    yield style.painted(grid.heading_line(snapshot.view.sort))
    numbers = _number_texts(layout, style, len(rows))
    for i, (row, name) in enumerate(zip(rows, names, strict=True)):
        role = Role.BOLD if i == 0 else Role.PLAIN
        yield style.painted(grid.row_head(row, name, role)) + next(numbers)
    yield from _foot_lines(snapshot, rows, layout, style)


def _number_texts(layout: Layout, style: TableStyle, n_rows: int) -> Iterator[str]:
    """The numbers of each row, painted; equal cells are painted once."""
    if not layout.placed:
        return itertools.repeat("", n_rows)
    columns = []
    for placed in layout.placed:
        if style.color:
            texts = {id(cell): style.painted(cell_line(cell, placed)) for cell in placed.different}
        else:
            width = 1 + placed.width
            texts = {id(cell): cell_text(cell, placed).rjust(width) for cell in placed.different}
        columns.append(map(texts.__getitem__, map(id, placed.cells)))
    return map("".join, zip(*columns, strict=True))


def is_part(snapshot: Snapshot) -> bool:
    """Whether a filter leaves out rows that the totals count."""
    left = snapshot.filtered
    return left is not None and snapshot.n_destinations < left.n_before


def row_label(row: QuickRow) -> str:
    """What a row is called; the host comes last, where a narrow column cuts first."""
    return f"{row.name} {row.host}" if row.host else row.name


def _health_lines(
    snapshot: Snapshot, totals: QuickRow, style: TableStyle, cell_format: CellFormat
) -> Iterator[str]:
    items = [
        *health_items(snapshot, totals, cell_format.micro),
        f"latencies, QoS: p{cell_format.percentile:g}",
    ]
    line = ""
    for item in items:
        joined = f"{line}{ITEM_GAP}{item}" if line else item
        if style.width is not None and line and len(joined) > style.width:
            yield _cut(line, style)
            line = item
        else:
            line = joined
    yield _cut(line, style)
    for warning in warnings(snapshot, totals):
        for line in _wrapped(f"{HIGH_MARK} {warning}", style, indent="  "):
            yield style.paint(line, Role.WARNING)


def _foot_lines(
    snapshot: Snapshot, rows: Sequence[QuickRow], layout: Layout, style: TableStyle
) -> Iterator[str]:
    n_hidden = snapshot.n_destinations - len(snapshot.table)
    if n_hidden:
        yield from _wrapped(f" {n_hidden:,} more, counted in the total", style, indent=" ")
    left = snapshot.filtered
    if left is not None and left.n_before:
        text = escape(left.text, style.ascii_only)
        shown = f"{snapshot.n_destinations:,} of {left.n_before:,} rows"
        yield from _wrapped(f" filter {text}: {shown}", style, indent=" ")
        for remark in left.remarks:
            yield from _wrapped(f" {escape(remark, style.ascii_only)}", style, indent=" ")
    elif not snapshot.n_destinations:
        yield from _wrapped(" no connections", style, indent=" ")
    legend = []
    if style.width is None and not style.columns and layout.placed:
        legend.append(WIDTH_HINT)
    if not style.color and any(
        cell.is_marked for placed in layout.placed for cell in placed.different
    ):
        legend.append(HIGH_LEGEND)
    if any(row.suspect for row in rows):
        legend.append(SUSPECT_LEGEND)
    if legend:
        yield ""
    joined = ITEM_GAP.join(legend)
    if style.width is None or len(joined) <= style.width:
        legend = [joined] if legend else []
    for text in legend:
        yield from _wrapped(text, style, indent="  ")


def _wrapped(text: str, style: TableStyle, indent: str) -> list[str]:
    if style.width is None:
        return [text]
    width = max(style.width, len(indent) + 1)
    lines = textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)
    return [_cut(line, style) for line in lines]


def _cut(line: str, style: TableStyle) -> str:
    """A line of words within the width, even on an absurdly narrow terminal."""
    return line if style.width is None else shorten(line, max(1, style.width), style.ascii_only)
