"""``run_tasks``: tasks on an executor, again where a worker died, and one snapshot of all.

Takes any executor whose ``submit`` gives futures with ``add_done_callback`` and ``result``: those
of ``concurrent.futures``, a Dask client, Ray behind ``engines``. A bounded number of tasks is under
way, and snapshots are merged as they come, ``FAN_IN`` at a time, by workers: at most that many of
each level of the tree are held.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from trtop.batch.hosts import reason
from trtop.batch.measure import Measured, Task, measure, merge_encoded
from trtop_core.config import EngineConfig

FAN_IN = 16
"""Snapshots that become one in one step."""

DEFAULT_RETRIES = 2


class Executor(Protocol):
    """What runs functions somewhere."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """A future of what the function gives."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        n_done: hosts that are measured, or given up.
        n_hosts: all of them.
        n_kept: of those that are measured, by an earlier run.
        n_errors: captures or hosts that could not be read so far.
    """

    n_done: int
    n_hosts: int
    n_kept: int
    n_errors: int


@dataclass(frozen=True, slots=True)
class Running:
    """How tasks are run.

    Attributes:
        make_executor: gives an executor; called again where it broke.
        n_at_once: tasks that are under way together.
        retries: how often a task is tried again whose worker failed.
        on_progress: told of each host.
    """

    make_executor: Callable[[], Executor]
    n_at_once: int
    retries: int = DEFAULT_RETRIES
    on_progress: Callable[[Progress], None] = lambda progress: None


@dataclass
class Outcome:
    """What a run gave.

    Attributes:
        snapshot: of all hosts, as bytes; None: of none.
        errors: one line each.
        n_unread: captures of which nothing was read.
        n_kept: hosts that an earlier run had measured.
    """

    snapshot: bytes | None = None
    errors: list[str] = field(default_factory=list)
    n_unread: int = 0
    n_kept: int = 0


@dataclass(frozen=True, slots=True)
class _Job:
    """A call that is under way, or waits: of a host, or of a merge."""

    call: tuple[Any, ...]
    n_tries: int = 0
    level: int | None = None

    @property
    def name(self) -> str:
        return str(self.call[1].host.name)


class _Run:
    """The state of one run."""

    def __init__(self, tasks: Sequence[Task], config: EngineConfig, running: Running) -> None:
        self._config = config
        self._running = running
        self._n_hosts = len(tasks)
        self._n_done = 0
        self._fresh = deque(_Job((measure, task)) for task in tasks)
        self._suspects: deque[_Job] = deque()
        self._merging: deque[_Job] = deque()
        self._levels: dict[int, list[bytes]] = {}
        self._under_way: dict[int, tuple[_Job, Any]] = {}
        self._number = 0
        self._done: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._executor: Executor | None = None
        self.outcome = Outcome()

    def go(self) -> Outcome:
        while self._fresh or self._suspects or self._merging or self._under_way:
            while (job := self._next()) is not None:
                self._submit(job)
            number = self._done.get()
            entry = self._under_way.pop(number, None)
            if entry is not None:
                self._finish(*entry)
        left = [snapshot for level in sorted(self._levels) for snapshot in self._levels[level]]
        if left:
            self.outcome.snapshot = merge_encoded(left, self._config)
        return self.outcome

    def _next(self) -> _Job | None:
        """What is to be started now.

        After a worker died nobody knows whose task killed it: those that were under way are tried
        again one at a time, so that it takes no other with it.
        """
        if len(self._under_way) >= self._running.n_at_once:
            return None
        if self._suspects:
            return None if self._under_way else self._suspects.popleft()
        if any(job.n_tries for job, _ in self._under_way.values()):
            return None
        if self._merging:
            return self._merging.popleft()
        return self._fresh.popleft() if self._fresh else None

    def _submit(self, job: _Job) -> None:
        if self._executor is None:
            self._executor = self._running.make_executor()
        self._number += 1
        number = self._number
        try:
            future = self._executor.submit(*job.call)
        except BrokenExecutor as error:
            self._failed(job, error)
            return
        self._under_way[number] = job, future
        future.add_done_callback(lambda _: self._done.put(number))

    def _finish(self, job: _Job, future: Any) -> None:
        try:
            result = future.result()
        except Exception as error:  # whatever happens to a worker
            self._failed(job, error)
            return
        if isinstance(result, Measured):
            self._take(result)
        else:
            self._add(result, job.level or 0)

    def _failed(self, job: _Job, error: Exception) -> None:
        if isinstance(error, BrokenExecutor):
            self._executor = None
        if job.n_tries < self._running.retries:
            self._suspects.append(_Job(job.call, job.n_tries + 1, job.level))
            return
        if job.level is not None:  # no worker can: nothing is lost if it is done here
            self._add(merge_encoded(job.call[1], self._config), job.level)
            return
        self.outcome.errors.append(f"{job.name}: {reason(error)} (tried {job.n_tries + 1} times)")
        self.outcome.n_unread += len(job.call[1].host.paths)
        self._tell()

    def _take(self, measured: Measured) -> None:
        self.outcome.errors += measured.errors
        self.outcome.n_unread += measured.n_unread
        self.outcome.n_kept += measured.was_kept
        self._add(measured.snapshot, 0)
        self._tell()

    def _add(self, snapshot: bytes, level: int) -> None:
        waiting = self._levels.setdefault(level, [])
        waiting.append(snapshot)
        if len(waiting) >= FAN_IN:
            call = (merge_encoded, tuple(waiting), self._config)
            self._merging.append(_Job(call, level=level + 1))
            self._levels[level] = []

    def _tell(self) -> None:
        self._n_done += 1
        outcome = self.outcome
        self._running.on_progress(
            Progress(self._n_done, self._n_hosts, outcome.n_kept, len(outcome.errors))
        )


def run_tasks(tasks: Sequence[Task], config: EngineConfig, running: Running) -> Outcome:
    """Measure all hosts, and merge what they gave.

    Args:
        tasks: one for each host.
        config: of all of them.
        running: how.
    """
    return _Run(tasks, config, running).go()
