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

from trtop_core.connection_records import CONNECTION_RECORD, N_WORDS, records_of, words_of

MAX_PER_ANSWER = 1 << 13
"""Records of one answer: some milliseconds of a daemon's time, and a few MB."""

CHUNK = 1 << 12
"""Records whose memory is taken and given back together: 3 MB."""

MAX_LOG_ID = 1 << 62

NONE = np.zeros(0, CONNECTION_RECORD)


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
        capacity: at most so many are kept, about 750 bytes each; memory is taken as they come.
        log_id: a random number, by which readers know this log; above 0.
    """

    def __init__(self, capacity: int, log_id: int) -> None:
        self.n_unkept = 0
        self._capacity = capacity
        self._log_id = log_id
        self._chunks: deque[npt.NDArray[Any]] = deque()
        self._first_chunk = 0
        self._first = 0
        self._end = 0
        self._rest: Iterator[npt.NDArray[Any]] | None = None
        self._block = NONE
        self._is_over = False

    def add(self, records: npt.NDArray[Any]) -> None:
        """Keep records, shape (n,), dtype ``CONNECTION_RECORD``; the oldest make room."""
        self._append(records)
        self._forget_oldest()

    def finish(self, rest: Iterator[npt.NDArray[Any]], is_over: bool) -> None:
        """Take the last records, in blocks, as the foremost reader comes to them.

        All connections that are remembered at the end of a capture are recorded at once; added at
        once they would push each other out before anybody could ask for them.

        Args:
            rest: the blocks.
            is_over: whether the capture itself has ended; else a new one may follow.
        """
        self._rest = rest
        self._is_over = is_over

    def answer(self, view: ClosedView) -> Closed:
        """The oldest records that a reader has not got yet."""
        after = view.after if view.log_id == self._log_id else 0
        first = min(max(after, self._first), self._end)
        self._draw(first + view.limit)
        records = self._part(first, min(first + view.limit, self._end))
        is_over = self._is_over and self._rest is None and first + len(records) == self._end
        self._forget_oldest()
        return Closed(view, self._log_id, first, self.n_unkept, is_over, records)

    def _append(self, records: npt.NDArray[Any]) -> None:
        while len(records):
            place = self._end % CHUNK
            if not place:
                self._chunks.append(np.empty(CHUNK, CONNECTION_RECORD))
            part, records = records[: CHUNK - place], records[CHUNK - place :]
            words_of(self._chunks[-1])[place : place + len(part)] = words_of(part)
            self._end += len(part)

    def _forget_oldest(self) -> None:
        self._first = max(self._first, self._end - self._capacity)
        while (self._first_chunk + 1) * CHUNK <= self._first:
            self._chunks.popleft()
            self._first_chunk += 1

    def _draw(self, end: int) -> None:
        """Have the records below a number, and know whether there are more."""
        while self._rest is not None and self._end + len(self._block) <= end:
            self._append(self._block)
            block = next(self._rest, None)
            self._block = NONE if block is None else block
            if block is None:
                self._rest = None
        n_due = max(0, end - self._end)
        self._append(self._block[:n_due])
        self._block = self._block[n_due:]

    def _part(self, first: int, end: int) -> npt.NDArray[Any]:
        words = np.empty((end - first, N_WORDS), np.uint64)
        at = first
        while at < end:
            n_chunk, place = divmod(at, CHUNK)
            n_here = min(CHUNK - place, end - at)
            chunk = self._chunks[n_chunk - self._first_chunk]
            words[at - first : at - first + n_here] = words_of(chunk)[place : place + n_here]
            at += n_here
        return records_of(words)
