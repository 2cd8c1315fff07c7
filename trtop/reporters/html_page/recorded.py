"""``Recorded``: what a page shows besides the snapshot: what came when, and slow connections.

Takes who answers questions about a history, gives the answer by rows of a snapshot. Nothing is
asked before a page is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trtop_core.activity import (
    MAX_ACTIVITY_COLUMNS,
    MAX_ACTIVITY_ROWS,
    Activity,
    ActivityView,
)
from trtop_core.merging.activities import regrouped
from trtop_core.records import GroupBy
from trtop_core.snapshot import Snapshot
from trtop_core.view import Period

if TYPE_CHECKING:
    from trtop.names.namer import Namer
    from trtop_core.wire.questions import Question, QuestionReply

SLOW_PER_DESTINATION = 3
"""Connections of one destination that a page lists."""

N_DETAILED = 500
"""Rows, from the first on, that may have plots and all fields."""

Recording = Callable[[Snapshot], Activity | None]
"""What was when, by number of a snapshot's row; None where nobody knows."""

Asking = Callable[["Question"], "QuestionReply | None"]
"""Who answers; None where there is no answer."""


def make_recording(
    ask: Asking,
    namer: Namer | None = None,
    keys: Callable[[], npt.NDArray[Any] | None] = lambda: None,
) -> Recording:
    """What a page asks for.

    Args:
        ask: who knows a history.
        namer: who named the rows of snapshots; None: nobody, or their keys are those of
            destinations all the same.
        keys: of all destinations of which a namer made rows.
    """

    def recorded(snapshot: Snapshot) -> Activity | None:
        known = None if namer is None or not namer.shapes_rows else keys()
        group_by = snapshot.view.group_by
        if known is None:
            known = snapshot.table.keys[:N_DETAILED]
            places = np.arange(len(known))
        else:
            from trtop.names.places import places_in  # noqa: PLC0415 - most pages need none

            group_by = GroupBy.ADDR_PORT  # as fine as they are
            places = places_in(snapshot, known, namer)
            shown = np.flatnonzero((places >= 0) & (places < N_DETAILED))
            shown = shown[np.argsort(places[shown], kind="stable")][:MAX_ACTIVITY_ROWS]
            known, places = known[shown], places[shown]
        answer = ask(
            ActivityView(
                known.tobytes(),
                group_by,
                MAX_ACTIVITY_COLUMNS,
                SLOW_PER_DESTINATION,
                _period_of(snapshot),
            )
        )
        if not isinstance(answer, Activity):
            return None
        return regrouped(answer, places, SLOW_PER_DESTINATION)

    return recorded


def _period_of(snapshot: Snapshot) -> Period | None:
    """What the numbers of a snapshot cover, where that is not all that was captured."""
    if snapshot.view.period is not None:
        return snapshot.view.period
    if not snapshot.is_period or snapshot.first_ns is None or snapshot.clock_ns is None:
        return None
    return Period(snapshot.first_ns, max(snapshot.clock_ns, snapshot.first_ns) + 1)
