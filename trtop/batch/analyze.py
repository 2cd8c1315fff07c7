"""``analyze_many``: captures of many hosts, on many workers, as one result."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from trtop.api import settings
from trtop.batch.engines import CLUSTER_TASKS, TASKS_PER_WORKER, local_pools
from trtop.batch.hosts import Host, find_hosts, is_remote
from trtop.batch.measure import Task, all_rows
from trtop.batch.run import DEFAULT_RETRIES, Executor, Progress, Running, run_tasks
from trtop.metrics import lookup
from trtop.notebook.result import Result
from trtop_core.config import EngineConfig
from trtop_core.engine import MIN_SEED_BYTES, Engine
from trtop_core.errors import TrtopError
from trtop_core.merging.snapshots import merge
from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_core.wire import decode_snapshot


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a run over many hosts gave.

    Attributes:
        snapshot: of all of them together.
        errors: what could not be read, one line each.
        n_hosts: how many there were.
        n_kept: of these, measured by an earlier run.
        is_unusable: of no capture anything could be read.
    """

    snapshot: Snapshot
    errors: tuple[str, ...]
    n_hosts: int
    n_kept: int
    is_unusable: bool


def analyze_many(  # noqa: PLR0913 - all but the first are options
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    executor: Executor | None = None,
    *,
    host: str | None = None,
    state: str | os.PathLike[str] | None = None,
    retries: int = DEFAULT_RETRIES,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    local: str | Sequence[str] = (),
    direction: str = "out",
    group_by: str = "addr",
    sort: str = "syn",
    limit: int | None = None,
    decap: bool = True,
) -> Result:
    """Read the captures of many hosts, each host's one after the other, hosts side by side.

    Numbers are those of one process that reads each host by itself and merges: counter for
    counter, bin for bin. What could not be read is in ``Result.errors``.

    Args:
        inputs: files, folders, globs, and URLs that fsspec knows (``s3://``; extra ``remote``).
        executor: anything with ``submit`` whose futures have ``add_done_callback`` and ``result``:
            of ``concurrent.futures``, a ``dask.distributed.Client``. None: all cores here.
        host: a regular expression: what its first group matches in a path names the host. None:
            the captures of a folder are one host's.
        state: a folder for what is measured: hosts that an earlier run measured, by the content
            of their captures, are not read again.
        retries: how often a host is tried again whose worker failed.
        on_progress: told of each host.
        local: as ``trtop.analyze``.
        direction: as ``trtop.analyze``.
        group_by: as ``trtop.analyze``.
        sort: as ``trtop.analyze``.
        limit: as ``trtop.analyze``.
        decap: as ``trtop.analyze``.

    Raises:
        TrtopError: there is no capture, or nothing could be read.
        ValueError: an argument makes no sense.
    """
    config, view = settings(local, direction, group_by, "all", decap)
    view = replace(view, sort=lookup.column(sort), limit=limit)
    one = isinstance(inputs, (str, os.PathLike))
    listed: list[Any] = [inputs] if one else list(inputs)  # type: ignore[arg-type]
    hosts = find_hosts([os.fspath(item) for item in listed], host)
    with _executors(executor) as (make_executor, n_at_once):
        running = Running(make_executor, n_at_once, retries, on_progress)
        folder = None if state is None else os.fspath(state)
        measured = measure_hosts(hosts, config, running, folder)
    if measured.is_unusable:
        raise TrtopError(measured.errors[0] if measured.errors else "nothing could be read")
    return Result(merge([measured.snapshot], view), measured.errors)


def measure_hosts(
    hosts: Sequence[Host], config: EngineConfig, running: Running, folder: str | None = None
) -> Measurement:
    """All hosts as one snapshot, with all its rows.

    Args:
        hosts: their captures.
        config: how they are read; windows are left out.
        running: on what.
        folder: where what is measured is kept; made where it is not there.

    Raises:
        TrtopError: the folder cannot be written to.
    """
    config = replace(config, windows=())
    if folder is not None:
        folder = os.path.abspath(folder)
        _prepare(folder)
    tasks = [Task(_absolute(host), config, folder) for host in hosts]
    outcome = run_tasks(tasks, config, running)
    snapshot = None if outcome.snapshot is None else decode_snapshot(outcome.snapshot)
    if snapshot is None:
        snapshot = Engine(config, bytes(MIN_SEED_BYTES)).snapshot(all_rows(config))
    n_captures = sum(len(host.paths) for host in hosts)
    return Measurement(
        snapshot=snapshot,
        errors=tuple(outcome.errors),
        n_hosts=len(hosts),
        n_kept=outcome.n_kept,
        is_unusable=n_captures > 0 and outcome.n_unread >= n_captures,
    )


def ordered(snapshot: Snapshot, view: View) -> Snapshot:
    """The rows that a view asks for, of a snapshot of all."""
    return merge([snapshot], view)


@contextmanager
def _executors(executor: Executor | None) -> Iterator[tuple[Callable[[], Executor], int]]:
    if executor is None:
        with local_pools() as made:
            yield made
        return
    n_workers = getattr(executor, "_max_workers", None)
    n_at_once = TASKS_PER_WORKER * n_workers if isinstance(n_workers, int) else CLUSTER_TASKS
    yield lambda: executor, n_at_once


def _absolute(host: Host) -> Host:
    """The same with paths that hold in whatever folder a worker runs."""
    paths = (path if is_remote(path) else os.path.abspath(path) for path in host.paths)
    return replace(host, paths=tuple(paths))


def _prepare(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise TrtopError(f"{folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise TrtopError(f"{folder}: cannot be written to")
