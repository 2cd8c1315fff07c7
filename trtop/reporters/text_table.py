"""The table as a reporter: successive reports with a blank line between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from trtop.table.render import render
from trtop.table.style import TableStyle
from trtop_core.snapshot import Snapshot


class TableReporter:
    """Writes each snapshot as a table.

    Args:
        stream: where to.
        style: says how it is drawn, at each report: a terminal may have another width by then.
    """

    def __init__(self, stream: TextIO, style: Callable[[], TableStyle]) -> None:
        self._stream = stream
        self._style = style
        self._n_reports = 0

    def report(self, snapshot: Snapshot) -> None:
        """Write one table; from the second on, a blank line goes before it."""
        if self._n_reports:
            self._stream.write("\n")
        self._n_reports += 1
        for line in render(snapshot, self._style()):
            self._stream.write(line + "\n")
        self._stream.flush()
