"""What a history is asked: the rows of a period, and all of it in columns.

Takes slots, gives arrays in the form of an engine's own, and timelines. Periods are rounded to
whole slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trtop_core._state import HEALTH, State
from trtop_core._window import EPOCH_NS
from trtop_core.history.slots import Cells, Slot
from trtop_core.history.sums import summed
from trtop_core.query import Exported
from trtop_core.sketch import MIDDLE, nearest_rank
from trtop_core.timeline import TIMELINE, Timeline, TimelineView, length_for
from trtop_core.view import Period

PERCENTILE = 95


class Bounds(NamedTuple):
    """The windows' time of an engine.

    Attributes:
        first_ns: at the first packet.
        now_ns: now.
    """

    first_ns: int
    now_ns: int


class PeriodRows(NamedTuple):
    """The rows of a period.

    Attributes:
        exported: as an engine exports its own.
        start_ns: capture time from which on they count: that of the period, or of its first slot.
        end_ns: capture time up to which they count, likewise.
        health_before: raw counters of the capture at the start; None: all are 0.
        health_after: at the end.
    """

    exported: Exported
    start_ns: int
    end_ns: int
    health_before: npt.NDArray[Any] | None
    health_after: npt.NDArray[Any]


def start_of(slot: Slot, bounds: Bounds) -> int:
    """Capture time at which a slot begins."""
    return max(slot.start_epoch * EPOCH_NS, bounds.first_ns) + slot.shift_ns


def end_of(slot: Slot, bounds: Bounds) -> int:
    """Capture time at which a slot ends."""
    return min(slot.end_epoch * EPOCH_NS, bounds.now_ns) + slot.shift_ns


def rows_of(slots: Sequence[Slot], period: Period, state: State, bounds: Bounds) -> PeriodRows:
    """The rows of all slots that reach into a period; there may be none.

    Args:
        slots: of a history, the open one included, by time.
        period: capture time.
        state: the engine's tables, settled.
        bounds: of the engine.
    """
    starts, ends = _times(slots, bounds) if slots else (np.zeros(0), np.zeros(0))
    chosen = np.flatnonzero((starts < period.end_ns) & (ends > period.start_ns)).tolist()
    keys, _ = state.destinations.export()
    _, page_keys, _ = state.sketches.export(0)
    keys, counters, sketches = summed((slots[i] for i in chosen), keys, page_keys)
    if not chosen:
        nothing = np.zeros((), HEALTH)
        exported = Exported(keys, counters, sketches, 0, None)
        return PeriodRows(exported, period.start_ns, period.end_ns, None, nothing)
    first, last = slots[chosen[0]], slots[chosen[-1]]
    # Silence has no slots, and is a part of the period.
    begin_ns, now_ns = start_of(slots[0], bounds), bounds.now_ns + slots[-1].shift_ns
    start_ns = min(start_of(first, bounds), max(period.start_ns, begin_ns))
    end_ns = max(end_of(last, bounds), min(period.end_ns, now_ns))
    return PeriodRows(
        Exported(keys, counters, sketches, max(0, end_ns - start_ns), None),
        start_ns,
        end_ns,
        slots[chosen[0] - 1].health if chosen[0] else None,
        last.health,
    )


def timeline_of(
    slots: Sequence[Slot], view: TimelineView, bounds: Bounds, memory: tuple[int, int]
) -> Timeline:
    """All of a history in columns.

    Args:
        slots: the open one included, by time.
        view: how many columns.
        bounds: of the engine.
        memory: bytes that the history takes, and may take.
    """
    if not slots:
        return Timeline(view, EPOCH_NS, np.zeros(0, TIMELINE), 0, *memory)
    starts, ends = _times(slots, bounds)
    length_ns = length_for(int(ends.max() - starts.min()), view.n_columns)
    length_ns = max(length_ns, EPOCH_NS)
    numbers, places = np.unique(starts // length_ns, return_inverse=True)
    places = places.reshape(-1)
    columns = np.zeros(len(numbers), TIMELINE)
    columns["start_ns"] = np.iinfo(np.int64).max
    columns["end_ns"] = np.iinfo(np.int64).min
    np.minimum.at(columns["start_ns"], places, starts)
    np.maximum.at(columns["end_ns"], places, ends)
    np.add.at(columns["requests"], places, np.array([slot.requests for slot in slots], np.uint64))
    np.add.at(columns["errors"], places, np.array([slot.errors for slot in slots], np.uint64))
    columns["response_time_ns"] = percentiles(slots, places, len(numbers))
    longest = max((slot.end_epoch - slot.start_epoch for slot in slots[:-1]), default=1)
    return Timeline(view, length_ns, columns, longest * EPOCH_NS, *memory)


def _times(
    slots: Sequence[Slot], bounds: Bounds
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """``start_of`` and ``end_of`` each slot."""
    epochs = np.array([(slot.start_epoch, slot.end_epoch) for slot in slots], np.int64) * EPOCH_NS
    shifts = np.array([slot.shift_ns for slot in slots], np.int64)
    starts = np.maximum(epochs[:, 0], bounds.first_ns) + shifts
    return starts, np.minimum(epochs[:, 1], bounds.now_ns) + shifts


def percentiles(
    slots: Sequence[Slot], places: npt.NDArray[np.intp], n_columns: int
) -> npt.NDArray[np.int64]:
    """A percentile of each column's response times, of all rows; -1 without any.

    Args:
        slots: there is one at least.
        places: shape (n_slots,): the column of each.
        n_columns: how many there are.
    """
    parts = [slot.response_bins for slot in slots]
    bins = Cells.listed(parts)
    found = np.full(n_columns, -1, np.int64)
    if not len(bins.at):
        return found
    # Most bins are beyond what there is.
    least, n_bins = int(bins.at.min()), int(np.ptp(bins.at)) + 1
    at = np.repeat(places * n_bins, [len(part.at) for part in parts]) + bins.at - least
    counted = np.bincount(at, bins.amounts, n_columns * n_bins)
    before = np.cumsum(counted.reshape(n_columns, n_bins), axis=1)
    for column in np.flatnonzero(before[:, -1]):
        rank = nearest_rank(int(before[column, -1]), PERCENTILE)
        found[column] = MIDDLE[least + np.searchsorted(before[column], rank, side="left")]
    return found
