"""Rows that a view asks for, made of an engine's arrays; only those rows are written out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from trtop_core._columns import count_bins, gather_bins
from trtop_core._sketch import BINS_IN_PAGE, PAGES_PER_SKETCH
from trtop_core.groups import (
    LEFT_OUT,
    PAGES_AT_ONCE,
    TOTALS_ONLY,
    Groups,
    MergedCounters,
    MergedSketches,
    SketchState,
    by_place,
)
from trtop_core.memory import take_records
from trtop_core.metrics import COUNTER_ROW, COUNTERS, GAUGES, SKETCHES
from trtop_core.records import DESTINATION_KEY, SKETCH_STATS
from trtop_core.sketch import SketchColumn, merge_all_stats
from trtop_core.sorting import order_of, sort_column
from trtop_core.table import Table
from trtop_core.verdicts.ports import standing_out
from trtop_core.verdicts.rules import severity
from trtop_core.view import View

N_FIELDS = len(COUNTERS + GAUGES)


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


class Candidates(NamedTuple):
    """Rows of which some are to be chosen; what is not asked for of them is not worked out.

    Attributes:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        counters: by name.
        sketches: by name.
        waits_ns: see ``Table.waits_ns``.
        hosts: no machine: they are of one engine.
    """

    keys: npt.NDArray[Any]
    counters: MergedCounters
    sketches: MergedSketches
    waits_ns: npt.NDArray[np.int64] | None
    hosts: None = None


Choose: TypeAlias = Callable[[Candidates], npt.NDArray[np.bool_]]
"""Which of some rows are wanted, shape (n,)."""


class Picking(NamedTuple):
    """What rows are picked by besides a view.

    Attributes:
        waits_ns: shape (n, 2) of n destinations, see ``Table.waits_ns``; None: not known.
        choose: which of the rows are wanted; None: all.
    """

    waits_ns: npt.NDArray[np.int64] | None = None
    choose: Choose | None = None


ALL_ROWS = Picking()
"""All of them, whatever waits."""


def pick_rows(
    keys: npt.NDArray[Any],
    counters: npt.NDArray[Any],
    state: SketchState,
    view: View,
    by_addr_only: bool,
    picking: Picking = ALL_ROWS,
) -> tuple[Table, Table, int]:
    """The rows that a view asks for, in its order; a row of totals; how many rows there are.

    Totals, and how many rows there are, do not depend on which of them are chosen.

    Args:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        counters: shape (n,), dtype ``metrics.COUNTER_ROW``.
        state: sketches of the same n destinations.
        view: sort and limit.
        by_addr_only: merge the rows of one address, whatever their ports.
        picking: what is known besides, and which of the rows are wanted.
    """
    waits_ns, choose = picking
    visible = visible_rows(counters, state, waits_ns)
    groups = Groups(take_records(keys, visible), by_addr_only)
    waiting = None if waits_ns is None else groups.merge_greatest(waits_ns[visible])
    named_counters = MergedCounters(counters, visible, groups)
    sketches = MergedSketches(state, visible, groups)
    chosen = None
    if choose is not None:
        chosen = np.flatnonzero(choose(Candidates(groups.keys, named_counters, sketches, waiting)))
    if view.sort == "destination":
        column = None
    elif view.sort in SKETCHES:
        column = sketches[view.sort].quantiles_at((view.percentile,))[0].astype(np.float64)
    elif view.sort == "verdict":
        column = severity(named_counters, sketches, waits_ns=waiting)
    else:
        column = sort_column(named_counters, view.sort)
    if chosen is None:
        order = order_of(groups.keys, column, view)
    else:
        of_chosen = None if column is None else column[chosen]
        order = chosen[order_of(take_records(groups.keys, chosen), of_chosen, view)]
    rows, ranks = groups.members_of(order)
    # What says whose each page is takes as much memory as a part of the answer.
    del sketches, named_counters
    table, total = write_out(keys, counters, state, visible, visible[rows])
    if len(rows) == len(order):
        shown = Table(take_records(groups.keys, order), table.counters, table.sketches)
    else:
        shown = table.merged(take_records(groups.keys, order), ranks)
    if by_addr_only:
        ports = standing_out(table.keys["port"], table.counters, ranks, len(order))
        shown = replace(shown, ports=ports)
    if waiting is not None:
        shown = replace(shown, waits_ns=waiting[order])
        total = replace(total, waits_ns=waiting.max(axis=0, initial=0, keepdims=True))
    return shown, total, len(groups.keys)


def visible_rows(
    counters: npt.NDArray[Any],
    state: SketchState,
    waits_ns: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.intp]:
    """The rows in which something happened or waits: a window shows only these.

    Idling closes connections with samples and no counter; an attempt that timed out counts in
    nothing until its SYN is sent again.

    Args:
        counters: as for ``pick_rows``.
        state: as for ``pick_rows``.
        waits_ns: as of ``Picking``.
    """
    fields = counters.view(np.uint64).reshape(len(counters), N_FIELDS)
    has_samples = (state.stats["count"].reshape(len(counters), len(SKETCHES)) != 0).any(axis=1)
    is_visible = fields.any(axis=1) | has_samples
    if waits_ns is not None:
        is_visible |= waits_ns.any(axis=1)
    return np.flatnonzero(is_visible)


def _pages_of(
    page_keys: npt.NDArray[np.uint32], ranks: npt.NDArray[np.int32], n_rows: int
) -> npt.NDArray[np.intp]:
    """The pages of some rows by their bins; where most are shown, those of the others too."""
    if 2 * n_rows > len(ranks):
        return by_place(page_keys)
    # Connections that nobody asked for have pages beyond those of the rows.
    is_shown = np.append(ranks >= 0, False)
    blocks = []
    for start in range(0, len(page_keys), PAGES_AT_ONCE):
        block = page_keys[start : start + PAGES_AT_ONCE]
        owners = np.minimum(block // (PAGES_PER_SKETCH * len(SKETCHES)), len(ranks))
        blocks.append(start + np.flatnonzero(is_shown[owners]))
    shown = np.concatenate(blocks) if blocks else np.zeros(0, np.intp)
    return shown[by_place(page_keys[shown])]


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
    in_order = _pages_of(state.page_keys, ranks, len(rows))
    gather_bins(state.page_keys, state.pages, in_order, ranks, at, bins, counts)

    all_stats = state.stats.reshape(len(keys), len(SKETCHES))
    if len(visible) < len(keys):
        words = state.stats.view(np.uint64).reshape(len(keys), -1)
        all_stats = words[visible].view(SKETCH_STATS)
    total_stats = merge_all_stats(all_stats)
    columns, total_columns = {}, {}
    for sketch, name in enumerate(SKETCHES):
        stats = take_records(state.stats, rows * len(SKETCHES) + sketch)
        start, end = int(bounds[sketch, 0]), int(bounds[sketch, -1])
        columns[name] = SketchColumn(
            stats, bounds[sketch] - start, bins[start:end], counts[start:end]
        )
        used = np.flatnonzero(totals[sketch])
        total_columns[name] = SketchColumn(
            total_stats[sketch : sketch + 1],
            np.array([0, len(used)]),
            used.astype(np.uint16),
            totals[sketch][used],
        )
    fields = counters.view(np.uint64).reshape(len(counters), N_FIELDS)
    if len(visible) < len(keys):
        fields = fields[visible]
    total = fields.sum(axis=0, dtype=np.uint64).view(COUNTER_ROW)
    return (
        Table(take_records(keys, rows), take_records(counters, rows), columns),
        Table(np.zeros(1, DESTINATION_KEY), total, total_columns),
    )
