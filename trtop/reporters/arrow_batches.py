"""Rows as Arrow record batches, and batches as a Parquet file or an Arrow stream.

Takes the same fields that JSON and CSV are made of, gives typed columns: unknown is null, nested
fields are structs where a schema nests, bins are maps from a bin's number to its samples. Text is
escaped as on a terminal, where it will be printed one day. Batches are written as they come.
``pyarrow`` is an extra: where it is missing, one line says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from trtop.escape import escape
from trtop.reporters.record_columns import Fields, Literal
from trtop_core._text import UNKNOWN
from trtop_core.errors import TrtopError
from trtop_core.metrics import DERIVED
from trtop_core.records import NS_PER_US
from trtop_core.sketch import FIRST_BIN, SketchColumn

MISSING = "Parquet and Arrow need pyarrow: pip install 'trtop[records]'"

US_PER_S = 1_000_000

MAX_INT64 = (1 << 63) - 1


def need_pyarrow() -> Any:
    """The module ``pyarrow``.

    Raises:
        TrtopError: it is not installed.
    """
    try:
        import pyarrow  # noqa: PLC0415 - an extra
    except ImportError:
        raise TrtopError(MISSING) from None
    return pyarrow


class ArrowFields(Fields):
    """Records as columns.

    Args:
        n_rows: how many there are.
        separator: what stands between the names of a group and of its field; None: groups are
            structs.
    """

    def __init__(self, n_rows: int, separator: str | None) -> None:
        super().__init__(n_rows, "", "")
        self._pa = need_pyarrow()
        self._separator = separator
        self._groups: list[tuple[str, dict[str, Any]]] = [("", {})]

    def open_group(self, name: str) -> None:
        """A struct, or the beginning of the names that follow."""
        self._groups.append((name, {}))

    def close_group(self) -> None:
        """Put the group where it belongs."""
        name, columns = self._groups.pop()
        if self._separator is None:
            arrays, names = list(columns.values()), list(columns)
            self._put(name, self._pa.StructArray.from_arrays(arrays, names))
        else:
            for inner, column in columns.items():
                self._put(f"{name}{self._separator}{inner}", column)

    def add_numbers(self, name: str, numbers: npt.NDArray[np.int64]) -> None:
        """A column of whole numbers."""
        self._put(name, self._pa.array(numbers, self._pa.int64(), mask=numbers == UNKNOWN))

    def add_flags(self, name: str, flags: npt.NDArray[np.bool_]) -> None:
        """A column of truth values."""
        self._put(name, self._pa.array(flags, self._pa.bool_()))

    def add_literals(self, name: str, values: Sequence[Literal]) -> None:
        """A column of text, of truth values, or of numbers of any kind."""
        # By what the field is, not by what is in it: a column without values has a type too.
        if name in DERIVED:
            column = self._pa.array(values, self._pa.float64())
        elif any(isinstance(value, bool) for value in values) or name.startswith("is_"):
            column = self._pa.array(values, self._pa.bool_())
        elif name.startswith("sum"):
            fitting = [value if _fits(value) else None for value in values]
            column = self._pa.array(fitting, self._pa.int64())
        elif name == "suspect":
            column = self._pa.array(values, self._pa.bool_())
        else:
            safe = {value: escape(value) for value in set(values) if isinstance(value, str)}
            texts = [safe[value] if isinstance(value, str) else None for value in values]
            column = self._pa.array(texts, self._pa.string())
        self._put(name, column)

    def add_tokens(self, name: str, tokens: list[bytes]) -> None:
        """A column of text."""
        self._put(name, self._pa.array(tokens, self._pa.binary()).cast(self._pa.string()))

    def add_constant(self, name: str, value: Literal) -> None:
        """A column that is the same in every row."""
        kind = self._pa.int64() if isinstance(value, int) else self._pa.string()
        self._put(name, self._pa.repeat(self._pa.scalar(value, kind), len(self._no_numbers)))

    def add_seconds(self, name: str, times_ns: npt.NDArray[np.int64]) -> None:
        """A column of seconds."""
        seconds = times_ns // NS_PER_US / US_PER_S  # as many digits as in text
        self._put(name, self._pa.array(seconds, mask=times_ns == UNKNOWN))

    def add_bins(self, name: str, column: SketchColumn) -> None:
        """A column of maps from the number of a bin to its samples."""
        pa = self._pa
        numbers = column.bins.astype(np.int16) + np.int16(FIRST_BIN)
        offsets = pa.array(column.indptr.astype(np.int32))
        counts = pa.array(np.ascontiguousarray(column.counts, np.int64))
        self._put(name, pa.MapArray.from_arrays(offsets, pa.array(numbers), counts))

    def batch(self, stamps: Mapping[str, int | None]) -> Any:
        """The rows as a record batch.

        Args:
            stamps: columns of one number each, which come first.
        """
        pa = self._pa
        columns = {
            name: pa.array([value] * len(self._no_numbers), pa.int64())
            for name, value in stamps.items()
        }
        columns.update(self._groups[0][1])
        return pa.RecordBatch.from_pydict(columns)

    def _put(self, name: str, column: Any) -> None:
        self._groups[-1][1][name] = column


def _fits(value: Literal) -> bool:
    return value is None or (isinstance(value, (int, float)) and value <= MAX_INT64)


class _Sink(Protocol):
    def write_table(self, table: Any) -> None: ...

    def close(self) -> None: ...


class BatchWriter:
    """Writes record batches of one schema to a stream, each when it comes.

    Args:
        stream: where to; nothing is sought in it.
        is_parquet: as Parquet, a row group per batch; else in Arrow's IPC streaming format.
    """

    def __init__(self, stream: BinaryIO, is_parquet: bool) -> None:
        self._pa = need_pyarrow()
        self._stream = stream
        self._is_parquet = is_parquet
        self._sink: _Sink | None = None

    def write(self, batch: Any) -> None:
        """Write a batch; the first one says what the columns are."""
        self.write_all([batch])

    def write_all(self, batches: Sequence[Any]) -> None:
        """Write batches, as one row group where there are such."""
        if self._sink is None:
            self._sink = self._open(batches[0].schema)
        self._sink.write_table(self._pa.Table.from_batches(batches))
        self._stream.flush()

    def close(self) -> None:
        """Write the end, without which a Parquet file cannot be read."""
        if self._sink is not None:
            self._sink.close()
            self._sink = None
        self._stream.flush()

    def _open(self, schema: Any) -> _Sink:
        if not self._is_parquet:
            sink: _Sink = self._pa.ipc.new_stream(self._stream, schema)
            return sink
        from pyarrow import parquet  # noqa: PLC0415 - an extra

        # A dictionary of numbers is looked up for each of them, and most of them are 0.
        leaves = list(_leaves(self._pa, schema))
        numbers = [path for path, kind in leaves if self._pa.types.is_int64(kind)]
        made: _Sink = parquet.ParquetWriter(
            self._stream,
            schema,
            compression="zstd",
            use_dictionary=[path for path, kind in leaves if self._pa.types.is_string(kind)],
            column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
        )
        return made


def _leaves(pa: Any, fields: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Path and type of each column of a Parquet file; those of maps are left out."""
    for field in fields:
        path = f"{before}{field.name}"
        if pa.types.is_struct(field.type):
            yield from _leaves(pa, list(field.type), f"{path}.")
        elif not pa.types.is_map(field.type):
            yield path, field.type
