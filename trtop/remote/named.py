"""``NamedDaemonSource``: what daemons see, with names that are looked up here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from trtop.names.namer import Namer, named, wide
from trtop.remote.client import Client
from trtop.remote.source import DaemonSource
from trtop.tui.named_source import named_status
from trtop.tui.source import Status
from trtop_core.snapshot import Snapshot
from trtop_core.view import View


class NamedDaemonSource(DaemonSource):
    """See ``DaemonSource`` for the other arguments.

    Args:
        namer: who knows names, and what is shown.
    """

    def __init__(
        self,
        namer: Namer,
        clients: Sequence[Client],
        by_host: bool = False,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clients, by_host, monotonic_s)
        self._namer = namer
        self._n_shown = 0
        self._latest: Snapshot | None = None

    def poll(self, view: View) -> Snapshot | None:
        """A newer answer, with the names that are known by now."""
        self._n_shown = self._namer.n_answers
        if not self._namer.shapes_rows:
            return super().poll(view)
        answer = super().poll(wide(view, self._namer.needs_port))
        if answer is None:
            return None
        self._latest = answer
        return named(answer, view, self._namer)

    def renamed(self, snapshot: Snapshot) -> Snapshot:
        """The latest answer of ``poll`` again, with the names that have come since."""
        if self._latest is None:
            return snapshot
        return named(self._latest, snapshot.view, self._namer)

    def status(self) -> Status:
        """What is known of the daemons; not over while names are under way."""
        return named_status(super().status(), self._namer, self._n_shown)
