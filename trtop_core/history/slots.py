"""``Slot``: what some rows, and all together, grew by in a span of capture time. Sparse and small.

Takes what an engine's rows grew by, gives slots; slots become one slot, or fewer rows. What all
rows together grew by stays exact through all of it: rows that are dropped are in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._sketch import BINS_IN_PAGE, PAGES_PER_SKETCH
from trtop_core.metrics import COUNTER_ROW, COUNTERS, ERRORS, GAUGES, SKETCHES

N_SKETCHES = len(SKETCHES)

ROW_CELLS = 64
"""Cells of counters from one row to the next: a power of two that holds them all."""

BINS_OF_SKETCH = PAGES_PER_SKETCH * BINS_IN_PAGE

KINDS = ("counters", "counts", "low", "high", "bins")
"""What a slot adds up: counters; samples of sketches; their sums, in two parts of which the upper
counts in 2**32; bins."""

LOW_BITS = np.uint64(32)
LOW_MASK = np.uint64(0xFFFF_FFFF)

FIELDS = COUNTER_ROW.names or ()
GAUGE_FIELDS = np.array([FIELDS.index(name) for name in GAUGES])
COUNTER_FIELDS = np.array([FIELDS.index(name) for name in COUNTERS])
IS_REQUEST = np.isin(np.arange(ROW_CELLS), FIELDS.index("requests"))
IS_ERROR = np.isin(np.arange(ROW_CELLS), [FIELDS.index(name) for name in ERRORS])

RESPONSES = SKETCHES.index("response_time") * BINS_OF_SKETCH
"""Where the bins of response times begin among all."""

TROUBLE = (
    "rst_in", "rst_out", "refused", "timeouts", "unanswered", "tls_failed", "retrans_out",
    "retrans_in", "syn_retrans", "capture_gaps", "stalls",
)  # fmt: skip
BUSY = ("syn", "midstream", "requests", "segments_out", "segments_in")

TROUBLE_WEIGHT = 50
"""One of what went wrong keeps a row as long as so many segments."""

SLOT_BYTES = 1200
"""Of a slot besides its arrays, with the objects that hold them; measured."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Amounts above 0 of an array that is mostly 0.

    Attributes:
        at: shape (n,), uint32: places in the array.
        amounts: shape (n,), of the shortest unsigned kind that holds them.
    """

    at: npt.NDArray[np.uint32]
    amounts: npt.NDArray[Any]

    @classmethod
    def of(cls, at: npt.NDArray[Any], amounts: npt.NDArray[np.uint64]) -> Cells:
        """Cells of some places, each once; those of amount 0 are left out."""
        used = np.flatnonzero(amounts)
        if len(used) < len(amounts):
            at, amounts = at[used], amounts[used]
        return cls(at.astype(np.uint32), shortened(amounts))

    @classmethod
    def listed(cls, parts: Iterable[Cells]) -> Cells:
        """Several one after the other, in which a place may come more than once."""
        parts = list(parts)
        return cls(
            np.concatenate([part.at for part in parts]),
            np.concatenate([part.amounts for part in parts]),
        )

    @classmethod
    def joined(cls, parts: Sequence[Cells]) -> Cells:
        """The sums of several."""
        at = np.concatenate([part.at for part in parts])
        amounts = np.concatenate([part.amounts.astype(np.uint64) for part in parts])
        order = np.argsort(at, kind="stable")
        at = at[order]
        firsts = np.flatnonzero(np.diff(at.astype(np.int64), prepend=-1))
        if not len(firsts):
            return parts[0]
        return cls(at[firsts], shortened(np.add.reduceat(amounts[order], firsts)))

    def where(self, is_kept: npt.NDArray[np.bool_]) -> Cells:
        """Some of them."""
        return Cells(self.at[is_kept], shortened(self.amounts[is_kept]))

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        return self.at.nbytes + self.amounts.nbytes


def shortened(amounts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Amounts as the shortest unsigned kind that holds them."""
    largest = int(amounts.max()) if len(amounts) else 0
    size = 1 if largest < 1 << 8 else 2 if largest < 1 << 16 else 4 if largest < 1 << 32 else 8
    return amounts.astype(f"<u{size}")


@dataclass(frozen=True, slots=True)
class Slot:
    """What was counted in a span of the windows' time.

    Attributes:
        start_epoch: the second that it begins with.
        end_epoch: the second behind it.
        shift_ns: what added to the windows' time gives capture time.
        rows: shape (n,), uint32: the engine's rows that are kept one by one.
        scores: shape (n,), float32: how busy and how bad each was.
        cells: of these rows, by ``KINDS``.
        gauges: of these rows as of its end: places as of counters, and values, also 0.
        totals: of all rows together, by ``KINDS``.
        health: shape (), the engine's raw counters of the capture as of its end.
        requests: of all rows together.
        errors: ``metrics.ERRORS``, likewise.
    """

    start_epoch: int
    end_epoch: int
    shift_ns: int
    rows: npt.NDArray[np.uint32]
    scores: npt.NDArray[np.float32]
    cells: tuple[Cells, ...]
    gauges: tuple[npt.NDArray[np.uint32], npt.NDArray[Any]]
    totals: tuple[Cells, ...]
    health: npt.NDArray[Any]
    requests: int = field(init=False)
    errors: int = field(init=False)
    _responses: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        # What a timeline asks all slots for, at every refresh of a screen.
        counters = self.totals[0]
        for name, fields in (("requests", IS_REQUEST), ("errors", IS_ERROR)):
            amount = counters.amounts[fields[counters.at]].sum(dtype=np.uint64)
            object.__setattr__(self, name, int(amount))
        ends = np.searchsorted(self.totals[4].at, [RESPONSES, RESPONSES + BINS_OF_SKETCH])
        object.__setattr__(self, "_responses", (int(ends[0]), int(ends[1])))

    @property
    def is_empty(self) -> bool:
        """Nothing was counted in it."""
        return not any(len(cells.at) for cells in self.totals)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        arrays = (self.rows, self.scores, *self.gauges, self.health)
        n_bytes = sum(array.nbytes for array in arrays)
        return SLOT_BYTES + n_bytes + sum(cells.nbytes for cells in (*self.cells, *self.totals))

    @property
    def response_bins(self) -> Cells:
        """The bins of all rows' response times, numbered within their sketch."""
        bins = self.totals[4]
        first, last = self._responses
        return Cells(bins.at[first:last] - np.uint32(RESPONSES), bins.amounts[first:last])

    def thinned(self, n_rows: int, row_of_page: npt.NDArray[np.intp]) -> Slot:
        """With the busiest and worst of its rows alone.

        Args:
            n_rows: how many are kept.
            row_of_page: shape (n_pages,), of the engine.
        """
        if len(self.rows) <= n_rows:
            return self
        chosen = best(self.scores, n_rows)
        chosen = chosen[np.argsort(self.rows[chosen])]
        kept = self.rows[chosen]
        counters, *stats, bins = self.cells
        of_stats = (is_among(cells.at // N_SKETCHES, kept) for cells in stats)
        at, values = self.gauges
        is_gauge_kept = is_among(at // ROW_CELLS, kept)
        return replace(
            self,
            rows=kept,
            scores=self.scores[chosen],
            cells=(
                counters.where(is_among(counters.at // ROW_CELLS, kept)),
                *(cells.where(mask) for cells, mask in zip(stats, of_stats, strict=True)),
                bins.where(is_among(row_of_page[bins.at // BINS_IN_PAGE], kept)),
            ),
            gauges=(at[is_gauge_kept], shortened(values[is_gauge_kept])),
        )


def is_among(rows: npt.NDArray[Any], kept: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Which rows are among some that ascend; there is one at least."""
    places = np.minimum(np.searchsorted(kept, rows), len(kept) - 1)
    found: npt.NDArray[np.bool_] = kept[places] == rows
    return found


def best(scores: npt.NDArray[np.float32], n_rows: int) -> npt.NDArray[np.intp]:
    """Places of the highest scores; of equal ones the first."""
    if len(scores) <= n_rows:
        return np.arange(len(scores))
    return np.argsort(-scores, kind="stable")[:n_rows]


def joined(slots: Sequence[Slot]) -> Slot:
    """Consecutive slots as one."""
    if len(slots) == 1:
        return slots[0]
    rows = np.concatenate([slot.rows for slot in slots])
    unique, places = np.unique(rows, return_inverse=True)
    scores = np.bincount(
        places.reshape(-1), np.concatenate([slot.scores for slot in slots]), len(unique)
    )
    # The last one says how a gauge stood at the end.
    at = np.concatenate([slot.gauges[0] for slot in reversed(slots)])
    values = np.concatenate([slot.gauges[1].astype(np.uint64) for slot in reversed(slots)])
    gauge_at, firsts = np.unique(at, return_index=True)
    kinds = range(len(KINDS))
    return Slot(
        slots[0].start_epoch,
        slots[-1].end_epoch,
        slots[-1].shift_ns,
        unique.astype(np.uint32),
        scores.astype(np.float32),
        tuple(Cells.joined([slot.cells[kind] for slot in slots]) for kind in kinds),
        (gauge_at, shortened(values[firsts])),
        tuple(Cells.joined([slot.totals[kind] for slot in slots]) for kind in kinds),
        slots[-1].health,
    )
