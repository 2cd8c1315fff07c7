"""``NamedSource``: a capture that is read for the screen, whose names may come late.

Is over when the capture is, and the last name has come and been shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from trtop.names.namer import Namer
from trtop.tui.engine_source import EngineSource
from trtop.tui.source import Status
from trtop_core.engine import Engine
from trtop_core.snapshot import Snapshot
from trtop_core.sources import Source
from trtop_core.view import View


class NamedSource(EngineSource):
    """See ``EngineSource`` for the other arguments.

    Args:
        namer: who knows names.

    Attributes:
        namer: as given.
    """

    def __init__(
        self,
        namer: Namer,
        engine: Engine,
        capture: Source,
        name: str,
        *,
        is_live: bool,
        monotonic_s: Callable[[], float],
    ) -> None:
        super().__init__(engine, capture, name, is_live, monotonic_s)
        self.namer = namer
        self._n_shown = 0

    def poll(self, view: View) -> Snapshot | None:
        """What is known by now."""
        self._n_shown = self.namer.n_answers
        return super().poll(view)

    def status(self) -> Status:
        """How far reading is."""
        return named_status(super().status(), self.namer, self._n_shown)


def named_status(status: Status, namer: Namer, n_shown: int) -> Status:
    """A source's status; while names are under way, or not yet shown, it is not over.

    Args:
        status: of the packets alone.
        namer: who knows names.
        n_shown: answers that had come when the last picture was asked for.
    """
    is_late = namer.is_waiting or namer.n_answers > n_shown
    return replace(status, is_over=False) if is_late else status
