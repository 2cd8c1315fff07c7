"""The table of the screen: some rows and the totals in the columns that there is room for. Pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trtop.escape import display_width, escape
from trtop.metrics.columns import CellFormat
from trtop.table.layout import lay_out
from trtop.table.lines import Grid
from trtop.table.rows import QuickRow, quick_rows
from trtop.table.text import HIGH_MARK, Line, Role
from trtop.tui.frame import TerminalCaps
from trtop.tui.scene import Scene

HEADING = "Host"

TOTALS = "total"
TOTALS_OF_ALL = "total of all"
"""Heading of the totals where a filter leaves out rows: the totals do not."""


def table_of(
    scene: Scene, shown: range, width: int, caps: TerminalCaps
) -> tuple[Grid, Line, list[Line]]:
    """The table's own lines: how it is laid out, the totals, the rows."""
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
    layout = lay_out(rows, longest, width, cell_format, state.shown_columns, state.pinned_columns)
    grid = Grid(layout, HEADING, caps.ascii_only)
    lines = []
    for i, (row, name) in enumerate(zip(rows, names, strict=True)):
        cells = [placed.cells[i] for placed in layout.placed]
        role = Role.BOLD if i == 0 else Role.PLAIN
        lines.append(grid.row_line(row, name, cells, role))
    return grid, lines[0], lines[1:]
