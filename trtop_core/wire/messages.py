"""What clients ask and daemons answer, as values and as bytes.

A client sends ``Ask``; it gets ``Answer`` followed by a snapshot in a frame of its own, or
``Refusal``. To ``AskDetail`` it gets ``DetailAnswer`` and, behind it, a detail; to ``AskTrends``,
``TrendsAnswer`` and trends. A refusal keeps its form in every version of the protocol, so that a
client of any age can read which version to use.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta

from trtop_core.activity import ActivityView
from trtop_core.closed_connections import ClosedView
from trtop_core.detail import DetailView
from trtop_core.timeline import TimelineView
from trtop_core.trends import TrendView
from trtop_core.view import View
from trtop_core.wire.checks import check_activity_view, check_detail_view, check_trend_view
from trtop_core.wire.envelope import (
    MAX_REPLY_BYTES,
    MAX_REQUEST_BYTES,
    VERSION,
    pack_message,
    unpack_message,
    unpack_payload,
    version_of,
)
from trtop_core.wire.errors import WireError, WireVersionError

MAX_NOTICES = 16
MAX_TEXT = 300
"""Characters of a notice, a refusal or a host's name; longer ones are cut."""

_Id = Annotated[int, Meta(ge=0, le=(1 << 62))]
_Text = Annotated[str, Meta(max_length=MAX_TEXT)]


class Severity(Enum):
    """How bad a notice is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Reason(Enum):
    """Why a request gets no snapshot."""

    VERSION = "version"
    MALFORMED = "malformed"
    UNAVAILABLE = "unavailable"


class Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something about the capture that everyone who looks at its numbers should know.

    Attributes:
        time_ns: when it began, ns since the epoch, on the daemon's clock.
        severity: how bad it is.
        text: one line; may hold names from outside.
    """

    time_ns: int
    severity: Severity
    text: _Text


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ask"):
    """One question.

    Attributes:
        id: the answer bears it too.
        view: what to show.
    """

    id: _Id
    view: View


class AskDetail(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ask detail"):
    """One question about one destination.

    Attributes:
        id: the answer bears it too.
        view: which destination.

    Raises:
        ValueError: the destination is of no known kind, or too many connections are wanted.
    """

    id: _Id
    view: DetailView

    def __post_init__(self) -> None:
        check_detail_view(self.view)


class AskTrends(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ask trends"):
    """One question about how some rows went.

    Attributes:
        id: the answer bears it too.
        view: which rows.

    Raises:
        ValueError: a row is of no known kind.
    """

    id: _Id
    view: TrendView

    def __post_init__(self) -> None:
        check_trend_view(self.view)


class AskTimeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ask timeline"):
    """One question about all of a history.

    Attributes:
        id: the answer bears it too.
        view: how it is to be summed up.
    """

    id: _Id
    view: TimelineView


class AskActivity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ask activity"):
    """One question about what was when.

    Attributes:
        id: the answer bears it too.
        view: how it is to be summed up, and of which rows.

    Raises:
        ValueError: a row is of no known kind.
    """

    id: _Id
    view: ActivityView

    def __post_init__(self) -> None:
        check_activity_view(self.view)


class AskClosed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ask closed"):
    """One question for records of connections that were forgotten.

    Attributes:
        id: the answer bears it too.
        view: from which one on.
    """

    id: _Id
    view: ClosedView


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="answer"):
    """The head of an answer; the snapshot is the next frame of the message.

    Attributes:
        id: that of the question.
        host: the name of the machine that captures.
        notices: what is wrong there now.
        is_finished: a replay has ended: the numbers will not change any more.
        is_last: the daemon stops after this answer; sent unasked too.
        is_capturing: something captures there, or a replay runs or has ended; else numbers stand
            still.
    """

    id: _Id
    host: _Text
    notices: Annotated[tuple[Notice, ...], Meta(max_length=MAX_NOTICES)] = ()
    is_finished: bool = False
    is_last: bool = False
    is_capturing: bool = True


class DetailAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="detail"):
    """The head of an answer about one destination; the detail is the next frame of the message.

    Attributes:
        id: that of the question.
    """

    id: _Id


class TrendsAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="trends"):
    """The head of an answer about some rows; their trends are the next frame of the message.

    Attributes:
        id: that of the question.
    """

    id: _Id


class TimelineAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="timeline"):
    """The head of an answer about a history; the timeline is the next frame of the message.

    Attributes:
        id: that of the question.
    """

    id: _Id


class ActivityAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="activity"):
    """The head of an answer about what was when; that is the next frame of the message.

    Attributes:
        id: that of the question.
    """

    id: _Id


class ClosedAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="closed"):
    """The head of an answer with records of connections; these are the next frame of the message.

    Attributes:
        id: that of the question.
    """

    id: _Id


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """Why there is no answer.

    Attributes:
        id: that of the question, as far as it could be read, else 0.
        reason: for programs.
        text: for people; one line.
        version: of the protocol that the daemon speaks.
    """

    id: _Id
    reason: Reason
    text: _Text
    version: int


Request = Ask | AskDetail | AskTrends | AskTimeline | AskActivity | AskClosed
Reply = (
    Answer | DetailAnswer | TrendsAnswer | TimelineAnswer | ActivityAnswer | ClosedAnswer | Refusal
)

_ENCODER = msgspec.msgpack.Encoder()
_REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_REFUSALS = msgspec.msgpack.Decoder(Refusal)


def encode_request(request: Request) -> bytes:
    """A question as bytes."""
    return pack_message(_ENCODER.encode(request))


def decode_request(data: bytes | memoryview) -> Request:
    """The question that the bytes hold.

    Raises:
        WireVersionError: it is of another version.
        WireError: they hold none.
    """
    return unpack_message(data, _REQUESTS, MAX_REQUEST_BYTES)


def encode_reply(reply: Reply) -> bytes:
    """An answer's head, or a refusal, as bytes."""
    return pack_message(_ENCODER.encode(reply))


def decode_reply(data: bytes | memoryview) -> Reply:
    """The answer's head, or the refusal, that the bytes hold; refusals of whatever version.

    Raises:
        WireVersionError: it is an answer of another version.
        WireError: they hold neither.
    """
    try:
        return unpack_message(data, _REPLIES, MAX_REPLY_BYTES)
    except WireVersionError:
        try:
            return unpack_payload(data, _REFUSALS)
        except WireError:
            raise WireVersionError(version_of(data), VERSION) from None


def cut(text: str) -> str:
    """A text as long as a message may bear."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
