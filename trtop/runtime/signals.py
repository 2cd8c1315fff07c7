"""Signals as a wish to end, not as a blow.

The first signal is noted, so that what was measured can still be reported; the second one raises
``KeyboardInterrupt`` wherever the program is. The clock is passed in.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """Notes the first of ``SIGNALS`` while the context is open.

    SIGHUP stays ignored where it is (``nohup``).

    Args:
        monotonic_s: a clock in seconds.
        drain_s: how long to go on after the signal with packets that are already under way.

    Attributes:
        signal: what arrived, None so far.
    """

    def __init__(self, monotonic_s: Callable[[], float], drain_s: float) -> None:
        self.signal: signal.Signals | None = None
        self._monotonic_s = monotonic_s
        self._drain_s = drain_s
        self._end_s = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def is_due(self, is_idle: bool) -> bool:
        """Whether to stop reading now.

        Args:
            is_idle: nothing is arriving.
        """
        if self.signal is None:
            return False
        return is_idle or self._monotonic_s() >= self._end_s

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self._end_s = self._monotonic_s() + self._drain_s
        self.signal = signal.Signals(number)
