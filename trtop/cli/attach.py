"""``trtop attach``: shows what daemons see, again and again or once.

Takes options and environment, asks the daemons, draws or writes what they answer. While one is
gone, its absence is said and it is asked again. Errors of the environment are raised, not printed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import zmq

from trtop.cli import attached_connections
from trtop.cli.asker import Asker, portless
from trtop.escape import escape
from trtop.names.engine import settled
from trtop.names.namer import Namer
from trtop.options.attach_options import LIVE_WINDOW, AttachOptions, parse
from trtop.plugins import Plugins, make_namer
from trtop.remote.client import Client, Context
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
    EXIT_UNUSABLE,
)
from trtop_core.snapshot import Snapshot
from trtop_core.view import Period, View
from trtop_core.wire.endpoint import default_connect
from trtop_core.wire.questions import Question, QuestionReply

if TYPE_CHECKING:
    from trtop.reporters.html_page.recorded import Recording

QUESTION_S = 3.0
"""A page does without what has not been answered by then."""


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
    end_daemon: Callable[[], None] | None = None,
) -> int:
    """Show what the daemons at the options' endpoints see.

    Args:
        options: what to show.
        env: where.
        has_ended: whether the daemon is gone for good.
        daemon_pids: daemons that live for this process.
        end_daemon: has them end when the user has seen enough, where records are written: what is
            still open is recorded at the end. None: they live on.

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

        def is_recorded() -> bool:
            if end_daemon is None or interrupt.signal is None:
                return is_over()
            end_daemon()
            return has_ended()

        if writer is not None:
            are_ours = end_daemon is not None
            return attached_connections.follow(writer, options, env, source, is_recorded, are_ours)
        attachment = _Attachment(options, env, source, namer, is_over)
        if options.every_ns is not None:
            status = attachment.each_span(options.every_ns)
        else:
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
        self._asker = Asker(options, env, source, is_over)

    def once(self) -> int:
        """Write one report."""
        view, chosen = self._asker.of_period(self._options.view), self._options.fail_on
        asked = view if chosen is None else replace(view, limit=None)
        snapshot = self._asker.first(asked)
        if snapshot is None:
            return EXIT_OK
        source, first = self._source, snapshot
        everything = settled(lambda: portless(source.renamed(first)), self._namer)
        self._reporter().report(everything.limited(view.limit))
        self._asker.tell()
        self._tell_of_filter(everything)
        if chosen is not None and (status := fail_on(everything, chosen, self._env)):
            return status
        if self._source.n_dead:
            return EXIT_CAPTURE_DEAD
        return EXIT_INCOMPLETE if self._source.n_missing else EXIT_OK

    def repeat(self) -> int:
        """Reports until a signal; on a terminal each table replaces the one before."""
        is_redrawn = self._options.report_format is Format.TABLE and self._env.can_redraw()
        view = self._options.view
        if is_redrawn and not self._options.is_window_given:
            view = replace(view, window=LIVE_WINDOW)
        view = self._asker.of_period(view)
        first = self._asker.first(view)
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
        self._asker.tell()
        return EXIT_OK

    def each_span(self, every_ns: int) -> int:
        """A report for each span of an even grid of capture time, as far as it was asked for."""
        options = self._options
        chosen, view = options.fail_on, options.view
        asked = view if chosen is None else replace(view, limit=None)
        statuses: set[int] = set()
        reporter = self._reporter()
        for snapshot in self._asker.spans(asked, every_ns):
            reporter.report(snapshot.limited(view.limit))
            self._asker.tell()
            # In some spans nothing happens.
            if chosen is not None and snapshot.health.packets:
                statuses.add(fail_on(snapshot, chosen, self._env))
        if EXIT_FOUND in statuses:
            return EXIT_FOUND
        if EXIT_UNUSABLE in statuses and EXIT_OK not in statuses:
            return EXIT_UNUSABLE
        return EXIT_INCOMPLETE if options.once and self._source.n_missing else EXIT_OK

    def _write(self, first: Snapshot, view: View) -> None:
        reporter = self._reporter()
        reporter.report(first)
        self._tell_of_filter(first)
        for snapshot in self._asker.ticks(view, self._asker.tell):
            if snapshot is not None:
                reporter.report(snapshot)

    def _show_screen(self, period: Period | None) -> None:
        """The interactive screen, until the user quits or a signal comes."""
        self._namer.is_enabled = False  # the screen names rows itself
        setup = make_setup(self._options, True, self._namer)
        state = replace(setup.state, period=period)
        setup = replace(setup, state=state, writes_as=self._options.writes_as)
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
            for snapshot in self._asker.ticks(view, draw):
                if snapshot is not None:
                    last = snapshot
                draw()
        return last

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
