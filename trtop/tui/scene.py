"""``Scene``: everything that a screen is drawn from. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trtop.tui.source import Status
from trtop.tui.state import State
from trtop.tui.view_model import ViewModel
from trtop_core.metric_types import Thresholds
from trtop_core.timeline import Timeline
from trtop_core.trends import Trends
from trtop_core.wire.questions import QuestionReply


@dataclass(frozen=True, slots=True)
class Scene:
    """What is to be drawn.

    Attributes:
        state: what the user looks at.
        model: the rows, None before the first answer.
        status: what the source says of itself.
        answer: to what the page asks, None where there is none (yet).
        thresholds: by column key, instead of the columns' own.
        trends: how the rows in sight went, None where that is not known (yet).
        timeline: of the history; None where there is none (yet).
    """

    state: State
    model: ViewModel | None
    status: Status
    answer: QuestionReply | None = None
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    trends: Trends | None = None
    timeline: Timeline | None = None
