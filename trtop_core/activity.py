"""``ActivityView`` and ``Activity``: what all rows and some of them did, and when. Data only.

A question and its frozen answer, as ``View`` and ``Snapshot`` are, of plain values and arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.records import DESTINATION_KEY, GroupBy
from trtop_core.view import Period

MAX_ACTIVITY_ROWS = 512
"""Rows of one question: a message of 12 KiB."""

MAX_ACTIVITY_COLUMNS = 400
"""More than a page has room for bars."""

MAX_SLOW = 10
"""Connections of one row."""

MAX_NUMBERS = 20_000
"""Numbers of all rows that are asked for; where there would be more, their columns are wider."""

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
"""Counters that are told."""

CELL = np.dtype(
    [
        ("row", "<u2"),  # of the question
        ("column", "<u2"),
        ("_pad", "<u4"),
        ("counters", [(name, "<u8") for name in SERIES]),
        ("response_time_ns", "<i8"),  # p95; -1 without samples
    ]
)
"""What one row did in one column."""


@dataclass(frozen=True, slots=True)
class ActivityView:
    """One question about a history.

    Attributes:
        keys: ``records.DESTINATION_KEY`` of each row that is asked for, one after the other.
        group_by: how the rows were grouped.
        n_columns: at most so many.
        n_slow: at most so many slow connections of each row.
        period: only what was counted in slots that reach into it; None: all of the history.

    Raises:
        ValueError: a field is out of range.
    """

    keys: bytes
    group_by: GroupBy = GroupBy.ADDR
    n_columns: int = MAX_ACTIVITY_COLUMNS
    n_slow: int = 0
    period: Period | None = None

    def __post_init__(self) -> None:
        if len(self.keys) % DESTINATION_KEY.itemsize:
            raise ValueError("the keys of rows end inside a key")
        if len(self.keys) > MAX_ACTIVITY_ROWS * DESTINATION_KEY.itemsize:
            raise ValueError(f"at most {MAX_ACTIVITY_ROWS} rows can be asked for")
        if not 2 <= self.n_columns <= MAX_ACTIVITY_COLUMNS:
            raise ValueError(f"an activity has 2 … {MAX_ACTIVITY_COLUMNS} columns")
        if not 0 <= self.n_slow <= MAX_SLOW:
            raise ValueError(f"0 … {MAX_SLOW} slow connections of a row can be asked for")

    @property
    def rows(self) -> npt.NDArray[Any]:
        """Which rows; shape (n,), dtype ``records.DESTINATION_KEY``."""
        return np.frombuffer(self.keys, DESTINATION_KEY)


@dataclass(frozen=True, slots=True)
class Activity:
    """What a history tells, in columns of equal length.

    Attributes:
        view: the question that this answers.
        first_ns: capture time at which the first column begins; 0 if there is none.
        length_ns: of a column.
        totals: shape (n_columns, len(SERIES)), int64: of all rows, exactly.
        response_time_ns: shape (n_columns,), int64: their p95; -1 without samples.
        factor: so many columns are one in ``cells``.
        cells: shape (n,), dtype ``CELL``, ascending by row and column: what the history holds of
            the rows that are asked for. Of a row that was less busy than others parts are missing.
        slow_rows: shape (m,), int64, ascending: whose connections ``slow`` are.
        slow: shape (m,), dtype ``detail.CONNECTION``: whose latest answer took longest, the slowest
            of a row first.
    """

    view: ActivityView
    first_ns: int
    length_ns: int
    totals: npt.NDArray[np.int64]
    response_time_ns: npt.NDArray[np.int64]
    factor: int
    cells: npt.NDArray[Any]
    slow_rows: npt.NDArray[np.int64]
    slow: npt.NDArray[Any]
