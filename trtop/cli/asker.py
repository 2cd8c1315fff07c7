"""``Asker``: what daemons see, asked for once, again and again, or span by span of their past.

Takes options and a source of snapshots, waits for answers until a signal comes. What is wrong with
a daemon is said once. Writes no report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from trtop.cli.history_spans import Begun, Spans, asked_period
from trtop.escape import escape
from trtop.metrics.format import duration
from trtop.options.attach_options import DEFAULT_TIMEOUT_S, AttachOptions
from trtop.remote.client import TRYING_AGAIN
from trtop.remote.diagnosis import diagnose
from trtop.remote.source import DaemonSource
from trtop.runtime.environment import Environment
from trtop_core.errors import TrtopError
from trtop_core.records import NS_PER_S
from trtop_core.snapshot import Snapshot
from trtop_core.view import Period, View

NUMBERS = re.compile(r"\b[0-9]+\b")

LAST_ANSWER_S = 1.0
"""How long is waited, after a signal, for what a span had counted by then."""

SLICE_S = 0.1
"""A signal is noticed within this."""


def portless(snapshot: Snapshot) -> Snapshot:
    """A snapshot whose sentences name no port, as those of a file do not.

    For a report files are read by address alone, and a report is the same of a file and of a daemon
    that saw the same packets.
    """
    if snapshot.table.ports is None:
        return snapshot
    return replace(snapshot, table=replace(snapshot.table, ports=None))


class Asker:
    """One run of questions.

    Args:
        options: what is asked for.
        env: clock and standard error.
        source: the daemons.
        is_over: whether the user has had enough.
    """

    def __init__(
        self,
        options: AttachOptions,
        env: Environment,
        source: DaemonSource,
        is_over: Callable[[], bool],
    ) -> None:
        self._options = options
        self._env = env
        self._source = source
        self._is_over = is_over
        self._told: set[str] = set()

    def _poll(self, view: View) -> Snapshot | None:
        answer = self._source.poll(view)
        return None if answer is None else portless(answer)

    def first(self, view: View) -> Snapshot | None:
        """The first answer; None if a signal came before it.

        Raises:
            TrtopError: there is none within the time.
        """
        given_s = self._options.timeout_s
        start_s = self._env.monotonic_s()
        end_s = start_s + (DEFAULT_TIMEOUT_S if given_s is None else given_s)
        if given_s is None and all(diagnose(item) for item in self._options.endpoints):
            raise TrtopError(self._why_silent())
        while not self._is_over():
            if (snapshot := self._poll(view)) is not None:
                return snapshot
            if self._env.monotonic_s() >= end_s:
                raise TrtopError(self._why_silent())
            self._source.wait(SLICE_S)
        return None

    def awaited(self, view: View) -> Snapshot | None:
        """An answer, however long it takes; None if a signal came before it."""
        while not self._is_over():
            if (snapshot := self._poll(view)) is not None:
                return snapshot
            self.tell()
            self._source.wait(SLICE_S)
        return None

    def spans(self, view: View, every_ns: int) -> Iterator[Snapshot]:
        """The spans that were asked for, each once it is over; without an end until a signal."""
        options = self._options
        begun = self._begun(view, is_waiting=not options.once)
        if begun is None:
            return
        is_past = options.once or options.end is not None
        spans = Spans(begun, (options.start, options.end), every_ns, is_past)
        # Clocks of several machines are not quite the same.
        late_ns = NS_PER_S if len(options.endpoints) > 1 else 0
        while (period := spans.next_period()) is not None:
            while not is_past and not spans.is_over(period, late_ns):
                now = self.awaited(replace(view, limit=0))
                if now is None:
                    yield from self._begun_part(view, spans, period)
                    return
                spans.clock_ns = now.clock_ns or spans.clock_ns
                self._source.wait(SLICE_S)
            snapshot = self.awaited(replace(view, period=period))
            if snapshot is None:
                return
            spans.pass_over(period, snapshot)
            yield snapshot

    def _begun_part(self, view: View, spans: Spans, period: Period) -> Iterator[Snapshot]:
        """What there is by now of a span that a signal cut short, and word of it."""
        if spans.clock_ns < period.start_ns:
            return
        begun = Period(period.start_ns, min(spans.clock_ns + 1, period.end_ns))
        end_s = self._env.monotonic_s() + LAST_ANSWER_S
        while self._env.monotonic_s() < end_s:
            snapshot = self._poll(replace(view, period=begun))
            if snapshot is not None:
                part, whole = begun.end_ns - begun.start_ns - 1, period.end_ns - period.start_ns
                told = f"{duration(part)} of {duration(whole)}"
                self._env.stderr.write(f"trtop: interrupted: the last report is of {told}\n")
                yield snapshot
                return
            self._source.wait(SLICE_S)

    def of_period(self, view: View) -> View:
        """The view, of the span of the daemons' history that was asked for.

        Raises:
            TrtopError: no daemon answers, or nothing lies between start and end.
        """
        start, end = self._options.start, self._options.end
        if start is None and end is None:
            return view
        begun = self._begun(view, is_waiting=False)
        return view if begun is None else replace(view, period=asked_period(begun, start, end))

    def _begun(self, view: View, is_waiting: bool) -> Begun | None:
        """What the daemons have of the past; None if a signal came before they told.

        Args:
            view: how they are asked.
            is_waiting: where nothing is captured yet, wait for it.

        Raises:
            TrtopError: no daemon answers, or nothing is captured yet.
        """
        first = self.first(replace(view, limit=0))
        while first is not None and first.clock_ns is None and is_waiting:
            self._source.wait(SLICE_S)
            first = self.awaited(replace(view, limit=0))
        if first is None:
            return None
        if first.first_ns is None or first.clock_ns is None:
            raise TrtopError("nothing is captured yet: there is no past")
        return Begun(first.first_ns, first.clock_ns)

    def ticks(self, view: View, tell: Callable[[], None]) -> Iterator[Snapshot | None]:
        """A snapshot every interval, None while there is none; ends with a signal."""
        now_s = self._env.monotonic_s
        next_s = now_s() + self._options.interval_s
        while not self._is_over():
            wait_s = next_s - now_s()
            if wait_s > 0:
                self._source.wait(min(wait_s, SLICE_S))
                continue
            snapshot = self._poll(view)
            if snapshot is None:
                self._source.wait(SLICE_S)
                snapshot = self._poll(view)
            if snapshot is None:
                tell()
                continue
            next_s = max(next_s + self._options.interval_s, now_s())
            yield snapshot

    def _why_silent(self) -> str:
        reasons = []
        notices = {item.partition(": ")[0]: item for item in self._source.status().notices}
        for endpoint in self._options.endpoints:
            why = diagnose(endpoint)
            name = str(endpoint)
            said = notices.get(name, f"{name}: no answer").removesuffix(TRYING_AGAIN)
            reasons.append(f"{name}: {why}" if why else said)
        return "; ".join(reasons)

    def tell(self) -> None:
        """Notices that are new as lines on standard error."""
        told = set()
        for text in self._source.status().notices:
            kind = NUMBERS.sub("#", text)  # "no answer for 5 s" is not news after "for 4 s"
            told.add(kind)
            if kind not in self._told:
                self._env.stderr.write(f"trtop: {escape(text)}\n")
        self._told = told
