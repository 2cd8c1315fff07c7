"""``Sums``: slots added up, row by row and all together.

Takes slots, gives arrays in the form of an engine's own, so that rows are picked from them as from
an engine. What no row of a slot accounts for is the row ``(other)``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._history import add_cells
from trtop_core._sketch import BINS_IN_PAGE, PAGES_PER_SKETCH
from trtop_core._state import State
from trtop_core.groups import SketchState
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
from trtop_core.metrics import COUNTER_ROW
from trtop_core.records import DESTINATION_KEY, SKETCH_STATS, DestinationKind
from trtop_core.sketch import MIDDLE

N_TOTAL_BINS = N_SKETCHES * BINS_OF_SKETCH

NO_ROWS = np.zeros(0, np.uint32)


class Sums:
    """What all rows together grew by, in all slots so far."""

    def __init__(self) -> None:
        self.parts = tuple(
            np.zeros(n, np.uint64)
            for n in (ROW_CELLS, N_SKETCHES, N_SKETCHES, N_SKETCHES, N_TOTAL_BINS)
        )

    def add(self, slot: Slot) -> None:
        """Add a slot's totals."""
        for part, cells in zip(self.parts, slot.totals, strict=True):
            add_cells(cells.at, cells.amounts, part)

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
    per_row = N_SKETCHES * PAGES_PER_SKETCH
    asked = np.flatnonzero(page_keys < np.uint64(len(keys) * per_row))
    bins = np.zeros((per_row, BINS_IN_PAGE), np.uint64)
    np.add.at(bins, page_keys[asked] % np.uint32(per_row), pages[asked])
    return counters, by_sketch["count"].sum(axis=0), low, high, bins.reshape(-1)


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
        Keys, counters, sketches of the rows, and of the rest as the last row.
    """
    has_other = len(keys) > 0 and keys["kind"][-1] == DestinationKind.OTHER
    n_rows = len(keys) + (not has_other)
    sizes = (n_rows * ROW_CELLS, *(n_rows * N_SKETCHES,) * 3, len(page_keys) * BINS_IN_PAGE)
    counters, counts, low, high, bins = parts = tuple(np.zeros(n, np.uint64) for n in sizes)
    totals = Sums()
    for slot in slots:
        totals.add(slot)
        for part, cells in zip(parts, slot.cells, strict=True):
            add_cells(cells.at, cells.amounts, part)
        at, values = slot.gauges
        counters[at] = values
    words = counters.reshape(n_rows, ROW_CELLS)
    rest = n_rows - 1
    words[rest, COUNTER_FIELDS] = (totals.parts[0] - words[:rest].sum(axis=0))[COUNTER_FIELDS]
    for part, total in zip((counts, low, high), totals.parts[1:4], strict=True):
        of_rows = part.reshape(n_rows, N_SKETCHES)
        of_rows[rest] = total - of_rows[:rest].sum(axis=0)
    rest_keys, rest_pages = _rest_pages(page_keys, bins, totals.parts[4], rest)
    all_keys = np.concatenate([page_keys, rest_keys])
    pages = np.concatenate([bins.reshape(-1, BINS_IN_PAGE), rest_pages])
    used = np.flatnonzero(pages.any(axis=1))
    state = SketchState(
        _stats((counts, low, high), all_keys[used], pages[used]), all_keys[used], pages[used]
    )
    rows = np.ascontiguousarray(words[:, : len(FIELDS)]).view(COUNTER_ROW).reshape(n_rows)
    return _with_rest(keys, n_rows), rows, state


def _with_rest(keys: npt.NDArray[Any], n_rows: int) -> npt.NDArray[Any]:
    if len(keys) == n_rows:
        return keys.copy()
    rest = np.zeros(1, DESTINATION_KEY)
    rest["kind"] = DestinationKind.OTHER
    return np.concatenate([keys, rest])


def _rest_pages(
    page_keys: npt.NDArray[np.uint32],
    bins: npt.NDArray[np.uint64],
    totals: npt.NDArray[np.uint64],
    rest: int,
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint64]]:
    """Keys and bins of what no row accounts for."""
    per_row = N_SKETCHES * PAGES_PER_SKETCH
    kept = bins.reshape(-1, BINS_IN_PAGE)
    used = np.flatnonzero(kept.any(axis=1))
    pages = totals.reshape(per_row, BINS_IN_PAGE).copy()
    np.subtract.at(pages, page_keys[used] % np.uint32(per_row), kept[used])
    left = np.flatnonzero(pages.any(axis=1))
    return (rest * per_row + left).astype(np.uint32), pages[left]


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
    is_used = pages != 0
    base = (page_keys % np.uint32(PAGES_PER_SKETCH)).astype(np.intp) * BINS_IN_PAGE
    first = base + is_used.argmax(axis=1)
    last = base + BINS_IN_PAGE - 1 - is_used[:, ::-1].argmax(axis=1)
    sketches = page_keys // np.uint32(PAGES_PER_SKETCH)
    least = np.full(len(stats), np.iinfo(np.int64).max)
    greatest = np.full(len(stats), np.iinfo(np.int64).min)
    np.minimum.at(least, sketches, MIDDLE[np.minimum(first, len(MIDDLE) - 1)])
    np.maximum.at(greatest, sketches, MIDDLE[np.minimum(last, len(MIDDLE) - 1)])
    has_bins = least <= greatest
    stats["min"], stats["max"] = np.where(has_bins, least, 0), np.where(has_bins, greatest, 0)
    return stats
