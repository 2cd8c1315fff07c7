"""What happened to some rows of an engine in each slot of a window; read-only, numpy only.

Comes from the logs that windows are made of, so it costs no memory of its own: a row now, and as it
was before its first change in each slot, tell what each slot added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._flows import Flows
from trtop_core._sketch import BINS_IN_PAGE, PAGES_PER_SKETCH
from trtop_core._state import State
from trtop_core._window import EPOCH_NS, LEVELS
from trtop_core.metrics import SKETCHES
from trtop_core.sketch import MIDDLE, nearest_ranks

HISTORY_PERCENTILE = 95

Increments = npt.NDArray[np.int64]

Saved = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.uint64]]
"""Items, the slots in which they were saved, and their values before that slot, shape (n, k)."""


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots that a window is made of, as far as they are wholly known.

    Attributes:
        level: which window.
        first: number of the first one.
        starts_ns: shape (n,), int64: capture time at which each began, oldest first.
        spans_ns: shape (n,), int64: capture time that each covers; the last one is not over yet.
    """

    level: int
    first: int
    starts_ns: npt.NDArray[np.int64]
    spans_ns: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts_ns)


def slots_of(state: State, flows: Flows, level: int) -> Slots:
    """The slots of a window; none before the first packet."""
    if flows.clock is None:
        return Slots(level, 0, np.zeros(0, np.int64), np.zeros(0, np.int64))
    now_ns, first_ns, to_capture_time_ns = flows.window_clock
    slot_ns = LEVELS[level][1] * EPOCH_NS
    first = max(state.destinations.first_slot(level), state.sketches.first_slot(level))
    first = max(first, first_ns // slot_ns)
    numbers = np.arange(first, max(first, now_ns // slot_ns) + 1, dtype=np.int64)
    starts_ns = np.maximum(numbers * slot_ns, first_ns)
    ends_ns = np.minimum((numbers + 1) * slot_ns, now_ns)
    return Slots(level, first, starts_ns + to_capture_time_ns, ends_ns - starts_ns)


def counted(
    state: State, slots: Slots, rows: npt.NDArray[np.intp], names: Sequence[str]
) -> Increments:
    """What each slot added to some counters of some rows.

    Args:
        state: the engine's tables, settled.
        slots: of the window.
        rows: row numbers, ascending.
        names: of the counters.

    Returns:
        Shape (n_rows, n_names, n_slots).
    """
    _, now = state.destinations.export()
    items, at, saved = state.destinations.saved(slots.level, slots.first, rows)
    before = _columns(saved, names)
    return _increments(_columns(now[rows], names), rows, (items, at - slots.first, before), slots)


def response_times(
    state: State,
    slots: Slots,
    rows: npt.NDArray[np.intp],
    labels: npt.NDArray[np.intp],
    n_groups: int,
) -> npt.NDArray[np.int64]:
    """A percentile of the response times of each slot, from the bins that it added.

    Args:
        state: the engine's tables, settled.
        slots: of the window.
        rows: row numbers, ascending.
        labels: shape (n_rows,): the group that each belongs to, 0 … n_groups - 1.
        n_groups: groups of rows.

    Returns:
        Shape (n_groups, n_slots), ns; -1 without samples.
    """
    result = np.full((n_groups, len(slots)), -1, np.int64)
    numbers, groups, pages = _pages_of(state, rows, labels)
    if not len(numbers):
        return result
    _, _, bins = state.sketches.export(0)
    items, at, saved = state.sketches.saved_pages(slots.level, slots.first, numbers)
    added = _increments(bins[numbers], numbers, (items, at - slots.first, saved), slots)
    # Bins of one group side by side, ascending; those of several rows as one.
    order = np.lexsort((pages, groups))
    groups, pages = groups[order], pages[order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = (groups[1:] != groups[:-1]) | (pages[1:] != pages[:-1])
    starts = np.flatnonzero(is_first)
    merged = np.add.reduceat(added[order], starts, axis=0).reshape(-1, len(slots))
    owners = np.repeat(groups[starts], BINS_IN_PAGE)
    numbers_of_bins = (pages[starts, None] * BINS_IN_PAGE + np.arange(BINS_IN_PAGE)).reshape(-1)
    there, firsts, sizes = np.unique(owners, return_index=True, return_counts=True)
    # Samples up to each bin, counted from the group's first bin on.
    until = np.cumsum(merged, axis=0)
    until -= np.repeat((until - merged)[firsts], sizes, axis=0)
    n_samples = until[firsts + sizes - 1]
    ranks = nearest_ranks(n_samples, HISTORY_PERCENTILE)
    is_below = until < np.repeat(ranks, sizes, axis=0)
    places = firsts[:, None] + np.add.reduceat(is_below, firsts, axis=0, dtype=np.intp)
    has_samples = n_samples > 0
    places = np.where(has_samples, places, 0)
    result[there] = np.where(has_samples, MIDDLE[numbers_of_bins[places]], -1)
    return result


def _columns(records: npt.NDArray[Any], names: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Some counters of some rows; shape (n_rows, n_names)."""
    return np.stack([records[name] for name in names], axis=1)


def _pages_of(
    state: State, rows: npt.NDArray[np.intp], labels: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The pages of the rows' response times: their numbers, groups, and places in a sketch."""
    _, page_keys, _ = state.sketches.export(0)
    of_sketch = page_keys // PAGES_PER_SKETCH
    wanted = rows * len(SKETCHES) + SKETCHES.index("response_time")
    label_of = np.full(int(of_sketch.max(initial=0)) + 2, -1, np.int32)
    is_there = wanted < len(label_of)
    label_of[wanted[is_there]] = labels[is_there]
    groups = label_of[of_sketch]
    numbers = np.flatnonzero(groups >= 0)
    return (
        numbers,
        groups[numbers].astype(np.intp),
        (page_keys[numbers] % PAGES_PER_SKETCH).astype(np.intp),
    )


def _increments(
    now: npt.NDArray[np.uint64], numbers: npt.NDArray[np.intp], saved: Saved, slots: Slots
) -> Increments:
    """How much values grew in each slot, shape (n, k, n_slots).

    Args:
        now: shape (n, k), the values.
        numbers: shape (n,), ascending: the items whose values they are.
        saved: what was kept of these, its slots counted from 0.
        slots: the last one is now.
    """
    n_slots = len(slots)
    starts = np.full((*now.shape, n_slots + 1), -1, np.int64)
    starts[:, :, n_slots] = now
    items, at, before = saved
    starts[np.searchsorted(numbers, items), :, at] = before
    for slot in range(n_slots - 1, -1, -1):
        unknown = starts[:, :, slot] < 0
        starts[unknown, slot] = starts[unknown, slot + 1]
    return np.diff(starts, axis=2)
