"""Analyzers of the classic API: packets in, remotes and snapshots out.

``OutgoingTCPAnalyzer`` counts with the engine. ``BaseAnalyser`` is what a script subclasses to look
at each packet itself, which is the slow path (``UnifiedPacket``). Collectors feed either in
batches; reporters are told of remotes.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from trtop.classic.packet import UnifiedPacket, frame_of, unified_packets
from trtop.classic.remote_state import TcpRemoteState
from trtop.filters.filter import Filter
from trtop.names.base import BaseResolver
from trtop.names.engine import settled
from trtop.names.engine_factory import make_engine
from trtop.names.namer import Namer
from trtop.names.whitelist import BaseWhitelist
from trtop.table.rows import quick_rows
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import SEED_BYTES, Engine
from trtop_core.records import PACKET_INDEX, GroupBy, LinkType, Window
from trtop_core.snapshot import Snapshot
from trtop_core.view import View

__all__ = ["BaseAnalyser", "BaseAnalyzer", "OutgoingTCPAnalyzer"]

log = logging.getLogger(__name__)

REFRESH_S = 1.0
"""How often a reporter is told of news while packets arrive."""

SCREEN_WINDOWS = (Window.LAST_10_S, Window.LAST_60_S, Window.LAST_300_S)

N_BUFFERED = 1024
"""Single packets that are counted together."""


class Observer(Protocol):
    """Who is told of remotes: a reporter."""

    def handle_remote_event(self, remote: TcpRemoteState) -> None:
        """Something happened to a remote since it was last told of."""


@runtime_checkable
class SnapshotObserver(Protocol):
    """Who is told of whole snapshots."""

    def handle_snapshot(self, snapshot: Snapshot) -> None:
        """There is a new snapshot."""


class BaseAnalyser:
    """Subclass this and write ``analyse`` to look at each segment yourself.

    The slow path: one Python object per packet. A collector of trtop feeds some hundred thousand
    packets per second into it, and millions into an ``OutgoingTCPAnalyzer``.
    """

    def analyse(self, packet: UnifiedPacket) -> None:
        """Take one TCP segment, in the order of the capture."""

    def feed(self, batch: PacketBatch) -> None:
        """Take a batch of packets: as a rule, one by one."""
        for packet in unified_packets(batch):
            self.analyse(packet)

    def tick(self) -> None:
        """Called between batches, and about four times a second while nothing arrives."""

    def finish(self) -> None:
        """Called once, after the last packet."""

    def end(self) -> None:
        """Call ``finish``, unless it was: a collector does, and whoever runs collectors."""
        if not getattr(self, "_has_ended", False):
            self._has_ended = True
            self.finish()


BaseAnalyzer = BaseAnalyser


class OutgoingTCPAnalyzer(BaseAnalyser):
    """Counts connections per destination.

    Args:
        whitelist: which destinations are shown; None: all.
        resolver: what they are called; None: their addresses.
        config: how packets are read; None: as the command line says, else every connection is
            outgoing.
        view: how snapshots are sorted; None: as the command line says.

    Attributes:
        whitelist: as given.
        resolver: as given.
        observer: who is told; a reporter sets itself.
        is_for_screen: the engine keeps what the screen can be asked for.
        config: how packets are read.
        waits_for_names: ``finish`` waits for those that are under way, for up to 10 s.
        lock: held by whoever touches the engine: a screen looks while a collector feeds.
    """

    def __init__(
        self,
        whitelist: BaseWhitelist | None = None,
        resolver: BaseResolver | None = None,
        config: EngineConfig | None = None,
        view: View | None = None,
    ) -> None:
        self.whitelist, self.resolver = whitelist, resolver
        self.observer: Observer | None = None
        self._config, self._view = config, view
        self.namer = Namer(resolver, whitelist)
        self.view = view or View()
        self.engine = self._make_engine(config or EngineConfig())
        self.lock = threading.RLock()
        self._remotes: dict[str, TcpRemoteState] = {}
        self._told: dict[str, bytes] = {}
        self._next_s = time.monotonic() + REFRESH_S
        self._batch: PacketBatch | None = None
        self._rows: list[tuple[int, int]] = []
        self._frames: list[tuple[int, bytes, int]] = []
        self._by_packet = type(self).analyse is not OutgoingTCPAnalyzer.analyse
        self._is_finished = False
        self.is_for_screen = False
        self.waits_for_names = True

    def configure(
        self,
        config: EngineConfig,
        view: View,
        for_screen: bool = False,
        row_filter: Filter | None = None,
    ) -> None:
        """Take what the command line says, as far as this analyzer was told nothing itself.

        Packets that were counted before are forgotten.

        Args:
            config: how packets are read.
            view: how snapshots are sorted.
            for_screen: keep what the screen can be asked for: all windows, and rows by port.
            row_filter: which rows are shown, None for all.
        """
        self.namer.row_filter = row_filter
        self.view = self._view or view
        if self._config is not None:
            if row_filter is not None:
                self.engine = self._make_engine(self._config)
            return
        if for_screen:
            config = replace(config, windows=SCREEN_WINDOWS, group_by=GroupBy.ADDR_PORT)
        self.engine = self._make_engine(config)
        self.is_for_screen = for_screen

    def set_observer(self, observer: Observer) -> None:
        """Tell this reporter from now on."""
        self.observer = observer

    def notify_observer(self, tcp_remote: TcpRemoteState) -> None:
        """Tell the reporter of one remote."""
        if self.observer is not None:
            self.observer.handle_remote_event(tcp_remote)

    def feed(self, batch: PacketBatch) -> None:
        """Count a batch; packet by packet only where a subclass has an ``analyse`` of its own.

        Raises:
            ValueError: a packet of the index lies outside the batch's data.
        """
        with self.lock:
            if not self._by_packet:
                self._flush()
                self.engine.feed(batch)
                return
            super().feed(batch)
            self._flush()
            if batch.counters is not None or batch.n_untimed:
                self.engine.feed(replace(batch, index=batch.index[:0]))

    def analyse(self, packet: UnifiedPacket) -> None:
        """Count one segment, captured or made by hand.

        Raises:
            ValueError: a packet made by hand lacks a field.
        """
        if packet.ts_ns is None:
            raise ValueError(f"a packet needs a timestamp: {packet}")
        with self.lock:
            if packet.batch is not self._batch:
                self._flush()
                self._batch = packet.batch
            if packet.batch is not None:
                self._rows.append((packet.row, packet.ts_ns))
            else:
                self._frames.append((packet.ts_ns, frame_of(packet), packet.length or 0))
            if len(self._rows) + len(self._frames) >= N_BUFFERED:
                self._flush()

    def snapshot(self, view: View | None = None) -> Snapshot:
        """The snapshot of this moment; names that are still under way are addresses in it."""
        with self.lock:
            self._flush()
            return self.engine.snapshot(view or self.view)

    @property
    def tracked_remotes(self) -> dict[str, TcpRemoteState]:
        """All remotes of this moment by name; each stays the same object."""
        return self._remotes_of(self.snapshot(replace(self.view, limit=None)))

    def tick(self) -> None:
        """Tell the reporter what is new, once a second."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + REFRESH_S
            self._tell(self.snapshot(replace(self.view, limit=None)))

    def finish(self) -> None:
        """The capture ends: judge what is open; wait for names for a while, tell the reporter."""
        with self.lock:
            if self._is_finished:
                return
            self._is_finished = True
            self._flush()
            self.engine.finish()
        if self.waits_for_names:
            view = replace(self.view, limit=None)
            self._tell(settled(lambda: self.snapshot(view), self.namer))

    def _make_engine(self, config: EngineConfig) -> Engine:
        self.config = config
        return make_engine(config, os.urandom(SEED_BYTES), self.namer)

    def _flush(self) -> None:
        """Count the single packets that were kept back: those of one batch, or made by hand."""
        if self._rows and self._batch is not None:
            rows, times_ns = zip(*self._rows, strict=True)
            index = self._batch.index[list(rows)]
            index["ts_ns"] = times_ns
            self._rows.clear()
            self.engine.feed(PacketBatch(self._batch.data, index))
        elif self._frames:
            entries, data = [], bytearray()
            for ts_ns, frame, n_missing in self._frames:
                wire_len = len(frame) + n_missing
                entries.append((ts_ns, len(data), len(frame), wire_len, int(LinkType.RAW)))
                data += frame
            self._frames.clear()
            index = np.array(entries, PACKET_INDEX)
            self.engine.feed(PacketBatch(np.frombuffer(bytes(data), np.uint8), index))

    def _tell(self, snapshot: Snapshot) -> None:
        if self.observer is None:
            return
        if isinstance(self.observer, SnapshotObserver):
            self.observer.handle_snapshot(snapshot)
            return
        told, self._told = self._told, {}
        for name, remote in self._remotes_of(snapshot).items():
            now = self._told[name] = remote.row.table.counters[remote.row.idx].tobytes()
            if told.get(name) != now:
                self.notify_observer(remote)

    def _remotes_of(self, snapshot: Snapshot) -> dict[str, TcpRemoteState]:
        remotes = {}
        for row in quick_rows(snapshot):
            remote = self._remotes.get(row.name)
            if remote is None:
                remote = TcpRemoteState(row.name, row)
            remote.row = row
            remotes[row.name] = remote
        self._remotes = remotes
        return remotes
