"""Rows that a view asks for, made of an engine's arrays; only those rows are written out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._columns import count_bins, gather_bins
from trtop_core._sketch import BINS_IN_PAGE, PAGES_PER_SKETCH
from trtop_core.memory import take_records
from trtop_core.metrics import COUNTER_ROW, COUNTERS, GAUGES, SKETCHES
from trtop_core.records import DESTINATION_KEY, DestinationKind
from trtop_core.sketch import HALF, LOW_32, SketchColumn, merge_stats
from trtop_core.sorting import order_of, sort_column
from trtop_core.table import Table
from trtop_core.verdicts.rules import severity
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


@dataclass(frozen=True, slots=True)
class Exported:
    """Every row of an engine, of a window or of all time.

    Attributes:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        counters: shape (n,), dtype ``metrics.COUNTER_ROW``.
        state: sketches of the same n destinations.
        span_ns: capture time that they cover.
        level: which window; None for all time.
    """

    keys: npt.NDArray[Any]
    counters: npt.NDArray[Any]
    state: SketchState
    span_ns: int
    level: int | None

    def without_rest(self, n_rows: int) -> Exported:
        """The first rows alone."""
        stats = self.state.stats[: n_rows * len(SKETCHES)]
        state = SketchState(stats, self.state.page_keys, self.state.pages)
        return Exported(self.keys[:n_rows], self.counters[:n_rows], state, self.span_ns, self.level)


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
        counters: shape (n,), dtype ``metrics.COUNTER_ROW``.
        state: sketches of the same n destinations.
        view: sort and limit.
        by_addr_only: merge the rows of one address, whatever their ports.
    """
    visible = visible_rows(counters, state)
    groups = _Groups(take_records(keys, visible), by_addr_only)
    if view.sort == "destination":
        column = None
    elif view.sort in SKETCHES:
        merged = _MergedSketches(state, visible, len(keys), groups)[view.sort]
        column = merged.quantiles(view.percentile).astype(np.float64)
    elif view.sort == "verdict":
        column = severity(
            _MergedCounters(counters, visible, groups),
            _MergedSketches(state, visible, len(keys), groups),
        )
    else:
        column = sort_column(_MergedCounters(counters, visible, groups), view.sort)
    order = order_of(groups.keys, column, view)
    rows, ranks = groups.members_of(order)
    table, total = write_out(keys, counters, state, visible, visible[rows])
    if len(rows) == len(order):
        table = Table(take_records(groups.keys, order), table.counters, table.sketches)
    else:
        table = table.merged(take_records(groups.keys, order), ranks)
    return table, total, len(groups.keys)


def visible_rows(counters: npt.NDArray[Any], state: SketchState) -> npt.NDArray[np.intp]:
    """The rows in which something happened: a window shows only these.

    Idling closes connections with samples and no counter.
    """
    fields = counters.view(np.uint64).reshape(len(counters), N_FIELDS)
    has_samples = (state.stats["count"].reshape(len(counters), len(SKETCHES)) != 0).any(axis=1)
    return np.flatnonzero(fields.any(axis=1) | has_samples)


def _sketch_column(
    state: SketchState, name: str, rows: npt.NDArray[np.intp], n_keys: int
) -> SketchColumn:
    """One sketch of some rows (ascending), to sort by."""
    sketch = SKETCHES.index(name)
    of_pages = state.page_keys // PAGES_PER_SKETCH
    # Not %, which numpy computes number by number.
    chosen = np.flatnonzero(of_pages - of_pages // len(SKETCHES) * len(SKETCHES) == sketch)
    page_keys = state.page_keys[chosen]
    order = _order_of(page_keys)
    page_keys, pages = page_keys[order], state.pages[chosen[order]]
    ranks = np.full(n_keys, LEFT_OUT, np.int32)
    ranks[rows] = np.arange(len(rows), dtype=np.int32)
    n_bins = np.zeros((len(SKETCHES), len(rows)), np.int64)
    totals = np.zeros((len(SKETCHES), PAGES_PER_SKETCH * BINS_IN_PAGE), np.int64)
    count_bins(page_keys, pages, ranks, n_bins, totals)
    indptr = np.concatenate([[0], np.cumsum(n_bins[sketch])])
    at = np.zeros_like(n_bins)
    at[sketch] = indptr[:-1]
    bins, counts = np.zeros(indptr[-1], np.uint16), np.zeros(indptr[-1], np.int64)
    gather_bins(page_keys, pages, np.arange(len(page_keys)), ranks, at, bins, counts)
    return SketchColumn(
        take_records(state.stats, rows * len(SKETCHES) + sketch),
        indptr,
        bins,
        counts,
    )


class _MergedCounters:
    """The counters of groups by name; only what is asked for is merged.

    Args:
        counters: shape (n,), dtype ``metrics.COUNTER_ROW``.
        rows: of these, the ones that the groups are made of.
        groups: who belongs together.
    """

    def __init__(
        self, counters: npt.NDArray[Any], rows: npt.NDArray[np.intp], groups: _Groups
    ) -> None:
        self._counters = counters
        self._rows = rows
        self._groups = groups

    def __getitem__(self, name: str) -> npt.NDArray[np.uint64]:
        return self._groups.merge_counter(self._counters[name][self._rows])


class _MergedSketches(Mapping[str, SketchColumn]):
    """The sketches of groups by name; only what is asked for is gathered and merged, once.

    Args:
        state: sketches of n destinations.
        rows: of these, the ones that the groups are made of, ascending.
        n_keys: n.
        groups: who belongs together.
    """

    def __init__(
        self, state: SketchState, rows: npt.NDArray[np.intp], n_keys: int, groups: _Groups
    ) -> None:
        self._state = state
        self._rows = rows
        self._n_keys = n_keys
        self._groups = groups
        self._made: dict[str, SketchColumn] = {}

    def __getitem__(self, name: str) -> SketchColumn:
        if name not in self._made:
            column = _sketch_column(self._state, name, self._rows, self._n_keys)
            self._made[name] = self._groups.merge_sketch(column)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(SKETCHES)

    def __len__(self) -> int:
        return len(SKETCHES)


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
        self.keys = take_records(plain, self._order[self._starts])

    def merge_counter(self, column: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """One counter of the rows -> that of the groups."""
        if self._starts is None:
            return column
        merged: npt.NDArray[np.uint64] = np.add.reduceat(column[self._order], self._starts)
        return merged

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


def _pages_of(
    page_keys: npt.NDArray[np.uint32], ranks: npt.NDArray[np.int32], n_rows: int
) -> npt.NDArray[np.intp]:
    """The pages of some rows by ascending key; where most are shown, those of the others too."""
    if 2 * n_rows > len(ranks):
        return _order_of(page_keys)
    # Connections that nobody asked for have pages beyond those of the rows.
    owners = np.minimum(page_keys // (PAGES_PER_SKETCH * len(SKETCHES)), len(ranks))
    shown = np.flatnonzero(np.append(ranks, LEFT_OUT)[owners] >= 0)
    return shown[_order_of(page_keys[shown])]


def _order_of(page_keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
    """What argsort gives of different keys; sorting keys and places as one takes half the time."""
    tagged = page_keys.astype(np.uint64) << HALF | np.arange(len(page_keys), dtype=np.uint64)
    tagged.sort()
    return (tagged & LOW_32).astype(np.intp)


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
    bounds = (
        np.concatenate([at[:, :1], ends], axis=1)
        if len(rows)
        else np.zeros((len(SKETCHES), 1), np.int64)
    )
    n_used = int(ends[-1, -1]) if len(rows) else 0
    bins, counts = np.zeros(n_used, np.uint16), np.zeros(n_used, np.int64)
    ordered = _pages_of(state.page_keys, ranks, len(rows))
    gather_bins(state.page_keys, state.pages, ordered, ranks, at, bins, counts)

    columns, total_columns = {}, {}
    for sketch, name in enumerate(SKETCHES):
        all_stats = take_records(state.stats, visible * len(SKETCHES) + sketch)
        stats = take_records(state.stats, rows * len(SKETCHES) + sketch)
        start, end = int(bounds[sketch, 0]), int(bounds[sketch, -1])
        columns[name] = SketchColumn(
            stats, bounds[sketch] - start, bins[start:end], counts[start:end]
        )
        used = np.flatnonzero(totals[sketch])
        total_columns[name] = SketchColumn(
            merge_stats(all_stats, np.zeros(len(visible), np.intp), 1),
            np.array([0, len(used)]),
            used.astype(np.uint16),
            totals[sketch][used],
        )
    fields = counters.view(np.uint64).reshape(len(counters), N_FIELDS)
    total = fields[visible].sum(axis=0, dtype=np.uint64).view(COUNTER_ROW)
    return (
        Table(take_records(keys, rows), take_records(counters, rows), columns),
        Table(np.zeros(1, DESTINATION_KEY), total, total_columns),
    )
