"""A daemon's life: from settings to a running daemon, and back to nothing.

Opens in this order: sockets for clients, the capture, then drops every right, then answers.
Whatever happens, what was opened is closed again and files are removed.
"""

from __future__ import annotations

import logging
import os
import resource
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass

import zmq

from trtop_core.engine import import_answers
from trtop_core.errors import TrtopError
from trtop_core.wire.endpoint import Endpoint, default_listen
from trtop_daemon.config.arguments import EXPORTING, Command
from trtop_daemon.config.confinement import main_grants
from trtop_daemon.config.settings import Settings, make_settings
from trtop_daemon.exporter import Door, Exporter, MetricsSocket
from trtop_daemon.ipc.feed import CaptureConfig, Feed
from trtop_daemon.keys import KeyPair, read_authorized, read_key_pair
from trtop_daemon.server.event_loop import LIFELINE_READY, Listeners, Loop
from trtop_daemon.server.listener import LINGER_MS, Listener
from trtop_daemon.server.server import Server
from trtop_daemon.server.zap import KeyCheck
from trtop_daemon.system import sandbox
from trtop_daemon.system.log import start_log
from trtop_daemon.system.pidfile import PidFile
from trtop_daemon.system.privileges import (
    NO_CHANGE,
    ROOT_UID,
    Identity,
    choose_identity,
    drop_to,
    name_of,
)
from trtop_daemon.system.signals import Signals
from trtop_daemon.system.socket_file import lock_folder, make_folder, take_folder
from trtop_daemon.system.syscalls import Kind
from trtop_daemon.system.systemd import Notifier

LOG = logging.getLogger(__name__)

MAX_FILES = 65_536
"""Each client is a descriptor; the usual 1,024 are soon used up."""

SYSTEM_FOLDER_MODE = 0o755
USER_FOLDER_MODE = 0o700

FIXED = (
    *("listen", "user", "pidfile", "server_key", "group_by", "read", "speed", "stay"),
    *("no_sandbox", *EXPORTING),
)
"""Settings that need a restart."""

FeedMaker = Callable[[CaptureConfig, "zmq.Context[zmq.Socket[bytes]]"], Feed]


def run(command: Command, make_feed: FeedMaker) -> int:
    """Run until a signal.

    Returns:
        The exit status.

    Raises:
        TrtopError: it cannot start, or not go on.
    """
    settings = make_settings(command.given, command.config_path)
    start_log(os.environ)
    for note in command.notes:
        LOG.warning(note)
    _allow_many_files()
    identity = choose_identity(settings.user, os.environ)
    owner = identity or Identity(os.getuid(), os.getgid())
    with ExitStack() as stack:
        if command.lifeline_fd is not None:
            stack.callback(_remove_folders, settings.listen)
        signals = stack.enter_context(Signals())
        notifier = stack.enter_context(closing(Notifier(os.environ)))
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(context.destroy, LINGER_MS)
        if not settings.no_sandbox:
            sandbox.keep_to_own_processes()
            # The threads of ZeroMQ, which read what clients with keys send, start with a socket.
            sandbox.call_without_files(lambda: context.socket(zmq.PAIR).close())
        listeners, door = _open_listeners(stack, context, settings, owner)
        exporter = _start_exporter(stack, settings, door, (identity, owner))
        if settings.pidfile is not None:
            stack.enter_context(closing(PidFile(settings.pidfile)))
        feed = make_feed(settings.capture_config(), context)
        stack.callback(feed.stop)
        import_answers()
        drop_to(identity)
        _confine(command, settings, listeners, feed, exporter)
        server = Server(feed.snapshot, feed.answer, settings.interval)
        running = _Running(server, listeners, feed, notifier, door.authorized)
        reloader = _Reloader(command, settings, running)
        loop = Loop(feed, server, listeners, socket.gethostname(), reloader.reload)
        if exporter is not None:
            loop.housekeepers.append(exporter.check)
        loop.lifeline_fd = command.lifeline_fd
        loop.stays = settings.stay
        addresses = ", ".join(listener.address for listener in listeners.listeners)
        who = "" if identity is None else f" as {name_of(identity)}"
        LOG.info("%s%s, listening on %s", reloader.status, who, addresses)
        if identity is None and os.geteuid() == ROOT_UID:
            LOG.warning("stays root, without any capability: %s", NO_CHANGE)
        if command.lifeline_fd is not None:
            os.write(command.lifeline_fd, LIFELINE_READY)
        notifier.ready(reloader.status)
        loop.run(signals, notifier)
        return feed.exit_status


def _confine(
    command: Command,
    settings: Settings,
    listeners: Listeners,
    feed: Feed,
    exporter: Exporter | None,
) -> None:
    """Give up what this process needs no more, and say what the kernel cannot take."""
    if settings.no_sandbox:
        LOG.warning("--no-sandbox: no process is confined")
        return
    paths = [listener.endpoint.path for listener in listeners.listeners]
    sockets = [path for path in paths if path is not None]
    grants = main_grants(settings, command.config_path, sockets, feed)
    if exporter is not None:
        grants = grants._replace(signals=(*grants.signals, exporter.pid))
    held = sandbox.confine(Kind.MAIN, grants)
    if held.lack:
        LOG.warning("%s", held.lack)


@dataclass(frozen=True, slots=True)
class _Running:
    server: Server
    listeners: Listeners
    feed: Feed
    notifier: Notifier
    always_authorized: frozenset[bytes]


class _Reloader:
    """Reads the settings again, and hands on what may change while running."""

    def __init__(self, command: Command, settings: Settings, running: _Running) -> None:
        self._command = command
        self._settings = settings
        self._running = running

    @property
    def status(self) -> str:
        """One line for the service manager."""
        settings = self._settings
        if settings.read:
            return f"replaying {' '.join(settings.read)}"
        return f"capturing on {' '.join(settings.interface)}"

    def reload(self) -> None:
        """Take over what has changed; a wrong file changes nothing."""
        try:
            settings = make_settings(self._command.given, self._command.config_path)
            keys = _authorized(settings)
            self._running.feed.reload(settings.capture_config())
        except TrtopError as error:
            LOG.error("not reloaded: %s", error)
        else:
            for name in FIXED:
                if getattr(settings, name) != getattr(self._settings, name):
                    LOG.warning("%s has changed; that needs a restart", name)
            self._settings = settings
            self._running.server.interval_s = settings.interval
            if self._running.listeners.key_check is not None:
                key_check = self._running.listeners.key_check
                key_check.authorized = keys | self._running.always_authorized
            LOG.info("reloaded")
        self._running.notifier.ready(self.status)


def _open_listeners(
    stack: ExitStack, context: zmq.Context[zmq.Socket[bytes]], settings: Settings, owner: Identity
) -> tuple[Listeners, Door]:
    keys: KeyPair | None = None
    key_check: KeyCheck | None = None
    if settings.server_key is not None:
        keys = read_key_pair(settings.server_key)
        key_check = stack.enter_context(closing(KeyCheck(context, _authorized(settings))))
    listeners = []
    for endpoint in settings.listen or (_default_endpoint(stack, owner),):
        listener = Listener(context, endpoint, owner, keys)
        listeners.append(stack.enter_context(closing(listener)))
        if keys is None and endpoint.path is None:
            LOG.warning("%s: every user of this machine may connect", listener.address)
    door = Door(listeners, keys)
    if key_check is not None:
        key_check.authorized |= door.authorized
    return Listeners(listeners, key_check), door


def _start_exporter(
    stack: ExitStack, settings: Settings, door: Door, who: tuple[Identity | None, Identity]
) -> Exporter | None:
    """Start what exports metrics, where that is asked for.

    Before the capture, which then waits for no imports, and while there are rights to bind.
    """
    if not settings.is_exporting:
        return None
    identity, owner = who
    sockets = [
        stack.enter_context(closing(MetricsSocket(endpoint, owner)))
        for endpoint in settings.metrics
    ]
    exporter = stack.enter_context(closing(Exporter(settings, sockets, door, identity)))
    for one in sockets:
        LOG.info("metrics at %s", one.address)
    if settings.otlp is not None:
        LOG.info("pushing metrics to %s", settings.otlp)
    return exporter


def _default_endpoint(stack: ExitStack, owner: Identity) -> Endpoint:
    is_root = os.geteuid() == 0
    try:
        endpoint = default_listen(os.environ, is_root)
    except ValueError as error:
        raise TrtopError(str(error)) from None
    assert endpoint.path is not None
    if is_root and not os.environ.get("RUNTIME_DIRECTORY"):  # which systemd gives to one alone
        stack.callback(os.close, lock_folder(endpoint.path))
    make_folder(endpoint.path, SYSTEM_FOLDER_MODE if is_root else USER_FOLDER_MODE)
    if is_root:
        take_folder(endpoint.path, owner.uid, owner.gid)
    return endpoint


def _remove_folders(endpoints: Sequence[Endpoint]) -> None:
    """The folders of a daemon that lives for one client were made for it alone."""
    for endpoint in endpoints:
        if endpoint.path is not None:
            with suppress(OSError):
                os.rmdir(os.path.dirname(endpoint.path))


def _authorized(settings: Settings) -> frozenset[bytes]:
    if settings.authorized_keys is None:
        return frozenset()
    keys, errors = read_authorized(settings.authorized_keys)
    for error in errors:
        LOG.warning("%s", error)
    if not keys:
        LOG.warning("%s: holds no keys: nobody may connect", settings.authorized_keys)
    return keys


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
