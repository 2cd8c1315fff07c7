"""An ended span of an engine's time -> a slot: from the logs that windows are made of.

Takes an engine's tables, settled, and says what each row grew by since a slot began. Costs nothing
per packet: the rows that changed stand in the logs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trtop_core._history import grown_bins, grown_rows, grown_stats, reaches, row_scores
from trtop_core._sketch import BINS_IN_PAGE, PAGES_PER_SKETCH
from trtop_core._state import State
from trtop_core._window import LEVELS, WindowLog
from trtop_core.history.slots import (
    BUSY,
    COUNTER_FIELDS,
    FIELDS,
    GAUGE_FIELDS,
    N_SKETCHES,
    ROW_CELLS,
    TROUBLE,
    TROUBLE_WEIGHT,
    Cells,
    Slot,
    best,
    shortened,
)
from trtop_core.records import DestinationKind

N_STATS = 5
"""Words of a sketch's stats: samples, sum (two), least, greatest."""

_WEIGHED = np.array([FIELDS.index(name) for name in (*BUSY, *TROUBLE)], np.uint32)
_WEIGHTS = np.array([1] * len(BUSY) + [TROUBLE_WEIGHT] * len(TROUBLE), np.float32)


class Span(NamedTuple):
    """A span of the windows' time, and whose logs know what changed in it.

    Attributes:
        start_epoch: the second that it begins with; a multiple of the log's slots.
        end_epoch: the second behind it.
        level: which window's records.
    """

    start_epoch: int
    end_epoch: int
    level: int


class Made(NamedTuple):
    """A slot, and what making it took.

    Attributes:
        slot: what was counted.
        n_rows: rows that changed, kept or not.
        n_pieces: sketches and pages of bins that changed.
    """

    slot: Slot
    n_rows: int
    n_pieces: int


class Scratch:
    """Marks that the kernel needs, kept so that they are made once.

    Args:
        n_rows: of the engine, at most.
        n_pages: of its sketches, at most.
    """

    def __init__(self, n_rows: int, n_pages: int) -> None:
        self.rows = np.zeros(n_rows, np.uint8)
        self.stats = np.zeros(n_rows * N_SKETCHES, np.uint8)
        self.pages = np.zeros(n_pages, np.uint8)


def row_of_pages(page_keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
    """Which row each page of bins belongs to."""
    return (page_keys // np.uint32(N_SKETCHES * PAGES_PER_SKETCH)).astype(np.intp)


def make_slot(
    state: State, span: Span, health: npt.NDArray[np.void], scratch: Scratch, max_rows: int
) -> Made | None:
    """What was counted in a span that ends now.

    Args:
        state: the engine's tables; no sample waits.
        span: which.
        health: the raw counters of the capture as they are now.
        scratch: marks.
        max_rows: so many rows are kept one by one.

    Returns:
        None where the logs do not reach back to its beginning: more has changed than they hold.
    """
    level, first = span.level, span.start_epoch // LEVELS[span.level][1]
    rows_log, stats_log, pages_log = _logs(state)
    if not all(reaches(log, level, first) for log in (rows_log, stats_log, pages_log)):
        return None
    keys, counters = state.destinations.export()
    stats, page_keys, pages = state.sketches.export(len(keys))
    words = counters.view(np.uint64).reshape(len(keys), len(FIELDS))
    sums = np.zeros(len(FIELDS), np.uint64)
    rows, scores, places = row_scores(
        rows_log, level, first, words, _WEIGHED, _WEIGHTS, scratch.rows, sums
    )
    has_other = len(keys) > 0 and keys["kind"][-1] == DestinationKind.OTHER
    if has_other:
        scores[rows == len(keys) - 1] = -1
    chosen = best(scores, max_rows)
    chosen = chosen[scores[chosen] >= 0]
    kept = rows[chosen]
    counted = grown_rows(rows_log, level, kept, places[chosen], words)
    counted[:, GAUGE_FIELDS] = 0
    # With room for all, rows count too in which nothing but a latency came late.
    is_kept = np.full(len(keys), len(rows) <= max_rows, np.uint8)
    is_kept[kept] = 1
    is_kept[len(keys) - has_other :] = 0
    of_stats = np.zeros((3, N_SKETCHES), np.uint64)
    stat_words = stats.view(np.uint64).reshape(-1, N_STATS)
    sketches, parts, n_sketches = grown_stats(
        stats_log, level, first, stat_words, is_kept, scratch.stats, of_stats
    )
    of_bins = np.zeros((N_SKETCHES * PAGES_PER_SKETCH, BINS_IN_PAGE), np.uint64)
    bins, amounts, n_pages = grown_bins(
        pages_log, level, first, pages, page_keys, is_kept, scratch.pages, of_bins
    )
    slot = Slot(
        span.start_epoch,
        span.end_epoch,
        state.shift_ns,
        kept,
        scores[chosen],
        (_counter_cells(kept, counted), *(Cells.of(sketches, part) for part in parts),
         Cells.of(bins, amounts)),
        _gauge_cells(kept, words[kept][:, GAUGE_FIELDS]),
        _totals(sums, of_stats, of_bins.reshape(-1)),
        health.copy(),
    )  # fmt: skip
    return Made(slot, len(rows), n_sketches + n_pages)


def _logs(state: State) -> tuple[WindowLog, WindowLog, WindowLog]:
    """Of rows, stats and pages."""
    logs = state.destinations.log, state.sketches.stats_log, state.sketches.pages_log
    assert logs[0] is not None
    assert logs[1] is not None
    assert logs[2] is not None
    return logs[0], logs[1], logs[2]


def _counter_cells(rows: npt.NDArray[np.uint32], counted: npt.NDArray[np.uint64]) -> Cells:
    at, field = np.nonzero(counted)
    return Cells.of(rows[at] * np.uint32(ROW_CELLS) + field.astype(np.uint32), counted[at, field])


def _gauge_cells(
    rows: npt.NDArray[np.uint32], gauges: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[Any]]:
    at = rows[:, None] * np.uint32(ROW_CELLS) + GAUGE_FIELDS.astype(np.uint32)
    return at.reshape(-1), shortened(gauges.reshape(-1))


def _totals(
    sums: npt.NDArray[np.uint64], stats: npt.NDArray[np.uint64], bins: npt.NDArray[np.uint64]
) -> tuple[Cells, ...]:
    """What all rows together grew by, as cells."""
    used = np.flatnonzero(bins)
    return (
        Cells.of(COUNTER_FIELDS, sums[COUNTER_FIELDS]),
        *(Cells.of(np.arange(N_SKETCHES), part) for part in stats),
        Cells.of(used, bins[used]),
    )
