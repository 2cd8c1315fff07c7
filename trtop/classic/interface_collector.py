"""``InterfaceCollector``: packets of a network interface, captured by a process of its own.

Takes an interface and a filter, feeds an analyzer. The capture process is the daemon's: it opens
the device, drops its privileges and hands packets over; what it loses is counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

from trtop.classic.analyzer import BaseAnalyser, OutgoingTCPAnalyzer
from trtop.classic.collector import BaseCollector
from trtop.names.engine import PacketReader
from trtop_core._flows import Prepared
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import MIN_SEED_BYTES, Engine
from trtop_core.errors import EXIT_INCOMPLETE, EXIT_OK, TrtopError

if TYPE_CHECKING:
    from trtop_daemon.ipc.feed import Feed

log = logging.getLogger(__name__)

MAX_WAIT_S = 0.25
"""How long packets are waited for before somebody may have asked to stop."""

NAMES_SNAPLEN_BYTES = 1600
"""Bytes captured where names are read from packets: a ClientHello or a DNS answer in one frame."""


class InterfaceCollector(BaseCollector):
    """Captures from a network interface.

    Args:
        analyzer: who takes the packets.
        interface: its name; ``any``: all of them.
        bpf_filter: which packets, in libpcap's language; None: TCP in all forms that are decoded.

    Attributes:
        notices: what must be known of the capture now, one line each.
    """

    def __init__(
        self, analyzer: BaseAnalyser, interface: str, bpf_filter: str | None = None
    ) -> None:
        super().__init__(analyzer)
        # A script's `interface` and `bpf_filter` stand for text, or for None.
        self.interface = str(interface)
        self.bpf_filter = str(bpf_filter) if bpf_filter else None
        self.notices: tuple[str, ...] = ()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Capture until ``stop``.

        Raises:
            TrtopError: the interface cannot be opened.
        """
        # The daemon's side and ZeroMQ take a while to import, and files need neither.
        import zmq  # noqa: PLC0415

        from trtop_daemon.ipc.feed import DEFAULT_SNAPLEN_BYTES, CaptureConfig  # noqa: PLC0415
        from trtop_daemon.processes.supervisor import make_feed  # noqa: PLC0415

        is_wide = _reads_names(self.analyzer)
        try:
            config = CaptureConfig(
                interfaces=(self.interface,),
                capture_filter=self.bpf_filter,
                engine=_config_of(self.analyzer),
                snaplen_bytes=NAMES_SNAPLEN_BYTES if is_wide else DEFAULT_SNAPLEN_BYTES,
            )
        except ValueError as error:
            raise TrtopError(f"{self.interface}: {error}") from None
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            feed = make_feed(config, context, lambda given: _Relay(given, self.analyzer))
            log.info("capturing on %s", self.interface)
            try:
                self._run(feed)
            finally:
                feed.stop()
                self.notices = tuple(notice.text for notice in feed.notices)
        finally:
            context.destroy(linger=0)
        self.analyzer.end()

    def stop(self) -> None:
        """Stop after the packets at hand."""
        self._stopped.set()

    @property
    def exit_status(self) -> int:
        """What the program ends with."""
        return EXIT_INCOMPLETE if self.notices else EXIT_OK

    def _run(self, feed: Feed) -> None:
        import zmq  # noqa: PLC0415 - see start

        from trtop_daemon.ipc.feed import MAX_TAKE_S  # noqa: PLC0415 - see start

        while not self._stopped.is_set():
            wait_s = min(MAX_WAIT_S, feed.tick(time.monotonic()))
            poller = zmq.Poller()
            for fd, flags in feed.filenos().items():
                poller.register(fd, flags)
            for one in feed.sockets:
                poller.register(one, zmq.POLLIN)
            if poller.poll(max(0, round(wait_s * 1000))):
                feed.on_ready(MAX_TAKE_S)
            self.notices = tuple(notice.text for notice in feed.notices)
            self.analyzer.tick()


class _Relay(Engine):
    """Stands in for the engine of a capture: passes packets and times on to an analyzer.

    Args:
        config: as the capture side was told.
        analyzer: who takes the packets.
    """

    def __init__(self, config: EngineConfig, analyzer: BaseAnalyser) -> None:
        super().__init__(
            replace(config, max_connections=1, max_destinations=1, windows=()),
            bytes(MIN_SEED_BYTES),
        )
        self._analyzer = analyzer
        self._counting = analyzer if isinstance(analyzer, OutgoingTCPAnalyzer) else None

    @property
    def has_begun(self) -> bool:
        """Whether there is capture time that can move on."""
        return self._counting is not None and self._counting.engine.has_begun

    def feed(self, batch: PacketBatch, prepared: Prepared | None = None) -> None:
        """Hand a batch on."""
        self._analyzer.feed(batch)

    def advance(self, now_ns: int) -> None:
        """Hand the time on."""
        if self._counting is not None:
            with self._counting.lock:
                self._counting.engine.advance(now_ns)

    def set_local(self, local: Sequence[IPv4Network | IPv6Network]) -> None:
        """Hand the local networks on."""
        if self._counting is not None:
            with self._counting.lock:
                self._counting.engine.set_local(tuple(local))

    def finish(self) -> None:
        """Do nothing: the collector says when the analyzer ends."""


def _config_of(analyzer: BaseAnalyser) -> EngineConfig:
    return analyzer.config if isinstance(analyzer, OutgoingTCPAnalyzer) else EngineConfig()


def _reads_names(analyzer: BaseAnalyser) -> bool:
    resolver = getattr(analyzer, "resolver", None)
    return resolver is not None and any(isinstance(r, PacketReader) for r in resolver.links())
