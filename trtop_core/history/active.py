"""What a history tells of all rows and of some, column by column.

Takes slots, gives the parts of an ``Activity``. Rows that a slot does not keep one by one are in
its totals only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trtop_core._sketch import BINS_IN_PAGE, PAGES_PER_SKETCH
from trtop_core._state import State
from trtop_core._window import EPOCH_NS
from trtop_core.activity import CELL, MAX_NUMBERS, SERIES, ActivityView
from trtop_core.history.asking import PERCENTILE, Bounds, end_of, percentiles, start_of
from trtop_core.history.slots import FIELDS, N_SKETCHES, ROW_CELLS, Slot
from trtop_core.metrics import SKETCHES
from trtop_core.row_lookup import rows_of_keys
from trtop_core.sketch import MIDDLE, nearest_ranks
from trtop_core.timeline import length_for, next_length

N_SERIES = len(SERIES)

BINS = PAGES_PER_SKETCH * BINS_IN_PAGE

_SERIES_OF_FIELD = np.full(ROW_CELLS, -1)
_SERIES_OF_FIELD[[FIELDS.index(name) for name in SERIES]] = np.arange(N_SERIES)

_RESPONSES = SKETCHES.index("response_time")

Numbers = npt.NDArray[np.int64]


class Told(NamedTuple):
    """What a history tells; see ``Activity``."""

    first_ns: int
    length_ns: int
    totals: Numbers
    response_time_ns: Numbers
    factor: int
    cells: npt.NDArray[Any]


class _Amounts(NamedTuple):
    """Amounts of some rows: whose each is, in which column, of what, and how much."""

    rows: Numbers
    columns: Numbers
    kinds: Numbers
    amounts: Numbers


def told_of(slots: Sequence[Slot], view: ActivityView, state: State, bounds: Bounds) -> Told:
    """What slots tell.

    Args:
        slots: of a history, the open one included, by time.
        view: which rows, and how many columns.
        state: the engine's tables, settled.
        bounds: of the engine.
    """
    if view.period is not None:
        start_ns, end_ns = view.period.start_ns, view.period.end_ns
        slots = [
            slot for slot in slots
            if start_of(slot, bounds) < end_ns and end_of(slot, bounds) > start_ns
        ]  # fmt: skip
    if not slots:
        nothing = np.zeros((0, N_SERIES), np.int64)
        return Told(0, EPOCH_NS, nothing, np.zeros(0, np.int64), 1, np.zeros(0, CELL))
    starts = np.array([start_of(slot, bounds) for slot in slots])
    length_ns = _length_ns(slots, starts, view.n_columns)
    first = int(starts.min()) // length_ns
    places = starts // length_ns - first
    n_columns = int(places.max()) + 1
    totals = np.zeros((n_columns, N_SERIES), np.int64)
    for slot, place in zip(slots, places.tolist(), strict=True):
        counters = slot.totals[0]
        series = _SERIES_OF_FIELD[counters.at]
        told = series >= 0
        totals[place, series[told]] += counters.amounts[told].astype(np.int64)
    times = percentiles(slots, places, n_columns)
    counted, sampled = _of_rows(slots, places, view, state)
    factor = _factor(counted, sampled, n_columns)
    cells = _cells(counted, sampled, factor)
    return Told(first * length_ns, length_ns, totals, times, factor, cells)


def _length_ns(slots: Sequence[Slot], starts: Numbers, n_columns: int) -> int:
    """How long a column is: not shorter than a slot, but for the last one, which is not over."""
    longest = max((slot.end_epoch - slot.start_epoch for slot in slots[:-1]), default=1)
    length_ns = length_for(int(starts.max() - starts.min()), n_columns)
    return max(length_ns, next_length(longest * EPOCH_NS))


def _of_rows(
    slots: Sequence[Slot], places: Numbers, view: ActivityView, state: State
) -> tuple[_Amounts, _Amounts]:
    """Counters, and bins of response times, of the rows that are asked for."""
    keys, _ = state.destinations.export()
    _, page_keys, _ = state.sketches.export(0)
    label_of = np.full(len(keys) + 1, -1, np.int64)
    rows, labels = rows_of_keys(keys, view.rows, view.group_by)
    label_of[rows] = labels
    sketches = (page_keys // np.uint32(PAGES_PER_SKETCH)).astype(np.int64)
    owners = np.minimum(sketches // N_SKETCHES, len(keys))
    label_of_page = np.where(sketches % N_SKETCHES == _RESPONSES, label_of[owners], -1)
    first_bins = (page_keys % np.uint32(PAGES_PER_SKETCH)).astype(np.int64) * BINS_IN_PAGE
    counted, sampled = [], []
    for slot, place in zip(slots, places.tolist(), strict=True):
        at = slot.cells[0].at.astype(np.int64)
        kinds = _SERIES_OF_FIELD[at % ROW_CELLS]
        owned = label_of[at // ROW_CELLS]
        counted.append(_amounts(owned, kinds, place, slot.cells[0].amounts))
        at = slot.cells[4].at.astype(np.int64)
        pages = at // BINS_IN_PAGE
        kinds = first_bins[pages] + at % BINS_IN_PAGE
        sampled.append(_amounts(label_of_page[pages], kinds, place, slot.cells[4].amounts))
    return _joined(counted), _joined(sampled)


def _amounts(rows: Numbers, kinds: Numbers, place: int, amounts: npt.NDArray[Any]) -> _Amounts:
    told = np.flatnonzero((rows >= 0) & (kinds >= 0))
    columns = np.full(len(told), place, np.int64)
    return _Amounts(rows[told], columns, kinds[told], amounts[told].astype(np.int64))


def _joined(parts: Sequence[_Amounts]) -> _Amounts:
    return _Amounts(*(np.concatenate(listed) for listed in zip(*parts, strict=True)))


def _factor(counted: _Amounts, sampled: _Amounts, n_columns: int) -> int:
    """How many columns are one, so that there are not too many numbers."""
    factor = 1
    while factor < n_columns:
        n_counted = len(np.unique(_codes(counted, factor) * N_SERIES + counted.kinds))
        if n_counted + len(np.unique(_codes(sampled, factor))) <= MAX_NUMBERS:
            break
        factor *= 2
    return factor


def _codes(amounts: _Amounts, factor: int) -> Numbers:
    """One number for each row and column, ascending with both."""
    return (amounts.rows << 32) | (amounts.columns // factor)


def _cells(counted: _Amounts, sampled: _Amounts, factor: int) -> npt.NDArray[Any]:
    of_counted, of_sampled = _codes(counted, factor), _codes(sampled, factor)
    codes = np.unique(np.concatenate([of_counted, of_sampled]))
    cells = np.zeros(len(codes), CELL)
    cells["row"], cells["column"] = codes >> 32, codes & 0xFFFF_FFFF
    sums = np.zeros((len(codes), N_SERIES), np.uint64)
    at = np.searchsorted(codes, of_counted)
    np.add.at(sums, (at, counted.kinds), counted.amounts.astype(np.uint64))
    for i, name in enumerate(SERIES):
        cells["counters"][name] = sums[:, i]
    at = np.searchsorted(codes, of_sampled)
    cells["response_time_ns"] = _late(at * BINS + sampled.kinds, sampled.amounts, len(codes))
    return cells


def _late(cells: Numbers, amounts: Numbers, n_cells: int) -> Numbers:
    """A percentile of the samples in each cell; -1 without any.

    Args:
        cells: shape (n,): number of a cell * ``BINS`` + bin; several times each.
        amounts: shape (n,): samples.
        n_cells: how many there are.
    """
    result = np.full(n_cells, -1, np.int64)
    if not len(cells):
        return result
    bins, places = np.unique(cells, return_inverse=True)
    ends = np.cumsum(np.bincount(places.reshape(-1), amounts).astype(np.int64))
    owners, firsts = np.unique(bins // BINS, return_index=True)
    before = np.where(firsts > 0, ends[firsts - 1], 0)
    n_samples = np.append(before[1:], ends[-1]) - before
    ranks = nearest_ranks(n_samples, PERCENTILE)
    found = bins[np.searchsorted(ends, before + ranks, side="left")] % BINS
    result[owners] = MIDDLE[np.minimum(found, len(MIDDLE) - 1)]
    return result
