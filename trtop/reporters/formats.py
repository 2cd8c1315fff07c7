"""The formats of reports, and one reporter per format: each writes snapshots to a text stream.

Takes snapshots one after the other, writes each as a report of its own. A reporter never opens or
closes the stream, and never looks at the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, BinaryIO, Protocol, TextIO

from trtop_core.errors import TrtopError

if TYPE_CHECKING:
    from trtop.reporters.html_page.recorded import Recording
    from trtop.table.style import TableStyle
    from trtop_core.snapshot import Snapshot


class Format(Enum):
    """How a report is written; the value is what ``--format`` takes."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    HTML = "html"
    PARQUET = "parquet"
    ARROW = "arrow"


COLUMNAR = (Format.PARQUET, Format.ARROW)
"""Formats of bytes, for programs alone; they need the extra ``records``."""

TEXTS = tuple(item for item in Format if item not in COLUMNAR)


class Per(Enum):
    """What a row stands for; the value is what ``--per`` takes."""

    DESTINATION = "destination"
    CONNECTION = "connection"


class Schema(Enum):
    """Whose names a connection's fields have; the value is what ``--schema`` takes."""

    TRTOP = "trtop"
    ZEEK = "zeek"
    ECS = "ecs"
    OCSF = "ocsf"

    @property
    def separator(self) -> str:
        """What stands between the names of a group and of its field where there are no groups."""
        return "_" if self is Schema.TRTOP else "."


class Reporter(Protocol):
    """What all reporters have in common."""

    def report(self, snapshot: Snapshot) -> None:
        """Write one snapshot."""


def make_reporter(
    report_format: Format,
    stream: TextIO,
    style: Callable[[], TableStyle],
    with_bins: bool = False,
    recording: Recording | None = None,
) -> Reporter:
    """The reporter of a format.

    Args:
        report_format: which one.
        stream: where it writes.
        style: says how a table is drawn, at each report; other formats have no look.
        with_bins: whether JSON holds the sketches' bins.
        recording: what a page shows of what came when; None where nobody kept it.
    """
    # Only the one that is asked for: together they take a while to import.
    match report_format:
        case Format.TABLE:
            from trtop.reporters.text_table import TableReporter  # noqa: PLC0415

            return TableReporter(stream, style)
        case Format.JSON:
            from trtop.reporters.json_document import JsonReporter  # noqa: PLC0415

            return JsonReporter(stream, with_bins)
        case Format.NDJSON:
            from trtop.reporters.json_lines import JsonLinesReporter  # noqa: PLC0415

            return JsonLinesReporter(stream, with_bins)
        case Format.CSV:
            from trtop.reporters.csv_rows import CsvReporter  # noqa: PLC0415

            return CsvReporter(stream, style().columns)
        case Format.HTML:
            from trtop.reporters.html_page.reporter import HtmlReporter  # noqa: PLC0415

            return HtmlReporter(stream, style, recording)
        case Format.PARQUET | Format.ARROW:
            from trtop.reporters.destination_batches import BatchReporter  # noqa: PLC0415

            is_parquet = report_format is Format.PARQUET
            return BatchReporter(bytes_of(stream), is_parquet, with_bins)


def bytes_of(stream: TextIO) -> BinaryIO:
    """What a stream of text writes its bytes to.

    Raises:
        TrtopError: it is a terminal, or keeps text.
    """
    below = getattr(stream, "buffer", None)
    if below is None or stream.isatty():
        raise TrtopError("parquet and arrow are bytes for programs: redirect them (… > FILE)")
    found: BinaryIO = below
    return found


def end_report(reporter: Reporter) -> None:
    """Write what a file of some formats ends with, behind the last report."""
    close = getattr(reporter, "close", None)
    if close is not None:
        close()
