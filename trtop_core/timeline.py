"""``TimelineView`` and ``Timeline``: how busy and how bad it was, and when. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_COLUMNS = 1000
"""Far more than a terminal has."""

LENGTHS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 43_200, 86_400)
"""How long a column may be; of a longer history columns are whole days."""

TIMELINE = np.dtype(
    [
        ("start_ns", "<i8"),  # capture time
        ("end_ns", "<i8"),
        ("requests", "<u8"),
        ("errors", "<u8"),  # metrics.ERRORS
        ("response_time_ns", "<i8"),  # p95; -1 without samples
    ]
)
"""One column: a span of capture time in which something was counted."""


@dataclass(frozen=True, slots=True)
class TimelineView:
    """How a history is to be summed up.

    Attributes:
        n_columns: at most so many.

    Raises:
        ValueError: it is out of range.
    """

    n_columns: int = 60

    def __post_init__(self) -> None:
        if not 1 <= self.n_columns <= MAX_COLUMNS:
            raise ValueError(f"a timeline has 1 … {MAX_COLUMNS:,} columns")


@dataclass(frozen=True, slots=True)
class Timeline:
    """A history in columns of equal length.

    Attributes:
        view: the question that this answers.
        length_ns: of a column.
        columns: shape (n,), dtype ``TIMELINE``: those in which something was counted, by time.
        grain_ns: the longest slot that the history has: what a period is rounded to at most.
        n_bytes: memory that the history takes.
        max_bytes: memory that it may take; 0: there is none.
    """

    view: TimelineView
    length_ns: int
    columns: npt.NDArray[Any]
    grain_ns: int
    n_bytes: int
    max_bytes: int


def length_for(span_ns: int, n_columns: int) -> int:
    """The shortest length of which so many columns, aligned, cover a span; in ns."""
    for length_s in LENGTHS_S:
        if span_ns // (length_s * 10**9) + 2 <= n_columns:
            return length_s * 10**9
    day_ns = LENGTHS_S[-1] * 10**9
    return max(1, -(-span_ns // (day_ns * max(1, n_columns - 1)))) * day_ns
