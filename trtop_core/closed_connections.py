"""``ClosedLog``: the latest connections that were forgotten, numbered, for any number of readers.

Takes records as engines give them, answers a ``ClosedView``, which says where its reader has come
to. Who reads slower than connections close finds the oldest gone, and how many: nobody is waited
for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.connection_records import CONNECTION_RECORD

MAX_PER_ANSWER = 1 << 13
"""Records of one answer: some milliseconds of a daemon's time, and a few MB."""

MAX_LOG_ID = 1 << 62


@dataclass(frozen=True, slots=True)
class ClosedView:
    """One question for the records of connections that were forgotten.

    Attributes:
        log_id: of the log that ``after`` belongs to; 0: none is known yet.
        after: number of the first record that is wanted; records are numbered from 0.
        limit: at most so many.

    Raises:
        ValueError: a field is out of range.
    """

    log_id: int = 0
    after: int = 0
    limit: int = MAX_PER_ANSWER

    def __post_init__(self) -> None:
        if not 0 <= self.log_id <= MAX_LOG_ID or not 0 <= self.after <= MAX_LOG_ID:
            raise ValueError("a place in a log is out of range")
        if not 1 <= self.limit <= MAX_PER_ANSWER:
            raise ValueError(f"1 … {MAX_PER_ANSWER:,} records can be asked for")


@dataclass(frozen=True, slots=True)
class Closed:
    """Some records of a log.

    Attributes:
        view: the question that this answers.
        log_id: whose numbers these are; a daemon that starts anew has another log.
        first: number of the first record; above ``view.after``: those between are lost.
        n_unkept: records for which there was no memory, since the log began.
        is_over: the capture has ended: there is nothing behind the last record, or will be.
        records: shape (n,), dtype ``connection_records.CONNECTION_RECORD``.
    """

    view: ClosedView
    log_id: int
    first: int
    n_unkept: int
    is_over: bool
    records: npt.NDArray[Any]


class ClosedLog:
    """The latest records.

    Args:
        capacity: at most so many are kept, about 750 bytes each.
        log_id: a random number, by which readers know this log; above 0.
    """

    def __init__(self, capacity: int, log_id: int) -> None:
        self.is_over = False
        self.n_unkept = 0
        self._capacity = capacity
        self._log_id = log_id
        self._blocks: deque[npt.NDArray[Any]] = deque()
        self._first = 0
        self._end = 0

    def add(self, records: npt.NDArray[Any]) -> None:
        """Keep records, shape (n,), dtype ``CONNECTION_RECORD``; the oldest make room."""
        if not len(records):
            return
        self._blocks.append(records)
        self._end += len(records)
        while (n_over := self._end - self._first - self._capacity) > 0:
            oldest = self._blocks.popleft()
            if len(oldest) > n_over:
                self._blocks.appendleft(oldest[n_over:].copy())  # a slice would keep all of it
                self._first += n_over
            else:
                self._first += len(oldest)

    def answer(self, view: ClosedView) -> Closed:
        """The oldest records that a reader has not got yet."""
        after = view.after if view.log_id == self._log_id else 0
        first = min(max(after, self._first), self._end)
        parts = list(self._parts(first, view.limit))
        records = np.concatenate(parts) if parts else np.zeros(0, CONNECTION_RECORD)
        is_over = self.is_over and first + len(records) == self._end
        return Closed(view, self._log_id, first, self.n_unkept, is_over, records)

    def _parts(self, first: int, n_left: int) -> Iterator[npt.NDArray[Any]]:
        start = self._first
        for block in self._blocks:
            if n_left <= 0:
                return
            if start + len(block) > first:
                part = block[max(0, first - start) :][:n_left]
                n_left -= len(part)
                yield part
            start += len(block)
