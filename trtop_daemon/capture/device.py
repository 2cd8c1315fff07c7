"""``Device``: one interface, opened for capture; batches come out.

Takes a name and how to capture, gives batches with capture time in ns and what the kernel counts.
Only ``run`` waits: for packets, or for an order. What pcapy-ng cannot say is not made up: a packet
that may have been cut has the wire length 0, unknown.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from operator import sub

import numpy as np
import numpy.typing as npt
import pcapy

from trtop_core.batch import PacketBatch
from trtop_core.errors import TrtopError
from trtop_core.records import NS_PER_MS, NS_PER_S, NS_PER_US, PACKET_INDEX
from trtop_daemon.capture.backend import Backend, OpenConfig
from trtop_daemon.capture.batch_sender import BatchSender
from trtop_daemon.capture.bpf_filter import LINKTYPE_OF, check_filter, default_filter, filter_error
from trtop_daemon.capture.control import REPORT_S, Control
from trtop_daemon.capture.due_totals import DueTotals
from trtop_daemon.ipc.batch_message import Totals, unwrap
from trtop_daemon.ipc.feed import ANY_INTERFACE, CaptureConfig
from trtop_daemon.system.interfaces import is_loopback
from trtop_daemon.system.privileges import NO_RIGHT

MAX_BATCH_PACKETS = 4_096
"""Packets of one call: below about 1,000 the library's allocations cost more than they do."""

MIN_BATCH_PACKETS = 64

MAX_BATCH_BYTES = 8 << 20
"""Long snaplens get fewer packets to a batch: the library knows no bound in bytes."""

DOWN_PAUSE_S = 0.1
"""Time between looks at an interface that is down: polling it returns at once."""

DRAIN_LOOK_S = 0.01
"""Time between looks at a ring with a packet left, which the kernel gives at a time-out."""

MARGIN_NS = 20 * NS_PER_MS
"""What a packet may take from its timestamp to an idle ring, beyond two timeouts of the ring."""

EXIT_NOT_CAPTURING = 3
"""Exit status of a subprocess whose device failed after it had been opened."""

_RAW_INDEX = np.dtype([("sec", "=u4"), ("usec", "=u4"), ("offset", "=u4"), ("caplen", "=u4")])

_DOWN = "went down"
"""How libpcap puts ENETDOWN; such a device works again when it is up again."""

# pcap_activate(3PCAP); pcapy-ng gives the numbers only.
_NO_SUCH_DEVICE, _NO_PERMISSION, _NOT_UP, _NO_PROMISC = -5, -8, -9, -11


class DeviceError(TrtopError):
    """The device failed while capturing; it must be opened anew."""

    exit_status = EXIT_NOT_CAPTURING


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """How to capture; the fields are those of ``feed.CaptureConfig``.

    Attributes:
        fanout_group: number of the PACKET_FANOUT group to join, or None.
        decap: whether the default filter lets tunnels through.
    """

    interface: str
    capture_filter: str | None
    snaplen_bytes: int
    buffer_bytes: int
    timeout_ms: int
    fanout_group: int | None = None
    decap: bool = True


class Device:
    """An open interface.

    Args:
        config: what to open, and how.

    Attributes:
        link_type: LINKTYPE_ value.
        fileno: to poll for input.
        is_down: the interface went down, and no packet came since.

    Raises:
        TrtopError: it cannot be opened, or the filter is wrong.
    """

    def __init__(self, config: DeviceConfig) -> None:
        self._config = config
        self._is_promiscuous = config.interface != ANY_INTERFACE
        self._totals = [0, 0, 0]
        self._before = [0, 0, 0]
        self._is_early = True
        self._counting_from_ns = 0
        self._is_loopback = config.interface == ANY_INTERFACE or is_loopback(config.interface)
        self._n_read = 0
        self._n_lost = 0
        self._settled_at_s: float | None = None
        self._n_kept_then = 0
        fitting = MAX_BATCH_BYTES // config.snaplen_bytes
        self._n_at_once = min(max(fitting, MIN_BATCH_PACKETS), MAX_BATCH_PACKETS)
        self.is_down = False
        try:
            self._handle = _open(config, self._is_promiscuous)
            dlt = self._handle.datalink()
            expression = config.capture_filter
            if expression is None:
                expression = default_filter(dlt, config.decap)
            self._set_filter(expression)
            if config.fanout_group is not None:
                self._handle.set_fanout(config.fanout_group, pcapy.PACKET_FANOUT_HASH)
            self._handle.setnonblock(1)
            self._begin_counting()
        except pcapy.PcapError as error:
            raise TrtopError(f"{config.interface}: {error}") from error
        self.link_type: int = LINKTYPE_OF.get(dlt, dlt)
        self.fileno: int = self._handle.getfd()

    def read(self) -> PacketBatch | None:
        """The next packets, at most ``MAX_BATCH_PACKETS``; None if there are none now.

        Raises:
            DeviceError: the device must be opened anew.
        """
        now_s = time.monotonic()
        try:
            data, raw = self._handle.next_batch(self._n_at_once)
        except pcapy.PcapError as error:
            if _DOWN in str(error):
                self.is_down = True
                self._await_settled()
                return None
            self._account_lost(self._n_kept())
            raise DeviceError(f"{self._config.interface}: {error}") from error
        if not raw:
            if self._settled_at_s is not None and now_s >= self._settled_at_s:
                self._settled_at_s = None
                self._account_lost(self._n_kept_then)
            return None
        self.is_down = False
        index = index_of(raw, self.link_type, self._config.snaplen_bytes)
        self._n_read += len(index)
        if self._is_early:
            self._count_early(index["ts_ns"])
        if self._settled_at_s is not None:
            self._await_settled()
        return PacketBatch(np.frombuffer(data, np.uint8), index)

    def totals(self) -> Totals:
        """What the kernel has counted so far.

        ``interface_dropped`` is known for a promiscuous interface only; elsewhere libpcap's 0
        means nothing.
        """
        try:
            counters = self._handle.stats()
        except pcapy.PcapError:  # of a device that is gone: what was known last stays
            counters = self._totals
        self._totals = [unwrap(*pair) for pair in zip(self._totals, counters, strict=True)]
        received, kernel, interface = map(sub, self._totals, self._before)
        known = interface if self._is_promiscuous else None
        return Totals(received, kernel, known, self._n_lost)

    @property
    def _settle_s(self) -> float:
        """Time without packets after which the ring holds none: a block closes after a timeout."""
        return 4 * self._config.timeout_ms / 1000

    def is_drained(self) -> bool:
        """Whether every packet that the kernel kept was read; not known on loopback."""
        return not self._is_loopback and self._n_read + self._n_lost >= self._n_kept()

    def run(self, sender: BatchSender, control: Control) -> None:
        """Move packets to the main process until ordered to stop.

        Raises:
            DeviceError: the device failed; all before that was sent.
            ProcessLookupError: the main process is gone.
        """
        lag_ns = 2 * self._config.timeout_ms * NS_PER_MS + MARGIN_NS
        poller = select.poll()
        poller.register(self.fileno, select.POLLIN)
        poller.register(control.fd, select.POLLIN)
        totals = DueTotals(self.totals())
        report_at_s = 0.0
        stop_by_s: float | None = None
        while True:
            if control.is_stopping and stop_by_s is None:
                stop_by_s = time.monotonic() + lag_ns / NS_PER_S
            began_ns = time.time_ns()
            batch = self.read()
            now_s = time.monotonic()
            if batch is not None or now_s >= report_at_s:
                if now_s >= report_at_s:
                    totals.add(self.totals(), time.time_ns())
                    report_at_s = now_s + REPORT_S
                until_ns = began_ns - lag_ns if batch is None else int(batch.index["ts_ns"][-1])
                due = totals.due(until_ns, time.time_ns())
                sender.send_batch(batch, due, self.link_type, until_ns)
                control.wait_for_room(sender)
                control.wait(0)  # packets may never cease
            if stop_by_s is not None and batch is None and self.is_drained():
                return
            if stop_by_s is not None and now_s > stop_by_s:
                return
            if batch is None:
                wait_s = DRAIN_LOOK_S if control.is_stopping else report_at_s - time.monotonic()
                self._wait(control, poller, wait_s)

    def final_totals(self) -> Totals:
        """What the kernel has counted by the end."""
        return self.totals()

    def close(self) -> None:
        """Do nothing: the end of the process closes the device."""

    def _wait(self, control: Control, poller: select.poll, timeout_s: float) -> None:
        """Wait until there are packets, an order, or a report is due."""
        if self.is_down:
            control.wait(DOWN_PAUSE_S)
            return
        for fd, _ in poller.poll(max(1.0, timeout_s * 1000.0)):
            if fd == control.fd:
                control.read()

    def _begin_counting(self) -> None:
        """Leave out what the kernel counted while the filter was not set yet."""
        self._totals = list(self._handle.stats())
        self._before = list(self._totals)
        self._counting_from_ns = time.time_ns()

    def _count_early(self, times_ns: npt.NDArray[np.int64]) -> None:
        """Add what came before counting began, and that the filter let through, to what came.

        That is no more than the kernel had counted by then, also where the clock is set back.
        """
        n_early = int(np.count_nonzero(times_ns < self._counting_from_ns))
        self._before[0] = max(0, self._before[0] - n_early)
        self._is_early = n_early == len(times_ns) and self._before[0] > 0

    def _set_filter(self, expression: str) -> None:
        try:
            self._handle.setfilter(expression)
        except pcapy.PcapError as error:
            raise filter_error(expression, error) from None

    def _n_kept(self) -> int:
        """Packets that the kernel has put into the ring so far."""
        totals = self.totals()
        return (totals.received or 0) - (totals.kernel_dropped or 0)

    def _await_settled(self) -> None:
        """Begin the time after which the ring holds nothing of what the kernel has kept by now."""
        self._n_kept_then = self._n_kept()
        self._settled_at_s = time.monotonic() + self._settle_s

    def _account_lost(self, n_kept: int) -> None:
        """A read error threw packets away: once the ring is empty, what is missing is lost.

        Not told on loopback: the kernel counts a packet there when it leaves and when it arrives,
        and libpcap gives one of the two.

        Args:
            n_kept: packets that the ring cannot hold any more. Of those that came later some may
                wait in a block that is not closed yet.
        """
        if not self._is_loopback:
            self._n_lost = max(self._n_lost, n_kept - self._n_read)


class DeviceBackend(Backend):
    """Network interfaces, through libpcap."""

    needs_rights = True
    restarts = True
    ends = False
    on_interfaces = True

    def open(self, config: OpenConfig) -> Device:
        """Open an interface.

        Raises:
            TrtopError: it cannot be opened, or the filter is wrong.
        """
        capture = config.capture
        return Device(
            DeviceConfig(
                config.target,
                capture.capture_filter,
                capture.snaplen_bytes,
                capture.buffer_bytes,
                capture.timeout_ms,
                config.fanout_group,
                capture.engine.decap,
            )
        )

    def targets(self, config: CaptureConfig) -> Sequence[str]:
        """The interfaces."""
        return config.interfaces

    def check(self, config: CaptureConfig) -> None:
        """Refuse a filter that libpcap does not understand.

        Raises:
            TrtopError: it does not.
        """
        if config.capture_filter is not None:
            check_filter(config.capture_filter)


def index_of(raw: bytes, link_type: int, snaplen_bytes: int) -> npt.NDArray[np.void]:
    """pcapy-ng's index (sec, usec, offset, caplen) as ``records.PACKET_INDEX``.

    pcapy-ng does not tell wire lengths: a packet shorter than the snaplen was captured whole;
    of another the wire length is unknown, 0. The decoder needs it only for segments above 64 KiB
    whose IP header says 0: these count as undecoded then.
    """
    given = np.frombuffer(raw, _RAW_INDEX)
    index = np.empty(len(given), PACKET_INDEX)
    index["ts_ns"] = given["sec"]
    index["ts_ns"] *= NS_PER_S
    index["ts_ns"] += given["usec"] * np.int64(NS_PER_US)
    index["offset"] = given["offset"]
    caplen = given["caplen"]
    index["caplen"] = caplen
    index["wire_len"] = np.where(caplen < snaplen_bytes, caplen, 0)
    index["link_type"] = link_type
    return index


def _open(config: DeviceConfig, is_promiscuous: bool) -> pcapy.Reader:
    handle = pcapy.create(config.interface)
    handle.set_snaplen(config.snaplen_bytes)
    handle.set_buffer_size(config.buffer_bytes)
    handle.set_timeout(config.timeout_ms)
    handle.set_promisc(int(is_promiscuous))
    status = handle.activate()
    if status in (_NO_PERMISSION, _NO_PROMISC):
        raise TrtopError(f"{config.interface}: {NO_RIGHT}")
    if status == _NO_SUCH_DEVICE:
        raise TrtopError(f"{config.interface}: no such interface; trtopd --list-interfaces")
    if status == _NOT_UP:
        raise TrtopError(
            f"{config.interface}: is down; bring it up: ip link set {config.interface} up"
        )
    if status < 0:
        raise TrtopError(f"{config.interface}: cannot be opened (libpcap's error {status})")
    return handle
