"""``CaptureSlots``: all places for capture subprocesses, and the messages that come from them.

Opens and ends slots, waits for the first and for the last message of a subprocess, and hands each
message to its slot, which hands it to its engine. What follows from a death is a slot's own matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import zmq

from trtop_core.errors import TrtopError
from trtop_core.wire import Severity
from trtop_daemon.capture.backend import Backend
from trtop_daemon.ipc.batch_message import Message, MessageError, MessageKind
from trtop_daemon.ipc.feed import CaptureConfig
from trtop_daemon.processes.assignments import assignments_of
from trtop_daemon.processes.capture_slot import CaptureSlot, Shared
from trtop_daemon.processes.packet_socket import PacketSocket
from trtop_daemon.system.privileges import Identity

START_TIMEOUT_S = 10.0
"""Time in which the first subprocesses must capture."""

STOP_TIMEOUT_S = 5.0
"""Time in which subprocesses must have handed over what they hold."""

LAST_MESSAGE_MS = 500
"""A message of a process that has ended takes no longer through the socket."""

LAST_MESSAGES_S = 2.0
"""All that a process that has ended sent is here within this; the socket serves senders in turn."""

END_GRACE_S = 0.1
"""Time between a process's last message and its end."""


class CaptureSlots:
    """The slots of one supervisor.

    Args:
        packets: where subprocesses send to.
        shared: what slots use together.
        identity: whom subprocesses become; None: they stay who they are.
        on_replayed: takes the last message of a replay.

    Attributes:
        slots: where subprocesses are.
    """

    def __init__(
        self,
        packets: PacketSocket,
        shared: Shared,
        identity: Identity | None,
        on_replayed: Callable[[Message], None],
    ) -> None:
        self.slots: list[CaptureSlot] = []
        self._packets = packets
        self._shared = shared
        self._identity = identity
        self._on_replayed = on_replayed
        self._n_refused = 0

    def __iter__(self) -> Iterator[CaptureSlot]:
        return iter(self.slots)

    @property
    def pidfds(self) -> list[int]:
        """Descriptors that become readable when a subprocess has ended."""
        return [slot.child.pidfd for slot in self.slots if slot.child is not None]

    def open(self, backend: Backend, config: CaptureConfig, kept: Iterable[str] = ()) -> None:
        """Start a subprocess for each target of a configuration that is not kept.

        Raises:
            TrtopError: one cannot be started.
        """
        now_s = time.monotonic()
        first = 1 + max((slot.assignment.number for slot in self.slots), default=-1)
        for assignment in assignments_of(backend, config, first):
            if assignment.target not in kept:
                slot = CaptureSlot(assignment, config, self._packets.endpoint, self._shared)
                self.slots.append(slot)
                slot.start(self._identity, now_s)

    def await_first_messages(self) -> None:
        """Return when all capture; nothing has been promised to anybody yet, so errors are raised.

        Raises:
            TrtopError: one cannot.
        """
        until_s = time.monotonic() + START_TIMEOUT_S
        poller = zmq.Poller()
        fds = self.pidfds
        if (launcher := self._shared.children.pidfd) is not None:
            fds.append(launcher)
        for item in (*fds, self._packets.pull):
            poller.register(item, zmq.POLLIN)
        while self._is_awaited():
            if not poller.poll(max(0, int((until_s - time.monotonic()) * 1000))):
                raise TrtopError(f"the capture did not start within {START_TIMEOUT_S:g} s")
            while self._is_awaited() and self.take_message():
                pass
            for slot in self.slots:
                child = slot.child
                if child is None or slot.has_spoken or not child.has_ended:
                    continue
                self.take_last_messages(slot)
                if not slot.has_spoken:
                    raise TrtopError(child.how_it_ended())

    def take_message(self) -> bool:
        """Take one message into its engine; whether there was one."""
        try:
            message = self._packets.receive()
        except MessageError as error:
            self._refuse(str(error))
            return True
        if message is None:
            return False
        slot = next((slot for slot in self.slots if slot.assignment.number == message.child), None)
        if slot is None or not slot.has_started(message.generation):
            self._refuse(f"a message of subprocess {message.child}, which there never was")
            return True
        slot.take(message, time.monotonic())
        if message.kind is MessageKind.END and slot.ends_by_itself:
            self._on_replayed(message)
        return True

    def take_last_messages(self, slot: CaptureSlot) -> None:
        """Take what a process that has ended sent last; it may be on its way still.

        Others send on meanwhile: their messages are no reason to wait for more of its own.
        """
        until_s = time.monotonic() + LAST_MESSAGES_S
        while not slot.has_ended and self._packets.pull.poll(LAST_MESSAGE_MS):
            self.take_message()
            if time.monotonic() > until_s:
                return

    def stop(self, slots: list[CaptureSlot]) -> None:
        """Take what some slots hold, end their subprocesses and remove them."""
        for slot in slots:
            slot.starts_s = None
            if slot.child is not None:
                slot.child.ask_to_stop()
        until_s = time.monotonic() + STOP_TIMEOUT_S
        while any(not slot.has_ended and slot.child is not None for slot in slots):
            wait_s = until_s - time.monotonic()
            if wait_s <= 0:
                break
            fds = [slot.child.pidfd for slot in slots if slot.child is not None]
            poller = zmq.Poller()
            for item in (*fds, self._packets.pull):
                poller.register(item, zmq.POLLIN)
            ready = dict(poller.poll(int(wait_s * 1000) + 1))
            while self.take_message():
                pass
            if ready.keys() & set(fds):
                for slot in slots:
                    if slot.child is not None and slot.child.has_ended:
                        self.take_last_messages(slot)
                        slot.has_ended = True
        for slot in slots:
            if slot.child is not None:
                slot.child.end(END_GRACE_S)
                slot.child = None
            self._shared.engines.leave(slot.assignment)
            self.slots.remove(slot)

    def kill(self) -> None:
        """End all subprocesses at once."""
        for slot in self.slots:
            if slot.child is not None:
                slot.child.end(0)
        self.slots.clear()

    def _is_awaited(self) -> bool:
        return not all(slot.has_spoken for slot in self.slots)

    def _refuse(self, why: str) -> None:
        self._n_refused += 1
        text = f"refused {self._n_refused:,} messages that no capture process sends: {why}"
        self._shared.notices.set("refused", Severity.WARNING, text, time.time_ns())
