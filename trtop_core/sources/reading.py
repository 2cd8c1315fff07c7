"""``read_into``: a source's batches into an engine, up to what could not be read.

Takes an engine, a source and what is to be done between two batches; gives how the reading ended.
A source raises what it could not read after everything that it could: here that becomes a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

from trtop_core.batch import PacketBatch
from trtop_core.errors import EXIT_UNUSABLE, TrtopError

T = TypeVar("T")


class Feedable(Protocol):
    """What takes batches, as an engine does."""

    def feed(self, batch: PacketBatch, /) -> None:
        """Count the packets of a batch."""


class ReadResult(NamedTuple):
    """How reading ended.

    Attributes:
        is_over: the source has no more; else it was stopped, and can be read on.
        failure: what could not be read; None where all could, and where reading was stopped.
    """

    is_over: bool
    failure: TrtopError | None = None

    @property
    def is_unusable(self) -> bool:
        """Nothing could be read at all."""
        return self.failure is not None and self.failure.exit_status == EXIT_UNUSABLE


class Batches(Generic[T]):
    """The batches of a source; what it could not read ends them instead of being raised.

    Args:
        source: gives batches.

    Attributes:
        result: how reading ended, as far as it has.
    """

    def __init__(self, source: Iterable[T]) -> None:
        self.result = ReadResult(is_over=False)
        self._source = iter(source)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return next(self._source)
        except StopIteration:
            self.result = ReadResult(is_over=True)
            raise
        except TrtopError as error:
            self.result = ReadResult(is_over=True, failure=error)
            raise StopIteration from None


def read_into(
    engine: Feedable,
    source: Iterable[PacketBatch],
    between: Callable[[PacketBatch], bool] = lambda batch: True,
) -> ReadResult:
    """Feed an engine until the source ends, or somebody has had enough.

    Args:
        engine: what counts.
        source: gives batches, ``IDLE`` among them.
        between: called after each batch with it; says whether to read on.
    """
    batches = Batches(source)
    for batch in batches:
        if batch.holds_anything:
            engine.feed(batch)
        if not between(batch):
            break
    return batches.result
