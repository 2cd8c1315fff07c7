"""``Supervisor``: a ``Feed`` made of capture subprocesses, one socket, and engines.

Starts a subprocess per interface, or several that share one; takes their messages into engines;
notices when one dies, says so, counts the time as a gap and starts it anew. Decodes nothing, sends
nothing to clients, opens no device.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import replace

import zmq

from trtop_core.batch import CaptureCounters
from trtop_core.detail import Detail, DetailView
from trtop_core.errors import EXIT_INCOMPLETE, EXIT_OK, TrtopError
from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_daemon.capture.batch_sender import HIGH_WATER_MARK
from trtop_daemon.capture.bpf_filter import check_filter
from trtop_daemon.ipc.batch_message import MAX_MESSAGE_BYTES, FrameError, Kind, Message, unpack
from trtop_daemon.ipc.feed import CaptureConfig, Feed, Notice, Severity
from trtop_daemon.processes.capture_slot import NOTHING, Post
from trtop_daemon.processes.child import Role, Workers
from trtop_daemon.processes.engines import EngineMaker, Engines, new_engine
from trtop_daemon.processes.notices import Conditions
from trtop_daemon.processes.runtime_dir import SOCKET_NAME, private_folder
from trtop_daemon.system import interfaces as links
from trtop_daemon.system.privileges import Identity, choose_identity

MAX_MESSAGES_AT_ONCE = 64
"""Taken before the loop looks after its clients again."""

MAX_TAKE_S = 0.05
"""Likewise in time: a twentieth of a screen's interval."""

START_TIMEOUT_S = 10.0
"""In which the first subprocesses must capture."""

STOP_TIMEOUT_S = 5.0
"""In which subprocesses must have handed over what they hold."""

LAST_MESSAGE_MS = 500
"""A message of a process that has ended takes no longer through the socket."""

END_GRACE_S = 0.1
"""Between a process's last message and its end."""

TICK_S = 1.0
"""Between looks at what sends no event."""


def make_feed(
    config: CaptureConfig,
    context: zmq.Context[zmq.Socket[bytes]],
    make_engine: EngineMaker = new_engine,
) -> Feed:
    """Start capturing, or replaying; returns when every subprocess does.

    Args:
        config: what to capture.
        context: the process's own, for one PULL socket.
        make_engine: makes what packets are fed to; replaced by those who count elsewhere.

    Raises:
        TrtopError: a filter, an interface or a file is not usable, or permission is lacking.
    """
    return Supervisor(config, context, make_engine)


class Supervisor:
    """See ``feed.Feed`` for what its user may call.

    Args:
        config: what to capture.
        context: the process's own, for one PULL socket.
        make_engine: see ``make_feed``.

    Attributes:
        posts: where subprocesses are.
        engines: where packets go.
        endpoint: where subprocesses send to.

    Raises:
        TrtopError: a filter, an interface or a file is not usable, or permission is lacking.
    """

    def __init__(
        self,
        config: CaptureConfig,
        context: zmq.Context[zmq.Socket[bytes]],
        make_engine: EngineMaker = new_engine,
    ) -> None:
        if config.capture_filter is not None and config.replay is None:
            check_filter(config.capture_filter)
        self.posts: list[Post] = []
        self._config = config
        self._identity = choose_identity(config.user, os.environ)
        self._conditions = Conditions()
        self._exit_status = EXIT_OK
        self._is_finished = False
        self._is_stopped = False
        self._n_refused = 0
        n_engines = config.fanout if config.replay is None else 1
        self.engines = Engines(config.engine, n_engines, make_engine)
        self._links = links.LinkWatch() if config.replay is None else None
        self._follow_addresses()
        self._pull: zmq.Socket[bytes] = context.socket(zmq.PULL)
        self._pull.rcvhwm = HIGH_WATER_MARK
        self._pull.maxmsgsize = MAX_MESSAGE_BYTES
        self._pull.linger = 0
        self._workers = Workers(self._identity, config.replay.paths if config.replay else ())
        self._folder = private_folder(self._identity)
        try:
            self.endpoint = _bind(self._pull, self._folder, self._identity)
            self._open_posts(config)
            self._await_first_words()
        except BaseException:
            self._release()
            raise

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """The socket that messages come through."""
        return [] if self._is_stopped else [self._pull]

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Conditions that hold now, the oldest first."""
        return self._conditions.listed()

    @property
    def is_finished(self) -> bool:
        """A replay has ended, and all of it is in the engine."""
        return self._is_finished

    @property
    def exit_status(self) -> int:
        """0, or that of what could not be replayed."""
        return self._exit_status

    def filenos(self) -> dict[int, int]:
        """Descriptors of subprocesses and of netlink."""
        if self._is_stopped:
            return {}
        fds = [post.worker.pidfd for post in self.posts if post.worker is not None]
        fds += self._links.filenos if self._links is not None else []
        return dict.fromkeys(fds, zmq.POLLIN)

    def on_ready(self) -> None:
        """Take messages, a bounded number, and look after subprocesses and interfaces."""
        if self._is_stopped:
            return
        until_s = time.monotonic() + MAX_TAKE_S
        for _ in range(MAX_MESSAGES_AT_ONCE):
            if not self._take_message() or time.monotonic() > until_s:
                break
        now_s = time.monotonic()
        if self._links is not None and self._links.has_changed():
            self._follow_addresses()
            for post in self.posts:
                post.look_at_link(now_s)
        self._look_after_posts(now_s)

    def tick(self, now_s: float) -> float:
        """Start subprocesses that are due, forget old notices."""
        if self._is_stopped:
            return TICK_S
        self._conditions.expire(now_s)
        self._look_after_posts(now_s)
        waits_s = [TICK_S]
        for post in self.posts:
            self._count(post, post.tick(self._identity, now_s))
            if post.starts_s is not None:
                waits_s.append(post.starts_s - now_s)
            if post.is_silent(now_s):
                self.engines.leave(post.role)
        return max(0.0, min(waits_s))

    def snapshot(self, view: View) -> Snapshot:
        """What all engines know, as one."""
        return self.engines.snapshot(view)

    def detail(self, view: DetailView) -> Detail:
        """What all engines know of one destination, as one."""
        return self.engines.detail(view)

    def reload(self, config: CaptureConfig) -> None:
        """Go on with other interfaces, filter and addresses; what an engine is cannot change.

        Raises:
            TrtopError: the filter is wrong; nothing has changed then.
        """
        if config.capture_filter is not None:
            check_filter(config.capture_filter)
        fixed = replace(
            config,
            replay=self._config.replay,
            user=self._config.user,
            fanout=self._config.fanout,
            engine=replace(self._config.engine, local=config.engine.local),
        )
        if fixed != config:
            self._conditions.pass_over(
                "reload",
                Severity.WARNING,
                "the new configuration asks for what only a restart can change; the rest holds",
                time.time_ns(),
                time.monotonic(),
            )
        before, self._config = self._config, fixed
        self._follow_addresses()
        if before.replay is not None or self._is_stopped:
            return
        is_same_otherwise = before == replace(
            fixed, interfaces=before.interfaces, engine=before.engine
        )
        kept = set(fixed.interfaces) & set(before.interfaces) if is_same_otherwise else set()
        self._stop_posts([post for post in self.posts if post.role.interface not in kept])
        self._open_posts(fixed, kept)

    def stop(self) -> None:
        """Stop the capture, take what it holds, end the subprocesses."""
        if self._is_stopped:
            return
        self._stop_posts(list(self.posts))
        self._finish()
        self._release()

    def _open_posts(self, config: CaptureConfig, kept: Iterable[str] = ()) -> None:
        now_s = time.monotonic()
        first = 1 + max((post.role.number for post in self.posts), default=-1)
        for role in _roles(config, first):
            if role.interface not in kept:
                post = Post(role, self._workers, self.endpoint, config, self._conditions)
                self.posts.append(post)
                self.engines.join(role)
                post.start(self._identity, now_s)

    def _await_first_words(self) -> None:
        """Return when all capture; nothing has been promised to anybody yet, so errors are raised.

        Raises:
            TrtopError: one cannot.
        """
        until_s = time.monotonic() + START_TIMEOUT_S
        poller = zmq.Poller()
        for item, flags in (*self.filenos().items(), (self._pull, zmq.POLLIN)):
            poller.register(item, flags)
        while self._is_awaited():
            if not poller.poll(max(0, int((until_s - time.monotonic()) * 1000))):
                raise TrtopError(f"the capture did not start within {START_TIMEOUT_S:g} s")
            while self._is_awaited() and self._take_message():
                pass
            for post in self.posts:
                worker = post.worker
                if worker is None or post.has_spoken or not worker.has_ended:
                    continue
                self._take_last_messages(post)
                if not post.has_spoken:
                    raise TrtopError(worker.how_it_ended())

    def _is_awaited(self) -> bool:
        return not all(post.has_spoken for post in self.posts)

    def _take_message(self) -> bool:
        """Take one message into its engine; whether there was one."""
        try:
            parts = self._pull.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        try:
            message = unpack([part.buffer for part in parts])
        except FrameError as error:
            self._refuse(str(error))
            return True
        post = next((post for post in self.posts if post.role.number == message.worker), None)
        if post is None or not post.has_started(message.generation):
            self._refuse(f"a message of subprocess {message.worker}, which there never was")
            return True
        counters, n_untimed = post.take(message, time.monotonic())
        self.engines.deliver(post.role, message)
        self._count(post, counters, n_untimed)
        if message.kind is Kind.END:
            self._end(post, message)
        return True

    def _take_last_messages(self, post: Post) -> None:
        """A process has ended; its last message may be on its way still."""
        while not post.has_ended and self._pull.poll(LAST_MESSAGE_MS):
            self._take_message()

    def _count(self, post: Post, counters: CaptureCounters, n_untimed: int = 0) -> None:
        if counters != NOTHING or n_untimed:
            self.engines.count(post.role, counters, n_untimed)

    def _end(self, post: Post, message: Message) -> None:
        """The last message: of a replay it says what could not be read."""
        self.engines.leave(post.role)
        if self._config.replay is None:
            return
        self._exit_status = self._exit_status or message.code
        for number, line in enumerate(message.text.splitlines()):
            self._conditions.set(("replay", number), Severity.ERROR, line, time.time_ns())
        self._finish()

    def _look_after_posts(self, now_s: float) -> None:
        for post in self.posts:
            if post.worker is None or not post.worker.has_ended:
                continue
            if self._config.replay is not None:
                self._take_last_messages(post)
            self._count(post, post.look(now_s))
            self.engines.leave(post.role)
            if self._config.replay is not None and not post.has_ended:
                self._exit_status = EXIT_INCOMPLETE
                text = f"the replay broke off ({post.how_it_ended()})"
                self._conditions.set("replay", Severity.ERROR, text, time.time_ns())
                self._finish()

    def _stop_posts(self, posts: list[Post]) -> None:
        """Take what they hold, and end them."""
        for post in posts:
            post.starts_s = None
            if post.worker is not None:
                post.worker.ask_to_stop()
        until_s = time.monotonic() + STOP_TIMEOUT_S
        while any(not post.has_ended and post.worker is not None for post in posts):
            wait_s = until_s - time.monotonic()
            if wait_s <= 0:
                break
            fds = [post.worker.pidfd for post in posts if post.worker is not None]
            poller = zmq.Poller()
            for item in (*fds, self._pull):
                poller.register(item, zmq.POLLIN)
            ready = dict(poller.poll(int(wait_s * 1000) + 1))
            while self._take_message():
                pass
            if ready.keys() & set(fds):
                for post in posts:
                    if post.worker is not None and post.worker.has_ended:
                        self._take_last_messages(post)
                        post.has_ended = True
        for post in posts:
            if post.worker is not None:
                post.worker.end(END_GRACE_S)
                post.worker = None
            self.engines.leave(post.role)
            self.posts.remove(post)

    def _finish(self) -> None:
        """Everything was captured."""
        self._is_finished = True
        for link_type, n_packets in self.engines.finish().items():
            text = f"unsupported link type {link_type}: {n_packets:,} packets not decoded"
            self._conditions.set(("link type", link_type), Severity.ERROR, text, time.time_ns())
            self._exit_status = self._exit_status or EXIT_INCOMPLETE

    def _release(self) -> None:
        """Free everything, whatever state it is in."""
        self._is_stopped = True
        for post in self.posts:
            if post.worker is not None:
                post.worker.end(0)
        self.posts.clear()
        self._workers.close()
        self._pull.close()
        if self._links is not None:
            self._links.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _follow_addresses(self) -> None:
        """Local is what the user says, else what this machine's interfaces have now."""
        local = self._config.engine.local
        if not local and self._config.replay is None:
            local = links.local_networks()
        self.engines.set_local(local)

    def _refuse(self, why: str) -> None:
        self._n_refused += 1
        text = f"refused {self._n_refused:,} messages that no capture process sends: {why}"
        self._conditions.set("refused", Severity.WARNING, text, time.time_ns())


def _roles(config: CaptureConfig, first: int = 0) -> list[Role]:
    """What each subprocess does."""
    if config.replay is not None:
        paths = config.replay.paths
        label = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        return [Role(first, label, 0, None, label)]
    roles: list[Role] = []
    for interface in config.interfaces:
        group = int.from_bytes(os.urandom(2)) if config.fanout > 1 else None
        for engine in range(config.fanout):
            part = f" ({engine + 1} of {config.fanout})" if config.fanout > 1 else ""
            roles.append(Role(first + len(roles), interface, engine, group, interface + part))
    return roles


def _bind(pull: zmq.Socket[bytes], folder: str, identity: Identity | None) -> str:
    path = f"{folder}/{SOCKET_NAME}"
    try:
        pull.bind(f"ipc://{path}")
        if identity is not None:
            os.chown(path, identity.uid, identity.gid)
    except (zmq.ZMQError, OSError) as error:
        raise TrtopError(f"{path}: cannot be listened on: {error}") from error
    return f"ipc://{path}"
