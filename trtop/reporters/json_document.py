"""JSON: one document per report, as ``Snapshot.record`` defines it.

The document is written row by row, one destination per line, so that a report of 100,000
destinations takes no memory of its own. Successive reports are successive documents, which ``jq``
reads as they are. Unknown is ``null``; there is no NaN; everything outside ASCII is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TextIO

import numpy as np

from trtop.reporters.record_columns import Fields, Literal, add_records
from trtop.table.rows import quick_rows, table_blocks
from trtop_core.snapshot import Snapshot

DESTINATIONS = "destinations"

ROW_SEPARATOR = ",\n"

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


def destination_texts(
    snapshot: Snapshot,
    with_bins: bool = False,
    stamp: Mapping[str, Any] | None = None,
    separator: str = ROW_SEPARATOR,
) -> Iterator[str]:
    """The records of all rows as JSON, in pieces.

    Each row is what ``encode({**stamp, **row.record(with_bins)})`` gives. Without bins all records
    have one shape: it is written once, and numbers are put into it.

    Args:
        snapshot: the rows.
        with_bins: whether the sketches' bins are in it.
        stamp: fields that stand first in each record.
        separator: what stands between two rows.
    """
    stamp = stamp or {}
    if with_bins:
        for row in quick_rows(snapshot):
            yield encode({**stamp, **row.record(with_bins)})
        return
    loss = snapshot.window_health.loss
    opening = encode(stamp).removesuffix("}") + ("," if stamp else "")
    for table in table_blocks(snapshot):
        fields = JsonFields(len(table), opening, "null")
        add_records(fields, table, snapshot.span_ns, loss)
        yield fields.text("}", separator)


class JsonFields(Fields):
    """Records as JSON objects."""

    _comma = ""

    def open_group(self, name: str) -> None:
        """A nested object."""
        self._pending += f"{self._comma}{encode(name)}:{{"
        self._comma = ""

    def close_group(self) -> None:
        """The end of that object."""
        self._pending += "}"

    def literal(self, value: Literal) -> str:
        """A value as JSON."""
        return encode(value)

    def before(self, name: str) -> str:
        """A comma and the name."""
        comma, self._comma = self._comma, ","
        return f"{comma}{encode(name)}:"


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
