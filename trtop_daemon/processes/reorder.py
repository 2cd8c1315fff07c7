"""``ReorderBuffer``: batches of several interfaces into one engine, in the order of their time.

A connection's two directions may use two interfaces, each with a subprocess of its own: packets
are held until every other source has come as far. A single source passes straight through, in its
own order. Bounded: a source that says nothing holds the others up for so many bytes, no longer.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trtop_core.batch import PacketBatch
from trtop_core.records import NS_PER_S

MAX_HELD_BYTES = 64 << 20
"""Packets and index; beyond it they go out whoever is behind."""

NEVER_NS = -(1 << 63)

STEP_NS = 10 * NS_PER_S
"""A source further behind than it was had its clock set back: the engine's limit too."""


class ReorderBuffer:
    """Holds packets until no source can send older ones. A source must ``join`` first."""

    def __init__(self) -> None:
        self._until_ns: dict[int, int] = {}
        self._held: list[PacketBatch] = []
        self._held_bytes = 0

    @property
    def is_holding(self) -> bool:
        """Some packets wait for other sources."""
        return bool(self._held)

    @property
    def until_ns(self) -> int:
        """Capture time up to which all sources have given everything."""
        return min(self._until_ns.values(), default=NEVER_NS)

    def add(self, source: int, batch: PacketBatch | None, until_ns: int) -> Iterator[PacketBatch]:
        """Take a batch; give what can go out.

        Args:
            source: who sent it.
            batch: None or empty: only time has passed.
            until_ns: capture time up to which this source has given everything; 0: unknown.
        """
        self.join(source)
        if 0 < until_ns < self._until_ns[source] - STEP_NS:
            # Its clock was set back: what is held lies on the other side of that.
            yield from self.flush()
            self._until_ns[source] = until_ns
        elif until_ns:
            self._until_ns[source] = max(self._until_ns[source], until_ns)
        if batch is not None and len(batch):
            if len(self._until_ns) == 1 and not self._held:
                yield batch
                return
            self._held.append(batch)
            self._held_bytes += batch.data.nbytes + batch.index.nbytes
        if self._held:
            yield from self._release(self._held_bytes > MAX_HELD_BYTES)

    def leave(self, source: int) -> Iterator[PacketBatch]:
        """Expect no more packets of a source. Gives those of others that need not wait for it."""
        self._until_ns.pop(source, None)
        if self._held:
            yield from self._release(not self._until_ns)

    def join(self, source: int) -> None:
        """Expect packets of a source."""
        self._until_ns.setdefault(source, NEVER_NS)

    def flush(self) -> Iterator[PacketBatch]:
        """Give all packets that are held, in the order of their time."""
        if self._held:
            yield from self._release(True)

    def _release(self, everything: bool) -> Iterator[PacketBatch]:
        limit_ns = np.iinfo(np.int64).max if everything else self.until_ns
        if min(int(batch.index["ts_ns"].min()) for batch in self._held) > limit_ns:
            return
        joined = _joined(self._held)
        order = np.argsort(joined.index["ts_ns"], kind="stable")
        index = joined.index[order]
        n_due = int(np.searchsorted(index["ts_ns"], limit_ns, side="right"))
        self._held, self._held_bytes = [], 0
        if n_due < len(index):
            rest = _copied(PacketBatch(joined.data, index[n_due:]))
            self._held, self._held_bytes = [rest], rest.data.nbytes + rest.index.nbytes
        yield PacketBatch(joined.data, index[:n_due])


def _joined(batches: list[PacketBatch]) -> PacketBatch:
    """The packets of several batches as one, in their order."""
    if len(batches) == 1:
        return batches[0]
    index = np.concatenate([batch.index for batch in batches])
    starts = np.cumsum([0, *(len(batch.data) for batch in batches)][:-1])
    shifts = np.repeat(starts, [len(batch) for batch in batches])
    index["offset"] += shifts.astype(np.uint32)
    return PacketBatch(np.concatenate([batch.data for batch in batches]), index)


def _copied(batch: PacketBatch) -> PacketBatch:
    """Copy a batch's packets, back to back, so that the memory of the others can be freed."""
    lengths = batch.index["caplen"].astype(np.intp)
    ends = np.cumsum(lengths)
    shifts = np.repeat(batch.index["offset"].astype(np.intp) - (ends - lengths), lengths)
    data = batch.data[np.arange(len(shifts)) + shifts]
    index = batch.index.copy()
    index["offset"] = (ends - lengths).astype(np.uint32)
    return PacketBatch(data, index)
