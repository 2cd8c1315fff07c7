"""From an engine's arrays to the rows that a view asks for; only those rows are written out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._columns import count_bins, gather_bins
from trtop_core.records import (
    COUNTER_ROW,
    COUNTERS,
    DESTINATION_KEY,
    GAUGES,
    SKETCHES,
    GroupBy,
    Sketch,
)
from trtop_core.sketch import N_BINS, REUSE_SCALE, SketchColumn, merge_stats
from trtop_core.snapshot import Table, arrange, counter_column, order_of
from trtop_core.view import View

N_FIELDS = len(COUNTERS + GAUGES)

TOTALS_ONLY = -1
LEFT_OUT = -2


@dataclass(frozen=True, slots=True)
class SketchState:
    """All sketches of an engine, in the form of its store.

    Attributes:
        stats: shape (n_destinations * n_sketches,), dtype ``records.SKETCH_STATS``.
        page_keys: shape (n_pages,), uint32: which sketch, and which page of it.
        pages: shape (n_pages, bins per page), uint64.
    """

    stats: npt.NDArray[Any]
    page_keys: npt.NDArray[np.uint32]
    pages: npt.NDArray[np.uint64]


def pick_rows(
    keys: npt.NDArray[Any],
    counters: npt.NDArray[Any],
    state: SketchState,
    view: View,
    by_addr_only: bool,
) -> tuple[Table, Table, int]:
    """The rows that a view asks for, in its order; a row of totals; how many rows there are.

    Args:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        counters: shape (n,), dtype ``records.COUNTER_ROW``.
        state: sketches of the same n destinations.
        view: sort and limit.
        by_addr_only: merge the rows of one address, whatever their ports.
    """
    fields = counters.view(np.uint64).reshape(len(counters), N_FIELDS)
    # A window shows only what happened in it. Idling closes with samples and no counter.
    has_samples = (state.stats["count"].reshape(len(counters), len(SKETCHES)) != 0).any(axis=1)
    visible = np.flatnonzero(fields.any(axis=1) | has_samples)
    if by_addr_only:
        table, total = _write_out(keys, counters, state, visible, visible)
        table = table.grouped(GroupBy.ADDR)
        return arrange(table, view), total, len(table)
    if view.sort == "destination":
        column = None
    elif view.sort in SKETCHES:
        everything, _ = _write_out(keys, counters, state, visible, visible)
        column = everything.sketches[view.sort].quantiles(view.percentile).astype(np.float64)
    else:
        column = counter_column(counters[visible], view)
    rows = visible[order_of(keys[visible], column, view)]
    return *_write_out(keys, counters, state, visible, rows), len(visible)


def _write_out(
    keys: npt.NDArray[Any],
    counters: npt.NDArray[Any],
    state: SketchState,
    visible: npt.NDArray[np.intp],
    rows: npt.NDArray[np.intp],
) -> tuple[Table, Table]:
    """Some rows, in the order given, and the totals of all visible ones."""
    ranks = np.full(len(keys), LEFT_OUT, np.int32)
    ranks[visible] = TOTALS_ONLY
    ranks[rows] = np.arange(len(rows), dtype=np.int32)
    n_bins = np.zeros((len(SKETCHES), len(rows)), np.int64)
    totals = np.zeros((len(SKETCHES), N_BINS), np.int64)
    count_bins(state.page_keys, state.pages, ranks, n_bins, totals)

    ends = np.cumsum(n_bins.reshape(-1)).reshape(n_bins.shape)
    at = ends - n_bins
    bounds = np.concatenate([at[:, :1], ends], axis=1) if len(rows) else np.zeros((8, 1), np.int64)
    n_used = int(ends[-1, -1]) if len(rows) else 0
    bins, counts = np.zeros(n_used, np.uint16), np.zeros(n_used, np.int64)
    gather_bins(state.page_keys, state.pages, np.argsort(state.page_keys), ranks, at, bins, counts)

    columns, total_columns = {}, {}
    for sketch, name in zip(Sketch, SKETCHES, strict=True):
        scale = REUSE_SCALE if sketch is Sketch.REUSE else 1
        stats = state.stats[sketch :: len(SKETCHES)]
        start, end = int(bounds[sketch, 0]), int(bounds[sketch, -1])
        columns[name] = SketchColumn(
            stats[rows], bounds[sketch] - start, bins[start:end], counts[start:end], scale
        )
        used = np.flatnonzero(totals[sketch])
        total_columns[name] = SketchColumn(
            merge_stats(stats[visible], np.zeros(len(visible), np.intp), 1),
            np.array([0, len(used)]),
            used.astype(np.uint16),
            totals[sketch][used],
            scale,
        )
    total = np.zeros(1, COUNTER_ROW)
    for name in COUNTER_ROW.names or ():
        total[name] = counters[name][visible].sum()
    return (
        Table(keys[rows], counters[rows], columns),
        Table(np.zeros(1, DESTINATION_KEY), total, total_columns),
    )
