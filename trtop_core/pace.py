"""``Pace``: where batches are cut, so that snapshots fall on the moments of a grid of capture time.

Takes batches in the order of the capture, gives parts of them and the moments between. The same
packets give the same moments, however they are cut into batches. A packet whose time no later one
confirms moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from trtop_core.batch import PacketBatch
from trtop_core.engine import Engine
from trtop_core.records import NS_PER_S, TS_LIMIT_NS
from trtop_core.sources import ReadResult, read_into
from trtop_core.timing import STEP_NS, WHOLE, Grid, Timing

Part = tuple[PacketBatch, tuple[int, ...]]
"""Packets, and the moments that come after them."""

DOUBTED_NS = 20 * NS_PER_S
"""A packet further ahead of the clock waits for the next one to confirm its time."""

CONFIRMING_NS = 10 * NS_PER_S
"""The next one confirms it if it is at most so far behind."""


class Pace:
    """Cuts batches at every moment of a grid.

    Args:
        grid: which moments there are.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._clock_ns: int | None = None
        self._doubted: PacketBatch | None = None

    @property
    def clock_ns(self) -> int | None:
        """Capture time after all parts that were given; before the first packet there is none."""
        return self._clock_ns

    def cut(self, batch: PacketBatch) -> Iterator[Part]:
        """Parts of a batch, each with the moments that come after it and before the next part."""
        if not len(batch):
            yield batch, ()
            return
        times = np.clip(batch.index["ts_ns"], -TS_LIMIT_NS, TS_LIMIT_NS)
        if self._doubted is not None:
            yield from self._decided(self._doubted, int(times[0]))
            self._doubted = None
        if self._clock_ns is None:
            self._clock_ns = int(times[0])
            self._grid.begin(self._clock_ns)
        if int(times[-1]) - self._running(times[:-1]) > DOUBTED_NS:
            self._doubted = _part(batch, len(batch) - 1, len(batch))
            batch, times = _part(batch, 0, len(batch) - 1), times[:-1]
        yield from self._cut(batch, self._clock(times))

    def flush(self, is_end: bool) -> Iterator[Part]:
        """The packet that still waits for the next one, if there is one.

        Args:
            is_end: none will come: its time counts unless it lies a day ahead.
        """
        held, self._doubted = self._doubted, None
        if held is not None:
            time_ns = int(held.index["ts_ns"][0])
            assert self._clock_ns is not None
            is_believed = is_end and time_ns - self._clock_ns <= STEP_NS
            yield from self._decided(held, time_ns if is_believed else -TS_LIMIT_NS)

    def _decided(self, held: PacketBatch, next_ns: int) -> Iterator[Part]:
        """A packet that waited, now that the time of the next one is known."""
        time_ns = min(int(held.index["ts_ns"][0]), TS_LIMIT_NS)
        assert self._clock_ns is not None
        if next_ns < time_ns - CONFIRMING_NS:
            time_ns = self._clock_ns
        yield from self._cut(held, np.array([max(time_ns, self._clock_ns)], np.int64))

    def _running(self, times: npt.NDArray[np.int64]) -> int:
        """The clock after some packets."""
        assert self._clock_ns is not None
        return int(self._clock(times)[-1]) if len(times) else self._clock_ns

    def _clock(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The clock after each packet."""
        assert self._clock_ns is not None
        running: npt.NDArray[np.int64] = np.maximum.accumulate(np.maximum(times, self._clock_ns))
        if not len(times) or not (np.diff(running, prepend=self._clock_ns) > DOUBTED_NS).any():
            return running
        found, clock_ns = [], self._clock_ns
        listed = times.tolist()
        for time_ns, next_ns in zip(listed, [*listed[1:], listed[-1]], strict=True):
            if time_ns - clock_ns <= DOUBTED_NS or next_ns >= time_ns - CONFIRMING_NS:
                clock_ns = max(clock_ns, time_ns)
            found.append(clock_ns)
        return np.array(found, np.int64)

    def _cut(self, batch: PacketBatch, clock: npt.NDArray[np.int64]) -> Iterator[Part]:
        start = 0
        while True:
            end = start + int(np.searchsorted(clock[start:], self._grid.next_ns, side="left"))
            if end == len(batch):
                break
            yield _part(batch, start, end), self._grid.up_to(int(clock[end]))
            start = end
        self._clock_ns = int(clock[-1]) if len(clock) else self._clock_ns
        yield replace(batch, index=batch.index[start:]), ()


class TimedFeed:
    """Feeds an engine the part of a capture that is asked for, and stops at moments.

    Args:
        engine: counts; its ``Window.ALL`` begins where the timing says.
        timing: from when to when, and how often something is done.
        at_moment: what is done at each moment of an even grid, and at its end.
    """

    def __init__(
        self, engine: Engine, timing: Timing, at_moment: Callable[[], None] = lambda: None
    ) -> None:
        self._engine = engine
        self._timing = timing
        self._grid = timing.grid()
        self._pace = Pace(self._grid)
        self._at_moment = at_moment

    @property
    def is_over(self) -> bool:
        """The end has come: nothing more counts."""
        return self._grid.is_over

    def feed(self, batch: PacketBatch) -> None:
        """Count what lies before the end.

        Raises:
            TrtopError: nothing of the capture lies between start and end.
        """
        for _ in self.stops(batch):
            self._at_moment()

    def stops(self, batch: PacketBatch | None) -> Iterator[None]:
        """Feed a batch, and give control at each moment of the grid: the engine is as of it.

        Args:
            batch: None: there is nothing for now; a packet that waits for the next one counts.

        Raises:
            TrtopError: as ``feed``.
        """
        yield from self._stops(self._pace.flush(is_end=False) if batch is None else
                               self._pace.cut(batch))  # fmt: skip

    def finish(self) -> None:
        """The capture ends: with it the engine's, unless the end came before.

        Raises:
            TrtopError: it ended before the start, or the end is before that.
        """
        for _ in self.last_stops():
            self._at_moment()

    def last_stops(self) -> Iterator[None]:
        """The moments that are left when the capture ends, as ``stops``; then it has ended.

        Raises:
            TrtopError: it ended before the start, or the end is before that.
        """
        yield from self._stops(self._pace.flush(is_end=True))
        if not self.is_over:
            self._engine.finish()
            self._grid.check_over(self._engine.clock_ns)

    def _stops(self, parts: Iterator[Part]) -> Iterator[None]:
        for part, moments in parts:
            if self.is_over and not moments:
                return
            self._engine.feed(part)
            for moment_ns in moments:
                self._engine.advance(moment_ns)
                if moment_ns == self._grid.start_ns:
                    self._engine.start_period()
                elif self._timing.every_ns is not None:
                    yield
                    if self._timing.is_between and moment_ns != self._grid.end_ns:
                        self._engine.start_period()


def read_timed(engine: Engine, source: Iterable[PacketBatch], timing: Timing = WHOLE) -> ReadResult:
    """Feed an engine all that is asked for of a capture, to its end.

    Args:
        engine: what counts.
        source: gives batches.
        timing: which part of them counts.

    Raises:
        TrtopError: nothing of the capture lies between start and end.
    """
    timed = None if timing.is_whole else TimedFeed(engine, timing)
    result = read_into(
        engine if timed is None else timed, source, lambda batch: not (timed and timed.is_over)
    )
    if not result.is_unusable:
        (engine if timed is None else timed).finish()
    return result


def _part(batch: PacketBatch, start: int, end: int) -> PacketBatch:
    return PacketBatch(batch.data, batch.index[start:end])
