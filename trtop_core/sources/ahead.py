"""``read_ahead_into``: a source read and decoded in threads of its own, while an engine counts.

Takes an engine, a source and what is to be done between two batches, as ``read_into`` does; gives
the same result and the same numbers: the engine takes the same batches in the same order.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from trtop_core._flows import Prepared
from trtop_core.batch import PacketBatch
from trtop_core.sources.reading import Batches, ReadResult

T = TypeVar("T")

MAX_AHEAD = 2
"""Batches that wait for their turn: about 2 MB each, so that they stay in a cache."""

JOIN_S = 0.01
"""How often a thread that is to end is given room for what it holds."""

N_JOBS_APART = 3
"""From here on reading, and decompression with it, has a thread apart from decoding."""


class Preparing(Protocol):
    """What takes batches that are decoded ahead, as an engine does."""

    def prepare(self, batch: PacketBatch, /) -> Prepared:
        """Decode a batch ahead of its turn."""

    def feed(self, batch: PacketBatch, prepared: Prepared | None = None, /) -> None:
        """Count the packets of a batch."""


class Ahead(Generic[T]):
    """Items of an iterator, fetched ahead in a thread; a context manager that ends it.

    What the iterator raises is raised behind the items that came before it.

    Args:
        items: used by the thread alone until it has ended.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._fetched: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(MAX_AHEAD)
        self._is_stopped = False
        self._thread = threading.Thread(target=self._fetch, name="trtop-ahead", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_stopped = True
        while self._thread.is_alive():
            while not self._fetched.empty():
                self._fetched.get_nowait()
            self._thread.join(JOIN_S)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        item, error = self._fetched.get()
        if error is not None:
            self._fetched.put((None, error))
            raise error
        return item  # type: ignore[return-value]

    def _fetch(self) -> None:
        try:
            while not self._is_stopped:
                self._fetched.put((next(self._items), None))
        except BaseException as error:
            self._fetched.put((None, error))


def read_ahead_into(
    engine: Preparing,
    source: Iterable[PacketBatch],
    between: Callable[[PacketBatch], bool],
    n_jobs: int,
) -> ReadResult:
    """Feed an engine until the source ends, or somebody has had enough.

    Args:
        engine: what counts.
        source: gives batches, ``IDLE`` among them.
        between: called after each batch with it; says whether to read on.
        n_jobs: threads that are used, this one included; 2 or more.
    """

    def prepared(batches: Iterator[PacketBatch]) -> Iterator[tuple[PacketBatch, Prepared]]:
        return ((batch, engine.prepare(batch)) for batch in batches)

    if n_jobs < N_JOBS_APART:
        with Ahead(prepared(iter(source))) as decoded:
            return _take(engine, decoded, between)
    with Ahead(iter(source)) as read, Ahead(prepared(read)) as decoded:
        return _take(engine, decoded, between)


def _take(
    engine: Preparing,
    decoded: Iterator[tuple[PacketBatch, Prepared]],
    between: Callable[[PacketBatch], bool],
) -> ReadResult:
    batches = Batches(decoded)
    for batch, prepared in batches:
        if batch.holds_anything:
            engine.feed(batch, prepared)
        if not between(batch):
            break
    return batches.result
