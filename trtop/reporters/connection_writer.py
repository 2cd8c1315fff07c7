"""Records of connections as NDJSON, CSV, Parquet or Arrow, in blocks as they come.

Takes records of the kernel, writes one line or row each. Holds back less than a block, so that a
columnar file has row groups of a useful size and a line costs little; ``flush`` writes what there
is. Never waits, never looks at the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from trtop.reporters.connection_schemas import add_connections
from trtop.reporters.csv_rows import CsvFields
from trtop.reporters.formats import COLUMNAR, Format, Schema, bytes_of
from trtop.reporters.json_document import JsonFields
from trtop_core.connection_records import CONNECTION_RECORD

MAX_LINES = 1 << 11
"""Records that are written at once as lines: what they are made of stays in a cache."""

MAX_ROWS = 1 << 16
"""Records of a row group of a columnar file."""

Block = npt.NDArray[Any]


class ConnectionWriter:
    """Writes records of connections to a stream.

    Args:
        stream: where to; a columnar format goes to the bytes below it.
        report_format: ndjson, csv, parquet or arrow.
        schema: whose names fields have.

    Raises:
        TrtopError: the format needs what is not installed.
    """

    def __init__(self, stream: TextIO, report_format: Format, schema: Schema) -> None:
        self._waiting: list[Block] = []
        self._n_waiting = 0
        self._close: Callable[[], None] = stream.flush
        if report_format in COLUMNAR:
            self._max_rows = MAX_ROWS
            self._write, self._close = _columnar(stream, report_format, schema)
        else:
            self._max_rows = MAX_LINES
            lines = _json_lines if report_format is Format.NDJSON else _csv_lines
            self._write = lines(stream, schema)
        self._is_empty = True

    def add(self, records: Block) -> None:
        """Take records, shape (n,), dtype ``CONNECTION_RECORD``; write what makes a block."""
        if len(records):
            self._waiting.append(records)
            self._n_waiting += len(records)
        if self._n_waiting >= self._max_rows:
            self.flush()

    def flush(self) -> None:
        """Write what was held back."""
        waiting, self._waiting, self._n_waiting = self._waiting, [], 0
        for records in waiting if len(waiting) == 1 else [_joined(waiting)]:
            for at in range(0, len(records), self._max_rows):
                self._is_empty = False
                self._write(records[at : at + self._max_rows])

    def close(self) -> None:
        """Write what was held back, and the end of the file."""
        self.flush()
        if self._is_empty:  # the columns are there all the same
            self._write(np.zeros(0, CONNECTION_RECORD))
        self._close()


def _joined(blocks: list[Block]) -> Block:
    return np.concatenate(blocks) if blocks else np.zeros(0, CONNECTION_RECORD)


def _json_lines(stream: TextIO, schema: Schema) -> Callable[[Block], None]:
    def write(records: Block) -> None:
        if not len(records):
            return
        fields = JsonFields(len(records), "{", "null")
        add_connections(fields, records, schema)
        _put(stream, fields.ascii("}\n", ""))

    return write


class _ConnectionCsv(CsvFields):
    """Records as lines of CSV, without the moment of a report."""

    def __init__(self, n_rows: int, separator: str) -> None:
        super().__init__(n_rows, None)
        self.header = []
        self._separator = separator
        self._names: list[str] = []

    def open_group(self, name: str) -> None:
        self._names.append(name)
        self._group = "".join(f"{outer}{self._separator}" for outer in self._names)

    def close_group(self) -> None:
        self._names.pop()
        self._group = "".join(f"{outer}{self._separator}" for outer in self._names)

    def before(self, name: str) -> str:
        """A comma but before the first; the name stands in the header."""
        comma = super().before(name)
        return comma if len(self.header) > 1 else ""


def _csv_lines(stream: TextIO, schema: Schema) -> Callable[[Block], None]:
    has_header = False

    def write(records: Block) -> None:
        nonlocal has_header
        fields = _ConnectionCsv(len(records), schema.separator)
        add_connections(fields, records, schema)
        if not has_header:
            has_header = True
            stream.write(",".join(fields.header) + "\n")
        if len(records):
            _put(stream, fields.ascii("\n", ""))

    return write


def _put(stream: TextIO, lines: bytes) -> None:
    """Write ASCII, past the encoding of a stream where that can be."""
    stream.flush()
    below = getattr(stream, "buffer", None)
    if below is None:
        stream.write(lines.decode())
    else:
        below.write(lines)
        below.flush()


def _columnar(
    stream: TextIO, report_format: Format, schema: Schema
) -> tuple[Callable[[Block], None], Callable[[], None]]:
    """What writes a block, and what writes the end."""
    from trtop.reporters.arrow_batches import (  # noqa: PLC0415 - needs an extra
        ArrowFields,
        BatchWriter,
    )

    writer = BatchWriter(bytes_of(stream), report_format is Format.PARQUET)
    nests = schema in (Schema.ECS, Schema.OCSF)

    def write(records: Block) -> None:
        fields = ArrowFields(len(records), None if nests else schema.separator)
        add_connections(fields, records, schema)
        writer.write(fields.batch({}))

    return write, writer.close
