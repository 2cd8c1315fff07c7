"""A place for a capture subprocess: what comes of one that ends, with the processes made up."""

from __future__ import annotations

import time

import pytest

from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.errors import EXIT_OK
from trtop_core.records import NS_PER_S, Window
from trtop_core.view import View
from trtop_daemon.capture.device import EXIT_NOT_CAPTURING
from trtop_daemon.capture.replay import ReplayConfig
from trtop_daemon.ipc.batch_message import Message, MessageKind, Totals
from trtop_daemon.ipc.feed import CaptureConfig
from trtop_daemon.processes.assignments import Assignment
from trtop_daemon.processes.capture_slot import CaptureSlot, Shared
from trtop_daemon.processes.child import Orders
from trtop_daemon.processes.engines import Engines, new_engine
from trtop_daemon.processes.notices import Notices


class Child:
    """A process that ends when the test says so."""

    def __init__(self) -> None:
        self.has_ended = False

    def how_it_ended(self) -> str:
        return "signal 9"

    def end(self, grace_s: float) -> None:
        self.has_ended = True


class Children:
    def __init__(self) -> None:
        self.started: list[Orders] = []

    def start(self, orders: Orders) -> Child:
        self.started.append(orders)
        return Child()


class Bench:
    """A slot, with time as an argument and processes that do nothing."""

    def __init__(self, config: CaptureConfig | None = None) -> None:
        config = config or CaptureConfig()
        self.children, self.notices = Children(), Notices()
        self.engines = Engines(EngineConfig(windows=(Window.LAST_10_S,)), 1, new_engine)
        shared = Shared(self.children, self.engines, self.notices)  # type: ignore[arg-type]
        self.slot = CaptureSlot(Assignment(0, "any", 0, None, "any"), config, "ipc://x", shared)
        self.slot.start(None, 0.0)

    @property
    def child(self) -> Child:
        assert self.slot.child is not None
        return self.slot.child  # type: ignore[return-value]

    def says(self, kind: MessageKind, **fields: object) -> None:
        generation = len(self.children.started) - 1
        self.slot.take(Message(kind, generation=generation, **fields), 1.0)  # type: ignore[arg-type]

    def health(self):
        return self.engines.snapshot(View()).health


def test_totals_reach_the_engine_once() -> None:
    bench = Bench()
    bench.says(MessageKind.PACKETS, totals=Totals(received=7, kernel_dropped=2))
    bench.says(MessageKind.PACKETS, sequence=1, totals=Totals(received=7, kernel_dropped=2))
    bench.says(MessageKind.END, sequence=2, totals=Totals(received=11, kernel_dropped=5, untimed=3))
    health = bench.health()
    assert (health.received, health.kernel_dropped, health.untimed) == (11, 5, 3)
    assert not bench.notices.listed()


def test_a_subprocess_that_was_stopped_is_not_started_anew() -> None:
    bench = Bench()
    bench.says(MessageKind.END, code=EXIT_OK)
    bench.child.has_ended = True
    bench.slot.look(2.0)
    assert bench.slot.has_ended
    assert bench.slot.starts_s is None
    assert bench.health().interruptions == 0


@pytest.mark.parametrize("says_so", [False, True])
def test_a_subprocess_that_dies_or_whose_device_failed_is_started_anew(says_so: bool) -> None:
    bench = Bench()
    bench.says(MessageKind.PACKETS)
    if says_so:
        bench.says(MessageKind.END, sequence=1, code=EXIT_NOT_CAPTURING, text="any: failed")
    bench.child.has_ended = True
    bench.slot.look(2.0)
    assert bench.slot.starts_s == 2.5
    assert bench.health().interruptions == 1
    bench.slot.tick(None, 2.5)
    assert [orders.generation for orders in bench.children.started] == [0, 1]
    assert [notice.text for notice in bench.notices.listed()] == [
        "capture on any died (signal 9), restarting in 0.5 s"
    ]


def test_a_subprocess_that_follows_a_stopped_one_is_looked_after_as_the_first_was() -> None:
    bench = Bench()
    bench.says(MessageKind.END, code=EXIT_OK)
    bench.child.has_ended = True
    bench.slot.look(2.0)
    bench.slot.start(None, 3.0)
    assert not bench.slot.has_ended
    bench.says(MessageKind.PACKETS)
    bench.child.has_ended = True
    bench.slot.look(4.0)
    assert bench.slot.starts_s == 4.5


def test_what_ends_by_itself_is_never_started_anew() -> None:
    bench = Bench(CaptureConfig(source=ReplayConfig(("x.pcap",))))
    bench.child.has_ended = True
    bench.slot.look(2.0)
    assert bench.slot.starts_s is None
    assert bench.slot.how_it_ended() == "signal 9"
    assert bench.health().interruptions == 0


@pytest.mark.parametrize("n_ticks", [0, 3])
def test_a_gap_counts_in_the_window_that_it_reaches_into(n_ticks: int) -> None:
    """A gap of 20 s that ends now lies in the last 10 s, on whatever clock it began."""
    bench = Bench()
    now_ns = time.time_ns()
    begun_ns = now_ns - 20 * NS_PER_S
    batch = PacketBatch.from_packets([(begun_ns, bytes(60))])
    bench.says(MessageKind.PACKETS, batch=batch, until_ns=begun_ns)
    bench.child.has_ended = True
    bench.slot.look(2.0)
    for _ in range(n_ticks):
        bench.slot.tick(None, 2.1)
    held = bench.engines.snapshot(View(window=Window.LAST_10_S))
    for health in (held.health, held.window_health, bench.engines.health()):
        assert (health.interruptions, health.interrupted_ns // NS_PER_S) == (1, 20)
    bench.slot.tick(None, 2.5)
    batch = PacketBatch.from_packets([(now_ns, bytes(60))])
    bench.says(MessageKind.PACKETS, batch=batch, until_ns=now_ns)
    for window in (Window.LAST_10_S, Window.ALL):
        health = bench.engines.snapshot(View(window=window)).window_health
        assert (health.interruptions, health.interrupted_ns // NS_PER_S) == (1, 20)
    later_ns = now_ns + 30 * NS_PER_S
    bench.says(MessageKind.PACKETS, sequence=1, until_ns=later_ns)
    health = bench.engines.snapshot(View(window=Window.LAST_10_S)).window_health
    assert (health.interruptions, health.interrupted_ns) == (0, 0)
    assert bench.health().interruptions == 1
