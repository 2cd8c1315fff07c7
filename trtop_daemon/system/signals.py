"""Signals as something to poll: the loop wakes up for them, and decides when to act.

The first SIGINT or SIGTERM is a wish to stop; a second one raises ``KeyboardInterrupt``. SIGHUP is
a wish to reload.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType
from typing import Any

WAKEUP_BYTES = 1024


class Signals:
    """Notes signals while the context is open.

    Attributes:
        stopping: what asked us to stop, None so far.
        wakeup_fd: readable after a signal.
    """

    def __init__(self) -> None:
        self.stopping: signal.Signals | None = None
        self.wakeup_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wants_reload = False
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup_before = -1

    def __enter__(self) -> Signals:
        self._wakeup_before = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._stop)
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._reload)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            # A process that is ending is not to be ended once more, half way through its exit.
            is_default = handler in (signal.SIG_DFL, signal.default_int_handler)
            is_over = self.stopping is not None and is_default
            signal.signal(number, signal.SIG_IGN if is_over else handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._write_fd)
        os.close(self.wakeup_fd)

    def clear_wakeup(self) -> None:
        """Read what woke us up."""
        with suppress(BlockingIOError):
            os.read(self.wakeup_fd, WAKEUP_BYTES)

    def take_reload(self) -> bool:
        """Whether SIGHUP came since this was asked last."""
        wanted, self._wants_reload = self._wants_reload, False
        return wanted

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopping is not None:
            raise KeyboardInterrupt
        self.stopping = signal.Signals(number)

    def _reload(self, number: int, frame: FrameType | None) -> None:
        self._wants_reload = True
