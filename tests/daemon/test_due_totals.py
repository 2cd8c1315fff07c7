"""What a device counts goes with the packets that it was counted after, not with older ones."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from trtop_core.batch import PacketBatch
from trtop_core.records import NS_PER_S, NS_PER_US
from trtop_daemon.capture import device
from trtop_daemon.capture.control import STOP, Control
from trtop_daemon.capture.device import Device, DeviceConfig
from trtop_daemon.capture.due_totals import MAX_HELD, DueTotals
from trtop_daemon.ipc.batch_message import Totals

NONE, FEW, MORE = Totals(10, 0), Totals(20, 5), Totals(30, 9)
NOW = 1_000


def test_without_loss_totals_are_told_at_once() -> None:
    totals = DueTotals(NONE)
    totals.add(Totals(11, 0), 500)
    assert totals.due(0, NOW) == Totals(11, 0)


def test_a_loss_is_told_with_what_was_captured_after_it() -> None:
    totals = DueTotals(NONE)
    totals.add(FEW, 500)
    totals.add(MORE, 700)
    assert [totals.due(until_ns, NOW) for until_ns in (499, 500, 699, 700)] == [
        NONE,
        FEW,
        FEW,
        MORE,
    ]


def test_no_total_overtakes_one_that_is_held_back() -> None:
    totals = DueTotals(NONE)
    totals.add(FEW, 500)
    totals.add(Totals(25, 5), 600)
    assert totals.due(499, NOW) == NONE
    assert totals.due(600, NOW) == Totals(25, 5)


def test_a_clock_that_is_set_back_holds_nothing_back() -> None:
    totals = DueTotals(NONE)
    totals.add(FEW, 500)
    assert totals.due(100, 400) == FEW


def test_no_more_than_a_bound_is_held_and_the_last_is_kept() -> None:
    totals = DueTotals(NONE)
    for i in range(1, 2 * MAX_HELD + 1):
        totals.add(Totals(10, i), i)
    assert totals.due(MAX_HELD - 1, NOW) == Totals(10, MAX_HELD - 1)
    assert totals.due(2 * MAX_HELD - 1, NOW) == Totals(10, MAX_HELD - 1)
    assert totals.due(2 * MAX_HELD, NOW) == Totals(10, 2 * MAX_HELD)


class Handle:
    """libpcap's, with a ring that holds a packet of ten seconds ago, and has dropped five since."""

    def __init__(self, stop: int) -> None:
        self.old_ns = time.time_ns() - 10 * NS_PER_S
        self.n_calls = 0
        self._stop = stop
        self._fd = os.eventfd(1)

    def next_batch(self, n_packets: int) -> tuple[bytes, bytes]:
        self.n_calls += 1
        if self.n_calls > 2:
            os.write(self._stop, STOP)
            return b"", b""
        ts_ns = self.old_ns if self.n_calls == 1 else time.time_ns()
        return bytes(60), struct.pack(
            "=4I", ts_ns // NS_PER_S, ts_ns % NS_PER_S // NS_PER_US, 0, 60
        )

    def stats(self) -> tuple[int, int, int]:
        return (7, 5, 0) if self.n_calls else (0, 0, 0)

    def datalink(self) -> int:
        return 1

    def getfd(self) -> int:
        return self._fd

    def setfilter(self, expression: str) -> None:
        pass

    def setnonblock(self, state: int) -> None:
        pass


class Sender:
    is_full = False

    def __init__(self) -> None:
        self.sent: list[tuple[int, Totals]] = []

    def send_batch(
        self, batch: PacketBatch | None, totals: Totals, link_type: int, until_ns: int
    ) -> None:
        self.sent.append((0 if batch is None else len(batch), totals))

    def flush(self) -> bool:
        return True


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for fd in ends:
            os.close(fd)


def test_a_device_tells_a_loss_after_what_its_ring_held(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe() as (orders, stop):
        handle, sender = Handle(stop), Sender()
        monkeypatch.setattr(device, "_open", lambda *args: handle)
        monkeypatch.setattr(device, "REPORT_S", 0.0)
        opened: Any = Device(DeviceConfig("eth0", None, 128, 1 << 20, 50))
        opened.run(sender, Control(orders))
    (n_old, with_old), (n_new, with_new) = [sent for sent in sender.sent if sent[0]]
    assert (n_old, with_old.kernel_dropped) == (1, 0)
    # The packet after it may be a moment older than the counting; the report after it is not.
    assert n_new == 1
    assert with_new.kernel_dropped in {0, 5}
    assert sender.sent[-1][1].kernel_dropped == 5
