"""Which spans of daemons' history are told: the one that was asked for, or an even grid of them.

Takes moments as users write them and what the daemons have, gives periods. A span is asked for once
it is over. Asks nobody itself.
"""

from __future__ import annotations

from typing import NamedTuple

from trtop_core.errors import TrtopError
from trtop_core.moments import Moment, time_text
from trtop_core.records import NS_PER_S
from trtop_core.snapshot import Snapshot
from trtop_core.view import Period


class Begun(NamedTuple):
    """What daemons have of the past.

    Attributes:
        first_ns: capture time of the first packet.
        clock_ns: capture time now.
    """

    first_ns: int
    clock_ns: int


def asked_period(begun: Begun, start: Moment | None, end: Moment | None) -> Period:
    """The span from one moment to another; without them from the beginning, and up to now.

    Raises:
        TrtopError: nothing was captured then.
    """
    start_ns = begun.first_ns if start is None else start.latest(*begun)
    end_ns = begun.clock_ns + 1 if end is None else end.latest(*begun)
    if not max(start_ns, begun.first_ns) < min(end_ns, begun.clock_ns + 1):
        raise TrtopError(
            f"nothing was captured from {time_text(start_ns)} to {time_text(end_ns)}; "
            f"there is {time_text(begun.first_ns)} to {time_text(begun.clock_ns)}"
        )
    return Period(start_ns, end_ns)


class Spans:
    """Spans of equal length, one after the other: between whole multiples of it in capture time.

    Args:
        begun: what daemons have now.
        asked: from when on, and up to when; without a start from the beginning, or of a history
            that goes on from the span that it is now.
        every_ns: how long each is.
        is_past: the last one ends now, or where it was asked for; else there is no last one.

    Attributes:
        clock_ns: capture time now.

    Raises:
        TrtopError: nothing was captured then.
    """

    def __init__(
        self,
        begun: Begun,
        asked: tuple[Moment | None, Moment | None],
        every_ns: int,
        is_past: bool,
    ) -> None:
        self.clock_ns = begun.clock_ns
        self._every_ns = every_ns
        start, end = asked
        self._end_ns: int | None = None
        if is_past or start is not None:
            period = asked_period(begun, start, end)
            self._at_ns = period.start_ns // NS_PER_S * NS_PER_S
            self._end_ns = period.end_ns if is_past else None
        else:
            self._at_ns = begun.clock_ns // every_ns * every_ns

    def next_period(self) -> Period | None:
        """The next span; None behind the last one."""
        if self._end_ns is not None and self._at_ns >= self._end_ns:
            return None
        end_ns = (self._at_ns // self._every_ns + 1) * self._every_ns
        return Period(self._at_ns, end_ns if self._end_ns is None else min(end_ns, self._end_ns))

    def is_over(self, period: Period, late_ns: int) -> bool:
        """Whether nothing more will count in a span.

        Args:
            period: which.
            late_ns: how far behind a machine's clock may be.
        """
        return self.clock_ns >= period.end_ns + late_ns

    def pass_over(self, period: Period, snapshot: Snapshot) -> None:
        """Go on behind a span: where its last slot ended, which may be longer than it."""
        self._at_ns = max(period.end_ns, snapshot.clock_ns or 0)
