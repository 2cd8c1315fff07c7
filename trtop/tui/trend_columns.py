"""The trends at the right of the rows: a small chart of Rtt and one of errors for each. Pure.

Takes trends and the keys of rows, gives text of a fixed width. What was not measured is blank.
"""

from __future__ import annotations

from typing import Any

from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.sparkline import bars
from trtop_core.records import Window
from trtop_core.trends import TREND_PERCENTILE, Trends

N_BARS = 12
"""The most slots that a window has."""

WIDTH = 2 * (1 + N_BARS)
"""Characters of both charts, each behind a space."""

TITLE = "Trend"

SPANS = {Window.LAST_10_S: "10s", Window.LAST_60_S: "60s", Window.LAST_300_S: "5min"}


class TrendColumns:
    """The two charts of each row.

    Args:
        trends: of the rows in sight; rows that are not among them have blanks.
        ascii_only: nothing but ASCII.
    """

    def __init__(self, trends: Trends, ascii_only: bool) -> None:
        self._ascii_only = ascii_only
        self._trends = trends
        self._place_of = {key.tobytes(): i for i, key in enumerate(trends.view.rows)}

    def group_line(self) -> Line:
        """The heading above the headings."""
        rule = "-" if self._ascii_only else "─"
        return line_of(" ", Span(f"{TITLE} ".ljust(WIDTH - 1, rule), Role.DIM))

    def heading_line(self) -> Line:
        """What is drawn, and over which window."""
        span = SPANS[self._trends.view.window]
        rtt = f"Rtt p{TREND_PERCENTILE} {span}"
        errors = f"Errors {span}"
        return line_of(f" {rtt:>{N_BARS}} {errors:>{N_BARS}}")

    def row_line(self, key: Any) -> Line:
        """The charts of a row; blanks where nothing is known of it."""
        place = self._place_of.get(key.tobytes())
        if place is None:
            return line_of(" " * WIDTH)
        times, errors = self._trends.response_time_ns[place], self._trends.errors[place]
        return line_of(f" {self._bars(times.tolist())} {self._bars(errors.tolist())}")

    def _bars(self, values: list[int]) -> str:
        """As many bars as there are slots, the latest at the right; each row has its own scale."""
        heights = [max(0.0, float(value)) for value in values[-N_BARS:]]
        return f"{bars(heights, self._ascii_only):>{N_BARS}}"
