"""``ShardedFlows``: connections dealt out to several shards, which threads count side by side.

Takes batches in the order of the capture; gives what one engine's loop and tables give, number for
number, whatever threads did when. Where a bound on something that shards share may be reached, the
packets are counted by one thread in their order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trtop_core._decode import check_bounds
from trtop_core._flows import Flows
from trtop_core._shards import SHARDS_LIMIT, ShardedBatch, Shards
from trtop_core._sketch import SketchStore
from trtop_core._state import State
from trtop_core.connection_records import in_order
from trtop_core.metrics import COUNTER_ROW

CONNECTIONS, HOLES, HTTP2, STREAMS, PAGES, PLACES = range(6)
"""Of what ``Shards.usage`` tells, in its order. Places for pages depend on the order of samples, so
that from half of them on packets go in turn."""

MAX_SHARDS = 16
"""More do not make anything faster: reading is one thread."""

MAX_WAITING = 3
"""Batches that wait to be counted: what their packets might take must be there for all of them."""

MAX_PACKETS = 1 << 14
"""A longer batch is counted in pieces."""

IDLE_S = 0.5
"""A thread that found nothing to do for so long ends; the next batch starts another one."""

PER_PACKET = (1, 4, 1, 16, 16, 0)
"""How much a packet may take of these. Sixteen streams for every one of some thousand packets is
more than captures hold, if less than a forged one may."""

PER_CONNECTION = (0, 0, 0, 0, 4, 0)
"""How much each connection may take besides, by timers: its last samples."""


class _Piece:
    """A batch on its way, or a part of one.

    Args:
        data: as of a batch.
        index: likewise.
    """

    __slots__ = ("data", "index", "is_claimed", "is_cleared", "n_counted", "prepared")

    def __init__(self, data: npt.NDArray[np.uint8], index: npt.NDArray[Any]) -> None:
        self.data = data
        self.index = index
        self.is_claimed = False
        self.is_cleared = False
        self.n_counted = 0
        self.prepared: ShardedBatch | None = None


class _Job(NamedTuple):
    """What a thread does next: decode a piece, count a shard of it, or all shards in turn."""

    piece: _Piece
    shard: int | None = None
    is_in_turn: bool = False
    spare: ShardedBatch | None = None


class ShardedFlows:
    """Some loops, each around the state of a shard; in the form of ``Flows``.

    Args:
        states: of the shards, whose rows one table numbers.
        decap: as for ``Flows``.
        max_rows: bound on rows of destinations.
        n_threads: how many may count, the caller's included.
    """

    def __init__(self, states: Sequence[State], decap: bool, max_rows: int, n_threads: int) -> None:
        if not 1 <= len(states) <= SHARDS_LIMIT:
            raise ValueError(f"1 … {SHARDS_LIMIT} shards")
        self._states = states
        self._flows = [Flows(state, decap) for state in states]
        self._shards = Shards(self._flows)
        self._max_rows = max_rows
        self._n_threads = n_threads
        self._changed = threading.Condition()
        self._pieces: deque[_Piece] = deque()
        # Of each shard: how many of the pieces it has counted, and whether it counts one now.
        self._n_ahead = [0] * len(states)
        self._is_busy = [False] * len(states)
        self._usage = [self._shards.usage(shard) for shard in range(len(states))]
        self._n_workers = 0
        self._is_finished = False
        self._spare: list[ShardedBatch] = []
        # What a thread raised; what was fed is not counted whole then, and never will be.
        self._failure: BaseException | None = None
        self._merged: SketchStore | None = None
        # Of all shards, once they count in one.
        self._common: SketchStore | None = None

    # --- what an engine asks ----------------------------------------------------------------------

    @property
    def clock(self) -> tuple[int, int] | None:
        """As of ``Flows``."""
        self.drain()
        return self._flows[0].clock

    @property
    def span_ns(self) -> int:
        """As of ``Flows``."""
        self.drain()
        return self._flows[0].span_ns

    @property
    def window_clock(self) -> tuple[int, int, int]:
        """As of ``Flows``."""
        self.drain()
        return self._flows[0].window_clock

    def feed(self, data: npt.NDArray[np.uint8], index: npt.NDArray[Any]) -> None:
        """Take the packets of a batch; they are counted while the caller goes on.

        Raises:
            ValueError: a packet lies outside the data.
        """
        check_bounds(data, index)
        bounds = [*range(0, len(index), MAX_PACKETS), len(index)]
        for start, end in pairwise(bounds):
            piece = _Piece(data, index[start:end])
            with self._changed:
                self._is_finished = False
                self._pieces.append(piece)
                self._changed.notify()
            self._start_workers()
            self._work_until(MAX_WAITING)

    def advance(self, now_ns: int) -> None:
        """As ``Flows.advance``."""
        self.drain()
        for flows in self._flows:
            flows.advance(now_ns)

    def add_counters(self, untimed: int, received: int, kernel: int, interface: int) -> None:
        """As ``Flows.add_counters``."""
        self.drain()
        self._flows[0].add_counters(untimed, received, kernel, interface)

    def add_lost(self, read_lost: int, interruptions: int, interrupted_ns: int) -> None:
        """As ``Flows.add_lost``."""
        self.drain()
        self._flows[0].add_lost(read_lost, interruptions, interrupted_ns)

    def settle(self) -> None:
        """As ``Flows.settle``."""
        self.drain()
        self._shards.join_rows()
        for flows in self._flows:
            flows.settle()

    def finish(self) -> None:
        """As ``Flows.finish``; threads end that have nothing to do any more."""
        self.drain()
        self._shards.join_rows()
        for flows in self._flows:
            flows.finish()
        with self._changed:
            self._is_finished = True
            self._changed.notify_all()

    def drain(self) -> None:
        """Count all that was fed."""
        self._work_until(0)

    def export_health(self, level: int | None = None) -> npt.NDArray[np.void]:
        """As ``Flows.export_health``."""
        self.drain()
        health: npt.NDArray[np.void] = self._flows[0].export_health(level)
        for flows in self._flows[1:]:
            other = flows.export_health(level)
            for name in ("duplicates", "evicted"):
                health[name] += other[name]
        return health

    def unsupported_link_types(self) -> dict[int, int]:
        """As ``Flows.unsupported_link_types``."""
        self.drain()
        return self._flows[0].unsupported_link_types()

    # --- records of connections -------------------------------------------------------------------

    def take_records(self) -> npt.NDArray[Any]:
        """The records of all shards, as ``ConnectionLog.take`` gives those of one, in order."""
        self.drain()
        return in_order([state.log.take() for state in self._states if state.log is not None])

    def remaining_records(self, n_together: int) -> Iterator[npt.NDArray[Any]]:
        """Records of the connections that are remembered, by their opening, so many at a time."""
        self.drain()
        parts = [state.table.remembered() for state in self._states]
        shards = np.repeat(np.arange(len(parts)), [len(numbers) for numbers, _ in parts])
        numbers = np.concatenate([numbers for numbers, _ in parts])
        order = np.argsort(np.concatenate([opened for _, opened in parts]))
        for first in range(0, len(order), n_together):
            chosen = order[first : first + n_together]
            for shard, flows in enumerate(self._flows):
                flows.log_remembered(numbers[chosen[shards[chosen] == shard]])
            yield self.take_records()

    # --- tables of all shards as one --------------------------------------------------------------

    @property
    def states(self) -> Sequence[State]:
        """The tables of the shards, nothing waiting."""
        self.drain()
        return self._states

    def rows(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Keys and counters of all rows, as ``DestinationTable.export``."""
        self.drain()
        numbering = self._states[0].destinations.numbering
        assert numbering is not None
        keys, _ = numbering.export()
        counters = np.zeros(len(keys), COUNTER_ROW)
        total = counters.view(np.uint64)
        self._shards.join_rows()
        for state in self._states:
            total += state.destinations.export()[1].view(np.uint64)
        return keys, counters

    def sketches(self, n_rows: int) -> SketchStore:
        """The sketches of the first rows; pages keep their numbers from call to call."""
        self.drain()
        return self._joined_sketches(n_rows) if self._common is None else self._common

    def _joined_sketches(self, n_rows: int) -> SketchStore:
        if self._merged is None:
            n_pages = self._shards.bounds[PAGES]
            self._merged = SketchStore(self._max_rows + 2, n_pages, set())
        self._merged.clear(n_rows)
        for state in self._states:
            self._merged.absorb(state.sketches, n_rows)
        return self._merged

    def forget_extremes(self) -> None:
        """Look for least and greatest of all sketches anew from now on."""
        self.drain()
        for state in self._states:
            state.sketches.forget_extremes(self._shards.n_rows)

    @property
    def n_unbinned(self) -> int:
        """Samples that found no room for their bin."""
        self.drain()
        stores = self._states if self._common is None else self._states[:1]
        return sum(state.sketches.n_unbinned for state in stores)

    # --- threads ----------------------------------------------------------------------------------

    def _start_workers(self) -> None:
        """Have as many threads as are wanted; they end by themselves."""
        with self._changed:
            n_missing = self._n_threads - 1 - self._n_workers
            self._n_workers += n_missing
            first = self._n_threads - n_missing
        for number in range(first, first + n_missing):
            thread = threading.Thread(
                target=self._work, args=(number,), name="trtop-shard", daemon=True
            )
            thread.start()

    def _work(self, number: int) -> None:
        """What a thread does until there is nothing to do for a while."""
        while True:
            with self._changed:
                job = self._next_job(number)
                while job is None:
                    is_idle = self._is_finished or not self._changed.wait(IDLE_S)
                    if is_idle and not self._pieces:
                        self._n_workers -= 1
                        return
                    job = self._next_job(number)
            self._do(job)

    def _work_until(self, n_left: int) -> None:
        """Count, and have counted, until so many batches wait at most.

        Raises:
            BaseException: a thread failed; whatever it raised.
        """
        while True:
            with self._changed:
                if self._failure is not None:
                    raise self._failure
                if len(self._pieces) <= n_left:
                    return
                job = self._next_job(0)
                if job is None:
                    self._changed.wait()
                    continue
            self._do(job)

    def _next_job(self, number: int) -> _Job | None:
        """What a thread is to do next; it is marked as begun. Called with the lock held.

        Args:
            number: of the thread: it prefers the shard of that number, which its cache may hold,
                and then those that are behind.
        """
        if self._failure is not None:
            return None
        preferred = number % len(self._states)
        ready = [shard for shard in range(len(self._states)) if self._is_ready(shard)]
        for shard in sorted(ready, key=lambda one: (one != preferred, self._n_ahead[one])):
            at = self._n_ahead[shard]
            piece = self._pieces[at]
            if piece.is_cleared or self._clear(at):
                self._is_busy[shard] = True
                return _Job(piece, shard)
            if at == 0 and not any(self._is_busy) and not any(self._n_ahead):
                self._is_busy = [True] * len(self._states)
                return _Job(piece, is_in_turn=True)
        for piece in self._pieces:
            if not piece.is_claimed:
                piece.is_claimed = True
                return _Job(piece, spare=self._spare.pop() if self._spare else None)
        return None

    def _is_ready(self, shard: int) -> bool:
        """Whether the next piece of a shard can be counted, as far as it is concerned."""
        at = self._n_ahead[shard]
        return (
            not self._is_busy[shard]
            and at < len(self._pieces)
            and self._pieces[at].prepared is not None
        )

    def _do(self, job: _Job) -> None:
        """Do it, and say so."""
        piece, shard, is_in_turn, _ = job
        failure = None
        try:
            prepared = self._carry_out(job)
        except BaseException as error:
            failure = error
        with self._changed:
            if failure is not None or self._failure is not None:
                self._failure = self._failure or failure
                self._pieces.clear()
            elif is_in_turn:
                self._is_busy = [False] * len(self._states)
                self._usage = [self._shards.usage(one) for one in range(len(self._states))]
                self._let_go(self._pieces.popleft())
            elif shard is None:
                piece.prepared = prepared
            else:
                self._is_busy[shard] = False
                self._usage[shard] = self._shards.usage(shard)
                self._n_ahead[shard] += 1
                piece.n_counted += 1
                if piece.n_counted == len(self._states):
                    # A shard counts pieces in their order: it is the first.
                    self._let_go(self._pieces.popleft())
                    self._n_ahead = [n - 1 for n in self._n_ahead]
            self._changed.notify_all()

    def _carry_out(self, job: _Job) -> ShardedBatch | None:
        """Do what a job says; gives the batch where one was to be decoded."""
        piece = job.piece
        if piece.prepared is None:
            return self._shards.prepare(piece.data, piece.index, job.spare)
        if job.is_in_turn:
            self._count_in_turn(piece)
        elif job.shard is not None:
            self._shards.count(piece.prepared, job.shard)
        return None

    def _let_go(self, piece: _Piece) -> None:
        """A piece is counted: its memory is used again."""
        assert piece.prepared is not None
        piece.prepared.let_go()
        self._spare.append(piece.prepared)

    # --- bounds -----------------------------------------------------------------------------------

    def _clear(self, at: int) -> bool:
        """Whether shards may count a piece side by side: no bound can be reached meanwhile.

        What packets in front of it may still take is added to what is taken.
        """
        if self._common is not None:
            return False
        n_packets = sum(len(self._pieces[i].index) for i in range(at + 1))
        wanted, bounds = self._wanted(n_packets), self._shards.bounds
        has_room = [n <= bound for n, bound in zip(wanted, bounds, strict=True)]
        # A connection is one of HTTP/2 at most.
        has_room[HTTP2] |= bounds[HTTP2] >= bounds[CONNECTIONS]
        has_room[PLACES] = 2 * wanted[PLACES] <= bounds[PLACES]
        n_rows = self._shards.n_rows
        has_rows = n_rows + n_packets <= self._max_rows or n_rows >= self._max_rows
        self._pieces[at].is_cleared = all(has_room) and has_rows
        return self._pieces[at].is_cleared

    def _count_in_turn(self, piece: _Piece) -> None:
        """Count a piece where a bound may be reached."""
        assert piece.prepared is not None
        if self._common is None and not self._has_sketch_room(len(piece.index)):
            # Which samples find no room depends on those of all shards.
            store = self._joined_sketches(self._shards.n_rows)
            self._shards.share_sketches(store)
            self._common = store
        self._shards.count_in_turn(piece.prepared)

    def _has_sketch_room(self, n_packets: int) -> bool:
        """Whether every shard's store of sketches has room for what some packets may bring."""
        wanted, bounds = self._wanted(n_packets), self._shards.bounds
        return wanted[PAGES] <= bounds[PAGES] and 2 * wanted[PLACES] <= bounds[PLACES]

    def _wanted(self, n_packets: int) -> list[int]:
        """What is taken of what is bounded, and what packets may take besides."""
        used = [sum(column) for column in zip(*self._usage, strict=True)]
        return [
            n + n_packets * per_packet + used[CONNECTIONS] * per_connection
            for n, per_packet, per_connection in zip(used, PER_PACKET, PER_CONNECTION, strict=True)
        ]
