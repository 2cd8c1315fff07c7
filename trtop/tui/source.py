"""``SnapshotSource``: where the screen's snapshots come from, be it an engine here or a daemon.

Takes questions (``View``, ``Question``), gives answers of the core and what the user should know
about the source, as text. A source never draws, and never waits longer than it is told to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from trtop.names.namer import Namer
from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_core.wire.questions import Question, QuestionReply

if TYPE_CHECKING:
    from trtop.filters.engines import Labels
    from trtop.filters.filter import Filter


@dataclass(frozen=True, slots=True)
class Status:
    """What a source says of itself, at any moment.

    Attributes:
        source: what is watched, as short as a title needs: ``busy.pcap``, ``eth0 at web-3``.
        notices: what the user should know now, one sentence each, the most urgent first: how far
            reading is, a daemon that is gone. Not escaped: the screen does that.
        is_live: packets arrive as time goes by, so the screen shows the last seconds first.
        is_over: nothing more will come; the snapshots do not change any more.
    """

    source: str
    notices: tuple[str, ...] = ()
    is_live: bool = False
    is_over: bool = False


class SnapshotSource(Protocol):
    """What the screen asks of a source; all on one thread."""

    def step(self, budget_s: float) -> bool:
        """Do what there is to do, for about ``budget_s``, and give control back.

        Called over and over, between key presses. A file is read on, a socket looked at; a source
        with nothing to do returns at once.

        Returns:
            Whether there is more to do right now; else the screen waits for a key or a while.
        """

    def poll(self, view: View) -> Snapshot | None:
        """The newest answer to a view.

        Asked once per refresh, and then again after every ``step`` until there is an answer:
        a remote source sends the question with the first call and returns None until the reply is
        there. A reply to an earlier, different view is dropped.
        """

    def answer(self, question: Question) -> QuestionReply | None:
        """The newest answer to what a page asks; None while there is none (see ``poll``).

        None also where the source cannot tell: the screen then shows what the snapshot has.
        """

    def status(self) -> Status:
        """What the source says of itself now; cheap."""


@runtime_checkable
class FilteringSource(Protocol):
    """A source that can give the rows of a filter alone."""

    def poll_chosen(self, view: View, chosen: Filter, labels: Labels) -> Snapshot | None:
        """As ``poll``, of the rows that a filter shows; None where all must be asked for.

        Args:
            view: what is asked for of these rows.
            chosen: the filter.
            labels: what rows are called.
        """


def named_status(status: Status, namer: Namer, n_shown: int) -> Status:
    """A source's status; while names are under way, or not yet shown, it is not over.

    Args:
        status: of the packets alone.
        namer: who knows names.
        n_shown: answers that had come when the last snapshot was asked for.
    """
    is_late = namer.is_waiting or namer.n_answers > n_shown
    return replace(status, is_over=False) if is_late else status
