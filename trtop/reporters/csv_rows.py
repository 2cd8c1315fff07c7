"""CSV: a header line, then one line per destination; totals are not mixed into the rows.

Takes the record of each row and flattens its sketches: ``connect_latency`` becomes
``connect_latency_count``, ``connect_latency_p95_ns`` and so on. ``clock_ns`` comes first, so
successive reports append to one table under one header. Quoting is RFC 4180's, lines end in LF.
Unknown is empty, booleans are ``true`` and ``false``, as in JSON. A name that a spreadsheet would
take for a formula has an apostrophe before it, which says there that it is text: anybody may have
chosen it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, TextIO

from trtop.escape import escape
from trtop.table.rows import quick_rows, quick_totals
from trtop_core.snapshot import Snapshot

CLOCK = "clock_ns"

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What a cell begins with that spreadsheets evaluate, the wide forms included."""


def flatten(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields of a row's record with their names, those of sketches one level up."""
    for name, value in record.items():
        if isinstance(value, dict):
            for inner, number in value.items():
                yield f"{name}_{inner}", number
        elif isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, str):
            yield name, _as_text(escape(value))
        else:
            yield name, value


def _as_text(name: str) -> str:
    return f"'{name}" if name.startswith(FORMULAS) else name


class CsvReporter:
    """Writes snapshots as lines of CSV under one header.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._writer = csv.writer(stream, lineterminator="\n")
        self._has_header = False

    def report(self, snapshot: Snapshot) -> None:
        """Write one line per destination; the first report starts with the header."""
        if not self._has_header:
            names = (name for name, _ in flatten(quick_totals(snapshot).record()))
            self._writer.writerow([CLOCK, *names])
            self._has_header = True
        for row in quick_rows(snapshot):
            values = (value for _, value in flatten(row.record()))
            self._writer.writerow([snapshot.clock_ns, *values])
        self._stream.flush()
