"""Runs a collector on a thread of its own while the screen is open.

``CollectorThread`` runs it and keeps how it ended; ``AnalyzerSource`` is what the screen asks. The
analyzer's lock keeps the two apart.
"""

from __future__ import annotations

import os
import threading

from trtop.classic.analyzer import OutgoingTCPAnalyzer
from trtop.classic.collector import BaseCollector
from trtop.tui.source import Status, named_status
from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_core.wire.questions import Question, QuestionReply, answered

STOP_PATIENCE_S = 5.0
"""How long a collector may take to stop; one that does not is left behind."""

NAMES_OF_PARTS = ("input_file_name", "interface")
"""Attributes in which a collector says what it collects from."""


class CollectorThread:
    """Runs a collector while the context is open.

    Args:
        collector: what is run; ``stop`` is called at the end.

    Attributes:
        collector: as given.
        error: what ended it; None: nothing has.
        is_over: it has returned.
    """

    def __init__(self, collector: BaseCollector) -> None:
        self.collector = collector
        self.error: BaseException | None = None
        self.is_over = False
        self._thread = threading.Thread(target=self._run, name="trtop-collector", daemon=True)

    def __enter__(self) -> CollectorThread:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if not self.is_over:
            self.collector.stop()
        self.wait(STOP_PATIENCE_S)

    def wait(self, timeout_s: float) -> bool:
        """Wait until the collector has returned; whether it has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.collector.start()
        except BaseException as error:  # told by whoever waits
            self.error = error
        self.is_over = True


class AnalyzerSource:
    """What an analyzer has counted by now, for the screen.

    Args:
        analyzer: fed by somebody else.
        collecting: who feeds it.
        is_live: packets arrive as time goes by.
    """

    def __init__(
        self, analyzer: OutgoingTCPAnalyzer, collecting: CollectorThread, is_live: bool
    ) -> None:
        self._analyzer = analyzer
        self._collecting = collecting
        self._n_shown = 0
        self._is_live = is_live
        self._name = _name_of(collecting.collector)

    def step(self, budget_s: float) -> bool:
        """Do nothing: the collector has a thread of its own."""
        return False

    def poll(self, view: View) -> Snapshot | None:
        """What is known by now."""
        self._n_shown = self._analyzer.namer.n_answers
        return self._analyzer.snapshot(view)

    def answer(self, question: Question) -> QuestionReply | None:
        """What is known by now of what a page asks."""
        with self._analyzer.lock:
            return answered([self._analyzer.engine], question)

    def status(self) -> Status:
        """Whether the collector has returned, and what it could not read."""
        collector = self._collecting.collector
        errors = tuple(str(error) for error in getattr(collector, "errors", ()))
        errors += tuple(getattr(collector, "notices", ()))
        status = Status(self._name, errors, self._is_live, self._collecting.is_over)
        return named_status(status, self._analyzer.namer, self._n_shown)


def _name_of(collector: BaseCollector) -> str:
    """What is watched, as short as a title needs."""
    for attribute in NAMES_OF_PARTS:
        given = getattr(collector, attribute, None)
        if isinstance(given, (list, tuple)):
            given = given[0] if given else None
        if given:
            return os.path.basename(str(given))
    return type(collector).__name__
