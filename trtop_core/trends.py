"""``TrendView`` and ``Trends``: how some rows went, slot by slot of a window. Data only.

A question and its frozen answer, as ``View`` and ``Snapshot`` are, of plain values and arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.records import DESTINATION_KEY, GroupBy, Window

MAX_TREND_ROWS = 128
"""Rows of one question: more than any terminal shows, and a message of 3 KiB."""

TREND_PERCENTILE = 95
"""Of the response times of a slot."""


@dataclass(frozen=True, slots=True)
class TrendView:
    """One question about some rows.

    Attributes:
        keys: ``records.DESTINATION_KEY`` of each row, one after the other.
        group_by: how the rows were grouped.
        window: which slots: those that this window is made of.

    Raises:
        ValueError: a field is out of range.
    """

    keys: bytes
    group_by: GroupBy = GroupBy.ADDR
    window: Window = Window.LAST_60_S

    def __post_init__(self) -> None:
        if len(self.keys) % DESTINATION_KEY.itemsize:
            raise ValueError("the keys of rows end inside a key")
        if len(self.keys) > MAX_TREND_ROWS * DESTINATION_KEY.itemsize:
            raise ValueError(f"at most {MAX_TREND_ROWS} rows can be asked for")
        if self.window is Window.ALL:
            raise ValueError("a trend is of a window that slides")

    @property
    def rows(self) -> npt.NDArray[Any]:
        """Which rows; shape (n,), dtype ``records.DESTINATION_KEY``."""
        return np.frombuffer(self.keys, DESTINATION_KEY)


@dataclass(frozen=True, slots=True)
class Trends:
    """What an engine knew of how some rows went.

    Attributes:
        view: the question that this answers.
        starts_ns: shape (n_slots,), int64: capture time at which each slot began, oldest first. No
            slots before the first packet.
        spans_ns: shape (n_slots,), int64: capture time that each covers; the last one is not over.
        errors: shape (n, n_slots), int64: ``metrics.ERRORS`` of each row in each slot.
        response_time_ns: shape (n, n_slots), int64: their p95; -1 without samples.
    """

    view: TrendView
    starts_ns: npt.NDArray[np.int64]
    spans_ns: npt.NDArray[np.int64]
    errors: npt.NDArray[np.int64]
    response_time_ns: npt.NDArray[np.int64]
