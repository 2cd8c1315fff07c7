"""What systemd wants to know: ready, reloading, stopping, alive (sd_notify(3)).

Takes the environment; says nothing where nobody listens. Never fails: a daemon runs without it too.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

US_PER_S = 1_000_000


class Notifier:
    """Tells the service manager.

    Args:
        environ: with ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``, if there are any.

    Attributes:
        watchdog_s: ``alive`` is expected so often; None where it is not.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._socket: socket.socket | None = None
        self.watchdog_s = _watchdog_s(environ)
        address = environ.get("NOTIFY_SOCKET", "")
        if address[:1] not in ("/", "@") or len(address) < 2:
            return
        # Connected now: later there may be no right to.
        notifying = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            notifying.setblocking(False)
            notifying.connect("\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            notifying.close()
            return
        self._socket = notifying

    def ready(self, status: str) -> None:
        """Say that all is open, and clients are answered."""
        self._say("READY=1", f"STATUS={status}", f"MAINPID={os.getpid()}")

    def reloading(self) -> None:
        """Say that settings are read again; ``ready`` follows."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self._say("RELOADING=1", f"MONOTONIC_USEC={now_us}")

    def stopping(self) -> None:
        """Say that the daemon is about to end."""
        self._say("STOPPING=1")

    def alive(self) -> None:
        """Say, for the watchdog, that the event loop runs."""
        if self.watchdog_s is not None:
            self._say("WATCHDOG=1")

    def close(self) -> None:
        """Close the socket to the service manager."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, *lines: str) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.send("\n".join(lines).encode())


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Half of what the manager allows: its own advice."""
    interval, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not interval.isdigit() or not int(interval) or (pid and pid != str(os.getpid())):
        return None
    return int(interval) / US_PER_S / 2
