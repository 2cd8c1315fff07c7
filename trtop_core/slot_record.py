"""``SlotRecord``: what happened in each slot of a capture, by destination, in bounded memory.

Takes what an engine had counted at the ends of slots, keeps the differences. When there are too
many slots, neighbours become one: counters and bins add up exactly. Never looks at packets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.groups import Groups, MergedSketches
from trtop_core.query import Exported
from trtop_core.sketch import MIDDLE, N_BINS, nearest_ranks

SERIES = (
    "syn",
    "synack",
    "est",
    "rst",
    "refused",
    "timeouts",
    "requests",
    "responses",
    "retrans_out",
    "retrans_in",
    "capture_gaps",
)
"""Counters that a timeline keeps."""

TIMED = "response_time"
"""The distribution that a timeline keeps the bins of."""

PERCENTILE = 95


@dataclass(frozen=True, slots=True)
class Progress:
    """What an engine has counted since the capture began.

    Attributes:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``; later ones have more rows behind these.
        counters: shape (n, len(SERIES)), int64.
        cells: shape (m,), int64, ascending: row * ``N_BINS`` + bin, of ``TIMED``.
        counts: shape (m,), int64: samples in each.
    """

    keys: npt.NDArray[Any]
    counters: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Slot:
    """What came in one slot; rows in which nothing happened are left out.

    Attributes:
        rows: shape (n,), ascending.
        counters: shape (n, len(SERIES)), int64: what they grew by.
        cells: as ``Progress.cells``.
        counts: shape (m,), int64: samples that came.
    """

    rows: npt.NDArray[np.intp]
    counters: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SlotRecord:
    """The slots of a capture.

    Attributes:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``: what rows of slots stand for.
        first_ns: capture time at which the first slot begins; None before any packet.
        slot_ns: capture time that each covers; the last one is not over.
        slots: one after the other. What a clock jumped over is in none of them.
    """

    keys: npt.NDArray[Any]
    first_ns: int | None
    slot_ns: int
    slots: tuple[Slot, ...]


def no_slots(keys: npt.NDArray[Any]) -> SlotRecord:
    """Of a capture of which nobody kept what came when."""
    return SlotRecord(keys, None, 1, ())


def progress_of(exported: Exported) -> Progress:
    """What a timeline needs of all that an engine has counted."""
    n_rows = len(exported.keys)
    rows, groups = np.arange(n_rows), Groups(exported.keys, by_addr_only=False)
    column = MergedSketches(exported.state, rows, groups)[TIMED].all()
    counters = np.stack([exported.counters[name].astype(np.int64) for name in SERIES], axis=1)
    cells = np.repeat(np.arange(n_rows), np.diff(column.indptr)) * N_BINS + column.bins
    return Progress(exported.keys, counters, cells, column.counts)


def no_progress(like: Progress) -> Progress:
    """What was counted before the capture began."""
    nothing = np.zeros(0, np.int64)
    return Progress(like.keys[:0], like.counters[:0], nothing, nothing)


def slot_between(now: Progress, before: Progress) -> Slot:
    """What came between two moments."""
    grown = now.counters.copy()
    grown[: len(before.counters)] -= before.counters
    rows = np.flatnonzero(grown.any(axis=1))
    counts = now.counts.copy()
    counts[np.searchsorted(now.cells, before.cells)] -= before.counts
    kept = np.flatnonzero(counts)
    return Slot(rows, grown[rows], now.cells[kept], counts[kept])


def merge_slots(slots: Sequence[Slot]) -> Slot:
    """Neighbours as one slot."""
    rows, counters = _summed([slot.rows for slot in slots], [slot.counters for slot in slots])
    cells, counts = _summed([slot.cells for slot in slots], [slot.counts for slot in slots])
    return Slot(rows, counters, cells, counts)


def _summed(
    keys: Sequence[npt.NDArray[np.intp]], values: Sequence[npt.NDArray[np.int64]]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """The different keys, ascending, and the sum of the values of each."""
    listed = np.concatenate(values)
    unique, labels = np.unique(np.concatenate(keys), return_inverse=True)
    sums = np.zeros((len(unique), *listed.shape[1:]), np.int64)
    np.add.at(sums, labels.reshape(-1), listed)
    return unique, sums


def coarser(slots: Sequence[Slot], factor: int) -> tuple[Slot, ...]:
    """So many neighbours as one each; the last may be of fewer."""
    return tuple(merge_slots(slots[i : i + factor]) for i in range(0, len(slots), factor))


def counters_of(
    slots: Sequence[Slot], places: npt.NDArray[np.intp], n_places: int
) -> npt.NDArray[np.int64]:
    """The counters of groups of rows, shape (n_places, len(slots), len(SERIES)).

    Args:
        slots: of a timeline.
        places: shape (n,), by row of the timeline: its group; below 0: none.
        n_places: groups.
    """
    result = np.zeros((n_places, len(slots), len(SERIES)), np.int64)
    for i, slot in enumerate(slots):
        at = places[slot.rows]
        shown = at >= 0
        np.add.at(result[:, i], at[shown], slot.counters[shown])
    return result


def percentiles_of(
    slots: Sequence[Slot], places: npt.NDArray[np.intp], n_places: int
) -> npt.NDArray[np.int64]:
    """The p95 of ``TIMED`` of groups of rows in each slot, in ns; -1 without samples.

    Args:
        slots: as for ``counters_of``.
        places: as for ``counters_of``.
        n_places: as for ``counters_of``.

    Returns:
        Shape (n_places, len(slots)).
    """
    result = np.full((n_places, len(slots)), -1, np.int64)
    for i, slot in enumerate(slots):
        at = places[slot.cells // N_BINS]
        shown = at >= 0
        cells = at[shown] * N_BINS + slot.cells[shown] % N_BINS
        cells, counts = _summed([cells], [slot.counts[shown]])
        if not len(cells):
            continue
        owners, firsts = np.unique(cells // N_BINS, return_index=True)
        ends = np.cumsum(counts)
        starts = ends[firsts] - counts[firsts]
        n_samples = np.append(starts[1:], ends[-1]) - starts
        ranks = nearest_ranks(n_samples, PERCENTILE)
        bins = cells[np.searchsorted(ends, starts + ranks, side="left")] % N_BINS
        result[owners, i] = MIDDLE[bins]
    return result
