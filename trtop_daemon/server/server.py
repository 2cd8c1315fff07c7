"""Questions of clients in, answers out: one each, computed once per question and interval.

Takes channels and functions that give snapshots and details; sends answers without ever waiting for
anybody. Everything it remembers of clients is bounded. Knows neither captures nor signals.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from trtop_core import wire
from trtop_core.closed_connections import Closed, ClosedView
from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_core.wire.questions import ASKS, Question, QuestionReply, encode_answer, head_of
from trtop_daemon.server.channel import Channel, ChannelError

LOG = logging.getLogger(__name__)

MAX_REQUESTS_PER_TURN = 64
"""Read from one channel before the capture gets its turn again."""

MAX_CLIENTS = 1024
"""Remembered at once; those silent for the longest are forgotten first."""

MAX_CACHED_VIEWS = 32

MAX_CACHED_BYTES = 64 << 20
"""Bytes of answers kept for others who ask the same; the newest is kept however large."""

CLIENT_MEMORY_S = 60.0
"""Time within which a client must have asked to get a last answer when the daemon stops."""

READER_MEMORY_S = 5.0
"""Time within which who reads records asks for the next ones, more than their longest pause."""

N_QUESTION_FRAMES = (2, 3)
"""Identity and question; REQ sockets put an empty frame between them."""

TOO_LARGE = "the answer is too large; ask for fewer rows (--limit)"

Client = tuple[Channel, tuple[bytes, ...]]
"""A channel, and the frames that lead to one of its peers."""

Waiting = tuple[Client, type[wire.Request]]
"""The newest question of each kind of one client."""

_REQUESTS: tuple[type[wire.Request], ...] = (wire.Ask, *ASKS)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What every answer bears besides its snapshot.

    Attributes:
        host: the name of this machine.
        notices: what is wrong with the capture now.
        is_finished: the numbers will not change any more.
        is_capturing: see ``Answer``.
    """

    host: str
    notices: tuple[wire.Notice, ...] = ()
    is_finished: bool = False
    is_capturing: bool = True


@dataclass(slots=True)
class Counts:
    """What came in and went out; for the log and for tests."""

    requests: int = 0
    refused: int = 0
    answers: int = 0
    snapshots: int = 0


@dataclass(frozen=True, slots=True)
class _CachedAnswer:
    """An encoded answer, or why there is none."""

    taken_s: float
    data: bytes | None
    reason: str = ""
    has_more: bool = False


class Server:
    """Answers clients.

    Args:
        snapshot: gives what is known now; ``ValueError`` for a view that cannot be answered.
        answer: answers other questions.
        interval_s: an answer may be so old: clients with equal views share it.
    """

    def __init__(
        self,
        snapshot: Callable[[View], Snapshot],
        answer: Callable[[Question], QuestionReply],
        interval_s: float,
    ) -> None:
        self.counts = Counts()
        self.interval_s = interval_s
        self._snapshot = snapshot
        self._answer_of = answer
        self._waiting: OrderedDict[Waiting, wire.Request] = OrderedDict()
        self._known: OrderedDict[Client, tuple[wire.Ask | None, float]] = OrderedDict()
        self._cached: OrderedDict[View | Question, _CachedAnswer] = OrderedDict()
        self._readers: dict[Client, float] = {}
        self._unserved: set[Client] = set()

    @property
    def has_work(self) -> bool:
        """Somebody waits for an answer."""
        return bool(self._waiting)

    def has_readers(self, now_s: float) -> bool:
        """Somebody reads records of connections, and has not got the last ones.

        Who has not asked for long has gone.
        """
        return any(self._is_reading(client, now_s) for client in self._unserved)

    def expect_readers(self, now_s: float) -> None:
        """There will be no more records: from now on ``has_readers`` tells who lacks some."""
        self._unserved = {client for client in self._readers if self._is_reading(client, now_s)}

    def _is_reading(self, client: Client, now_s: float) -> bool:
        asked_s = self._readers.get(client)
        return asked_s is not None and now_s - asked_s <= READER_MEMORY_S

    def forget_answers(self) -> None:
        """Forget computed answers, so that the next ones are computed anew."""
        self._cached.clear()

    def take(self, channel: Channel, now_s: float) -> None:
        """Read the questions that wait in a channel; the newest of each kind and client counts."""
        for _ in range(MAX_REQUESTS_PER_TURN):
            frames = channel.receive()
            if not frames:
                return
            self.counts.requests += 1
            client = channel, tuple(frames[:-1])
            if len(frames) not in N_QUESTION_FRAMES or any(frames[1:-1]):
                self._refuse((channel, (frames[0],)), wire.Reason.MALFORMED, "one frame, please")
                continue
            try:
                ask = wire.decode_request(frames[-1])
            except wire.WireVersionError as error:
                self._refuse(client, wire.Reason.VERSION, f"that is {error}")
            except wire.WireError as error:
                self._refuse(client, wire.Reason.MALFORMED, str(error))
            else:
                self._remember(client, ask, now_s)

    def serve(self, now_s: float, announcement: Announcement) -> None:
        """Answer everybody who waits for the same as the one who waits longest."""
        if not self._waiting:
            return
        view = next(iter(self._waiting.values())).view
        cached = self._cached_answer(view, now_s)
        same = [waiting for waiting, ask in self._waiting.items() if ask.view == view]
        for waiting in same:
            ask = self._waiting.pop(waiting)
            self._answer(waiting[0], ask, cached, announcement, is_last=False)

    def send_final_answers(
        self, now_s: Callable[[], float], announcement: Announcement, until_s: float
    ) -> None:
        """A last answer to everybody who waits or has asked lately.

        Args:
            now_s: the clock of all other methods.
            announcement: as in ``serve``.
            until_s: clients whose view has not been computed by then get none.
        """
        self.forget_answers()
        start_s = now_s()
        asks = {
            client: ask
            for client, (ask, asked_s) in self._known.items()
            if ask is not None and start_s - asked_s <= CLIENT_MEMORY_S
        }
        waiting = self._waiting.items()
        readers = [item for item in waiting if isinstance(item[1].view, ClosedView)]
        self._waiting = OrderedDict(readers)
        self._known.clear()
        for view in dict.fromkeys(ask.view for ask in asks.values()):
            if now_s() > until_s:
                return
            cached = self._cached_answer(view, start_s)
            for client, ask in asks.items():
                if ask.view == view:
                    self._answer(client, ask, cached, announcement, is_last=True)

    def _remember(self, client: Client, ask: wire.Request, now_s: float) -> None:
        self._waiting[client, type(ask)] = ask
        last, _ = self._known.get(client, (None, now_s))
        self._known[client] = ask if isinstance(ask, wire.Ask) else last, now_s
        self._known.move_to_end(client)
        if isinstance(ask.view, ClosedView):
            self._readers[client] = now_s  # forgotten with what is known of the client
        while len(self._known) > MAX_CLIENTS:
            forgotten, _ = self._known.popitem(last=False)
            for kind in _REQUESTS:
                self._waiting.pop((forgotten, kind), None)
            self._readers.pop(forgotten, None)

    def _cached_answer(self, view: View | Question, now_s: float) -> _CachedAnswer:
        """The answer to a view, not older than the interval."""
        known = self._cached.get(view)
        if known is not None and now_s - known.taken_s < self.interval_s:
            return known
        cached = self._compute(view, now_s)
        self._cached[view] = cached
        self._cached.move_to_end(view)
        self._forget_old(now_s)
        return cached

    def _forget_old(self, now_s: float) -> None:
        for view, cached in list(self._cached.items())[:-1]:
            n_bytes = sum(len(kept.data or b"") for kept in self._cached.values())
            is_old = now_s - cached.taken_s >= self.interval_s
            if is_old or len(self._cached) > MAX_CACHED_VIEWS or n_bytes > MAX_CACHED_BYTES:
                del self._cached[view]

    def _compute(self, view: View | Question, now_s: float) -> _CachedAnswer:
        self.counts.snapshots += 1
        try:
            has_more = False
            if isinstance(view, View):
                data = wire.encode_snapshot(self._snapshot(view))
            else:
                answer = self._answer_of(view)
                data = encode_answer(answer)
                has_more = isinstance(answer, Closed) and len(answer.records) == answer.view.limit
        except ValueError as error:
            return _CachedAnswer(now_s, None, str(error))
        except Exception:
            # One odd question must not end the capture for everybody else.
            LOG.exception("no answer to %s", view)
            return _CachedAnswer(now_s, None, "the daemon failed to answer; its log says more")
        if len(data) > wire.MAX_SNAPSHOT_BYTES:
            return _CachedAnswer(now_s, None, TOO_LARGE)
        return _CachedAnswer(now_s, data, has_more=has_more)

    def _answer(
        self,
        client: Client,
        ask: wire.Request,
        cached: _CachedAnswer,
        announcement: Announcement,
        is_last: bool,
    ) -> None:
        if cached.data is None:
            self._refuse(client, wire.Reason.UNAVAILABLE, cached.reason, ask.id)
            return
        self.counts.answers += 1
        if not isinstance(ask, wire.Ask):
            if not cached.has_more and isinstance(ask.view, ClosedView):
                self._unserved.discard(client)
            self._send(client, [wire.encode_reply(head_of(ask)), cached.data])
            return
        head = wire.Answer(
            id=ask.id,
            host=wire.cut(announcement.host),
            notices=announcement.notices[: wire.MAX_NOTICES],
            is_finished=announcement.is_finished,
            is_last=is_last,
            is_capturing=announcement.is_capturing,
        )
        self._send(client, [wire.encode_reply(head), cached.data])

    def _refuse(self, client: Client, reason: wire.Reason, text: str, ask_id: int = 0) -> None:
        self.counts.refused += 1
        refusal = wire.Refusal(ask_id, reason, wire.cut(text), wire.VERSION)
        self._send(client, [wire.encode_reply(refusal)])

    def _send(self, client: Client, frames: list[bytes]) -> None:
        """Send a message without waiting: it is dropped if the client cannot take it."""
        channel, route = client
        try:
            channel.send([*route, *frames])
        except ChannelError as error:
            LOG.debug("an answer was dropped: %s", error)
