"""``BatchSender``: the capture subprocess's way to the main process.

Takes batches and totals, sends numbered messages. Never blocks: a message that finds the socket
full is kept, one at most, and its sender is expected to capture nothing until it is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import zmq
import zmq.utils.garbage  # pyzmq does at the first message, when it may be unreadable

from trtop_core.batch import PacketBatch
from trtop_core.errors import TrtopError
from trtop_daemon.ipc.batch_message import Buffer, Message, MessageKind, Totals, pack

HIGH_WATER_MARK = 8
"""Messages on each side of the socket: about 4 MiB of packets each. What does not fit waits in the
kernel's ring, where its loss is counted."""

CONNECT_TIMEOUT_MS = 5_000

LINGER_MS = 5_000
"""How long the last messages may take; a stopped main process must not keep us for ever."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sends: what each message says of its origin.

    Attributes:
        endpoint: of the main process's PULL socket.
        child, generation, name: see ``batch_message.Message``.
    """

    endpoint: str
    child: int
    generation: int
    name: str


class BatchSender:
    """A PUSH socket with one message to spare.

    Args:
        sender: who we are.

    Attributes:
        socket: to poll for output while ``is_full``.

    Raises:
        TrtopError: nobody is there.
    """

    def __init__(self, sender: Origin) -> None:
        self._template = Message(
            MessageKind.PACKETS, sender.child, sender.generation, name=sender.name
        )
        self._sequence = 0
        self._waiting: list[Buffer] | None = None
        self._context = zmq.Context(io_threads=1)
        self.socket: zmq.Socket[bytes] = self._context.socket(zmq.PUSH)
        self.socket.sndhwm = HIGH_WATER_MARK
        self.socket.linger = LINGER_MS
        monitor = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.socket.connect(sender.endpoint)
        is_connected = monitor.poll(CONNECT_TIMEOUT_MS)
        self.socket.disable_monitor()
        if not is_connected:
            raise TrtopError("the main process does not answer")

    @property
    def is_full(self) -> bool:
        """A message is kept: call ``flush`` when the socket can take more."""
        return self._waiting is not None

    def send_batch(
        self, batch: PacketBatch | None, totals: Totals, link_type: int, until_ns: int
    ) -> None:
        """Send packets, or without any how far time and totals are."""
        self._send(
            replace(
                self._template,
                sequence=self._sequence,
                batch=batch,
                totals=totals,
                link_type=link_type,
                until_ns=until_ns,
            )
        )

    def send_end(self, totals: Totals, code: int, text: str) -> None:
        """Send the last message."""
        self._send(
            replace(
                self._template,
                kind=MessageKind.END,
                sequence=self._sequence,
                totals=totals,
                code=code,
                text=text,
            )
        )

    def flush(self) -> bool:
        """Try to send what is kept; whether nothing is kept any more."""
        if self._waiting is None:
            return True
        try:
            self.socket.send_multipart(self._waiting, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        self._waiting = None
        return True

    def close(self) -> None:
        """Wait until everything is handed over, ``LINGER_MS`` at most."""
        self.socket.close()
        self._context.term()

    def _send(self, message: Message) -> None:
        if self._waiting is not None:
            raise ValueError("the message before this one is not sent yet")
        self._sequence += 1
        self._waiting = pack(message)
        self.flush()
