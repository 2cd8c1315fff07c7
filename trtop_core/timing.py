"""``Timing``: which part of a capture counts, and when there is a report; ``Grid``: its moments.

Takes moments as users write them and the time of the first packet, gives times in ns. The same for
every command, format and function: one grid for all.
"""

from __future__ import annotations

from typing import NamedTuple

from trtop_core.errors import TrtopError
from trtop_core.moments import Moment, Since, time_text
from trtop_core.records import NS_PER_S

STEP_NS = 24 * 3600 * NS_PER_S
"""A longer silence is a clock that was set: the grid goes on behind it."""

NEVER_NS = (1 << 63) - 1


class Timing(NamedTuple):
    """Which part of a capture counts, and when there is a report.

    Attributes:
        start: numbers count from here on; None: from the first packet on.
        end: nothing counts from here on; None: all of the capture.
        every_ns: between reports, in capture time; None: one at the end.
        is_between: each of these covers the time since the one before; else what a view asks for.
    """

    start: Moment | None = None
    end: Moment | None = None
    every_ns: int | None = None
    is_between: bool = False

    @property
    def is_whole(self) -> bool:
        """All of the capture counts, and there is one report."""
        return self.start is None and self.end is None and self.every_ns is None

    def grid(self) -> Grid:
        """The moments of one capture."""
        return Grid(self.every_ns, self.start, self.end)


WHOLE = Timing()
"""All of a capture, and one report."""


class Grid:
    """The moments of a capture at which something is done: a start, an end, and those between.

    Args:
        every_ns: between moments, counted from the start, else from the first packet; None: none.
        start: numbers count from here on; None: from the first packet on.
        end: nothing counts from here on; None: all of the capture.

    Attributes:
        start_ns: the start; None without one, and before the first packet.
        end_ns: the end; likewise.
        is_over: the end has come.
    """

    def __init__(
        self, every_ns: int | None = None, start: Moment | None = None, end: Moment | None = None
    ) -> None:
        self.start_ns: int | None = None
        self.end_ns: int | None = None
        self.is_over = False
        self._every_ns = every_ns
        self._start, self._end = start, end
        self._tick_ns = NEVER_NS
        self._is_started = start is None

    def begin(self, first_ns: int) -> None:
        """Learn the time of the first packet.

        Raises:
            TrtopError: nothing of the capture lies between start and end.
        """
        origin_ns = first_ns
        if self._start is not None:
            origin_ns = self.start_ns = self._start.resolved(first_ns)
        self._is_started = origin_ns <= first_ns
        if self._end is not None:
            self.end_ns = self._end.resolved(first_ns, self.start_ns)
            self._check_end(first_ns, self.end_ns, self._end.text)
        if self._every_ns is not None:
            n_past = max(0, first_ns - origin_ns) // self._every_ns
            self._tick_ns = origin_ns + (n_past + 1) * self._every_ns

    @property
    def next_ns(self) -> int:
        """The next moment; ``NEVER_NS`` if there is none."""
        if self.is_over:
            return NEVER_NS
        if not self._is_started and self.start_ns is not None:
            return self.start_ns
        return min(self._tick_ns, NEVER_NS if self.end_ns is None else self.end_ns)

    def up_to(self, clock_ns: int) -> tuple[int, ...]:
        """The moments up to a time, which the grid leaves behind it; of a step there is one."""
        found = []
        is_step = self._tick_ns != NEVER_NS and clock_ns - self._tick_ns > STEP_NS
        while (next_ns := self.next_ns) <= clock_ns:
            found.append(next_ns)
            if not self._is_started:
                self._is_started = True
            elif next_ns == self.end_ns:
                self.is_over = True
            else:
                self._pass_tick(clock_ns if is_step else next_ns)
        return tuple(found)

    def widen(self, every_ns: int, next_ns: int) -> None:
        """Go on with other moments; for one that has just been given.

        Args:
            every_ns: between moments from now on.
            next_ns: the next one; not before the one just given.
        """
        self._every_ns, self._tick_ns = every_ns, next_ns

    def check_over(self, clock_ns: int | None) -> None:
        """Make sure that something could count, and that the end was one of this capture.

        Args:
            clock_ns: the time at which the capture ended; None: it held no packet.

        Raises:
            TrtopError: the capture ended before the start; or the end is a time of day before the
                start, and the capture does not reach into the next day.
        """
        start, end = self._start, self._end
        if start is None or self.start_ns is None or clock_ns is None:
            return
        if not self._is_started:
            raise TrtopError(
                f"the capture ends at {time_text(clock_ns)}, not after "
                f"{start.text} ({time_text(self.start_ns)})"
            )
        if end is None or self.end_ns is None or not start.since is end.since is Since.MIDNIGHT:
            return
        if end.ns <= start.ns and clock_ns < self.end_ns - end.ns:
            raise TrtopError(
                f"{end.text} is not after {start.text}, and of the next day nothing was captured: "
                f"the capture ends at {time_text(clock_ns)}"
            )

    def _check_end(self, first_ns: int, end_ns: int, text: str) -> None:
        if self._start is not None and self.start_ns is not None and end_ns <= self.start_ns:
            raise TrtopError(
                f"{text} ({time_text(end_ns)}) is not after "
                f"{self._start.text} ({time_text(self.start_ns)})"
            )
        if end_ns <= first_ns:
            raise TrtopError(
                f"the capture begins at {time_text(first_ns)}, not before "
                f"{text} ({time_text(end_ns)})"
            )

    def _pass_tick(self, clock_ns: int) -> None:
        assert self._every_ns is not None
        n_ticks = (clock_ns - self._tick_ns) // self._every_ns + 1
        self._tick_ns += n_ticks * self._every_ns
