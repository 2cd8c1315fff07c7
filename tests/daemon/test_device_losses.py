"""What a read error throws away, told while other packets come: a device counts these alone."""

from __future__ import annotations

import struct
from typing import Any

import pcapy
import pytest

from trtop_daemon.capture import device
from trtop_daemon.capture.device import Device, DeviceConfig

TIMEOUT_MS = 50
SETTLED_S = 0.2
"""When the ring is known to hold nothing of what came before."""

OPENED_NS = 1_000_500_000
"""Half a millisecond after packets that are stamped with a second."""

DOWN = "The interface went down"


class Ring:
    """libpcap's handle: a kernel counts packets before it shows them.

    Attributes:
        received: packets that the kernel has put into the ring.
        shown: of these, how many the next call gives.
        usec: when they came, in microseconds of the first second.
        error: what the next call says instead.
    """

    def __init__(self) -> None:
        self.received = self.shown = 0
        self.usec = 1_000
        self.error = ""

    def take(self, n_packets: int) -> None:
        """Packets come in a block that is not closed yet."""
        self.received += n_packets

    def next_batch(self, n_packets: int) -> tuple[bytes, bytes]:
        if self.error:
            said, self.error = self.error, ""
            raise pcapy.PcapError(said)
        n, self.shown = self.shown, 0
        return bytes(60 * n), b"".join(
            struct.pack("=4I", 1, self.usec, 60 * i, 60) for i in range(n)
        )

    def stats(self) -> tuple[int, int, int]:
        return self.received, 0, 0

    def datalink(self) -> int:
        return 1

    def getfd(self) -> int:
        return 0

    def setfilter(self, expression: str) -> None:
        pass

    def setnonblock(self, state: int) -> None:
        pass


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def time_ns(self) -> int:
        return OPENED_NS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(device, "time", made)
    return made


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    made = Ring()
    monkeypatch.setattr(device, "_open", lambda *args: made)
    return made


def lost(opened: Device) -> Any:
    return opened.totals().read_lost


def opened_on(ring: Ring) -> Device:
    return Device(DeviceConfig("eth0", None, 128, 1 << 20, TIMEOUT_MS))


def test_what_an_error_threw_away_is_lost_once_the_ring_is_empty(ring: Ring, clock: Clock) -> None:
    opened = opened_on(ring)
    ring.take(7)
    ring.error = DOWN
    assert opened.read() is None
    clock.now_s += SETTLED_S - 0.01
    opened.read()
    assert lost(opened) == 0
    clock.now_s += 0.01
    opened.read()
    assert lost(opened) == 7


def test_packets_that_wait_in_an_open_block_are_not_lost(ring: Ring, clock: Clock) -> None:
    opened = opened_on(ring)
    ring.take(7)
    ring.error = DOWN
    opened.read()
    clock.now_s += SETTLED_S
    ring.take(5)  # the kernel has counted them, and shows them when the block closes
    opened.read()
    assert lost(opened) == 7
    ring.shown = 5
    batch = opened.read()
    assert batch is not None
    assert len(batch) == 5
    assert lost(opened) == 7
    assert opened.is_drained()


def test_packets_that_are_read_begin_the_wait_anew(ring: Ring, clock: Clock) -> None:
    opened = opened_on(ring)
    ring.take(7)
    ring.error = DOWN
    opened.read()
    clock.now_s += SETTLED_S
    ring.take(5)
    ring.shown = 3  # two of them in the next block
    opened.read()
    opened.read()
    assert lost(opened) == 0
    ring.shown = 2
    opened.read()
    clock.now_s += SETTLED_S
    opened.read()
    assert lost(opened) == 7


def test_an_error_that_ends_the_device_loses_all_that_it_holds(ring: Ring, clock: Clock) -> None:
    opened = opened_on(ring)
    ring.take(7)
    ring.error = "The interface disappeared"
    with pytest.raises(device.DeviceError):
        opened.read()
    assert lost(opened) == 7


def test_what_came_before_the_filter_was_set_is_not_received(ring: Ring, clock: Clock) -> None:
    ring.take(13)
    opened = opened_on(ring)
    assert opened.totals().received == 0
    ring.take(7)
    assert opened.totals().received == 7
    # Of the thirteen the filter lets five through.
    ring.shown, ring.usec = 5, 499
    opened.read()
    assert opened.totals().received == 5 + 7
    ring.shown, ring.usec = 7, 501
    opened.read()
    assert opened.totals().received == 5 + 7
    assert lost(opened) == 0
    assert opened.is_drained()


def test_a_clock_that_is_set_back_makes_nothing_early_that_was_not(
    ring: Ring, clock: Clock
) -> None:
    ring.take(3)
    opened = opened_on(ring)
    ring.usec = 499
    for n_received in (7, 14):
        ring.take(7)
        ring.shown = 7
        opened.read()
        assert opened.totals().received == n_received + 3
