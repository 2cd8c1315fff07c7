"""The one event loop: packets, clients, timers, signals, on one thread.

Takes a feed (packets in, snapshots out), a server and its listeners; turns until a signal, the end
of the lifeline, or the feed says so. Nothing in it waits but the poll, and each turn does a bounded
amount of work for everybody, so that neither clients nor packets starve the other.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import zmq

from trtop_core.errors import TrtopError
from trtop_core.wire import MAX_NOTICES, Notice, cut
from trtop_daemon.ipc.feed import MAX_TAKE_S, Feed
from trtop_daemon.server.event_log import EventLog
from trtop_daemon.server.listener import Listener
from trtop_daemon.server.server import Announcement, Server
from trtop_daemon.server.zap import KeyCheck
from trtop_daemon.system.signals import Signals
from trtop_daemon.system.systemd import Notifier

LOG = logging.getLogger(__name__)

HOUSEKEEPING_S = 1.0
"""How often a removed socket file and refused clients are noticed."""

BRIEF_TAKE_S = 0.004
"""The same while a client takes answer after answer: what its socket holds is soon read."""

FINAL_ANSWERS_S = 2.0
"""How long last answers may take altogether."""

LAST_RECORDS_S = 10.0
"""How long those who read records may take for the last ones."""

READER_SLICE_MS = 100

LIFELINE_READY = b"ready\n"


@dataclass(frozen=True, slots=True)
class Listeners:
    """How clients come in.

    Attributes:
        listeners: one per endpoint.
        key_check: checks keys, where there are any.
    """

    listeners: Sequence[Listener]
    key_check: KeyCheck | None = None


class Loop:
    """The loop; runs until it is told to stop.

    Args:
        feed: where numbers come from.
        server: answers clients.
        listeners: how they come in.
        host: the name of this machine.
        reload: called after SIGHUP.

    Attributes:
        lifeline_fd: readable when the daemon is no longer wanted; None where nobody says so.
        stays: goes on answering when nothing will be captured any more.
        housekeepers: called about every second.
    """

    def __init__(
        self,
        feed: Feed,
        server: Server,
        listeners: Listeners,
        host: str,
        reload: Callable[[], None] = lambda: None,
    ) -> None:
        self.lifeline_fd: int | None = None
        self.stays = False
        self.housekeepers: list[Callable[[], None]] = []
        self._feed = feed
        self._server = server
        self._listeners = listeners
        self._host = host
        self._reload = reload
        self._state = (feed.is_finished, feed.is_capturing)
        self._n_refused = 0
        self._brief_until_s = 0.0
        self._events = EventLog()
        self._notices_logged: tuple[Notice, ...] = ()
        self._troubled: set[Listener] = set()
        self._poller = zmq.Poller()
        self._watched: tuple[object, ...] | None = None
        self._feed_items: set[object] = set()

    def run(self, signals: Signals, notifier: Notifier) -> None:
        """Run until a signal, the lifeline or the feed ends it.

        Raises:
            TrtopError: the feed cannot go on.
            KeyboardInterrupt: a second signal came while stopping.
        """
        next_housekeeping_s = 0.0
        while signals.stopping is None:
            now_s = time.monotonic()
            if now_s >= next_housekeeping_s:
                next_housekeeping_s = now_s + (notifier.watchdog_s or HOUSEKEEPING_S)
                next_housekeeping_s = min(next_housekeeping_s, now_s + HOUSEKEEPING_S)
                self._housekeeping(notifier)
            until_s = self._feed.tick(now_s)
            if self._feed.failure and not self.stays:
                break
            until_s = min(until_s, max(0.0, next_housekeeping_s - now_s))
            if not self._turn(signals, 0.0 if self._has_work else until_s):
                LOG.info("stopping: whoever wanted this daemon is gone")
                break
            if signals.take_reload():
                notifier.reloading()
                self._reload()
        notifier.stopping()
        if signals.stopping is not None:
            LOG.info("stopping after %s", signals.stopping.name)
        self._stop()
        if self._feed.failure and not self.stays:
            raise TrtopError(self._feed.failure)

    def _turn(self, signals: Signals, wait_s: float) -> bool:
        """Wait, then do what there is to do; False when the lifeline has ended."""
        self._watch(signals)
        ready = dict(self._poller.poll(math.ceil(wait_s * 1000)))
        if signals.wakeup_fd in ready:
            signals.clear_wakeup()
        if self.lifeline_fd in ready and self._is_abandoned():
            return False
        if not self._feed_items.isdisjoint(ready):
            is_brief = time.monotonic() < self._brief_until_s
            self._feed.on_ready(BRIEF_TAKE_S if is_brief else MAX_TAKE_S)
        key_check = self._listeners.key_check
        if key_check is not None and key_check.socket in ready:
            key_check.on_ready()
        # At once: a death may be over before the housekeeping looks.
        if self._feed.notices != self._notices_logged:
            self._log_events()
        self._answer(ready)
        return True

    @property
    def _has_work(self) -> bool:
        """Somebody waits for an answer, or to be read."""
        return self._server.has_work or any(
            listener.channel.has_messages for listener in self._listeners.listeners
        )

    def _watch(self, signals: Signals) -> None:
        """Poll what there is now: captures come and go."""
        watched = *self._feed.sockets, *self._feed.filenos().items()
        if watched == self._watched:
            return
        self._watched = watched
        self._poller = poller = zmq.Poller()
        for socket in self._feed.sockets:
            poller.register(socket, zmq.POLLIN)
        for fd, flags in self._feed.filenos().items():
            poller.register(fd, flags)
        self._feed_items = {*self._feed.sockets, *self._feed.filenos()}
        for listener in self._listeners.listeners:
            poller.register(listener.pollable, zmq.POLLIN)
        if self._listeners.key_check is not None:
            poller.register(self._listeners.key_check.socket, zmq.POLLIN)
        poller.register(signals.wakeup_fd, zmq.POLLIN)
        if self.lifeline_fd is not None:
            poller.register(self.lifeline_fd, zmq.POLLIN)

    def _answer(self, ready: dict[object, int]) -> None:
        state = (self._feed.is_finished, self._feed.is_capturing)
        if state != self._state:  # what an answer says of now would contradict older numbers
            self._state = state
            self._server.forget_answers()
        now_s = time.monotonic()
        for listener in self._listeners.listeners:
            if listener.pollable in ready or listener.channel.has_messages:
                self._server.take(listener.channel, now_s)
        n_answers = self._server.counts.answers
        self._server.serve(now_s, self._announcement())
        channels = (listener.channel for listener in self._listeners.listeners)
        if self._server.counts.answers > n_answers or any(c.has_output for c in channels):
            self._brief_until_s = now_s + MAX_TAKE_S

    def _is_abandoned(self) -> bool:
        assert self.lifeline_fd is not None
        try:
            return not os.read(self.lifeline_fd, 1)
        except BlockingIOError:
            return False
        except ConnectionResetError:  # closed before all that we had written there was read
            return True

    def _announcement(self) -> Announcement:
        feed = self._feed
        return Announcement(self._host, self._notices(), feed.is_finished, feed.is_capturing)

    def _notices(self) -> tuple[Notice, ...]:
        return tuple(
            Notice(item.time_ns, item.severity, cut(item.text))
            for item in self._feed.notices[:MAX_NOTICES]
        )

    def _housekeeping(self, notifier: Notifier) -> None:
        notifier.alive()
        self._log_events()
        for housekeeper in self.housekeepers:
            housekeeper()
        for listener in self._listeners.listeners:
            self._restore(listener)
            listener.expire()
        key_check = self._listeners.key_check
        if key_check is not None and key_check.n_refused > self._n_refused:
            n_new, self._n_refused = key_check.n_refused - self._n_refused, key_check.n_refused
            LOG.warning(
                "%d connection(s) without an authorized key refused, the last from %s",
                n_new,
                key_check.last_refused,
            )

    def _log_events(self) -> None:
        self._notices_logged = self._feed.notices
        self._events.look(self._notices_logged, self._feed.health(), time.monotonic())

    def _restore(self, listener: Listener) -> None:
        try:
            if listener.restore():
                LOG.warning("%s had been removed; made again", listener.endpoint)
            self._troubled.discard(listener)
        except TrtopError as error:
            if listener not in self._troubled:
                LOG.error("the socket was removed and cannot be made again: %s", error)
            self._troubled.add(listener)

    def _stop(self) -> None:
        self._log_events()
        self._feed.stop()
        now_s = time.monotonic()
        for listener in self._listeners.listeners:
            self._server.take(listener.channel, now_s)
        self._server.expect_readers(now_s)
        self._server.send_final_answers(
            time.monotonic, self._announcement(), now_s + FINAL_ANSWERS_S
        )
        self._serve_readers(now_s + LAST_RECORDS_S)

    def _serve_readers(self, until_s: float) -> None:
        """Answer those who read records of connections, until they have the last ones."""
        poller = zmq.Poller()
        for listener in self._listeners.listeners:
            poller.register(listener.pollable, zmq.POLLIN)
        now_s = time.monotonic()
        while self._server.has_readers(now_s) and now_s < until_s:
            poller.poll(0 if self._has_work else READER_SLICE_MS)
            now_s = time.monotonic()
            for listener in self._listeners.listeners:
                self._server.take(listener.channel, now_s)
            self._server.serve(now_s, self._announcement())
