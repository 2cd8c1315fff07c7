"""``Pace``: where batches are cut, so that snapshots fall on an even grid of capture time.

Takes batches in the order of the capture, gives parts of them and the moments between. The same
packets give the same moments, however they are cut into batches. A packet whose time no later one
confirms moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from trtop_core.batch import PacketBatch
from trtop_core.records import NS_PER_S, TS_LIMIT_NS

Part = tuple[PacketBatch, tuple[int, ...]]
"""Packets, and the moments that come after them."""

DOUBTED_NS = 20 * NS_PER_S
"""A packet further ahead of the clock waits for the next one to confirm its time."""

CONFIRMING_NS = 10 * NS_PER_S
"""The next one confirms it if it is at most so far behind."""

STEP_NS = 24 * 3600 * NS_PER_S
"""A longer silence is a clock that was set: the grid goes on behind it."""


class Pace:
    """Cuts batches at every moment of a grid.

    Args:
        every_ns: between moments; the first comes so long after the first packet.
    """

    def __init__(self, every_ns: int) -> None:
        self._every_ns = every_ns
        self._clock_ns: int | None = None
        self._next_ns = 0
        self._doubted: PacketBatch | None = None

    @property
    def clock_ns(self) -> int | None:
        """Capture time after all parts that were given; before the first packet there is none."""
        return self._clock_ns

    def widen(self, every_ns: int, next_ns: int) -> None:
        """Go on with another grid; for a moment that has just been given.

        Args:
            every_ns: between moments from now on.
            next_ns: the next moment; not before the one just given.
        """
        self._every_ns, self._next_ns = every_ns, next_ns

    @property
    def next_ns(self) -> int:
        """The next moment of the grid."""
        return self._next_ns

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
            self._next_ns = self._clock_ns + self._every_ns
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
            end = start + int(np.searchsorted(clock[start:], self._next_ns, side="left"))
            if end == len(batch):
                break
            yield _part(batch, start, end), tuple(self._moments(int(clock[end])))
            start = end
        self._clock_ns = int(clock[-1]) if len(clock) else self._clock_ns
        yield replace(batch, index=batch.index[start:]), ()

    def _moments(self, clock_ns: int) -> range:
        """The moments up to that of the next packet; of a step there is one."""
        n_moments = (clock_ns - self._next_ns) // self._every_ns + 1
        first_ns = self._next_ns
        self._next_ns += n_moments * self._every_ns
        if clock_ns - first_ns > STEP_NS:
            return range(first_ns, first_ns + 1)
        return range(first_ns, self._next_ns, self._every_ns)


def _part(batch: PacketBatch, start: int, end: int) -> PacketBatch:
    return PacketBatch(batch.data, batch.index[start:end])
