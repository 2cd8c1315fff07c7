"""The table: a snapshot as lines of text for a terminal of any width.

Takes a snapshot and a style, gives lines that never exceed the width. High values are bold and red
where there is colour and follow a ``!`` where there is none; rows that the capture saw only in part
follow a ``?``. Never writes anywhere, never asks the terminal anything.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trtop.columns import Group, Lens, Threshold
from trtop.escape import display_width, escape, shorten
from trtop.health import health_items, warnings
from trtop.layout import MARK_WIDTH, Cell, Layout, Placed, lay_out
from trtop.rows import QuickRow, quick_rows, quick_totals
from trtop.units import fitting
from trtop_core.snapshot import Snapshot

HEADING = "destination"

HIGH_MARK = "!"
SUSPECT_MARK = "?"

ITEM_GAP = "  "

HIGH_LEGEND = "! beyond the column's threshold"
SUSPECT_LEGEND = "? the capture missed part of it: counters are lower bounds"

BOLD = "1"
DIM = "2"
HIGH = "1;31"
WARNING = "1;33"
SORTED = "1;4"


@dataclass(frozen=True, slots=True)
class TableStyle:
    """How a table is drawn.

    Attributes:
        width: columns of the terminal; None shows every column in full.
        color: use SGR sequences (bold, colours).
        ascii_only: nothing but ASCII.
        thresholds: by column key, instead of the columns' own.
    """

    width: int | None = None
    color: bool = False
    ascii_only: bool = False
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)

    def paint(self, text: str, sgr: str) -> str:
        """The text in a colour or weight, where there is colour."""
        return f"\x1b[{sgr}m{text}\x1b[0m" if self.color and text else text


def render(snapshot: Snapshot, style: TableStyle) -> Iterator[str]:
    """The whole report, line by line, without line ends."""
    rows = [quick_totals(snapshot), *quick_rows(snapshot)]
    names = [escape(_label(row), style.ascii_only) for row in rows]
    lens = Lens(
        percentile=snapshot.view.percentile,
        micro="u" if style.ascii_only else "µ",
        thresholds=style.thresholds,
        mark_width=0 if style.color else len(HIGH_MARK),
    )
    longest_name = max(len(HEADING), *(display_width(name) for name in names))
    layout = lay_out(rows, longest_name, style.width, lens)

    yield from _health_lines(snapshot, style, lens)
    yield ""
    yield from _heading_lines(snapshot, layout, style)
    for i, (row, name) in enumerate(zip(rows, names, strict=True)):
        cells = [placed.cells[i] for placed in layout.placed]
        yield _row_line(row, _name_cell(name, layout, style, is_bold=i == 0), cells, layout, style)
    yield from _foot_lines(snapshot, rows, layout, style)


def _label(row: QuickRow) -> str:
    """What a row is called; the host comes last, where a narrow column cuts first."""
    return f"{row.name} {row.host}" if row.host else row.name


def _health_lines(snapshot: Snapshot, style: TableStyle, lens: Lens) -> Iterator[str]:
    items = [*health_items(snapshot, lens.micro), f"latencies, QoS: p{lens.percentile:g}"]
    line = ""
    for item in items:
        joined = f"{line}{ITEM_GAP}{item}" if line else item
        if style.width is not None and line and len(joined) > style.width:
            yield _cut(line, style)
            line = item
        else:
            line = joined
    yield _cut(line, style)
    for warning in warnings(snapshot):
        for line in _wrapped(f"{HIGH_MARK} {warning}", style, indent="  "):
            yield style.paint(line, WARNING)


def _heading_lines(snapshot: Snapshot, layout: Layout, style: TableStyle) -> Iterator[str]:
    margin = " " * (MARK_WIDTH + layout.name_width)
    rule = "-" if style.ascii_only else "─"
    groups: dict[Group, int] = {}
    for placed in layout.placed:
        group = placed.column.group
        groups[group] = groups.get(group, -1) + placed.width + 1
    spans = []
    for group, width in groups.items():
        title = fitting(group.value, width)[:width]
        spans.append(title if len(title) >= width - 1 else f"{title} ".ljust(width, rule))
        spans[-1] = spans[-1].ljust(width)
    if spans:
        yield margin + " " + style.paint(" ".join(spans).rstrip(), DIM)

    line = " " * MARK_WIDTH + _name_cell(HEADING, layout, style)
    for placed in layout.placed:
        text = fitting(placed.column.headings, placed.width)
        is_sorted = placed.column.key == snapshot.view.sort
        painted = style.paint(text, SORTED if is_sorted else BOLD)
        line += " " * (1 + placed.width - len(text)) + painted
    yield line


def _row_line(
    row: QuickRow, name_cell: str, cells: Sequence[Cell], layout: Layout, style: TableStyle
) -> str:
    mark = style.paint(SUSPECT_MARK, WARNING) if row.suspect else " " * MARK_WIDTH
    line = mark + name_cell
    for placed, cell in zip(layout.placed, cells, strict=True):
        line += _number_cell(cell, placed, style)
    return line


def _name_cell(name: str, layout: Layout, style: TableStyle, is_bold: bool = False) -> str:
    shown = shorten(name, layout.name_width, style.ascii_only)
    padding = " " * (layout.name_width - display_width(shown))
    return (style.paint(shown, BOLD) if is_bold else shown) + padding


def _number_cell(cell: Cell, placed: Placed, style: TableStyle) -> str:
    """The space before a column, and its number; the space has room for a mark."""
    text = fitting(cell.forms, placed.width - cell.is_high * placed.mark_width)
    gap = " " * (1 + placed.width - len(text))
    if not cell.is_high:
        return gap + text
    if style.color:
        return gap + style.paint(text, HIGH)
    return gap[:-1] + HIGH_MARK + text


def _foot_lines(
    snapshot: Snapshot, rows: Sequence[QuickRow], layout: Layout, style: TableStyle
) -> Iterator[str]:
    n_hidden = snapshot.n_destinations - len(snapshot.table)
    if n_hidden:
        yield from _wrapped(f" {n_hidden:,} more, counted in the total", style, indent=" ")
    if not snapshot.n_destinations:
        yield from _wrapped(" no connections", style, indent=" ")
    legend = []
    if not style.color and any(cell.is_high for placed in layout.placed for cell in placed.cells):
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
