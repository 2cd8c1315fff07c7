"""``Client``: one daemon asked over one connection that repairs itself.

Takes an endpoint, keys and the time; gives the newest answer, and says in words what is wrong while
there is none. Asks one question at a time, and one about some destinations besides; never waits for
an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import recv_monitor_message

from trtop_core import wire
from trtop_core.errors import TrtopError
from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_core.wire.endpoint import Endpoint
from trtop_core.wire.questions import (
    AnswerHead,
    AskQuestion,
    Question,
    QuestionReply,
    ask_of,
    decode_answer,
)
from trtop_daemon.keys import KeyPair

TRYING_AGAIN = "; trying again"
"""What is said of a connection that may come yet, behind why there is none."""

RETRY_S = 2.0
"""A question without an answer is asked again after this."""

PATIENCE_S = 3.0
"""A daemon that has not answered for so long is called silent."""

GRACE_S = 1.0
"""Connecting for the first time may take so long before it is worth a word."""

RECONNECT_MS = 100
RECONNECT_MAX_MS = 2_000

HEARTBEAT_MS = 3_000
HEARTBEAT_TIMEOUT_MS = 10_000
"""A machine that is gone without a word is noticed after this."""

MAX_ANSWERS_WAITING = 4

Context = zmq.Context[zmq.Socket[bytes]]

_EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_FAILURES = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "it does not accept this key; its owner must add the public "
    "key to --authorized-keys",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "it wants another kind of connection; tcp:// needs --key "
    "and --server-key, unless the daemon runs without keys",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "the handshake failed; is --server-key the key of this "
    "daemon?",
}


@dataclass(frozen=True, slots=True)
class Keys:
    """What a connection is secured with.

    Attributes:
        own: this user's pair.
        server: the daemon's public key.
    """

    own: KeyPair
    server: bytes


@dataclass(frozen=True, slots=True)
class Reception:
    """An answer, and when it came.

    Attributes:
        head: host, notices.
        snapshot: the numbers.
        at_s: of the clock that the client is told.
    """

    head: wire.Answer
    snapshot: Snapshot
    at_s: float


class Client:
    """Asks one daemon.

    Args:
        context: of ZeroMQ.
        endpoint: where the daemon listens.
        keys: for a daemon that wants them.

    Attributes:
        endpoint: as given.
        newest: the last answer, None so far.
        n_answers: how many there were.
        answer: the last answer to another question, None so far.
        n_question_answers: how many there were.
        question_refusal: why it does not answer the other question; empty while it may.
        is_connected: the daemon has taken our connection.
    """

    def __init__(self, context: Context, endpoint: Endpoint, keys: Keys | None = None) -> None:
        self.endpoint = endpoint
        self.newest: Reception | None = None
        self.n_answers = 0
        self.answer: QuestionReply | None = None
        self.n_question_answers = 0
        self.question_refusal = ""
        self.is_connected = False
        self._unknown: set[type[Question]] = set()
        self._refusal = ""
        self._failure = ""
        self._has_stopped = False
        self._asked: wire.Ask | None = None
        self._asked_s = 0.0
        self._question: AskQuestion | None = None
        self._question_s = 0.0
        self._waiting_since_s: float | None = None
        self._last_id = 0
        self._socket = context.socket(zmq.DEALER)
        _configure(self._socket, keys)
        self._monitor = self._socket.get_monitor_socket(_EVENTS)
        self._monitor.linger = 0
        try:
            self._socket.connect(str(endpoint))
        except zmq.ZMQError as error:
            self.close()
            raise TrtopError(f"{endpoint}: cannot be connected to: {error.strerror}") from error

    @property
    def sockets(self) -> tuple[zmq.Socket[bytes], ...]:
        """What to poll: ``take`` when one of them has something to read."""
        return self._socket, self._monitor

    def ask(self, view: View, now_s: float) -> None:
        """Ask, unless nobody is there or the same question waits for its answer already."""
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
        asked = self._asked
        if asked is not None and asked.view == view and now_s - self._asked_s < RETRY_S:
            return
        # Not ZMQ_IMMEDIATE: it throws away answers that arrive just before the connection ends.
        if not self.is_connected:
            return
        ask = wire.Ask(self._next_id(), view)
        if self._has_sent(ask):
            self._asked, self._asked_s = ask, now_s

    def takes(self, question: Question) -> bool:
        """Whether the daemon knows such questions, as far as is known; it may be older."""
        return type(question) not in self._unknown

    def ask_question(self, question: Question, now_s: float) -> None:
        """Ask something else, unless that question is under way."""
        asked = self._question
        is_early = now_s - self._question_s < RETRY_S
        if asked is not None and asked.view == question and is_early:
            return
        if not self.is_connected or not self.takes(question):
            return
        ask = ask_of(self._next_id(), question)
        if self._has_sent(ask):
            self._question, self._question_s = ask, now_s

    def take(self, now_s: float) -> None:
        """Read what has come; ``newest`` is then the answer to the last question."""
        # What came before a connection ended is still an answer: first what is known of
        # connections, then what they brought, and only then what their end means.
        events = list(_events(self._monitor))
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            self._read(frames, now_s)
        for event in events:
            self._note(event)

    def trouble(self, now_s: float) -> str:
        """Why there is no new answer, in words; empty where all is well."""
        if self._refusal:
            return self._refusal
        since_s = self._waiting_since_s
        silent_s = 0.0 if since_s is None else now_s - since_s
        if self.is_connected:
            return f"no answer for {silent_s:.0f} s" if silent_s >= PATIENCE_S else ""
        if self._failure:
            return self._failure
        if self._has_stopped:
            return "the daemon has stopped; waiting for it to come back"
        if self.n_answers:
            return f"the connection is lost{TRYING_AGAIN}"
        return f"no connection{TRYING_AGAIN}" if silent_s >= GRACE_S else ""

    def close(self) -> None:
        """Hang up."""
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close(0)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _has_sent(self, request: wire.Request) -> bool:
        try:
            self._socket.send(wire.encode_request(request), zmq.NOBLOCK)
        except zmq.Again:
            return False  # the daemon reads nothing: the next call tries again
        return True

    def _read(self, frames: list[bytes], now_s: float) -> None:
        try:
            reply = wire.decode_reply(frames[0])
            if isinstance(reply, wire.Refusal):
                self._take_refusal(reply)
                return
            if not isinstance(reply, wire.Answer):
                self._take_answer(reply, frames[1:])
                return
            if self._asked is not None and reply.id != self._asked.id and not reply.is_last:
                return  # an answer to what was asked before
            if len(frames) != 2:
                raise wire.WireError("an answer without a snapshot")
            snapshot = wire.decode_snapshot(frames[1])
        except wire.WireVersionError as error:
            self._refusal = f"the daemon speaks {error}: upgrade the older of the two"
            return
        except wire.WireError as error:
            self._refusal = f"an answer makes no sense: {error}"
            return
        self.newest = Reception(reply, snapshot, now_s)
        self.n_answers += 1
        self._has_stopped = reply.is_last
        self._refusal = ""
        self._asked = self._waiting_since_s = None

    def _take_answer(self, head: AnswerHead, rest: list[bytes]) -> None:
        if self._question is None or head.id != self._question.id:
            return  # an answer to what was asked before
        self.answer = decode_answer(head, rest)
        self.n_question_answers += 1
        self.question_refusal = ""
        self._question = None

    def _take_refusal(self, refusal: wire.Refusal) -> None:
        if (asked := self._question) is not None:
            if refusal.reason is wire.Reason.MALFORMED:
                # Of our two questions an older daemon knows the other one.
                self._unknown.add(type(asked.view))
                self._question = None
                self.question_refusal = "the daemon is older and does not know this question"
                return
            if refusal.id == asked.id:
                self.question_refusal = refusal.text
                return
        if refusal.reason is wire.Reason.VERSION:
            self._refusal = (
                f"the daemon speaks version {refusal.version} of the protocol, this client version "
                f"{wire.VERSION}: upgrade the older of the two"
            )
        else:
            self._refusal = f"the daemon refuses: {refusal.text}"
        # Asked again as late as if there had been no answer.

    def _note(self, event: int) -> None:
        self._asked = self._question = None
        self._unknown.clear()
        self.is_connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        if self.is_connected:
            self._failure, self._has_stopped, self._refusal = "", False, ""
            self.question_refusal = ""
        elif event in _FAILURES:
            self._failure = _FAILURES[zmq.Event(event)]


def _configure(socket: zmq.Socket[bytes], keys: Keys | None) -> None:
    socket.linger = 0
    socket.rcvhwm = MAX_ANSWERS_WAITING
    socket.set(zmq.IPV6, 1)
    socket.set(zmq.MAXMSGSIZE, wire.MAX_SNAPSHOT_BYTES)
    socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
    socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    if keys is not None:
        socket.curve_publickey = keys.own.public
        socket.curve_secretkey = keys.own.secret
        socket.curve_serverkey = keys.server


def _events(monitor: zmq.Socket[bytes]) -> Iterator[int]:
    while monitor.poll(0):
        yield int(recv_monitor_message(monitor, zmq.NOBLOCK)["event"])
