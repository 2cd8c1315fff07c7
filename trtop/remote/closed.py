"""``ClosedReader``: the records of a daemon's closed connections, each once, and how many are lost.

Takes a client and the time, gives records as they come. Where it has come to is known here alone:
a daemon that has started anew has another log, which is read from its beginning.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from trtop.remote.client import Client
from trtop_core.closed_connections import Closed, ClosedView

MAX_PAUSE_S = 2.0
"""A daemon that stops waits for its readers, but not for long."""


class ClosedReader:
    """Reads the log of one daemon.

    Args:
        client: asks; nobody else asks it questions of other kinds.
        interval_s: between two questions while there is nothing new, ``MAX_PAUSE_S`` at most.

    Attributes:
        n_lost: records that were gone before they were asked for, or for which there was no memory.
        is_over: the capture has ended, and all of it was read.
        has_caught_up: the last answer held all that there was.
    """

    def __init__(self, client: Client, interval_s: float) -> None:
        self.client = client
        self.n_lost = 0
        self.is_over = False
        self.has_caught_up = False
        self._interval_s = min(interval_s, MAX_PAUSE_S)
        self._view = ClosedView()
        self._n_seen = 0
        self._n_unkept = 0
        self._next_s = 0.0

    @property
    def has_begun(self) -> bool:
        """There was an answer."""
        return self._n_seen > 0

    def poll(self, now_s: float) -> npt.NDArray[Any] | None:
        """New records, shape (n,), dtype ``CONNECTION_RECORD``; None while there are none."""
        answer = self.client.answer
        if isinstance(answer, Closed) and self.client.n_question_answers > self._n_seen:
            self._n_seen = self.client.n_question_answers
            if answer.view == self._view:
                return self._taken(answer, now_s)
        if now_s >= self._next_s and not self.is_over:
            self.client.ask_question(self._view, now_s)
        return None

    def _taken(self, answer: Closed, now_s: float) -> npt.NDArray[Any]:
        if answer.log_id == self._view.log_id:
            self.n_lost += answer.first - self._view.after + answer.n_unkept - self._n_unkept
        self._n_unkept = answer.n_unkept
        self._view = ClosedView(answer.log_id, answer.first + len(answer.records))
        self.is_over = answer.is_over
        self.has_caught_up = len(answer.records) < answer.view.limit
        self._next_s = now_s + (self._interval_s if self.has_caught_up else 0)
        if not self.has_caught_up:  # the daemon gets the next ones ready while these are written
            self.client.ask_question(self._view, now_s)
        return answer.records
