"""``trtop attach``: shows what daemons see, again and again or once.

Takes options and environment, asks the daemons, draws or writes what they answer. While one is
gone, its absence is said and it is asked again. Errors of the environment are raised, not printed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import zmq

from trtop.cli import attached_connections
from trtop.escape import escape
from trtop.names.engine import settled
from trtop.names.namer import Namer
from trtop.options.attach_options import (
    DEFAULT_TIMEOUT_S,
    LIVE_WINDOW,
    AttachOptions,
    parse,
)
from trtop.plugins import Plugins, make_namer
from trtop.remote.client import Client, Context
from trtop.remote.diagnosis import diagnose
from trtop.remote.keys import keys_of
from trtop.remote.source import DaemonSource
from trtop.reporters.formats import Format, Per, Reporter, make_reporter
from trtop.runtime.config_file import read_config
from trtop.runtime.confinement import confine_showing
from trtop.runtime.diagnostics import complain_of_filter
from trtop.runtime.environment import Environment
from trtop.runtime.fail_on import fail_on
from trtop.runtime.screen_setup import has_screen, make_display_options, make_setup
from trtop.runtime.signals import Interrupt
from trtop.table.redraw import RedrawnTable
from trtop.tui.app import show
from trtop_core.errors import (
    EXIT_CAPTURE_DEAD,
    EXIT_FOUND,
    EXIT_INCOMPLETE,
    EXIT_OK,
    TrtopError,
)
from trtop_core.moments import time_text
from trtop_core.snapshot import Snapshot
from trtop_core.view import Period, View
from trtop_core.wire.endpoint import default_connect
from trtop_core.wire.questions import Question, QuestionReply

if TYPE_CHECKING:
    from trtop.reporters.html_page.recorded import Recording

NUMBERS = re.compile(r"\b[0-9]+\b")

QUESTION_S = 3.0
"""A page does without what has not been answered by then."""

SLICE_S = 0.1
"""A signal is noticed within this."""


def main(argv: Sequence[str], env: Environment) -> int:
    """Run the command.

    Raises:
        TrtopError: no daemon answered, or wrong options.
    """
    options = parse(argv, read_config(env.environ, os.geteuid()).configured)
    endpoints = options.endpoints or (default_connect(env.environ, os.path.exists),)
    return attach(replace(options, endpoints=endpoints), env)


def attach(
    options: AttachOptions,
    env: Environment,
    has_ended: Callable[[], bool] = lambda: False,
    daemon_pids: tuple[int, ...] = (),
) -> int:
    """Show what the daemons at the options' endpoints see.

    Args:
        options: what to show.
        env: where.
        has_ended: whether the daemon is gone for good.
        daemon_pids: daemons that live for this process.

    Returns:
        The exit status.

    Raises:
        TrtopError: no daemon answered.
        KeyboardInterrupt: the user asked twice to end.
    """
    with ExitStack() as stack:
        context: Context = zmq.Context()
        stack.callback(context.destroy, 0)
        plugins = stack.enter_context(Plugins())
        namer = stack.enter_context(closing(make_namer(options, plugins) or Namer()))
        keys = keys_of(options)
        writer = None
        if options.per is Per.CONNECTION:
            writer = attached_connections.make_writer(options, env)
        confine_showing(options, env, options.endpoints, daemon_pids)
        pairs = zip(options.endpoints, keys, strict=True)
        clients = [Client(context, endpoint, key) for endpoint, key in pairs]
        source = DaemonSource(clients, options.by_host, env.monotonic_s, namer)
        stack.enter_context(closing(source))
        interrupt = stack.enter_context(Interrupt(env.monotonic_s, 0))

        def is_over() -> bool:
            return interrupt.signal is not None or has_ended()

        if writer is not None:
            return attached_connections.follow(writer, options, env, source, is_over)
        attachment = _Attachment(options, env, source, namer, is_over)
        status = attachment.once() if options.once else attachment.repeat()
        for failure in namer.failures:
            env.stderr.write(f"trtop: {escape(failure)}\n")
        return status


class _Attachment:
    """One run: a source on one side, a terminal or a stream on the other."""

    def __init__(
        self,
        options: AttachOptions,
        env: Environment,
        source: DaemonSource,
        namer: Namer,
        is_over: Callable[[], bool],
    ) -> None:
        self._options = options
        self._env = env
        self._source = source
        self._namer = namer
        self._is_over = is_over
        self._told: set[str] = set()

    def once(self) -> int:
        """Write one report."""
        view, chosen = self._of_period(self._options.view), self._options.fail_on
        asked = view if chosen is None else replace(view, limit=None)
        snapshot = self._first(asked)
        if snapshot is None:
            return EXIT_OK
        source, first = self._source, snapshot
        everything = settled(lambda: source.renamed(first), self._namer)
        self._reporter().report(everything.limited(view.limit))
        self._tell()
        self._tell_of_filter(everything)
        if chosen is not None and fail_on(everything, chosen, self._env):
            return EXIT_FOUND
        if self._source.n_dead:
            return EXIT_CAPTURE_DEAD
        return EXIT_INCOMPLETE if self._source.n_missing else EXIT_OK

    def repeat(self) -> int:
        """Reports until a signal; on a terminal each table replaces the one before."""
        is_redrawn = self._options.report_format is Format.TABLE and self._env.can_redraw()
        view = self._options.view
        if is_redrawn and not self._options.is_window_given:
            view = replace(view, window=LIVE_WINDOW)
        view = self._of_period(view)
        first = self._first(view)
        if first is None:
            return EXIT_OK
        if not is_redrawn:
            self._write(first, view)
            return EXIT_OK
        wants_screen = self._options.wants_screen and not self._options.by_host
        if wants_screen and has_screen(self._env):
            self._show_screen(view.period)
            return EXIT_OK
        last = self._draw(first, view)
        self._reporter().report(last)
        self._tell()
        return EXIT_OK

    def _of_period(self, view: View) -> View:
        """The view, of the span of the daemons' history that was asked for.

        Raises:
            TrtopError: no daemon answers, or nothing lies between start and end.
        """
        start, end = self._options.start, self._options.end
        if start is None and end is None:
            return view
        begun = self._first(replace(view, limit=0))
        if begun is None:
            return view
        if begun.first_ns is None or begun.clock_ns is None:
            raise TrtopError("nothing is captured yet: there is no past")
        times = begun.first_ns, begun.clock_ns
        start_ns = times[0] if start is None else start.latest(*times)
        end_ns = times[1] + 1 if end is None else end.latest(*times)
        if not max(start_ns, times[0]) < min(end_ns, times[1] + 1):
            raise TrtopError(
                f"nothing was captured from {time_text(start_ns)} to {time_text(end_ns)}; "
                f"there is {time_text(times[0])} to {time_text(times[1])}"
            )
        return replace(view, period=Period(start_ns, end_ns))

    def _first(self, view: View) -> Snapshot | None:
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
            if (snapshot := self._source.poll(view)) is not None:
                return snapshot
            if self._env.monotonic_s() >= end_s:
                raise TrtopError(self._why_silent())
            self._source.wait(SLICE_S)
        return None

    def _why_silent(self) -> str:
        reasons = []
        notices = {item.partition(": ")[0]: item for item in self._source.status().notices}
        for endpoint in self._options.endpoints:
            why = diagnose(endpoint)
            name = str(endpoint)
            reasons.append(f"{name}: {why}" if why else notices.get(name, f"{name}: no answer"))
        return "; ".join(reasons)

    def _write(self, first: Snapshot, view: View) -> None:
        reporter = self._reporter()
        reporter.report(first)
        self._tell_of_filter(first)
        for snapshot in self._ticks(view, self._tell):
            if snapshot is not None:
                reporter.report(snapshot)

    def _show_screen(self, period: Period | None) -> None:
        """The interactive screen, until the user quits or a signal comes."""
        self._namer.is_enabled = False  # the screen names rows itself
        setup = make_setup(self._options, True, self._namer)
        setup = replace(setup, state=replace(setup.state, period=period))
        show(self._source, setup, make_display_options(self._options, self._env), self._is_over)

    def _draw(self, first: Snapshot, view: View) -> Snapshot:
        """Redraw until a signal; gives the last snapshot that there was."""
        last = first
        with RedrawnTable(self._env.stdout) as screen:

            def draw() -> None:
                style = self._env.table_style(self._options)
                notices = self._source.status().notices
                screen.draw(last, style, self._env.screen_size().lines, notices)

            draw()
            for snapshot in self._ticks(view, draw):
                if snapshot is not None:
                    last = snapshot
                draw()
        return last

    def _ticks(self, view: View, tell: Callable[[], None]) -> Iterator[Snapshot | None]:
        """A snapshot every interval, None while there is none; ends with a signal."""
        now_s = self._env.monotonic_s
        next_s = now_s() + self._options.interval_s
        while not self._is_over():
            wait_s = next_s - now_s()
            if wait_s > 0:
                self._source.wait(min(wait_s, SLICE_S))
                continue
            snapshot = self._source.poll(view)
            if snapshot is None:
                self._source.wait(SLICE_S)
                snapshot = self._source.poll(view)
            if snapshot is None:
                tell()
                continue
            next_s = max(next_s + self._options.interval_s, now_s())
            yield snapshot

    def _reporter(self) -> Reporter:
        env, options = self._env, self._options
        return make_reporter(
            options.report_format,
            env.stdout,
            lambda: env.table_style(options),
            options.with_bins,
            self._recording() if options.report_format is Format.HTML else None,
        )

    def _recording(self) -> Recording:
        """What a page asks besides a snapshot."""
        from trtop.reporters.html_page.recorded import make_recording  # noqa: PLC0415 - seldom

        def ask(question: Question) -> QuestionReply | None:
            return self._source.awaited_answer(question, QUESTION_S, self._is_over)

        return make_recording(ask, self._namer, self._source.known_keys)

    def _tell_of_filter(self, snapshot: Snapshot) -> None:
        if self._options.report_format is not Format.TABLE:  # which says so itself
            complain_of_filter(snapshot, self._env)

    def _tell(self) -> None:
        """Notices that are new as lines on standard error."""
        told = set()
        for text in self._source.status().notices:
            kind = NUMBERS.sub("#", text)  # "no answer for 5 s" is not news after "for 4 s"
            told.add(kind)
            if kind not in self._told:
                self._env.stderr.write(f"trtop: {escape(text)}\n")
        self._told = told
