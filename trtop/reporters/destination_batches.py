"""Parquet and Arrow: one row per destination and report, for DuckDB, Polars, pandas, ClickHouse.

Columns are the fields of CSV. Each row carries ``clock_ns`` and ``span_ns``, so that successive
reports are one table. With bins, ``response_time_bins`` and so on map bins to samples: summed by
bin over any rows, they are the distribution of all of them.
"""

from __future__ import annotations

from typing import BinaryIO

from trtop.reporters.arrow_batches import ArrowFields, BatchWriter
from trtop.reporters.record_columns import add_records
from trtop.table.rows import table_blocks
from trtop_core.metrics import SKETCHES
from trtop_core.snapshot import Snapshot
from trtop_core.table import Table


class BatchReporter:
    """Writes snapshots as rows of a Parquet file or an Arrow stream.

    Args:
        stream: where to.
        is_parquet: as Parquet; else as Arrow.
        with_bins: whether the sketches' bins are in it.
    """

    def __init__(self, stream: BinaryIO, is_parquet: bool, with_bins: bool = False) -> None:
        self._writer = BatchWriter(stream, is_parquet)
        self._with_bins = with_bins
        self._is_empty = True

    def report(self, snapshot: Snapshot) -> None:
        """Write one row per destination."""
        tables = list(table_blocks(snapshot))
        if self._is_empty and not tables:
            tables = [snapshot.table]  # the columns are there all the same
        for table in tables:
            self._is_empty = False
            self._write(table, snapshot)

    def close(self) -> None:
        """Write the end of the file."""
        self._writer.close()

    def _write(self, table: Table, snapshot: Snapshot) -> None:
        fields = ArrowFields(len(table), "_")
        add_records(fields, table, snapshot.span_ns, snapshot.window_health.loss)
        if self._with_bins:
            for name in SKETCHES:
                fields.add_bins(f"{name}_bins", table.sketches[name])
        stamps = {"clock_ns": snapshot.clock_ns, "span_ns": snapshot.span_ns}
        self._writer.write(fields.batch(stamps))
