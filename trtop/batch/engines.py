"""Executors by name: this machine's cores, a Ray cluster, a Dask cluster.

Gives what ``run_tasks`` takes. Ray and Dask are extras, and imported only where they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from enum import Enum
from importlib import import_module
from typing import Any

from trtop.batch.run import Executor
from trtop_core.errors import TrtopError

TASKS_PER_WORKER = 2
"""Tasks under way for each worker: one that it does, one that waits."""

CLUSTER_TASKS = 256
"""Tasks under way on an executor that does not say how many workers it has."""


class EngineKind(Enum):
    """What runs tasks; the value is what ``--engine`` takes."""

    LOCAL = "local"
    RAY = "ray"
    DASK = "dask"


class RayExecutor:
    """A Ray cluster as an executor."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """A future of what the function gives on a worker; retries are the caller's."""
        remote = self._ray.remote(max_retries=0)(fn)
        return remote.remote(*args).future()


@contextmanager
def local_pools(n_workers: int | None = None) -> Iterator[tuple[Callable[[], Executor], int]]:
    """Processes on this machine's cores: what makes a pool of them, and tasks at once.

    A pool whose worker died is of no use any more: another one is made.
    """
    n = n_workers or len(os.sched_getaffinity(0))
    with ExitStack() as stack:

        def make() -> Executor:
            pool = ProcessPoolExecutor(n)
            stack.callback(pool.shutdown, cancel_futures=True)
            return pool

        yield make, TASKS_PER_WORKER * n


@contextmanager
def cluster(kind: EngineKind, address: str | None) -> Iterator[tuple[Callable[[], Executor], int]]:
    """An existing cluster: what gives its executor, and tasks at once.

    Args:
        kind: Ray or Dask.
        address: where it is; None: what its own library takes for that (a local one).

    Raises:
        TrtopError: it is not installed, or nobody answers.
    """
    try:
        if kind is EngineKind.RAY:
            yield from _ray(address)
        else:
            yield from _dask(address)
    except ImportError as error:
        extra = kind.value
        raise TrtopError(
            f"--engine {extra}: {error}; install it: pip install 'trtop[{extra}]'"
        ) from None


def _ray(address: str | None) -> Iterator[tuple[Callable[[], Executor], int]]:
    ray = import_module("ray")

    is_ours = not ray.is_initialized()
    if is_ours:
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise TrtopError(f"--engine ray: {address or 'a local cluster'}: {error}") from None
    try:
        n = int(ray.cluster_resources().get("CPU", 1))
        yield lambda: RayExecutor(ray), TASKS_PER_WORKER * n
    finally:
        if is_ours:
            ray.shutdown()


def _dask(address: str | None) -> Iterator[tuple[Callable[[], Executor], int]]:
    distributed = import_module("distributed")

    try:
        client = distributed.Client(address, set_as_default=False)
    except (OSError, ValueError) as error:
        raise TrtopError(f"--engine dask: {address or 'a local cluster'}: {error}") from None
    with client:
        n = sum(client.nthreads().values())
        yield lambda: DaskExecutor(client), TASKS_PER_WORKER * max(1, n)


class DaskExecutor:
    """A Dask client as an executor; equal calls are calls of their own."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """A future of what the function gives on a worker."""
        return self._client.submit(fn, *args, pure=False)
