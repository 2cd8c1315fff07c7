"""``Supervisor``: a ``Feed`` made of capture subprocesses, one socket, and engines.

Starts a subprocess per interface, or several that share one; takes their messages into engines;
notices when one dies, says so, counts the time as a gap and starts it anew. Decodes nothing, sends
nothing to clients, opens no device.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace

import zmq

from trtop_core.errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_UNUSABLE
from trtop_core.health import Health
from trtop_core.link_types import unsupported_lines
from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_core.wire import Notice, Severity
from trtop_core.wire.questions import Question, QuestionReply
from trtop_daemon.capture.backends import backend_of
from trtop_daemon.ipc.batch_message import (
    Message,
)
from trtop_daemon.ipc.feed import CaptureConfig, Feed
from trtop_daemon.processes.capture_slot import CaptureSlot, Shared
from trtop_daemon.processes.capture_slots import CaptureSlots
from trtop_daemon.processes.child import Children
from trtop_daemon.processes.engines import EngineMaker, Engines, new_engine
from trtop_daemon.processes.notices import Notices
from trtop_daemon.processes.packet_socket import PacketSocket
from trtop_daemon.system import interfaces
from trtop_daemon.system.privileges import (
    CAP_NET_RAW,
    choose_identity,
    has_permitted,
)

MAX_MESSAGES_AT_ONCE = 64
"""Messages taken before the loop looks after its clients again."""

TICK_S = 1.0
"""Time between looks at what sends no event."""


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
    """A ``Feed`` of capture subprocesses.

    Args:
        config: what to capture.
        context: the process's own, for one PULL socket.
        make_engine: makes what packets are fed to.

    Attributes:
        engines: where packets go.
        failure: why nothing will be captured any more; empty while that is not so.

    Raises:
        TrtopError: a filter, an interface or a file is not usable, or permission is lacking.
    """

    def __init__(
        self,
        config: CaptureConfig,
        context: zmq.Context[zmq.Socket[bytes]],
        make_engine: EngineMaker = new_engine,
    ) -> None:
        self._backend = backend_of(config)
        self._backend.check(config)
        self._config = config
        self._identity = choose_identity(config.user, os.environ)
        self._notices = Notices()
        self._exit_status = EXIT_OK
        self._is_finished = False
        self._is_stopping = self._is_stopped = False
        self.failure = ""
        n_engines = 1 if self._backend.ends else config.fanout
        self.engines = Engines(config.engine, n_engines, make_engine, config.n_records)
        self._interface_watch: interfaces.InterfaceWatch | None = None
        self._packets = PacketSocket(context, self._identity)
        self._children = Children(
            self._identity,
            self._backend.needs_rights,
            self._backend.reads_stdin(config),
            config.is_confined,
        )
        shared = Shared(self._children, self.engines, self._notices)
        self._slots = CaptureSlots(self._packets, shared, self._identity, self._end)
        try:
            if self._backend.on_interfaces:
                self._interface_watch = interfaces.InterfaceWatch()
            self._follow_addresses()
            self._slots.open(self._backend, config)
            self._slots.await_first_messages()
        except BaseException:
            self._release()
            raise

    @property
    def slots(self) -> list[CaptureSlot]:
        """Where subprocesses are."""
        return self._slots.slots

    @property
    def endpoint(self) -> str:
        """Where subprocesses send to."""
        return self._packets.endpoint

    @property
    def folder(self) -> str:
        """Where the packets' socket is."""
        return self._packets.folder

    @property
    def child_pids(self) -> tuple[int, ...]:
        """The launcher; what it forks is known by a descriptor."""
        pid = self._children.launcher_pid
        return () if pid is None else (pid,)

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """The socket that messages come through."""
        return [] if self._is_stopped else [self._packets.pull]

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Notices that hold now, the oldest first."""
        return self._notices.listed()

    @property
    def is_finished(self) -> bool:
        """A replay has ended, and all of it is in the engine."""
        return self._is_finished

    @property
    def is_capturing(self) -> bool:
        """Something captures, or a replay runs or has ended."""
        return any(slot.is_capturing for slot in self.slots)

    @property
    def exit_status(self) -> int:
        """0, or that of what could not be replayed."""
        return self._exit_status

    def filenos(self) -> dict[int, int]:
        """Descriptors of subprocesses and of netlink."""
        if self._is_stopped:
            return {}
        fds = self._slots.pidfds
        fds += [self._children.pidfd] if self._children.pidfd is not None else []
        fds += self._interface_watch.filenos if self._interface_watch is not None else []
        return dict.fromkeys(fds, zmq.POLLIN)

    def on_ready(self, budget_s: float) -> None:
        """Take messages, a bounded number, and look after subprocesses and interfaces."""
        if self._is_stopped:
            return
        until_s = time.monotonic() + budget_s
        for _ in range(MAX_MESSAGES_AT_ONCE):
            if not self._slots.take_message() or time.monotonic() > until_s:
                break
        now_s = time.monotonic()
        self._look_at_launcher(now_s)
        if self._interface_watch is not None and self._interface_watch.has_changed():
            self._follow_addresses()
            for slot in self.slots:
                slot.look_at_interface(now_s)
        self._look_after_slots(now_s)

    def tick(self, now_s: float) -> float:
        """Start subprocesses that are due, forget old notices."""
        if self._is_stopped:
            return TICK_S
        self._notices.expire(now_s)
        self._look_after_slots(now_s)
        self._look_at_launcher(now_s)
        waits_s = [TICK_S]
        for slot in self.slots:
            slot.tick(self._identity, now_s)
            if slot.starts_s is not None:
                waits_s.append(slot.starts_s - now_s)
        return max(0.0, min(waits_s))

    def snapshot(self, view: View) -> Snapshot:
        """What all engines know, as one."""
        return self.engines.snapshot(view)

    def health(self) -> Health:
        """What all captures held, lost and could not read so far."""
        return self.engines.health()

    def answer(self, question: Question) -> QuestionReply:
        """What all engines know of something else, as one answer."""
        return self.engines.answer(question)

    def reload(self, config: CaptureConfig) -> None:
        """Go on with other interfaces, filter and addresses; what an engine is cannot change.

        Raises:
            TrtopError: the filter is wrong; nothing has changed then.
        """
        self._backend.check(config)
        fixed = replace(
            config,
            source=self._config.source,
            user=self._config.user,
            is_confined=self._config.is_confined,
            fanout=self._config.fanout,
            engine=replace(self._config.engine, local=config.engine.local),
        )
        if fixed != config:
            self._notices.pass_over(
                "reload",
                Severity.WARNING,
                "the new configuration asks for what only a restart can change; the rest holds",
                time.time_ns(),
                time.monotonic(),
            )
        before, self._config = self._config, fixed
        self._follow_addresses()
        if self._backend.ends or self._is_stopped or self.failure:
            return
        is_same_otherwise = before == replace(
            fixed, interfaces=before.interfaces, engine=before.engine
        )
        kept = set(fixed.interfaces) & set(before.interfaces) if is_same_otherwise else set()
        self._slots.stop([slot for slot in self.slots if slot.assignment.target not in kept])
        self._slots.open(self._backend, fixed, kept)

    def stop(self) -> None:
        """Stop the capture, take what it holds, end the subprocesses."""
        if self._is_stopped:
            return
        self._is_stopping = True
        self._slots.stop(list(self.slots))
        self._finish()
        self._release()

    def _end(self, message: Message) -> None:
        """Take the last message of a replay, which says what could not be read."""
        self._exit_status = self._exit_status or message.code
        for number, line in enumerate(message.text.splitlines()):
            self._notices.set(("replay", number), Severity.ERROR, line, time.time_ns())
        self._finish()

    def _look_after_slots(self, now_s: float) -> None:
        for slot in self.slots:
            if slot.child is None or not slot.child.has_ended:
                continue
            if self._backend.ends:
                self._slots.take_last_messages(slot)
            slot.look(now_s)
            if self._backend.ends and not slot.has_ended:
                self._exit_status = EXIT_INCOMPLETE
                text = f"the replay broke off ({slot.how_it_ended()})"
                self._notices.set("replay", Severity.ERROR, text, time.time_ns())
                self._finish()

    def _look_at_launcher(self, now_s: float) -> None:
        """Handle the end of the launcher, with which captures end; restart it if rights allow."""
        if not self._backend.restarts:  # which shows by its capture process
            return
        if how := self._children.how_it_ended():
            if not self._backend.needs_rights or has_permitted(CAP_NET_RAW):
                text = f"the launcher of captures had ended ({how})"
                key, now_ns = "launcher", time.time_ns()
                self._notices.pass_over(key, Severity.WARNING, text, now_ns, now_s)
                return
            self._fail(f"its launcher has ended ({how})")
        if self.failure:
            for slot in self.slots:
                slot.give_up(now_s)

    def _fail(self, why: str) -> None:
        """Note that nothing can be captured any more, and why."""
        self.failure = f"the capture is over: {why}, and the right to start another is given up"
        self._exit_status = EXIT_UNUSABLE
        text = f"{self.failure}; restart trtopd"
        self._notices.set("launcher", Severity.ERROR, text, time.time_ns())

    def _finish(self) -> None:
        """Settle the end of the capture: all of it is in the engines."""
        self._is_finished = True
        for text in unsupported_lines(self.engines.finish(is_over=not self._is_stopping)):
            self._notices.set(("link type", text), Severity.ERROR, text, time.time_ns())
            self._exit_status = self._exit_status or EXIT_INCOMPLETE

    def _release(self) -> None:
        """Free everything, whatever state it is in."""
        self._is_stopped = True
        self._slots.kill()
        self._children.close()
        self._packets.close()
        if self._interface_watch is not None:
            self._interface_watch.close()

    def _follow_addresses(self) -> None:
        """Local is what the user says, else what this machine's interfaces have now."""
        local = self._config.engine.local
        if not local and not self._backend.ends:
            local = interfaces.local_networks()
        self.engines.set_local(local)
