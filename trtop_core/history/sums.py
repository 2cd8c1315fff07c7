"""``Sums``: slots added up, row by row and all together.

Takes slots, gives arrays in the form of an engine's own, so that rows are picked from them as from
an engine. What no row of a slot accounts for is the row ``(other)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trtop_core._columns import count_bins
from trtop_core._history import add_cells, mark_cells, outer_bins
from trtop_core._sketch import BINS_IN_PAGE, PAGES_PER_SKETCH
from trtop_core._state import State
from trtop_core.groups import TOTALS_ONLY, SketchState
from trtop_core.history.making import Span
from trtop_core.history.slots import (
    BINS_OF_SKETCH,
    COUNTER_FIELDS,
    FIELDS,
    LOW_BITS,
    LOW_MASK,
    N_SKETCHES,
    ROW_CELLS,
    Cells,
    Slot,
)
from trtop_core.memory import take_records
from trtop_core.metrics import COUNTER_ROW
from trtop_core.records import DESTINATION_KEY, SKETCH_STATS, DestinationKind
from trtop_core.sketch import MIDDLE

N_TOTAL_BINS = N_SKETCHES * BINS_OF_SKETCH

NO_ROWS = np.zeros(0, np.uint32)

AT_ONCE = 64
"""Slots that are added up by one call: most have a few cells, and a call costs as much as these."""

FIRST = np.zeros(1, np.uint32)
"""Where the one row of an array of totals is."""

OTHER = np.zeros(1, DESTINATION_KEY)
OTHER["kind"] = DestinationKind.OTHER
"""The key of what no row accounts for."""


class Sums:
    """What all rows together grew by, in all slots so far."""

    def __init__(self) -> None:
        self.parts = tuple(
            np.zeros(n, np.uint64)
            for n in (ROW_CELLS, N_SKETCHES, N_SKETCHES, N_SKETCHES, N_TOTAL_BINS)
        )

    def add(self, *slots: Slot) -> None:
        """Add the totals of slots."""
        for part, several in zip(
            self.parts, zip(*(slot.totals for slot in slots), strict=True), strict=True
        ):
            cells = Cells.listed(several)
            add_cells(cells.at, cells.amounts, FIRST, len(part), part)

    def rest(self, state: State, span: Span, health: npt.NDArray[np.void]) -> Slot:
        """The slot that makes these sums what the engine has counted, without rows of its own.

        Args:
            state: the engine's tables, settled.
            span: of the slot.
            health: the raw counters of the capture now.
        """
        whole = _whole(state)
        counters, counts, low, high, bins = (
            now - before for now, before in zip(whole, self.parts, strict=True)
        )
        for sketch in range(N_SKETCHES):
            before, now = (
                (int(part[3][sketch]) << 32) + int(part[2][sketch]) for part in (self.parts, whole)
            )
            low[sketch], high[sketch] = (now - before) & 0xFFFF_FFFF, (now - before) >> 32
        used = np.flatnonzero(bins)
        which = np.arange(N_SKETCHES)
        none = Cells.of(NO_ROWS, np.zeros(0, np.uint64))
        return Slot(
            span.start_epoch,
            span.end_epoch,
            state.shift_ns,
            NO_ROWS,
            np.zeros(0, np.float32),
            (none,) * len(whole),
            (NO_ROWS, np.zeros(0, np.uint8)),
            (
                Cells.of(np.arange(ROW_CELLS), counters),
                *(Cells.of(which, part) for part in (counts, low, high)),
                Cells.of(used, bins[used]),
            ),
            health.copy(),
        )


def _whole(state: State) -> tuple[npt.NDArray[np.uint64], ...]:
    """What an engine has counted of all rows together, in the form of ``Sums.parts``."""
    keys, rows = state.destinations.export()
    stats, page_keys, pages = state.sketches.export(len(keys))
    counters = np.zeros(ROW_CELLS, np.uint64)
    words = rows.view(np.uint64).reshape(len(keys), len(FIELDS))
    counters[COUNTER_FIELDS] = words.sum(axis=0)[COUNTER_FIELDS]
    by_sketch = stats.reshape(-1, N_SKETCHES)
    low = (by_sketch["sum_lo"] & LOW_MASK).sum(axis=0)
    high = ((by_sketch["sum_lo"] >> LOW_BITS) + (by_sketch["sum_hi"] << LOW_BITS)).sum(axis=0)
    bins = _bins_of_all(page_keys, pages, len(keys))
    return counters, by_sketch["count"].sum(axis=0), low, high, bins


def _bins_of_all(
    page_keys: npt.NDArray[np.uint32], pages: npt.NDArray[np.uint64], n_rows: int
) -> npt.NDArray[np.uint64]:
    """The bins of the first rows together; shape (N_TOTAL_BINS,)."""
    totals = np.zeros((N_SKETCHES, BINS_OF_SKETCH), np.int64)
    ranks = np.full(n_rows, TOTALS_ONLY, np.int32)
    count_bins(page_keys, pages, ranks, np.zeros((N_SKETCHES, 0), np.int64), totals)
    return totals.reshape(-1).view(np.uint64)


def summed(
    slots: Iterable[Slot],
    keys: npt.NDArray[Any],
    page_keys: npt.NDArray[np.uint32],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], SketchState]:
    """Slots added up, as an engine exports its rows.

    Args:
        slots: of one engine.
        keys: shape (n,), of its rows.
        page_keys: shape (n_pages,), of its bins.

    Returns:
        Keys, counters, sketches of the rows that slots have, and of the rest as the last row.
    """
    slots = list(slots)
    shown, shown_pages = _shown(slots, len(keys), len(page_keys))
    n_rows = len(shown.rows) + 1
    widths = (ROW_CELLS, N_SKETCHES, N_SKETCHES, N_SKETCHES, BINS_IN_PAGE)
    sizes = (n_rows, n_rows, n_rows, n_rows, len(shown_pages.rows))
    places = (*(shown.places,) * 4, shown_pages.places)
    parts = tuple(np.zeros(n * w, np.uint64) for n, w in zip(sizes, widths, strict=True))
    totals = Sums()
    for some in _blocks(slots):
        totals.add(*some)
        several = zip(*(slot.cells for slot in some), strict=True)
        for part, group, place, width in zip(parts, several, places, widths, strict=True):
            cells = Cells.listed(group)
            add_cells(cells.at, cells.amounts, place, width, part)
        gauges = Cells.listed(Cells(*slot.gauges) for slot in some)
        # Of a gauge that several slots have, the last one holds.
        where = shown.places[gauges.at // ROW_CELLS] * ROW_CELLS + gauges.at % ROW_CELLS
        parts[0][where] = gauges.amounts
    words = parts[0].reshape(n_rows, ROW_CELLS)
    words[-1, COUNTER_FIELDS] = (totals.parts[0] - words[:-1].sum(axis=0))[COUNTER_FIELDS]
    for part, total in zip(parts[1:4], totals.parts[1:4], strict=True):
        of_rows = part.reshape(n_rows, N_SKETCHES)
        of_rows[-1] = total - of_rows[:-1].sum(axis=0)
    of_pages = shown.renumbered(page_keys[shown_pages.rows])
    state = _with_rest_pages(of_pages, parts, totals.parts[4], n_rows)
    rows = np.ascontiguousarray(words[:, : len(FIELDS)]).view(COUNTER_ROW).reshape(n_rows)
    return np.concatenate([take_records(keys, shown.rows), OTHER]), rows, state


class _Chosen(NamedTuple):
    """Some rows of an array.

    Attributes:
        rows: shape (n,): which.
        places: shape (n_rows of the array,), uint32: where each is among them.
    """

    rows: npt.NDArray[np.intp]
    places: npt.NDArray[np.uint32]

    @classmethod
    def marked(cls, marks: npt.NDArray[np.uint8]) -> _Chosen:
        """The rows that have a mark."""
        rows = np.flatnonzero(marks)
        places = np.zeros(len(marks), np.uint32)
        places[rows] = np.arange(len(rows), dtype=np.uint32)
        return cls(rows, places)

    def renumbered(self, page_keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        """Keys of pages of these rows, with the rows' places for their numbers."""
        per_row = np.uint32(N_SKETCHES * PAGES_PER_SKETCH)
        owners = page_keys // per_row
        shift: npt.NDArray[np.uint32] = (self.places[owners] - owners) * per_row
        return page_keys + shift


def _blocks(slots: Sequence[Slot]) -> Iterator[Sequence[Slot]]:
    """Slots, some at a time."""
    for at in range(0, len(slots), AT_ONCE):
        yield slots[at : at + AT_ONCE]


def _shown(slots: Sequence[Slot], n_rows: int, n_pages: int) -> tuple[_Chosen, _Chosen]:
    """The rows that slots have, and their pages of bins."""
    rows, pages = np.zeros(n_rows, np.uint8), np.zeros(n_pages, np.uint8)
    for some in _blocks(slots):
        mark_cells(np.concatenate([slot.rows for slot in some]), 1, rows)
        mark_cells(np.concatenate([slot.cells[1].at for slot in some]), N_SKETCHES, rows)
        mark_cells(np.concatenate([slot.cells[4].at for slot in some]), BINS_IN_PAGE, pages)
    return _Chosen.marked(rows), _Chosen.marked(pages)


def _with_rest_pages(
    page_keys: npt.NDArray[np.uint32],
    parts: tuple[npt.NDArray[np.uint64], ...],
    totals: npt.NDArray[np.uint64],
    n_rows: int,
) -> SketchState:
    """The sketches of rows; what these do not account for is the last row's."""
    _, counts, low, high, bins = parts
    pages = bins.reshape(-1, BINS_IN_PAGE)
    rest = (totals - _bins_of_all(page_keys, pages, n_rows)).reshape(-1, BINS_IN_PAGE)
    left = np.flatnonzero(rest.any(axis=1))
    first_key = (n_rows - 1) * N_SKETCHES * PAGES_PER_SKETCH
    all_keys = np.concatenate([page_keys, (first_key + left).astype(np.uint32)])
    all_pages = np.concatenate([pages, rest[left]])
    return SketchState(_stats((counts, low, high), all_keys, all_pages), all_keys, all_pages)


def _stats(
    parts: tuple[npt.NDArray[np.uint64], ...],
    page_keys: npt.NDArray[np.uint32],
    pages: npt.NDArray[np.uint64],
) -> npt.NDArray[Any]:
    """The exact part of sketches; least and greatest are the middles of their outer bins."""
    counts, low, high = parts
    stats = np.zeros(len(counts), SKETCH_STATS)
    stats["count"] = counts
    stats["sum_lo"] = (high << LOW_BITS) + low
    carry = stats["sum_lo"] < low
    stats["sum_hi"] = (high >> LOW_BITS) + carry
    first, last = np.full(len(stats), BINS_OF_SKETCH), np.full(len(stats), -1)
    outer_bins(page_keys, pages, PAGES_PER_SKETCH, first, last)
    used = np.flatnonzero(last >= 0)
    stats["min"][used] = MIDDLE[np.minimum(first[used], len(MIDDLE) - 1)]
    stats["max"][used] = MIDDLE[np.minimum(last[used], len(MIDDLE) - 1)]
    return stats
