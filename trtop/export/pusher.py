"""``Pusher``: collects every so often and pushes to an OTLP receiver, in threads of its own.

What is not taken waits in a bounded queue and is sent again, later and later; what the queue cannot
hold, or the receiver will never take, is thrown away and counted.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from trtop.export.collected import Collected
from trtop.export.otlp_points import Batch
from trtop.export.transports import Outcome, Transport
from trtop_core.errors import TrtopError
from trtop_daemon.system.log import printable

LOG = logging.getLogger("trtop_daemon.exporter")

MAX_QUEUED_BYTES = 32 << 20
"""An hour of a hundred destinations, once a minute."""

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
MAX_RETRY_AFTER_S = 300.0
"""No receiver has more patience asked of us."""


class Queue:
    """Requests that wait; the oldest go when there is no room.

    Args:
        max_bytes: of all of them together; the newest one is kept however large.

    Attributes:
        n_lost: points of requests that found no room.
    """

    def __init__(self, max_bytes: int = MAX_QUEUED_BYTES) -> None:
        self.n_lost = 0
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._waiting: deque[Batch] = deque()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, batches: Iterable[Batch]) -> None:
        """Add requests behind the others."""
        with self._changed:
            for batch in batches:
                self._waiting.append(batch)
                self._n_bytes += len(batch.data)
            while len(self._waiting) > 1 and self._n_bytes > self._max_bytes:
                self.n_lost += self._remove_first().n_points
            self._changed.notify_all()

    def first(self) -> Batch:
        """The oldest request, which stays; waits for one."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            return self._waiting[0]

    def remove(self, batch: Batch) -> bool:
        """Take a request out; False if it has gone already."""
        with self._changed:
            if not self._waiting or self._waiting[0] is not batch:
                return False
            self._remove_first()
            return True

    def _remove_first(self) -> Batch:
        gone = self._waiting.popleft()
        self._n_bytes -= len(gone.data)
        return gone


class Pusher:
    """Pushes.

    Args:
        transport: the way to the receiver.
        collect: gives what there is; ``TrtopError`` where there is nothing now.
        make_batches: makes requests of that.
        interval_s: between two pushes.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        transport: Transport,
        collect: Callable[[], Collected],
        make_batches: Callable[[Collected], list[Batch]],
        interval_s: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.queue = Queue()
        self._transport = transport
        self._collect = collect
        self._make_batches = make_batches
        self._interval_s = interval_s
        self._sleep = sleep
        self._n_rejected = 0
        self._results = {"ok": 0, "retried": 0, "dropped": 0}
        self._trouble = ""
        self._retry_s = FIRST_RETRY_S

    def own_counts(self) -> dict[tuple[str, str], float]:
        """What became of requests and points so far, by name and label."""
        return {
            **{("otlp_requests", result): n for result, n in self._results.items()},
            ("otlp_points_lost", ""): self.queue.n_lost + self._n_rejected,
            ("otlp_requests_queued", ""): len(self.queue),
        }

    def start(self) -> None:
        """Push, in threads of their own."""
        for work in (self._collect_for_ever, self._send_for_ever):
            threading.Thread(target=work, daemon=True).start()

    def collect_once(self) -> None:
        """Put into the queue what there is now."""
        try:
            self.queue.put(self._make_batches(self._collect()))
        except TrtopError as error:
            LOG.warning("nothing to push: %s", error)

    def send_once(self) -> None:
        """Send the oldest request; wait where it must be sent again."""
        batch = self.queue.first()
        outcome = self._transport.send(batch.data)
        self._say(outcome.problem)
        if outcome.problem and outcome.may_retry:
            self._results["retried"] += 1
            self._sleep(self._pause_s(outcome))
            return
        self._retry_s = FIRST_RETRY_S
        if outcome.problem and not outcome.n_rejected:
            self._results["dropped"] += 1
            self._n_rejected += batch.n_points if self.queue.remove(batch) else 0
            return
        self._results["ok"] += 1
        self._n_rejected += outcome.n_rejected
        self.queue.remove(batch)

    def _pause_s(self, outcome: Outcome) -> float:
        if outcome.retry_after_s is not None:
            return min(outcome.retry_after_s, MAX_RETRY_AFTER_S)
        pause_s = self._retry_s * random.uniform(0.5, 1.0)
        self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)
        return pause_s

    def _say(self, problem: str) -> None:
        """One line when a trouble begins, changes or ends."""
        if problem == self._trouble:
            return
        self._trouble = problem
        if problem:
            LOG.warning("OTLP: %s", printable(problem))
        else:
            LOG.info("OTLP: requests are taken again")

    def _collect_for_ever(self) -> None:
        while True:
            self._sleep(self._interval_s)
            self.collect_once()

    def _send_for_ever(self) -> None:
        while True:
            self.send_once()
