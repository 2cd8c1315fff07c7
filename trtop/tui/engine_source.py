"""``EngineSource``: packets read here, in steps between key presses, through an engine of our own.

Takes a capture and an engine; gives the screen its snapshots, also while the capture is still
being read, and while names are still under way. Errors are kept until the screen is closed, and
told on it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from trtop.filters.engines import Labels, filtered_of_engine
from trtop.filters.filter import Filter
from trtop.metrics import format as units
from trtop.names.namer import Namer
from trtop.tui.source import Status, named_status
from trtop_core.batch import PacketBatch
from trtop_core.engine import Engine
from trtop_core.errors import EXIT_UNUSABLE, TrtopError
from trtop_core.pace import TimedFeed
from trtop_core.snapshot import Snapshot
from trtop_core.sources import IDLE, Source, read_into
from trtop_core.timing import WHOLE, Timing
from trtop_core.view import View
from trtop_core.wire.questions import Question, QuestionReply, answered


class Reading(NamedTuple):
    """What is read.

    Attributes:
        name: as short as a title needs.
        is_live: packets arrive as time goes by.
        timing: which part of it counts.
    """

    name: str
    is_live: bool = False
    timing: Timing = WHOLE


class EngineSource:
    """Reads a capture for the screen.

    Args:
        engine: counts.
        capture: gives batches; one that has nothing gives ``IDLE`` at once.
        reading: what is read.
        monotonic_s: a clock in seconds.
        namer: who knows names; None: nobody.

    Attributes:
        error: what ended the reading early, None for nothing.
        namer: who knows names.
    """

    def __init__(
        self,
        engine: Engine,
        capture: Source,
        reading: Reading,
        monotonic_s: Callable[[], float],
        namer: Namer | None = None,
    ) -> None:
        self.error: TrtopError | None = None
        self.namer = namer or Namer()
        self._engine = engine
        self._capture = capture
        self._name = reading.name
        self._is_live = reading.is_live
        self._monotonic_s = monotonic_s
        self._is_over = False
        self._n_shown = 0
        self._timed = None if reading.timing.is_whole else TimedFeed(engine, reading.timing)

    @property
    def is_unusable(self) -> bool:
        """Nothing could be read at all: there is nothing to show."""
        return self.error is not None and self.error.exit_status == EXIT_UNUSABLE

    def step(self, budget_s: float) -> bool:
        """Read on for a while."""
        if self._is_over:
            return False
        end_s = self._monotonic_s() + budget_s
        is_idle = False

        def between(batch: PacketBatch) -> bool:
            nonlocal is_idle
            is_idle = batch is IDLE
            if self._timed is not None and self._timed.is_over:
                return False
            return not is_idle and self._monotonic_s() < end_s

        feed = self._timed or self._engine
        try:
            result = read_into(feed, self._capture, between)
            if result.is_over or (self._timed is not None and self._timed.is_over):
                self.error = result.failure
                self._is_over = True
                feed.finish()
        except TrtopError as error:  # nothing lies between start and end
            self._is_over = True
            self.error = error
        return not (self._is_over or is_idle)

    def finish(self) -> None:
        """The capture ends here, read to its end or not."""
        if not self._is_over:
            self._is_over = True
            self._engine.finish()

    def poll(self, view: View) -> Snapshot | None:
        """What is known by now."""
        self._n_shown = self.namer.n_answers
        return self._told(self._engine.snapshot(view))

    def poll_chosen(self, view: View, chosen: Filter, labels: Labels) -> Snapshot | None:
        """The same of the rows that a filter shows; None where names decide what a row is."""
        if self.namer.shapes_rows:
            return None
        self._n_shown = self.namer.n_answers
        return self._told(filtered_of_engine(self._engine, view, chosen, labels))

    def _told(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot that knows what could not be read."""
        errors = tuple(str(error) for error in self._capture.errors)
        return replace(snapshot, unread=errors) if errors else snapshot

    def answer(self, question: Question) -> QuestionReply | None:
        """What is known by now of what a page asks."""
        return answered([self._engine], question)

    def status(self) -> Status:
        """How far reading is; not over while names are under way."""
        name = self._name
        total = self._capture.bytes_total
        if not self._is_over and total:
            name = f"{name} (reading, {self._how_far(total)})"
        elif self._is_live:
            name = f"{name} (ended)" if self._is_over else f"{name} (live)"
        errors = tuple(str(error) for error in self._capture.errors)
        status = Status(name, errors, is_live=self._is_live, is_over=self._is_over)
        return named_status(status, self.namer, self._n_shown)

    def _how_far(self, bytes_total: int) -> str:
        """Percent of the files; once they are read, what a compressed one has become."""
        bytes_read, bytes_unpacked = self._capture.bytes_read, self._capture.bytes_unpacked
        if bytes_read >= bytes_total and bytes_unpacked > bytes_read:
            return f"{units.bytes_forms(bytes_unpacked)[0]}B unpacked"
        return f"{min(99, 100 * bytes_read // bytes_total)}%"
