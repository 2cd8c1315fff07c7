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
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from trtop.escape import escape
from trtop.metrics.columns import Column
from trtop.table.rows import QuickRow, quick_rows, quick_totals
from trtop_core.metric_types import Kind
from trtop_core.snapshot import Snapshot, percentile_key

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
        columns: fields behind those that say whose numbers they are; empty: every field.
    """

    def __init__(self, stream: TextIO, columns: Sequence[Column] = ()) -> None:
        self._stream = stream
        self._columns = columns
        self._writer = csv.writer(stream, lineterminator="\n")
        self._has_header = False

    def report(self, snapshot: Snapshot) -> None:
        """Write one line per destination; the first report starts with the header."""
        if not self._has_header:
            names = (name for name, _ in self._fields(quick_totals(snapshot), snapshot))
            self._writer.writerow([CLOCK, *names])
            self._has_header = True
        for row in quick_rows(snapshot):
            values = (value for _, value in self._fields(row, snapshot))
            self._writer.writerow([snapshot.clock_ns, *values])
        self._stream.flush()

    def _fields(self, row: QuickRow, snapshot: Snapshot) -> Iterator[tuple[str, Any]]:
        """The fields of a row with their names."""
        if not self._columns:
            yield from flatten(row.record())
            return
        record: dict[str, Any] = {"destination": row.name, **row.origin._asdict()}
        if row.host is not None:
            record["host"] = row.host
        record["verdict"] = row.judged()[0]
        for column in self._columns:
            name, kind = column.metric.name, column.metric.kind
            if kind is Kind.DISTRIBUTION:
                percentile = column.percentile or snapshot.view.percentile
                unit = column.metric.unit.suffix
                field = f"{name}_{percentile_key(percentile)}{unit}"
                record[field] = row.quantile(name, percentile)
            else:
                record[name] = row.derived(name) if kind is Kind.DERIVED else row.count(name)
        yield from flatten(record)
