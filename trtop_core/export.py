"""From an engine's arrays to the rows that a view asks for; only those rows are written out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._columns import count_bins, gather_bins
from trtop_core._sketch import BINS_IN_PAGE, PAGES_PER_SKETCH
from trtop_core.records import (
    COUNTER_ROW,
    COUNTERS,
    DESTINATION_KEY,
    GAUGES,
    SKETCHES,
    DestinationKind,
    Sketch,
)
from trtop_core.sketch import REUSE_SCALE, SketchColumn, merge_stats
from trtop_core.snapshot import Table, counter_column, order_of
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

    def only(self, sketch: Sketch) -> SketchState:
        """The same with the bins of one sketch alone."""
        of_pages = self.page_keys // PAGES_PER_SKETCH % len(SKETCHES)
        kept = np.flatnonzero(of_pages == sketch)
        return SketchState(self.stats, self.page_keys[kept], self.pages[kept])


@dataclass(frozen=True, slots=True)
class Exported:
    """Every row of an engine, of a window or of all time.

    Attributes:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        counters: shape (n,), dtype ``records.COUNTER_ROW``.
        state: sketches of the same n destinations.
        span_ns: capture time that they cover.
        level: which window; None for all time.
    """

    keys: npt.NDArray[Any]
    counters: npt.NDArray[Any]
    state: SketchState
    span_ns: int
    level: int | None


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
    groups = _Groups(keys[visible], by_addr_only)
    if view.sort == "destination":
        column = None
    elif view.sort in SKETCHES:
        sketch = Sketch[view.sort.upper()]
        table, _ = write_out(keys, counters, state.only(sketch), visible, visible)
        merged = groups.merge_sketch(table.sketches[view.sort])
        column = merged.quantiles(view.percentile).astype(np.float64)
    else:
        column = counter_column(groups.merge_counters(counters[visible]), view)
    order = order_of(groups.keys, column, view)
    rows, ranks = groups.members_of(order)
    table, total = write_out(keys, counters, state, visible, visible[rows])
    if len(rows) == len(order):
        table = Table(groups.keys[order], table.counters, table.sketches)
    else:
        table = table.merged(groups.keys[order], ranks)
    return table, total, len(groups.keys)


class _Groups:
    """Which rows of an engine make one row of a snapshot.

    Args:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        by_addr_only: the rows of one address are one; else each stands for itself.

    Attributes:
        keys: shape (n_groups,), of the groups.
    """

    def __init__(self, keys: npt.NDArray[Any], by_addr_only: bool) -> None:
        self.keys = keys
        self._starts: npt.NDArray[np.intp] | None = None
        if not by_addr_only or not len(keys):
            return
        plain = keys.copy()
        plain["port"] = 0
        plain["kind"][plain["kind"] == DestinationKind.ADDR_PORT] = DestinationKind.ADDR
        words = plain.view(np.uint64).reshape(len(plain), -1)
        self._order = np.lexsort(words.T)
        ordered = words[self._order]
        is_first = np.ones(len(ordered), bool)
        is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        self._starts = np.flatnonzero(is_first)
        self._ends = np.append(self._starts[1:], len(ordered))
        self.keys = plain[self._order[self._starts]]

    def merge_counters(self, counters: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Counters of the rows -> those of the groups."""
        if self._starts is None:
            return counters
        if len(self._starts) == len(counters):
            return counters[self._order]
        fields = counters.view(np.uint64).reshape(len(counters), N_FIELDS)[self._order]
        merged: npt.NDArray[Any] = np.add.reduceat(fields, self._starts).view(COUNTER_ROW)
        return merged.reshape(-1)

    def merge_sketch(self, column: SketchColumn) -> SketchColumn:
        """One sketch of the rows -> that of the groups."""
        if self._starts is None:
            return column
        labels = np.empty(len(column), np.intp)
        sizes = self._ends - self._starts
        labels[self._order] = np.repeat(np.arange(len(self._starts)), sizes)
        return column.group(labels, len(self._starts))

    def members_of(
        self, groups: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """The rows of some groups, and the place of each one's group among them."""
        if self._starts is None:
            return groups, np.arange(len(groups))
        starts, sizes = self._starts[groups], (self._ends - self._starts)[groups]
        ranks = np.repeat(np.arange(len(groups)), sizes)
        within = np.arange(len(ranks)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self._order[starts[ranks] + within], ranks


def write_out(
    keys: npt.NDArray[Any],
    counters: npt.NDArray[Any],
    state: SketchState,
    visible: npt.NDArray[np.intp],
    rows: npt.NDArray[np.intp],
) -> tuple[Table, Table]:
    """Some rows, in the order given, and the totals of all visible ones.

    Args:
        keys: as for ``pick_rows``.
        counters: as for ``pick_rows``.
        state: as for ``pick_rows``.
        visible: rows that count in the totals.
        rows: of these, the ones to give.
    """
    ranks = np.full(len(keys), LEFT_OUT, np.int32)
    ranks[visible] = TOTALS_ONLY
    ranks[rows] = np.arange(len(rows), dtype=np.int32)
    n_bins = np.zeros((len(SKETCHES), len(rows)), np.int64)
    totals = np.zeros((len(SKETCHES), PAGES_PER_SKETCH * BINS_IN_PAGE), np.int64)
    count_bins(state.page_keys, state.pages, ranks, n_bins, totals)

    ends = np.cumsum(n_bins.reshape(-1)).reshape(n_bins.shape)
    at = ends - n_bins
    bounds = np.concatenate([at[:, :1], ends], axis=1) if len(rows) else np.zeros((8, 1), np.int64)
    n_used = int(ends[-1, -1]) if len(rows) else 0
    bins, counts = np.zeros(n_used, np.uint16), np.zeros(n_used, np.int64)
    # Connections that nobody asked for have pages beyond those of the rows.
    owners = np.minimum(state.page_keys // (PAGES_PER_SKETCH * len(SKETCHES)), len(ranks))
    shown = np.flatnonzero(np.append(ranks, LEFT_OUT)[owners] >= 0)
    ordered = shown[np.argsort(state.page_keys[shown])]
    gather_bins(state.page_keys, state.pages, ordered, ranks, at, bins, counts)

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
    fields = counters.view(np.uint64).reshape(len(counters), N_FIELDS)
    total = fields[visible].sum(axis=0, dtype=np.uint64).view(COUNTER_ROW)
    return (
        Table(keys[rows], counters[rows], columns),
        Table(np.zeros(1, DESTINATION_KEY), total, total_columns),
    )
