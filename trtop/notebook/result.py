"""``Result``: the numbers of a capture as arrays, data frames and a few lines of text.

Takes a snapshot, gives numpy arrays, pandas and Arrow tables, and what a notebook shows of it.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trtop.escape import escape
from trtop.filters.filter import parse_filter
from trtop.filters.snapshots import filtered
from trtop.table.render import render
from trtop.table.rows import quick_rows
from trtop.table.style import TableStyle
from trtop_core.errors import TrtopError
from trtop_core.health import Health
from trtop_core.metrics import COUNTERS, DERIVED, GAUGES, METRIC_OF, SKETCHES
from trtop_core.snapshot import DETAIL_PERCENTILES, Row, Snapshot, percentile_key
from trtop_core.table import NOWHERE, RowOrigin, Table
from trtop_core.verdicts.causes import FAULTS, WORDS, Cause

if TYPE_CHECKING:
    import pandas
    import pyarrow

MAX_ADDRESS_CHARS = 45
"""An IPv6 address whose last four bytes are written as an IPv4 one."""

_FINE = tuple(WORDS[cause] for cause in Cause if cause not in FAULTS)

SHOWN_ROWS = 20
"""Rows that a notebook shows of a result."""

SHOWN_WIDTH = 100
"""Characters of the lines that it shows."""


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """The numbers of a capture, as arrays.

    Attributes:
        snapshot: everything, as the engine gave it.
        errors: what could not be read, and what was asked for in vain, one line each.
    """

    snapshot: Snapshot
    errors: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """How much there is, in one line; the numbers are in ``destinations``."""
        words = [row.judged()[0] for row in quick_rows(self.snapshot)]
        n_wrong = sum(word not in _FINE for word in words)
        parts = [
            f"{self.snapshot.health.packets:,} packets",
            f"{self.snapshot.n_destinations:,} destinations",
            f"{n_wrong:,} with something wrong",
        ]
        if self.errors:
            parts.append(f"errors: {escape('; '.join(self.errors))}")
        return f"<trtop.Result: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """The table of the first rows, as notebooks show it."""
        rows = np.arange(min(SHOWN_ROWS, len(self.snapshot.table)))
        shown = replace(self.snapshot, table=self.snapshot.table.take(rows))
        text = "\n".join(render(shown, TableStyle(width=SHOWN_WIDTH)))
        return f"<pre>{html.escape(text)}</pre>"

    def filter(self, text: str) -> Result:
        """The destinations that a filter shows (docs/filter.md); totals stay those of all.

        Words that no destination has are said in ``errors``.

        Raises:
            ValueError: the filter cannot be understood, or asks for ports and rows have none.
        """
        chosen = parse_filter(text)
        if chosen is None:
            return self
        snapshot = filtered(self.snapshot, chosen)
        said = () if snapshot.filtered is None else snapshot.filtered.remarks
        return replace(self, snapshot=snapshot, errors=(*self.errors, *said))

    @property
    def destinations(self) -> npt.NDArray[Any]:
        """One row per destination, shape (n,), a structured array.

        Fields, as in JSON and CSV reports: ``destination`` (str); ``address`` and ``name`` (str;
        empty where there is none, or several), ``port`` (0 where rows are not kept by port); every
        counter and gauge (uint64);
        ``syn_rate`` and ``est_rate`` (per second); ``completeness`` (0 … 1); ``suspect`` (bool);
        ``verdict`` and ``because`` (str; empty where nothing is wrong); and of each latency ``L``
        ``L_count`` (samples), ``L_sum_ns``, ``L_min_ns``, ``L_max_ns``,
        ``L_p50_ns``, ``L_p90_ns``, ``L_p95_ns``, ``L_p99_ns``, ``L_p999_ns`` (float64,
        nanoseconds; NaN without samples; sums beyond 2**53 ns, 104 days, are rounded). ``reuse`` is
        responses per connection, without ``_ns``. Unknown numbers are NaN.
        """
        table = self.snapshot.table
        return _array(table, list(quick_rows(self.snapshot)), table.row_origins())

    @property
    def totals(self) -> np.void:
        """All destinations together, one record with the fields of ``destinations``."""
        record: np.void = _array(self.snapshot.total, [self.snapshot.totals], [NOWHERE])[0]
        return record

    @property
    def health(self) -> Health:
        """May the numbers be trusted? What the capture held, lost and could not read."""
        return self.snapshot.health

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame, one row per destination, which is its index.

        Raises:
            TrtopError: pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - optional
        except ImportError:
            raise TrtopError("to_pandas() needs pandas: pip install pandas") from None
        rows = self.destinations
        columns = {name: rows[name] for name in rows.dtype.names or ()}
        return pd.DataFrame(columns).set_index("destination")

    def to_arrow(self) -> pyarrow.Table:
        """An Arrow table, one row per destination; unknown numbers are null.

        Raises:
            TrtopError: pyarrow is not installed.
        """
        try:
            import pyarrow as pa  # noqa: PLC0415 - optional
        except ImportError:
            raise TrtopError("to_arrow() needs pyarrow: pip install pyarrow") from None
        rows = self.destinations
        columns = {
            name: pa.array(np.ascontiguousarray(rows[name]), from_pandas=True)
            for name in rows.dtype.names or ()
        }
        return pa.table(columns)


def _dtype(n_chars: int, n_reason_chars: int) -> np.dtype[np.void]:
    fields = [("destination", f"U{max(1, n_chars)}"), ("address", f"U{MAX_ADDRESS_CHARS}")]
    fields += [("port", "<u2"), ("name", f"U{max(1, n_chars)}")]
    fields += [(name, "<u8") for name in COUNTERS + GAUGES]
    fields += [*((name, "<f8") for name in DERIVED), ("suspect", "?")]
    fields += [("verdict", f"U{max(map(len, WORDS))}"), ("because", f"U{max(1, n_reason_chars)}")]
    for sketch in SKETCHES:
        unit = METRIC_OF[sketch].unit.suffix
        fields.append((f"{sketch}_count", "<u8"))
        names = ["sum", "min", "max", *map(percentile_key, DETAIL_PERCENTILES)]
        fields += [(f"{sketch}_{name}{unit}", "<f8") for name in names]
    return np.dtype(fields)


def _array(table: Table, rows: Sequence[Row], origins: Sequence[RowOrigin]) -> npt.NDArray[Any]:
    """The rows of a table as a structured array."""
    judged = [row.judged() for row in rows]
    n_chars = max((len(row.name) for row in rows), default=1)
    n_reason_chars = max((len(reason or "") for _, reason in judged), default=1)
    array = np.zeros(len(rows), _dtype(n_chars, n_reason_chars))
    array["destination"] = [row.name for row in rows]
    array["address"] = [origin.address or "" for origin in origins]
    array["port"] = [origin.port or 0 for origin in origins]
    array["name"] = [origin.name or "" for origin in origins]
    for name in COUNTERS + GAUGES:
        array[name] = table.counters[name]
    for name in DERIVED:
        values = (row.derived(name) for row in rows)
        array[name] = [np.nan if value is None else value for value in values]
    array["suspect"] = [row.suspect for row in rows]
    array["verdict"] = [word for word, _ in judged]
    array["because"] = [reason or "" for _, reason in judged]
    for sketch in SKETCHES:
        column, unit = table.sketches[sketch], METRIC_OF[sketch].unit.suffix
        counts = column.stats["count"]
        array[f"{sketch}_count"] = counts
        array[f"{sketch}_sum{unit}"] = column.sums()
        for name in ("min", "max"):
            array[f"{sketch}_{name}{unit}"] = np.where(counts > 0, column.stats[name], np.nan)
        for percentile in DETAIL_PERCENTILES:
            found = column.quantiles(percentile)
            array[f"{sketch}_{percentile_key(percentile)}{unit}"] = np.where(
                found >= 0, found, np.nan
            )
    return array
