"""The trends at the right of the rows: a small chart of Rtt and one of errors for each. Pure.

Takes trends, the keys of rows and for how long they wait, gives text of a fixed width. What was not
measured is blank.
"""

from __future__ import annotations

from typing import Any

from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.sparkline import bars, with_waits
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

    def row_line(self, key: Any, wait_ns: int = 0) -> Line:
        """The charts of a row; blanks where nothing is known of it.

        Args:
            key: of the row.
            wait_ns: for how long something that is wrong waits there; 0: nothing does.
        """
        place = self._place_of.get(key.tobytes())
        if place is None:
            return line_of(" " * WIDTH)
        times = self._bars(self._trends.response_time_ns[place].tolist())
        errors = self._bars(self._trends.errors[place].tolist())
        return line_of(f" {times} {with_waits(errors, self._n_waiting(wait_ns), self._ascii_only)}")

    def _bars(self, values: list[int]) -> str:
        """As many bars as there are slots, the latest at the right; each row has its own scale."""
        heights = [max(0.0, float(value)) for value in values[-N_BARS:]]
        return f"{bars(heights, self._ascii_only):>{N_BARS}}"

    def _n_waiting(self, wait_ns: int) -> int:
        """Slots from the one on in which a wait until now began."""
        starts_ns, spans_ns = self._trends.starts_ns, self._trends.spans_ns
        if wait_ns <= 0 or not len(starts_ns):
            return 0
        since_ns = int(starts_ns[-1] + spans_ns[-1]) - wait_ns
        return int((starts_ns + spans_ns > since_ns).sum())
