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
import io
from collections.abc import Sequence
from typing import TextIO

import numpy as np

from trtop.escape import escape
from trtop.metrics.columns import Column
from trtop.reporters.record_columns import Fields, Literal, add_identity, add_records
from trtop.table.rows import Figures, table_blocks
from trtop_core._text import UNKNOWN
from trtop_core.metric_types import Kind
from trtop_core.snapshot import Snapshot, percentile_key
from trtop_core.table import Table
from trtop_core.verdicts.causes import WORDS

CLOCK = "clock_ns"

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What a cell begins with that spreadsheets evaluate, the wide forms included."""


class CsvFields(Fields):
    """Records as lines of CSV.

    Attributes:
        header: the names of the fields so far.
    """

    def __init__(self, n_rows: int, clock_ns: int | None) -> None:
        super().__init__(n_rows, "" if clock_ns is None else str(clock_ns), "")
        self.header = [CLOCK]
        self._group = ""

    def open_group(self, name: str) -> None:
        """The names of its fields begin with that of the distribution."""
        self._group = f"{name}_"

    def close_group(self) -> None:
        """They no longer do."""
        self._group = ""

    def literal(self, value: Literal) -> str:
        """A value as CSV, text quoted where that is needed."""
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        return quoted(_as_text(escape(value))) if isinstance(value, str) else repr(value)

    def quote(self) -> str:
        """Nothing."""
        return ""

    def before(self, name: str) -> str:
        """A comma; the name stands in the header."""
        self.header.append(self._group + name)
        return ","


def quoted(text: str) -> str:
    """A field of CSV, in quotes where RFC 4180 asks for them."""
    if text.isalnum():
        return text
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(["", text])
    return out.getvalue().removeprefix(",")


def _as_text(name: str) -> str:
    # A hyphen alone is none: it is the verdict where nothing happened.
    return f"'{name}" if name.startswith(FORMULAS) and name != "-" else name


class CsvReporter:
    """Writes snapshots as lines of CSV under one header.

    Args:
        stream: where to.
        columns: fields behind those that say whose numbers they are; empty: every field.
    """

    def __init__(self, stream: TextIO, columns: Sequence[Column] = ()) -> None:
        self._stream = stream
        self._columns = columns
        self._has_header = False

    def report(self, snapshot: Snapshot) -> None:
        """Write one line per destination; the first report starts with the header."""
        if not self._has_header:
            self._stream.write(",".join(self._fields(snapshot.table.cut(0, 0), snapshot).header))
            self._stream.write("\n")
            self._has_header = True
        for table in table_blocks(snapshot):
            self._stream.write(self._fields(table, snapshot).text("", "\n") + "\n")
        self._stream.flush()

    def _fields(self, table: Table, snapshot: Snapshot) -> CsvFields:
        """The fields of some rows."""
        loss = snapshot.window_health.loss
        fields = CsvFields(len(table), snapshot.clock_ns)
        if not self._columns:
            add_records(fields, table, snapshot.span_ns, loss)
            return fields
        figures = Figures(table, snapshot.span_ns, loss)
        add_identity(fields, table)
        fields.add_literals("verdict", [WORDS[cause] for cause in figures.causes()[1]])
        for column in self._columns:
            name, kind = column.metric.name, column.metric.kind
            if kind is Kind.DERIVED:
                fields.add_literals(name, figures.derived(name))
            elif kind is Kind.DISTRIBUTION:
                percentile = column.percentile or snapshot.view.percentile
                unit = column.metric.unit.suffix
                values = np.array(figures.quantiles(name, percentile), np.int64)
                field = f"{name}_{percentile_key(percentile)}{unit}"
                fields.add_numbers(field, np.where(values < 0, UNKNOWN, values))
            else:
                fields.add_numbers(name, table.counters[name].astype(np.int64))
        return fields
