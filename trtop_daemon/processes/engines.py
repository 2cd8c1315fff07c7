"""``Engines``: what messages become; one engine, or one for each part of a fanned-out capture.

Takes messages and counters by the assignment of who sent them, gives snapshots. Knows no process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from itertools import chain

from trtop_core.batch import CaptureCounters, PacketBatch
from trtop_core.closed_connections import ClosedLog, ClosedView
from trtop_core.config import EngineConfig
from trtop_core.engine import SEED_BYTES, Engine
from trtop_core.health import Health
from trtop_core.merging.snapshots import merge
from trtop_core.snapshot import Snapshot
from trtop_core.sources import IDLE
from trtop_core.view import View
from trtop_core.wire.questions import Question, QuestionReply, answered
from trtop_daemon.ipc.batch_message import Message
from trtop_daemon.processes.assignments import Assignment
from trtop_daemon.processes.reorder import ReorderBuffer

NO_GAP = CaptureCounters()

LOG_ID_BYTES = 7

EngineMaker = Callable[[EngineConfig], Engine]


def new_engine(config: EngineConfig) -> Engine:
    """An engine with a seed of its own."""
    return Engine(config, os.urandom(SEED_BYTES))


class Engines:
    """Some engines, each behind a buffer.

    Args:
        config: of each engine.
        n_engines: how many.
        make_engine: makes one.
        n_records: records of connections that are kept for clients; 0: none.

    Attributes:
        engines: in the order of their numbers.
        local: the networks that count as local now.
    """

    def __init__(
        self,
        config: EngineConfig,
        n_engines: int,
        make_engine: EngineMaker = new_engine,
        n_records: int = 0,
    ) -> None:
        self._closed: ClosedLog | None = None
        if n_records:
            self._closed = ClosedLog(n_records, 1 + int.from_bytes(os.urandom(LOG_ID_BYTES)))
        self.engines = [make_engine(config) for _ in range(n_engines)]
        self.local = config.local
        self._buffers = [ReorderBuffer() for _ in range(n_engines)]
        self._gaps = [NO_GAP] * n_engines
        self._is_finished = False

    def join(self, assignment: Assignment) -> None:
        """Expect packets of an assignment."""
        self._buffers[assignment.engine].join(assignment.number)

    def leave(self, assignment: Assignment) -> None:
        """Expect no more packets of an assignment: those of others need not wait for them."""
        for batch in self._buffers[assignment.engine].leave(assignment.number):
            self.engines[assignment.engine].feed(batch)

    def deliver(self, assignment: Assignment, message: Message) -> None:
        """Feed the packets that are due, and tell the engine the time."""
        engine, buffer = self.engines[assignment.engine], self._buffers[assignment.engine]
        for batch in buffer.add(assignment.number, message.batch, message.until_ns):
            engine.feed(batch)
        if message.until_ns and engine.has_begun and not buffer.is_holding:
            engine.advance(buffer.until_ns)
        if not buffer.is_holding:
            self._settle_gap(assignment.engine)
        self._collect(engine)

    def count(self, assignment: Assignment, counters: CaptureCounters, n_untimed: int) -> None:
        """Add what the capturing side counted."""
        self.engines[assignment.engine].feed(
            PacketBatch(IDLE.data, IDLE.index, counters, n_untimed)
        )

    def count_gap(self, assignment: Assignment, n_interruptions: int, interrupted_ns: int) -> None:
        """Add to the time in which nothing is captured.

        An engine's clock stands still in it, so it is told at the end, when its clock has moved
        on: booked to the time before the gap, it would be missed by windows that begin in the gap.
        """
        gap = self._gaps[assignment.engine]
        self._gaps[assignment.engine] = CaptureCounters(
            interruptions=gap.interruptions + n_interruptions,
            interrupted_ns=gap.interrupted_ns + interrupted_ns,
        )

    def set_local(self, local: tuple[IPv4Network | IPv6Network, ...]) -> None:
        """Take other networks as local from now on."""
        if local != self.local:
            self.local = local
            for engine in self.engines:
                engine.set_local(local)

    def finish(self, is_over: bool) -> dict[int, int]:
        """Everything was captured: judge what is open.

        Args:
            is_over: whether the capture itself has ended; else a new one may follow.

        Returns:
            LINKTYPE_ values that are not decoded, and how many packets had each.
        """
        unsupported: dict[int, int] = {}
        if self._is_finished:
            return unsupported
        self._is_finished = True
        for number, (engine, buffer) in enumerate(zip(self.engines, self._buffers, strict=True)):
            for batch in buffer.flush():
                engine.feed(batch)
            self._settle_gap(number)
            engine.finish()
            self._collect(engine)
            for link_type, n_packets in engine.unsupported_link_types.items():
                unsupported[link_type] = unsupported.get(link_type, 0) + n_packets
        if self._closed is not None:
            self._closed.finish(
                chain.from_iterable(engine.remaining_connections() for engine in self.engines),
                is_over,
            )
        return unsupported

    def snapshot(self, view: View) -> Snapshot:
        """What all engines know, as one."""
        if len(self.engines) == 1:
            return self._snapshot(0, view)
        whole = View(window=view.window, group_by=view.group_by, period=view.period)
        return merge([self._snapshot(i, whole) for i in range(len(self.engines))], view)

    def health(self) -> Health:
        """What all captures held, lost and could not read so far."""
        return Health.merged(
            [
                _with_gap(engine.health(), gap)
                for engine, gap in zip(self.engines, self._gaps, strict=True)
            ]
        )

    def answer(self, question: Question) -> QuestionReply:
        """What all engines know of something else, as one answer."""
        if isinstance(question, ClosedView):
            if self._closed is None:
                raise ValueError("no records of connections are kept: start trtopd --connections N")
            self._closed.n_unkept = sum(engine.n_lost_connections for engine in self.engines)
            return self._closed.answer(question)
        return answered(self.engines, question)

    def _collect(self, engine: Engine) -> None:
        """Keep the records of the connections that an engine has forgotten."""
        if self._closed is not None:
            self._closed.add(engine.take_connections())

    def _snapshot(self, number: int, view: View) -> Snapshot:
        """What one engine knows, with a gap that it has not been told of."""
        snapshot, gap = self.engines[number].snapshot(view), self._gaps[number]
        if gap == NO_GAP:
            return snapshot
        return replace(
            snapshot,
            health=_with_gap(snapshot.health, gap),
            window_health=_with_gap(snapshot.window_health, gap),
        )

    def _settle_gap(self, number: int) -> None:
        """Tell an engine of a gap that lies behind its clock."""
        gap, self._gaps[number] = self._gaps[number], NO_GAP
        if gap != NO_GAP:
            self.engines[number].feed(PacketBatch(IDLE.data, IDLE.index, gap))


def _with_gap(health: Health, gap: CaptureCounters) -> Health:
    return replace(
        health,
        interruptions=health.interruptions + gap.interruptions,
        interrupted_ns=health.interrupted_ns + gap.interrupted_ns,
    )
