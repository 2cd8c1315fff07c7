"""The table as a reporter: successive reports with a blank line between them."""

from __future__ import annotations

from typing import TextIO

from trtop.table import TableStyle, render
from trtop_core.snapshot import Snapshot


class TableReporter:
    """Writes each snapshot as a table.

    Args:
        stream: where to.
        style: how it is drawn; may be set anew, as when the terminal has another width now.
    """

    def __init__(self, stream: TextIO, style: TableStyle) -> None:
        self._stream = stream
        self.style = style
        self._n_reports = 0

    def report(self, snapshot: Snapshot) -> None:
        """Write one table; from the second on, a blank line goes before it."""
        if self._n_reports:
            self._stream.write("\n")
        self._n_reports += 1
        for line in render(snapshot, self.style):
            self._stream.write(line + "\n")
        self._stream.flush()
