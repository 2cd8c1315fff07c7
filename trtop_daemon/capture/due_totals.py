"""``DueTotals``: what a device counted, told once the packets from before that have been sent.

The kernel counts a drop when it happens, while what waits in its ring is older. Told at once, a
loss would be booked to the time before it, which the window that it belongs to may not reach.
"""

from __future__ import annotations

from collections import deque

from trtop_daemon.ipc.batch_message import Totals

MAX_HELD = 64
"""Totals held back: beyond that the latest takes the place of the one before, which errs late."""


class DueTotals:
    """Totals in the order of time, and which of them are due.

    Args:
        first: what was counted by the beginning.
    """

    def __init__(self, first: Totals) -> None:
        self._due = first
        self._held: deque[tuple[int, Totals]] = deque()

    def add(self, totals: Totals, at_ns: int) -> None:
        """Take what was counted by a time. Where nothing was lost it is due at once."""
        if not self._held and _lost(totals) == _lost(self._due):
            self._due = totals
            return
        if len(self._held) == MAX_HELD:
            self._held.pop()
        self._held.append((at_ns, totals))

    def due(self, until_ns: int, now_ns: int) -> Totals:
        """The totals that go with everything captured up to a time.

        Args:
            until_ns: up to when everything is sent.
            now_ns: totals of a later time were counted before the clock was set back.
        """
        while self._held and not until_ns < self._held[0][0] <= now_ns:
            _, self._due = self._held.popleft()
        return self._due


def _lost(totals: Totals) -> tuple[int | None, int | None, int]:
    return totals.kernel_dropped, totals.interface_dropped, totals.read_lost
