"""Signals that end a run in order: reports are written, the terminal is given back.

The first signal is noted, so that what was measured can still be reported; the second one raises
``KeyboardInterrupt`` wherever the program is. ``Interrupt`` is looked at by a loop of our own,
``StopSignals`` stops somebody else's. The clock is passed in.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Handlers:
    """Handles ``SIGNALS`` while the context is open; SIGHUP stays ignored where it is (``nohup``).

    Attributes:
        signal: the first that arrived, None so far.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


class Interrupt(_Handlers):
    """Notes the first signal, for a loop that asks whether to go on.

    Args:
        monotonic_s: a clock in seconds.
        drain_s: how long to go on after the signal with packets that are already under way.
    """

    def __init__(self, monotonic_s: Callable[[], float], drain_s: float) -> None:
        super().__init__()
        self._monotonic_s = monotonic_s
        self._drain_s = drain_s
        self._end_s = 0.0

    def is_due(self, is_idle: bool) -> bool:
        """Whether to stop reading now.

        Args:
            is_idle: nothing is arriving.
        """
        if self.signal is None:
            return False
        return is_idle or self._monotonic_s() >= self._end_s

    def _note(self, number: int, frame: FrameType | None) -> None:
        super()._note(number, frame)
        self._end_s = self._monotonic_s() + self._drain_s


class Stopped(Exception):  # noqa: N818 - no error
    """A signal, or the time that a snapshot lasts, ended a loop that nobody can ask to stop."""


class StopSignals(_Handlers):
    """Stops a loop that is not ours at the first signal, or when its time is over.

    Args:
        stop: asks the loop to stop; is told what ended it.
        raises: leave it by ``Stopped`` as well: nobody knows whether it stops when asked.
        seconds: how long it may last; 0: for ever.
    """

    def __init__(
        self, stop: Callable[[signal.Signals], object], raises: bool, seconds: float
    ) -> None:
        super().__init__()
        self.raises = raises
        self._stop = stop
        self._seconds = seconds
        self._is_due = False

    def __enter__(self) -> Self:
        super().__enter__()
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._note)
        if self._seconds:
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
        return self

    def __exit__(self, *exc: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        super().__exit__()

    def is_due(self) -> bool:
        """Whether it has been asked to stop."""
        return self._is_due

    def _note(self, number: int, frame: FrameType | None) -> None:
        # The end of its time is no signal: one that follows is still the first.
        if number != signal.SIGALRM or self.signal is not None:
            super()._note(number, frame)
        self._is_due = True
        self._stop(signal.Signals(number))
        if self.raises:
            raise Stopped
