"""A feed driven as the daemon's loop drives it, for as long as a test asks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import zmq

from trtop_core import Snapshot, View
from trtop_daemon.ipc.feed import MAX_TAKE_S, CaptureConfig
from trtop_daemon.processes import child
from trtop_daemon.processes.supervisor import Supervisor

TIMEOUT_S = 120.0
"""Far beyond what a machine at its limits takes."""


child.ANSWER_TIMEOUT_S = TIMEOUT_S
"""A launcher may take as long to start as anything else here."""


@contextlib.contextmanager
def feeding(config: CaptureConfig) -> Iterator[Supervisor]:
    """A feed, stopped and freed at the end."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        feed = Supervisor(config, context)
        try:
            yield feed
        finally:
            feed.stop()
    finally:
        context.destroy(linger=0)


def turn(feed: Supervisor, timeout_s: float) -> None:
    """One turn of a loop around the feed."""
    poller = zmq.Poller()
    for socket in feed.sockets:
        poller.register(socket, zmq.POLLIN)
    for fd, flags in feed.filenos().items():
        poller.register(fd, flags)
    wait_s = min(feed.tick(time.monotonic()), timeout_s)
    if poller.poll(int(max(0.0, wait_s) * 1000) + 1) and not feed.is_finished:
        feed.on_ready(MAX_TAKE_S)


def drive(
    feed: Supervisor, until: Callable[[], object], timeout_s: float = TIMEOUT_S, what: str = ""
) -> float:
    """Turn until something is so; how many seconds that took."""
    began_s = time.monotonic()
    while not until():
        left_s = began_s + timeout_s - time.monotonic()
        assert left_s > 0, (
            f"waited {timeout_s:g} s in vain {what}: {feed.notices}, {whole(feed).health}"
        )
        turn(feed, min(left_s, 0.2))
    return time.monotonic() - began_s


def drive_for(feed: Supervisor, span_s: float) -> None:
    """Turn for a while."""
    end_s = time.monotonic() + span_s
    drive(feed, lambda: time.monotonic() >= end_s, span_s + TIMEOUT_S)


def whole(feed: Supervisor) -> Snapshot:
    """All rows of all time."""
    return feed.snapshot(View())
