"""The table of the screen: some rows and the totals in the columns that there is room for. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trtop.escape import display_width, distinct, escape
from trtop.metrics.columns import CellFormat
from trtop.table.layout import Layout, lay_out
from trtop.table.lines import Grid
from trtop.table.rows import QuickRow, quick_rows
from trtop.table.text import HIGH_MARK, Line, Role
from trtop.tui.frame import TerminalCaps, filled
from trtop.tui.scene import Scene
from trtop.tui.trend_columns import WIDTH, TrendColumns

HEADING = "Host"

TOTALS = "total"
TOTALS_OF_ALL = "total of all"
"""Heading of the totals where a filter leaves out rows: the totals do not."""


MIN_WIDTH_OF_TRENDS = 100
"""Below, trends never leave room for the main columns."""


@dataclass(frozen=True, slots=True)
class TableLines:
    """The table's own lines.

    Attributes:
        layout: its columns.
        group: groups of columns.
        heading: of the columns.
        totals: of all rows.
        rows: those that are shown.
    """

    layout: Layout
    group: Line
    heading: Line
    totals: Line
    rows: list[Line]


def table_of(scene: Scene, shown: range, width: int, caps: TerminalCaps) -> TableLines:
    """Headings, totals and rows, with their trends where those take no room from main columns."""
    state, model = scene.state, scene.model
    assert model is not None
    part = model.snapshot.table.take(np.arange(shown.start, max(shown.start, shown.stop)))
    rows: list[QuickRow] = [
        model.totals,
        *quick_rows(replace(model.snapshot, table=part)),
    ]
    shown_names = model.names[shown.start : max(shown.start, shown.stop)]
    totals = TOTALS if model.n_rows == model.n_destinations else TOTALS_OF_ALL
    names = [totals, *(escape(name, caps.ascii_only) for name in shown_names)]
    cell_format = CellFormat(
        percentile=state.percentile,
        micro="u" if caps.ascii_only else "µ",
        thresholds=scene.thresholds,
        mark_width=0 if caps.color else len(HIGH_MARK),
    )
    longest = max(len(HEADING), *(display_width(name) for name in names))
    chosen = state.shown_columns, state.pinned_columns
    layout, trends = None, None
    if scene.trends is not None and width >= MIN_WIDTH_OF_TRENDS:
        beside = lay_out(rows, longest, width - WIDTH, cell_format, *chosen)
        if not beside.n_left_out:
            layout, trends = beside, TrendColumns(scene.trends, caps.ascii_only)
    layout = layout or lay_out(rows, longest, width, cell_format, *chosen)
    short_names = distinct(names, layout.name_width, caps.ascii_only)
    grid = Grid(layout, HEADING, caps.ascii_only, short_names)
    lines = []
    for i, (row, name) in enumerate(zip(rows, names, strict=True)):
        cells = [placed.cells[i] for placed in layout.placed]
        role = Role.BOLD if i == 0 else Role.PLAIN
        lines.append(grid.row_line(row, name, cells, role))
    group, heading = grid.group_line(), grid.heading_line(state.sort)
    if trends is not None:
        group = (*filled(group, layout.width, caps.ascii_only), *trends.group_line())
        heading = (*heading, *trends.heading_line())
        for i in range(len(part)):
            # Of a row of several destinations nobody knows how it went as a whole.
            if model.members[shown.start + i] == 1:
                lines[1 + i] = (*lines[1 + i], *trends.row_line(part.keys[i], rows[1 + i].wait_ns))
    return TableLines(layout, group, heading, lines[0], lines[1:])
