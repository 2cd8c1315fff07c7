"""Records of connections as NDJSON, CSV, Parquet or Arrow, in blocks as they come.

Takes records of the kernel, writes one line or row each. Holds back less than a block, so that a
columnar file has row groups of a useful size and a line costs little; ``flush`` writes what there
is. Never waits, never looks at the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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

MAX_BATCH = 1 << 14
"""Records that become columns at once."""

MAX_ROWS = 1 << 16
"""Records of a row group of a Parquet file."""

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
        self._write: Callable[[Block], None]
        self._end_group: Callable[[], None] = lambda: None
        self._close: Callable[[], None] = stream.flush
        if report_format in COLUMNAR:
            n_rows = MAX_BATCH
            columns = _Columns(stream, report_format, schema)
            self._write, self._end_group = columns.write, columns.end_group
            self._close = columns.close
        else:
            n_rows = MAX_LINES
            lines = _json_lines if report_format is Format.NDJSON else _csv_lines
            self._write = lines(stream, schema)
        # One that is used again and again: memory that is new each time takes as long as the rest.
        self._waiting = np.empty(n_rows, CONNECTION_RECORD)
        self._words = self._waiting.view(np.uint64).reshape(n_rows, -1)
        self._n_waiting = 0
        self._is_empty = True

    def add(self, records: Block) -> None:
        """Take records, shape (n,), dtype ``CONNECTION_RECORD``; write what makes a block."""
        at, n_rows = 0, len(self._waiting)
        while at < len(records):
            taken = records[at : at + n_rows - self._n_waiting]
            at += len(taken)
            if len(taken) == n_rows:
                self._write_block(taken)
                continue
            # As words: numpy copies records field by field.
            end = self._n_waiting + len(taken)
            self._words[self._n_waiting : end] = taken.view(np.uint64).reshape(len(taken), -1)
            self._n_waiting = end
            if self._n_waiting == n_rows:
                self._write_waiting()

    def flush(self) -> None:
        """Write what was held back."""
        if self._n_waiting:
            self._write_waiting()
        self._end_group()

    def close(self) -> None:
        """Write what was held back, and the end of the file."""
        self.flush()
        if self._is_empty:  # the columns are there all the same
            self._write(np.zeros(0, CONNECTION_RECORD))
            self._end_group()
        self._close()

    def _write_waiting(self) -> None:
        n_rows, self._n_waiting = self._n_waiting, 0
        self._write_block(self._waiting[:n_rows])

    def _write_block(self, records: Block) -> None:
        self._is_empty = False
        self._write(records)


def _json_lines(stream: TextIO, schema: Schema) -> Callable[[Block], None]:
    room = bytearray()

    def write(records: Block) -> None:
        if not len(records):
            return
        fields = JsonFields(len(records), "{", "null")
        add_connections(fields, records, schema)
        _put(stream, fields.ascii("}\n", "", room))

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
    room = bytearray()

    def write(records: Block) -> None:
        nonlocal has_header
        fields = _ConnectionCsv(len(records), schema.separator)
        add_connections(fields, records, schema)
        if not has_header:
            has_header = True
            stream.write(",".join(fields.header) + "\n")
        if len(records):
            _put(stream, fields.ascii("\n", "", room))

    return write


def _put(stream: TextIO, lines: memoryview) -> None:
    """Write ASCII, past the encoding of a stream where that can be."""
    stream.flush()
    below = getattr(stream, "buffer", None)
    if below is None:
        stream.write(str(lines, "ascii"))
    else:
        below.write(lines)
        below.flush()


class _Columns:
    """Records as batches; those of a Parquet file become one row group together."""

    def __init__(self, stream: TextIO, report_format: Format, schema: Schema) -> None:
        from trtop.reporters.arrow_batches import (  # noqa: PLC0415 - needs an extra
            ArrowFields,
            BatchWriter,
        )

        self._writer = BatchWriter(bytes_of(stream), report_format is Format.PARQUET)
        separator = None if schema in (Schema.ECS, Schema.OCSF) else schema.separator
        self._new_fields: Callable[[int], ArrowFields] = partial(ArrowFields, separator=separator)
        self._schema = schema
        self._held: list[Any] = []
        self._max_held = MAX_ROWS if report_format is Format.PARQUET else 1

    def write(self, records: Block) -> None:
        """Take records; none make a batch that has columns alone."""
        fields = self._new_fields(len(records))
        add_connections(fields, records, self._schema)
        self._held.append(fields.batch({}))
        if sum(len(batch) for batch in self._held) >= self._max_held:
            self.end_group()

    def end_group(self) -> None:
        """Write what was taken."""
        held, self._held = self._held, []
        if held:
            self._writer.write_all(held)

    def close(self) -> None:
        """Write the end of the file."""
        self._writer.close()
