"""``DaemonSource``: the snapshots of one daemon, or of several as one.

Takes views, gives snapshots and what the user should know of where they come from. Several daemons
are merged in the client: their sketches add up bin for bin. Names are looked up here too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt
import zmq

from trtop.metrics import format as units
from trtop.names.namer import Namer, named, wide
from trtop.remote.client import Client
from trtop.tui.source import Status, named_status
from trtop_core.health import SUSPECT_LOSS
from trtop_core.merging.snapshots import merge, merge_by_host
from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_core.wire.questions import Question, QuestionReply, merged

HOLD_S = 0.5
"""So long after somebody asked last, a question of another kind waits for its answer."""

SLICE_S = 0.1
"""Who waits looks so often whether it is over."""

MAX_NAMED = 3
"""Hosts named in a title; of more their number is shown."""


class DaemonSource:
    """Asks daemons (a ``SnapshotSource``).

    Args:
        clients: one per daemon.
        by_host: keep the rows of different machines apart.
        monotonic_s: a clock in seconds.
        namer: who knows names, and what is shown; None: addresses, and everything.

    Attributes:
        clients: one per daemon, as given.
        n_missing: daemons without a part in the last snapshot.
        n_dead: daemons with a part in it that capture nothing now.
    """

    def __init__(
        self,
        clients: Sequence[Client],
        by_host: bool = False,
        monotonic_s: Callable[[], float] = time.monotonic,
        namer: Namer | None = None,
    ) -> None:
        self.n_missing = 0
        self.n_dead = 0
        self._namer = namer or Namer()
        self._n_shown = 0
        self._latest: Snapshot | None = None
        self.clients = clients
        self._by_host = by_host
        self._monotonic_s = monotonic_s
        self._round: tuple[View, list[int]] | None = None
        self._question_round: tuple[Question, list[int]] | None = None
        self._question_s = 0.0
        self._poller = zmq.Poller()
        for client in clients:
            for socket in client.sockets:
                self._poller.register(socket, zmq.POLLIN)

    def wait(self, timeout_s: float) -> None:
        """Wait until something arrives, and take it."""
        self._poller.poll(max(0, round(timeout_s * 1000)))
        self.step(0)

    def step(self, budget_s: float) -> bool:
        """Take what has arrived; there is never more to do right now."""
        now_s = self._monotonic_s()
        for client in self.clients:
            client.take(now_s)
        return False

    def poll(self, view: View) -> Snapshot | None:
        """A newer answer to a view, None while there is none; asks for it.

        With several daemons: the answers of all that are there, once all of them have come. With
        the names that are known by now.
        """
        self._n_shown = self._namer.n_answers
        if not self._namer.shapes_rows:
            return self._poll(view)
        answer = self._poll(wide(view, self._namer.needs_port))
        if answer is None:
            return None
        self._latest = answer
        return named(answer, view, self._namer)

    def renamed(self, snapshot: Snapshot) -> Snapshot:
        """The latest answer of ``poll`` again, with the names that have come since."""
        if self._latest is None:
            return snapshot
        return named(self._latest, snapshot.view, self._namer)

    def answer(self, question: Question) -> QuestionReply | None:
        """A newer answer to another question, None while there is none; asks for it.

        Several daemons' answers are merged as their snapshots are. None
        also where one of them cannot tell, which its part of the row would be missing for, and
        where rows are kept apart by host: the question does not say which.
        """
        if self._by_host:
            return None
        self.step(0)
        now_s = self._monotonic_s()
        is_known = any(client.takes(question) for client in self.clients)
        if not is_known or self._is_held_for_another(question, now_s):
            return None
        if self._question_round is None or self._question_round[0] != question:
            self._question_round = question, [client.n_question_answers for client in self.clients]
        self._question_s = now_s
        parts: list[QuestionReply] = []
        is_waiting = False
        for client, n_before in zip(self.clients, self._question_round[1], strict=True):
            answer = client.answer
            if (
                answer is not None
                and client.n_question_answers > n_before
                and answer.view == question
            ):
                parts.append(answer)
                continue
            client.ask_question(question, now_s)
            is_waiting |= not client.trouble(now_s)
        if not parts or is_waiting:
            return None
        self._question_round = None
        return merged(parts, question)

    def awaited_answer(
        self, question: Question, patience_s: float, is_over: Callable[[], bool]
    ) -> QuestionReply | None:
        """The answer to a question, if it comes soon.

        Args:
            question: as for ``answer``.
            patience_s: so long it is waited for.
            is_over: whether somebody has had enough.
        """
        end_s = self._monotonic_s() + patience_s
        while not is_over() and self._monotonic_s() < end_s:
            if (answer := self.answer(question)) is not None:
                return answer
            self.wait(SLICE_S)
        return None

    def _is_held_for_another(self, question: Question, now_s: float) -> bool:
        """Whether somebody still waits for an answer of another kind: daemons take one question."""
        if self._question_round is None or type(self._question_round[0]) is type(question):
            return False
        return now_s - self._question_s < HOLD_S

    def status(self) -> Status:
        """Which machines are watched, and what is wrong; not over while names are under way."""
        now_s = self._monotonic_s()
        notices = []
        for client in self.clients:
            if trouble := client.trouble(now_s):
                notices.append(f"{client.endpoint}: {trouble}")
            elif client.newest is not None:
                notices += [self._told(client, item.text) for item in client.newest.head.notices]
                notices += self._loss_notices(client, client.newest.snapshot)
        status = Status(source=self._title(), notices=tuple(notices), is_live=True)
        return named_status(status, self._namer, self._n_shown)

    def known_keys(self) -> npt.NDArray[Any] | None:
        """Keys of all rows of the latest answer, of which names may have made fewer."""
        return None if self._latest is None else self._latest.table.keys

    def close(self) -> None:
        """Hang up on all of them."""
        for client in self.clients:
            client.close()

    def _poll(self, view: View) -> Snapshot | None:
        """A newer answer without names."""
        self.step(0)
        asked = view if self._is_single else replace(view, limit=None)
        if self._round is None or self._round[0] != asked:
            self._round = asked, [client.n_answers for client in self.clients]
        now_s = self._monotonic_s()
        answers: list[tuple[Client, Snapshot]] = []
        is_waiting = False
        for client, n_before in zip(self.clients, self._round[1], strict=True):
            snapshot = _answer_to(client, asked)
            if snapshot is not None and client.n_answers > n_before:
                answers.append((client, snapshot))
                continue
            client.ask(asked, now_s)
            is_waiting |= not client.trouble(now_s)
        if not answers or is_waiting:
            return None
        self._round = None
        self.n_missing = len(self.clients) - len(answers)
        self.n_dead = sum(not _is_capturing(client) for client, _ in answers)
        return self._joined(answers, view)

    @property
    def _is_single(self) -> bool:
        return len(self.clients) == 1 and not self._by_host

    def _joined(self, answers: Sequence[tuple[Client, Snapshot]], view: View) -> Snapshot:
        if self._is_single:
            return answers[0][1]
        if self._by_host:
            return merge_by_host({self._name(client): part for client, part in answers}, view)
        return merge([part for _, part in answers], view)

    def _name(self, client: Client) -> str:
        """The name of a machine, or the endpoint where that is not known or not unique."""
        host = _host(client)
        n_alike = sum(_host(other) == host for other in self.clients)
        return host if host and n_alike == 1 else f"{host} {client.endpoint}".lstrip()

    def _title(self) -> str:
        names = [self._name(client) for client in self.clients]
        return ", ".join(names) if len(names) <= MAX_NAMED else f"{len(names)} hosts"

    def _told(self, client: Client, text: str) -> str:
        return text if len(self.clients) == 1 else f"{self._name(client)}: {text}"

    def _loss_notices(self, client: Client, snapshot: Snapshot) -> list[str]:
        """Which of several machines lost packets: the merged snapshot cannot tell."""
        loss = snapshot.window_health.loss
        if len(self.clients) == 1 or loss is None or loss <= SUSPECT_LOSS:
            return []
        return [self._told(client, f"lost {units.fine_percent(loss)} of its packets")]


def _answer_to(client: Client, view: View) -> Snapshot | None:
    newest = client.newest
    return newest.snapshot if newest is not None and newest.snapshot.view == view else None


def _is_capturing(client: Client) -> bool:
    return client.newest is None or client.newest.head.is_capturing


def _host(client: Client) -> str:
    return "" if client.newest is None else client.newest.head.host
