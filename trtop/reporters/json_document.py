"""JSON: one document per report, as ``Snapshot.record`` defines it.

The document is written row by row, one destination per line, so that a report of 100,000
destinations takes no memory of its own. Successive reports are successive documents, which ``jq``
reads as they are. Unknown is ``null``; there is no NaN; everything outside ASCII is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from trtop.table.rows import quick_rows, table_blocks
from trtop_core._text import UNKNOWN, format_rows
from trtop_core.metrics import COUNTERS, DERIVED, GAUGES, METRIC_OF, SKETCHES, derived, known
from trtop_core.sketch import SketchColumn
from trtop_core.snapshot import DETAIL_PERCENTILES, Snapshot, percentile_key
from trtop_core.table import RowOrigin, Table
from trtop_core.verdicts.because import judge
from trtop_core.verdicts.rules import Evidence, suspect_rows

DESTINATIONS = "destinations"

ROW_SEPARATOR = ",\n"

_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)

encode_text = json.encoder.encode_basestring_ascii
"""A string as ``encode`` gives it."""


def encode(record: Any) -> str:
    """Compact JSON in ASCII.

    Raises:
        ValueError: a number is not finite.
    """
    return _ENCODER.encode(record)


def head_record(snapshot: Snapshot, with_bins: bool = False) -> dict[str, Any]:
    """Everything of ``Snapshot.record`` but the destinations."""
    empty = replace(snapshot, table=snapshot.table.take(np.zeros(0, np.intp)))
    record = empty.record(with_bins)
    del record[DESTINATIONS]
    return record


def destination_texts(snapshot: Snapshot, with_bins: bool = False) -> Iterator[str]:
    """The records of all rows as JSON, ``ROW_SEPARATOR`` between them, in pieces.

    Each row is what ``encode(row.record(with_bins))`` gives. Without bins all records have one
    shape: it is written once, and numbers are put into it.
    """
    if with_bins:
        for row in quick_rows(snapshot):
            yield encode(row.record(with_bins))
        return
    loss = snapshot.window_health.loss
    for table in table_blocks(snapshot):
        yield _block_text(table, snapshot.span_ns, loss)


def _block_text(table: Table, span_ns: int, loss: float | None) -> str:
    """The records of a table's rows, as ``Row.record`` defines them."""
    fields = _Fields(len(table))
    fields.add_texts("destination", list(map(encode_text, table.row_names())))
    origins = table.row_origins()
    for i, name in enumerate(RowOrigin._fields):
        fields.add_texts(name, _literals([origin[i] for origin in origins]))
    if table.hosts is not None:
        fields.add_texts("host", list(map(encode_text, table.hosts.tolist())))
    for name in COUNTERS + GAUGES:
        fields.add_numbers(name, table.counters[name].astype(np.int64))
    computed = {name: known(derived(name, table.counters, span_ns)) for name in DERIVED}
    for name, values in computed.items():
        fields.add_texts(name, _literals(values))
    evidence = Evidence(table.counters, table.sketches, loss)
    quantiles = {name: evidence.percentiles(name, DETAIL_PERCENTILES) for name in SKETCHES}
    fields.add_texts("suspect", _literals(suspect_rows(evidence).tolist()))
    words, sentences = judge(evidence)
    fields.add_texts("verdict", _literals(words))
    fields.add_texts("because", _literals(sentences))
    for name in SKETCHES:
        fields.open_object(name)
        _add_sketch(fields, name, table.sketches[name], quantiles[name])
        fields.close_object()
    return fields.text()


def _literals(values: Sequence[float | bool | str | None]) -> list[str]:
    """What ``encode`` gives for each; equal neighbours and most of the rest without its help."""
    known: dict[float | bool | str | None, str] = {}
    return [known[v] if v in known else known.setdefault(v, encode(v)) for v in values]


def _add_sketch(
    fields: _Fields, name: str, column: SketchColumn, quantiles: Sequence[npt.NDArray[np.int64]]
) -> None:
    """The fields of ``Row.sketch_record``.

    Args:
        fields: where to.
        name: of the distribution.
        column: its rows.
        quantiles: of these, one array for each of ``DETAIL_PERCENTILES``.
    """
    unit = METRIC_OF[name].unit.suffix
    count = column.stats["count"].astype(np.int64)
    fields.add_numbers("count", count)
    if column.stats["sum_hi"].any() or (column.stats["sum_lo"] >> 63).any():
        fields.add_texts(f"sum{unit}", [encode(total) for total in column.sums()])
    else:
        fields.add_numbers(f"sum{unit}", column.stats["sum_lo"].astype(np.int64))
    for key in ("min", "max"):
        fields.add_numbers(f"{key}{unit}", np.where(count > 0, column.stats[key], UNKNOWN))
    for percentile, values in zip(DETAIL_PERCENTILES, quantiles, strict=True):
        fields.add_numbers(
            f"{percentile_key(percentile)}{unit}", np.where(values < 0, UNKNOWN, values)
        )


class _Fields:
    """JSON objects of one shape: what stands between their values, and the values by column."""

    def __init__(self, n_rows: int) -> None:
        self._no_numbers = np.zeros(n_rows, np.int64)
        self._fragments: list[bytes] = []
        self._pending = "{"
        self._numbers: list[npt.NDArray[np.int64]] = []
        self._texts: list[list[bytes] | None] = []

    def open_object(self, name: str) -> None:
        self._pending += f"{encode(name)}:{{"

    def close_object(self) -> None:
        self._pending = self._pending.removesuffix(",") + "},"

    def add_numbers(self, name: str, numbers: npt.NDArray[np.int64]) -> None:
        self._add(name, numbers, None)

    def add_texts(self, name: str, literals: list[str]) -> None:
        self._add(name, self._no_numbers, [literal.encode("ascii") for literal in literals])

    def text(self) -> str:
        last = (self._pending.removesuffix(",") + "}").encode("ascii")
        numbers = np.stack(self._numbers)
        fragments = [*self._fragments, last]
        text = format_rows(fragments, numbers, self._texts, b"null", ROW_SEPARATOR.encode("ascii"))
        return text.decode("ascii")

    def _add(self, name: str, numbers: npt.NDArray[np.int64], texts: list[bytes] | None) -> None:
        self._fragments.append(f"{self._pending}{encode(name)}:".encode("ascii"))
        self._pending = ","
        self._numbers.append(numbers)
        self._texts.append(texts)


class JsonReporter:
    """Writes each snapshot as one JSON document.

    Args:
        stream: where to.
        with_bins: whether the sketches' bins are in it, for merging elsewhere.
    """

    def __init__(self, stream: TextIO, with_bins: bool = False) -> None:
        self._stream = stream
        self._with_bins = with_bins

    def report(self, snapshot: Snapshot) -> None:
        """Write one document and a line feed."""
        write = self._stream.write
        write("{\n")
        for name, value in head_record(snapshot, self._with_bins).items():
            write(f"{encode(name)}:{encode(value)},\n")
        write(f"{encode(DESTINATIONS)}:[")
        separator = "\n"
        for text in destination_texts(snapshot, self._with_bins):
            write(separator + text)
            separator = ROW_SEPARATOR
        write("]\n}\n")
        self._stream.flush()
