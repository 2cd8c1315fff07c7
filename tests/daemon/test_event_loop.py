"""The daemon's loop: how long packets are taken before clients have their turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import MagicMock

import pytest
import zmq
from support.desk import Desk

from trtop.runtime.signals import SIGNALS
from trtop_core import View
from trtop_core.health import Health
from trtop_core.wire import Notice
from trtop_daemon.ipc.feed import MAX_TAKE_S
from trtop_daemon.server.event_loop import BRIEF_TAKE_S, Listeners, Loop
from trtop_daemon.system.signals import Signals
from trtop_daemon.system.systemd import Notifier


@dataclass
class EndlessFeed:
    """Packets without end; notes how long they may be taken for, and stops the loop at last."""

    fd: int
    turn: Callable[[int], bool]
    budgets_s: list[float] = field(default_factory=list)
    notices: tuple[Notice, ...] = ()
    sockets: tuple[zmq.Socket[bytes], ...] = ()
    failure = ""
    is_finished = False
    is_capturing = True

    def filenos(self) -> dict[int, int]:
        return {self.fd: zmq.POLLIN}

    def on_ready(self, budget_s: float) -> None:
        self.budgets_s.append(budget_s)
        if not self.turn(len(self.budgets_s)):
            os.kill(os.getpid(), signal.SIGTERM)

    def tick(self, now_s: float) -> float:
        return 1.0

    def health(self) -> Health:
        return Health()

    def stop(self) -> None:
        return


@pytest.fixture
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    made = Desk(interval_s=getattr(request, "param", 0))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """A process that was asked to end ignores further signals: this one goes on."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def readable() -> Iterator[int]:
    reading, writing = os.pipe()
    os.write(writing, b"packets")
    yield reading
    os.close(reading)
    os.close(writing)


def run(desk: Desk, feed: Any) -> None:
    listener = MagicMock(pollable=desk.router, channel=desk.channel)
    listener.restore.return_value = False
    loop = Loop(feed, desk.server, Listeners([listener]), "web-3")
    with Signals() as signals:
        loop.run(signals, Notifier({}))


def test_packets_are_taken_for_long_while_nobody_asks(desk: Desk, readable: int) -> None:
    feed = EndlessFeed(readable, lambda n_turns: n_turns < 20)
    run(desk, feed)
    assert set(feed.budgets_s) == {MAX_TAKE_S}


def test_packets_are_taken_briefly_while_a_client_takes_answer_after_answer(
    desk: Desk, readable: int
) -> None:
    client = desk.client()
    client.ask(View())

    def turn(n_turns: int) -> bool:
        if desk.server.counts.answers == 0:
            return True
        if client.socket.poll(0):
            client.reply()
            client.ask(View())
        return desk.server.counts.answers < 5

    feed = EndlessFeed(readable, turn)
    run(desk, feed)
    n_before = feed.budgets_s.index(BRIEF_TAKE_S)
    assert set(feed.budgets_s[:n_before]) == {MAX_TAKE_S}
    assert BRIEF_TAKE_S in feed.budgets_s[n_before + 1 :]
    assert desk.server.counts.answers >= 5


@pytest.mark.parametrize("desk", [3600], indirect=True)
@pytest.mark.parametrize(("what", "changed"), [("is_capturing", False), ("is_finished", True)])
def test_numbers_of_an_answer_are_not_older_than_what_it_says_of_the_capture(
    desk: Desk, readable: int, what: str, changed: bool
) -> None:
    client = desk.client()
    client.ask(View())
    said = []

    def turn(n_turns: int) -> bool:
        if not client.socket.poll(0):
            return True
        head, _ = client.reply()
        said.append((getattr(head, what), desk.server.counts.snapshots))
        client.ask(View())
        if len(said) == 2:
            setattr(feed, what, changed)
        return len(said) < 4

    feed = EndlessFeed(readable, turn)
    run(desk, feed)
    assert said == [(not changed, 1), (not changed, 1), (changed, 2), (changed, 2)]
