"""What the server needs of whatever clients come through: messages in, messages out, never waiting.

``Channel`` says it, ``RouterChannel`` is that of a ROUTER of ZeroMQ, for clients with keys, who are
trusted not to send a message that has no end.
"""

from __future__ import annotations

from typing import Protocol

import zmq
import zmq.utils.garbage  # pyzmq does at the first message, when it may be unreadable

MAX_PARTS = 4
"""Parts that are kept: who it is from, and of a question one or two. The rest is thrown away."""


class ChannelError(Exception):
    """A message cannot be sent now."""


class Channel(Protocol):
    """Where clients' messages come from, and answers go."""

    @property
    def has_messages(self) -> bool:
        """Messages wait that no descriptor tells of."""

    @property
    def has_output(self) -> bool:
        """Answers wait for whoever calls here to send them on."""

    def receive(self) -> list[bytes]:
        """The next message, behind who it is from; empty: there is none now."""

    def send(self, parts: list[bytes]) -> None:
        """Send a message to whom its first part says.

        Raises:
            ChannelError: the client does not take it; it is dropped.
        """


class RouterChannel:
    """A ROUTER.

    Args:
        socket: bound, or to be bound; belongs to the caller.
    """

    has_messages = False
    has_output = False  # a thread of ZeroMQ sends them on

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket

    def receive(self) -> list[bytes]:
        """The next message, behind who it is from; empty: there is none now."""
        try:
            parts = [self.socket.recv(zmq.NOBLOCK)]
            while self.socket.get(zmq.RCVMORE):
                part = self.socket.recv(zmq.NOBLOCK)
                if len(parts) < MAX_PARTS:
                    parts.append(part)
        except zmq.Again:
            return []
        return parts

    def send(self, parts: list[bytes]) -> None:
        """Send a message to whom its first part says.

        Raises:
            ChannelError: the client does not take it; it is dropped.
        """
        try:
            self.socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        except zmq.ZMQError as error:
            raise ChannelError(str(error)) from None
