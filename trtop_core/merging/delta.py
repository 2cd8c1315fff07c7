"""``since``: what came after an earlier snapshot, as a snapshot of its own; ``subtract`` its rows.

Takes two snapshots of one engine that left out no rows, gives their difference: counters and bins
subtract exactly. What a difference cannot tell, the least and the greatest sample, is exact where
it is a new record and else the nearest bin's middle, within 0.55 %.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.metrics import COUNTERS, GAUGES
from trtop_core.records import SKETCH_STATS
from trtop_core.sketch import MIDDLE, N_BINS, SketchColumn
from trtop_core.snapshot import Snapshot
from trtop_core.table import Table


def since(now: Snapshot, before: Snapshot) -> Snapshot:
    """What came between two snapshots; gauges are as of now.

    Args:
        now: the later one, of all time and without a limit.
        before: the earlier one, without a limit too.

    Raises:
        ValueError: one of them left out rows.
    """
    if any(len(part.table) != part.n_destinations for part in (now, before)):
        raise ValueError("snapshots that left out rows cannot be subtracted")
    table = subtract(now.table, before.table)
    fields_of_rows = table.counters.view(np.uint64).reshape(len(table), len(COUNTERS + GAUGES))
    table = table.take(np.flatnonzero(fields_of_rows.any(axis=1)))
    health = now.health.since(before.health)
    first_ns = before.clock_ns if before.clock_ns is not None else now.first_ns
    span_ns = 0 if now.clock_ns is None or first_ns is None else now.clock_ns - first_ns
    return replace(
        now,
        first_ns=first_ns,
        span_ns=span_ns,
        table=table,
        total=subtract(now.total, before.total),
        n_destinations=len(table),
        health=health,
        window_health=health,
    )


def subtract(now: Table, before: Table) -> Table:
    """Counters and bins of rows, less what the rows of the same keys had before.

    Args:
        now: the later table; gauges are its own.
        before: the earlier one; its rows may be fewer, and other ones are not looked at.
    """
    size = now.keys.dtype.itemsize
    raw_now, raw_before = now.keys.tobytes(), before.keys.tobytes()
    place = {raw_now[i * size : (i + 1) * size]: i for i in range(len(now))}
    known = [
        (i, place[key])
        for i in range(len(before))
        if (key := raw_before[i * size : (i + 1) * size]) in place
    ]
    old = np.array([i for i, _ in known], np.intp)
    rows = np.array([i for _, i in known], np.intp)
    counters = now.counters.copy()
    for name in COUNTERS:
        counters[name][rows] -= before.counters[name][old]
    columns = {
        name: _subtract_sketch(column, before.sketches[name].take(old), rows)
        for name, column in now.sketches.items()
    }
    return Table(now.keys, counters, columns, waits_ns=now.waits_ns)


def _subtract_sketch(
    now: SketchColumn, before: SketchColumn, rows: npt.NDArray[np.intp]
) -> SketchColumn:
    """One sketch of every row, less what ``rows`` had before."""
    cells = _cells(now, np.arange(len(now)))
    counts = now.counts.copy()
    at = np.searchsorted(cells, _cells(before, rows))
    np.subtract.at(counts, at, before.counts)
    kept = np.flatnonzero(counts > 0)
    bins, counts = now.bins[kept], counts[kept]
    indptr = np.searchsorted(cells[kept], np.arange(len(now) + 1) * N_BINS).astype(np.int64)
    stats = _subtract_stats(now.stats, before.stats, rows)
    _set_extremes(stats, (now, before, rows), (indptr, bins))
    return SketchColumn(stats, indptr, bins, counts)


def _cells(column: SketchColumn, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    return np.repeat(rows, np.diff(column.indptr)) * N_BINS + column.bins


def _subtract_stats(
    now: npt.NDArray[Any], before: npt.NDArray[Any], rows: npt.NDArray[np.intp]
) -> npt.NDArray[Any]:
    stats = now.copy()
    low = now["sum_lo"][rows]
    borrow = low < before["sum_lo"]
    stats["count"][rows] -= before["count"]
    stats["sum_lo"][rows] = low - before["sum_lo"]
    stats["sum_hi"][rows] = now["sum_hi"][rows] - before["sum_hi"] - borrow
    stats[stats["count"] == 0] = np.zeros(1, SKETCH_STATS)[0]
    return stats


def _set_extremes(
    stats: npt.NDArray[Any],
    parts: tuple[SketchColumn, SketchColumn, npt.NDArray[np.intp]],
    cells: tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]],
) -> None:
    """The least and the greatest of rows that had samples before as well."""
    now, before, rows = parts
    indptr, bins = cells
    has_bins = np.diff(indptr)[rows] > 0
    mixed = np.flatnonzero((before.stats["count"] > 0) & has_bins & (stats["count"][rows] > 0))
    if not len(mixed):
        return
    at = rows[mixed]
    least, greatest = now.stats["min"][at], now.stats["max"][at]
    for name, end, is_new in (
        ("min", indptr[at], least < before.stats["min"][mixed]),
        ("max", indptr[at + 1] - 1, greatest > before.stats["max"][mixed]),
    ):
        middle = MIDDLE[bins[end]]
        known = now.stats[name][at]
        stats[name][at] = np.where(is_new, known, np.clip(middle, least, greatest))
