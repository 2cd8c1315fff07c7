"""The table of questions besides that for a snapshot: who answers each, and how it travels.

Takes a question, gives its answer by an engine, or by several as one; and its messages. Whoever
hands questions on, from the screen to the engine of a daemon, knows this table and no question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trtop_core.activity import Activity, ActivityView
from trtop_core.closed_connections import Closed, ClosedView
from trtop_core.detail import Detail, DetailView
from trtop_core.merging.activities import merge_activities
from trtop_core.merging.details import merge_details
from trtop_core.merging.timelines import merge_timelines
from trtop_core.merging.trends import merge_trends
from trtop_core.timeline import Timeline, TimelineView
from trtop_core.trends import Trends, TrendView
from trtop_core.wire.activity import decode_activity, encode_activity
from trtop_core.wire.closed import decode_closed, encode_closed
from trtop_core.wire.detail import decode_detail, encode_detail
from trtop_core.wire.errors import WireError
from trtop_core.wire.messages import (
    ActivityAnswer,
    AskActivity,
    AskClosed,
    AskDetail,
    AskTimeline,
    AskTrends,
    ClosedAnswer,
    DetailAnswer,
    TimelineAnswer,
    TrendsAnswer,
)
from trtop_core.wire.timeline import decode_timeline, encode_timeline
from trtop_core.wire.trends import decode_trends, encode_trends

if TYPE_CHECKING:
    from trtop_core.engine import Engine

Question = DetailView | TrendView | TimelineView | ActivityView | ClosedView
"""What may be asked; hashable."""

QuestionReply = Detail | Trends | Timeline | Activity | Closed
"""What comes back; its ``view`` is the question."""

AskQuestion = AskDetail | AskTrends | AskTimeline | AskActivity | AskClosed
AnswerHead = DetailAnswer | TrendsAnswer | TimelineAnswer | ActivityAnswer | ClosedAnswer


@dataclass(frozen=True, slots=True)
class QuestionKind:
    """One kind of question.

    Attributes:
        question: its type.
        ask: the message that asks it, of an id and a question.
        head: the message in front of its answer, of the same id.
        answer: has an engine answer it; ``ValueError``: that asks for what is not kept.
        merge: the answers of connection-disjoint parts of a capture as one.
        encode: an answer as bytes.
        decode: the reverse; ``WireError``: they hold none.
    """

    question: type[Question]
    ask: type[AskQuestion]
    head: type[AnswerHead]
    answer: Callable[[Engine, Any], QuestionReply]
    merge: Callable[[Sequence[Any], Any], QuestionReply]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], QuestionReply]


KINDS = (
    QuestionKind(
        DetailView,
        AskDetail,
        DetailAnswer,
        lambda engine, question: engine.detail(question),
        merge_details,
        encode_detail,
        decode_detail,
    ),
    QuestionKind(
        TrendView,
        AskTrends,
        TrendsAnswer,
        lambda engine, question: engine.trends(question),
        merge_trends,
        encode_trends,
        decode_trends,
    ),
    QuestionKind(
        TimelineView,
        AskTimeline,
        TimelineAnswer,
        lambda engine, question: engine.timeline(question),
        merge_timelines,
        encode_timeline,
        decode_timeline,
    ),
    QuestionKind(
        ActivityView,
        AskActivity,
        ActivityAnswer,
        lambda engine, question: engine.activity(question),
        merge_activities,
        encode_activity,
        decode_activity,
    ),
    QuestionKind(
        ClosedView,
        AskClosed,
        ClosedAnswer,
        lambda engine, question: _in_no_engine(),
        lambda parts, question: _in_no_engine(),
        encode_closed,
        decode_closed,
    ),
)


def _in_no_engine() -> Closed:
    """Records are in a log beside all engines, which who keeps it answers from."""
    raise ValueError("no records of connections are kept")


ASKS: tuple[type[AskQuestion], ...] = tuple(kind.ask for kind in KINDS)

_BY_QUESTION = {kind.question: kind for kind in KINDS}
_BY_HEAD = {kind.head: kind for kind in KINDS}


def answered(engines: Sequence[Engine], question: Question) -> QuestionReply:
    """What engines know, each of a part of one capture, as one answer.

    Raises:
        ValueError: the question asks for what is not kept.
    """
    kind = _BY_QUESTION[type(question)]
    return merged([kind.answer(engine, question) for engine in engines], question)


def merged(parts: Sequence[QuestionReply], question: Question) -> QuestionReply:
    """Answers of connection-disjoint parts as one."""
    return parts[0] if len(parts) == 1 else _BY_QUESTION[type(question)].merge(parts, question)


def ask_of(number: int, question: Question) -> AskQuestion:
    """The message that asks a question."""
    ask: Callable[[int, Any], AskQuestion] = _BY_QUESTION[type(question)].ask
    return ask(number, question)


def head_of(ask: AskQuestion) -> AnswerHead:
    """The message in front of the answer."""
    return _BY_QUESTION[type(ask.view)].head(ask.id)


def encode_answer(answer: QuestionReply) -> bytes:
    """An answer as bytes."""
    return _BY_QUESTION[type(answer.view)].encode(answer)


def decode_answer(head: AnswerHead, rest: Sequence[bytes]) -> QuestionReply:
    """The answer behind its head.

    Raises:
        WireError: there is none.
    """
    if len(rest) != 1:
        raise WireError("an answer without a detail")
    return _BY_HEAD[type(head)].decode(rest[0])
