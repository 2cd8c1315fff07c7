"""JSON: one document per report, as ``Snapshot.record`` defines it.

The document is written row by row, one destination per line, so that a report of 100,000
destinations takes no memory of its own. Successive reports are successive documents, which ``jq``
reads as they are. Unknown is ``null``; there is no NaN; everything outside ASCII is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TextIO

import numpy as np

from trtop.rows import quick_rows, record_columns
from trtop_core.snapshot import Snapshot

DESTINATIONS = "destinations"

_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


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


def destination_lines(snapshot: Snapshot, with_bins: bool = False) -> Iterator[str]:
    """The record of each row as JSON, what ``encode(row.record(with_bins))`` gives.

    Without bins all records have one shape: it is written once, and numbers are put into it.
    """
    if with_bins:
        for row in quick_rows(snapshot):
            yield encode(row.record(with_bins))
        return
    for columns in record_columns(snapshot):
        fields, values = [], []
        for name, column in columns.items():
            if isinstance(column, dict):
                inner = ",".join(f"{encode(key)}:%s" for key in column)
                fields.append(f"{encode(name)}:{{{inner}}}")
                values += [_literals(inner) for inner in column.values()]
            else:
                fields.append(f"{encode(name)}:%s")
                values.append(_literals(column))
        shape = "{" + ",".join(fields) + "}"
        for row_values in zip(*values, strict=True):
            yield shape % row_values


def _literals(column: list[Any]) -> list[Any]:
    """Values whose ``str()`` is their JSON; integers are that already."""
    kinds = set(map(type, column))
    if kinds == {int}:
        return column
    if kinds <= {int, type(None)}:
        return ["null" if value is None else value for value in column]
    return [encode(value) for value in column]


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
        for line in destination_lines(snapshot, self._with_bins):
            write(separator + line)
            separator = ",\n"
        write("]\n}\n")
        self._stream.flush()
