"""``Control``: what the main process orders, as a capture subprocess hears it.

Takes the reading end of a pipe. Orders come through it, and its end is the main process's own. Lets
a backend wait for an order, or for room in the socket, and for nothing else.
"""

from __future__ import annotations

import os
import select

import zmq

from trtop_daemon.capture.batch_sender import BatchSender

STOP = b"s"
"""What the main process writes to ask for an orderly end."""

FINAL_SEND_S = 2.0
"""How long an orderly end waits for a main process that takes nothing."""

REPORT_S = 0.2
"""How often totals and the time are sent at least: a fifth of what a screen shows."""


class Control:
    """The pipe from the main process: orders, and by its end the main process's own.

    Args:
        fd: the pipe's reading end.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.is_stopping = False

    def read(self) -> None:
        """Take an order.

        Raises:
            ProcessLookupError: the main process is gone.
        """
        order = os.read(self.fd, 64)
        if not order:
            raise ProcessLookupError("the main process is gone")
        self.is_stopping = True

    def wait(self, timeout_s: float) -> None:
        """Sleep, unless an order comes."""
        if select.select([self.fd], [], [], max(0.0, timeout_s))[0]:
            self.read()

    def wait_for_room(self, sender: BatchSender) -> None:
        """Send the message that the sender keeps, however long that takes."""
        while not sender.flush():
            poller = zmq.Poller()
            poller.register(sender.socket, zmq.POLLOUT)
            poller.register(self.fd, zmq.POLLIN)
            if self.fd in dict(poller.poll()):
                self.read()
                if self.is_stopping:
                    # Ordered to end while nobody takes anything: one more try, not for ever.
                    poller.unregister(self.fd)
                    poller.poll(int(FINAL_SEND_S * 1000))
                    if not sender.flush():
                        raise ProcessLookupError("the main process takes nothing")
