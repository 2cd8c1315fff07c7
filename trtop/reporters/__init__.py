"""One reporter per format: each writes snapshots to a text stream.

Takes snapshots one after the other, writes each as a report of its own. A reporter never opens or
closes the stream, and never looks at the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol, TextIO

from trtop.reporters.csv_rows import CsvReporter
from trtop.reporters.json_document import JsonReporter
from trtop.reporters.json_lines import JsonLinesReporter
from trtop.reporters.text_table import TableReporter
from trtop.table import TableStyle
from trtop_core.snapshot import Snapshot

__all__ = [
    "CsvReporter",
    "Format",
    "JsonLinesReporter",
    "JsonReporter",
    "Reporter",
    "TableReporter",
    "make_reporter",
]


class Format(Enum):
    """How a report is written; the value is what ``--format`` takes."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


class Reporter(Protocol):
    """What all reporters have in common."""

    def report(self, snapshot: Snapshot) -> None:
        """Write one snapshot."""


_MAKERS: dict[Format, Callable[[TextIO, TableStyle, bool], Reporter]] = {
    Format.TABLE: lambda stream, style, with_bins: TableReporter(stream, style),
    Format.JSON: lambda stream, style, with_bins: JsonReporter(stream, with_bins),
    Format.NDJSON: lambda stream, style, with_bins: JsonLinesReporter(stream, with_bins),
    Format.CSV: lambda stream, style, with_bins: CsvReporter(stream),
}


def make_reporter(
    report_format: Format, stream: TextIO, style: TableStyle, with_bins: bool = False
) -> Reporter:
    """The reporter of a format.

    Args:
        report_format: which one.
        stream: where it writes.
        style: how a table is drawn; other formats have no look.
        with_bins: whether JSON holds the sketches' bins.
    """
    return _MAKERS[report_format](stream, style, with_bins)
