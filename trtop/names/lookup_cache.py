"""``LookupCache``: a slow function asked once per key, on threads of its own.

Takes keys, gives what is known about them at once, never waits for the function. Keeps a bounded
number of answers, for as long as the function said; logs its first failure and no other.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
# A program that has not set up logging wants no page of it on its screen.
logging.getLogger("trtop").addHandler(logging.NullHandler())

MAX_KEYS = 131_072
"""Answers that are kept, the oldest go first: as many as the engine has destinations."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Entry(Generic[V]):
    """What is known about one key.

    Attributes:
        value: the answer.
        is_known: there is an answer.
        is_asked: the question is with the threads.
        expires_s: when to ask again; None: never.
    """

    value: V
    is_known: bool = False
    is_asked: bool = True
    expires_s: float | None = None


class LookupCache(Generic[K, V]):
    """Asks a function that may be slow, may block for ever, and may raise.

    Args:
        what: what is asked, for the log and ``failure``.
        ask: takes a key; gives a value, and after how many seconds it is worth asking again (None:
            never).
        default: what a key has while nothing is known, and for good where ``ask`` raises.
        n_threads: how many ask at the same time; they are started when there is a first question.
        clock_s: a clock in seconds that never goes back.
        max_keys: answers that are kept.

    Attributes:
        failure: one line about the first exception; None so far.
        n_pending: questions without an answer.
        n_answers: answers so far.
    """

    def __init__(
        self,
        what: str,
        ask: Callable[[K], tuple[V, float | None]],
        default: V,
        n_threads: int = 1,
        clock_s: Callable[[], float] = time.monotonic,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self.failure: str | None = None
        self.what = what
        self._ask, self._default = ask, default
        self._n_threads, self._clock_s, self._max_keys = n_threads, clock_s, max_keys
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._questions: queue.SimpleQueue[K | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self.n_pending = 0
        self.n_answers = 0

    def look_up(self, key: K) -> tuple[V, bool]:
        """What is known about a key, and whether anything is; asks if it must."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._enter(key)
        elif (
            entry.expires_s is not None
            and not entry.is_asked
            and self._clock_s() >= entry.expires_s
        ):
            with self._changed:
                entry.is_asked = True
                self._put(key)
        return entry.value, entry.is_known

    def wait(self, timeout_s: float) -> bool:
        """Wait until all questions are answered; whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: self.n_pending == 0, timeout_s)

    def close(self) -> None:
        """Ask nothing more. A thread that is blocked in the function stays behind, as a daemon."""
        with self._changed:
            n_threads, self._threads = len(self._threads), []
        for _ in range(n_threads):
            self._questions.put(None)

    def _enter(self, key: K) -> _Entry[V]:
        entry = _Entry(self._default)
        with self._changed:
            self._entries[key] = entry
            if len(self._entries) > self._max_keys:
                self._entries.popitem(last=False)
            self._put(key)
        return entry

    def _put(self, key: K) -> None:
        """Give a question to the threads; the lock is held."""
        self.n_pending += 1
        self._questions.put(key)
        # One more thread while questions pile up: a resolver seldom asked needs no more than one.
        if len(self._threads) < min(self._n_threads, self.n_pending):
            thread = threading.Thread(target=self._run, name=f"trtop-{self.what}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self) -> None:
        while (key := self._questions.get()) is not None:
            value, age_s = self._default, None
            try:
                if key in self._entries:
                    value, age_s = self._ask(key)
            except (
                Exception,
                SystemExit,
            ) as error:  # whoever wrote the function decides what it raises
                self._fail(key, error)
            with self._changed:
                entry = self._entries.get(key)
                if entry is not None:
                    entry.value, entry.is_known, entry.is_asked = value, True, False
                    entry.expires_s = None if age_s is None else self._clock_s() + age_s
                # In this order: whoever sees nothing pending sees the answers too.
                self.n_answers += 1
                self.n_pending -= 1
                self._changed.notify_all()

    def _fail(self, key: K, error: BaseException) -> None:
        with self._changed:
            is_first, self.failure = self.failure is None, self.failure or describe(error)
        if is_first:
            log.warning(
                "%s failed for %s (further failures are not logged)",
                self.what,
                key,
                exc_info=error,
            )


def describe(error: BaseException) -> str:
    """An exception as one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
