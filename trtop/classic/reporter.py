"""Reporters of the classic API: who is told of remotes and snapshots, and shows them.

``BaseReporter`` is what a script subclasses. The others print: a line per event, or the table,
drawn anew every second on a terminal, with a copy in ``PREFIX.trtop`` and ``PREFIX.json``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from trtop.classic.analyzer import BaseAnalyser, OutgoingTCPAnalyzer
from trtop.classic.background import AnalyzerSource, CollectorThread
from trtop.classic.collector import BaseCollector, TCPDumpFileCollector
from trtop.classic.interface_collector import InterfaceCollector
from trtop.classic.remote_state import TcpRemoteState
from trtop.names.base import BaseResolver
from trtop.names.resolvers import DefaultDNSResolver
from trtop.names.whitelist import BaseWhitelist, DefaultWhitelist
from trtop.options.report_options import STDIN, Options
from trtop.reporters.files import check_prefix, copy_report
from trtop.reporters.text_table import TableReporter
from trtop.runtime.environment import Environment, is_live
from trtop.runtime.screen_setup import (
    HEAD_START_S,
    can_open_screen,
    make_display_options,
    make_setup,
)
from trtop.table.redraw import RedrawnTable
from trtop.table.style import TableStyle
from trtop.tui.app import show
from trtop.tui.terminal import keyboard_on_stdin
from trtop_core.config import EngineConfig
from trtop_core.snapshot import Snapshot

__all__ = ["BaseReporter", "CLICursesOutgoingTCPReporter", "CLIEventAppendReporter"]


class BaseReporter:
    """Subclass this and write ``handle_remote_event``.

    A reporter that has a method ``handle_snapshot(snapshot)`` gets whole snapshots instead, one a
    second and one at the end.
    """

    def start(self) -> None:
        """Called before the first packet."""

    def stop(self) -> None:
        """Called after the last one, whatever happened."""

    def handle_remote_event(self, remote: TcpRemoteState) -> None:
        """Something happened to a remote: told at most once a second, and at the end."""


class CLIEventAppendReporter(BaseReporter):
    """Prints one line per event.

    Args:
        collector: None, or what makes a collector from an analyzer: then ``start`` collects.
        analyzer: what makes an analyzer from a whitelist and a resolver; or an analyzer.
        whitelist: what makes a whitelist.
        resolver: what makes a resolver.
        stream: where to; None: standard output.
    """

    def __init__(
        self,
        collector: Callable[[BaseAnalyser], BaseCollector] | None = None,
        analyzer: Callable[..., OutgoingTCPAnalyzer] | OutgoingTCPAnalyzer | None = None,
        whitelist: Callable[[], BaseWhitelist] = DefaultWhitelist,
        resolver: Callable[[], BaseResolver] = DefaultDNSResolver,
        stream: TextIO | None = None,
    ) -> None:
        self._make_collector, self._analyzer = collector, analyzer
        self._make_whitelist, self._make_resolver = whitelist, resolver
        self._stream = stream
        self.collector: BaseCollector | None = None

    def handle_remote_event(self, remote: TcpRemoteState) -> None:
        """Print the event as a line."""
        stream = self._stream or sys.stdout
        stream.write(f"{remote}\n")
        stream.flush()

    def start(self) -> None:
        """Watch the analyzer; collect, if that was asked for."""
        analyzer = self._analyzer
        if analyzer is not None and not isinstance(analyzer, BaseAnalyser):
            analyzer = analyzer(self._make_whitelist(), self._make_resolver())
        if analyzer is None:
            return
        analyzer.set_observer(self)
        if isinstance(self._make_collector, BaseCollector) or self._make_collector is None:
            return
        self.collector = self._make_collector(analyzer)
        self.collector.start()

    def stop(self) -> None:
        """Stop collecting."""
        if self.collector is not None:
            self.collector.stop()


class CLICursesOutgoingTCPReporter(BaseReporter):
    """The screen, and the report at the end.

    On a terminal with a keyboard it opens the screen of ``trtop FILE`` and stays until the user
    quits; for an analyzer with a configuration of its own, which may not keep what the screen asks
    for, the table is drawn anew every ``REFRESH_RATE`` seconds. At the end the table is printed,
    and written to ``PREFIX.trtop`` and ``PREFIX.json``.

    Args:
        analyzer: whose snapshots are shown.
        summary_filename: the prefix of the copies; None: no copies.
        env: streams, environment and clock; None: those of the process.
    """

    REFRESH_RATE = 1

    def __init__(
        self,
        analyzer: OutgoingTCPAnalyzer,
        summary_filename: object = None,
        env: Environment | None = None,
    ) -> None:
        self.analyzer = analyzer
        self.summary_filename = summary_filename
        self._env = env or Environment()
        self._options = Options(inputs=(), engine=EngineConfig(), view=analyzer.view)
        self._screen: RedrawnTable | None = None

    def configure(self, options: Options) -> None:
        """Take from the command line how tables are drawn."""
        self._options = options

    @property
    def is_interactive(self) -> bool:
        """There are a terminal, a keyboard, and an analyzer that keeps what the screen shows."""
        return self.analyzer.is_for_screen and can_open_screen(self._options, self._env)

    def start(self) -> None:
        """Watch the analyzer.

        Raises:
            TrtopError: copies cannot be written.
        """
        if self._prefix is not None:
            check_prefix(self._prefix)
        if self.is_interactive:
            return
        self.analyzer.set_observer(self)
        if self._env.can_redraw():
            self._screen = RedrawnTable(self._env.stdout)

    def handle_snapshot(self, snapshot: Snapshot) -> None:
        """Draw a snapshot, where there is a terminal."""
        if self._screen is None:
            return
        n_lines = self._env.screen_size().lines
        self._screen.draw(snapshot, self._env.table_style(self._options), n_lines)

    def run_screen(self, collector: BaseCollector, is_due: Callable[[], bool]) -> None:
        """Show the screen until the user quits; the collector runs on a thread of its own.

        Args:
            collector: started on a thread of its own, and stopped at the end.
            is_due: whether something else than the user ends it.

        Raises:
            TrtopError: nothing could be collected.
        """
        self.analyzer.waits_for_names = False  # the user does not
        is_taken = STDIN in self._options.inputs
        with keyboard_on_stdin(is_taken) as stdin_fd:
            if is_taken and isinstance(collector, TCPDumpFileCollector):
                collector.stdin_fd = stdin_fd
            with CollectorThread(collector) as collecting:
                if not collecting.wait(HEAD_START_S) or collecting.error is None:
                    self._show(collecting, is_due)
        if collecting.error is not None:
            raise collecting.error

    def abandon(self) -> None:
        """Give the terminal back, and nothing else."""
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.__exit__(None, None, None)

    def stop(self) -> None:
        """Give the terminal back, print the last snapshot, write the copies.

        Raises:
            TrtopError: copies cannot be written.
        """
        self.abandon()
        snapshot = self.analyzer.snapshot(self.analyzer.view)
        if self._prefix is not None:
            options = self._options
            style = TableStyle(thresholds=options.thresholds, columns=options.columns)
            copy_report(snapshot, self._prefix, style, options.with_bins)
        env = self._env
        style = env.table_style(self._options)
        TableReporter(env.stdout, lambda: style).report(snapshot)

    def _show(self, collecting: CollectorThread, is_due: Callable[[], bool]) -> None:
        live = is_live(self._options) or isinstance(collecting.collector, InterfaceCollector)
        namer = self.analyzer.namer
        namer.is_enabled = False  # the screen names rows itself
        try:
            show(
                AnalyzerSource(self.analyzer, collecting, live),
                make_setup(self._options, live, namer, self._options.out_prefix),
                make_display_options(self._options, self._env),
                lambda: is_due() or collecting.error is not None,
            )
        finally:
            namer.is_enabled = True

    @property
    def _prefix(self) -> str | None:
        return str(self.summary_filename) if self.summary_filename else None


def make_event_reporter(analyzer: OutgoingTCPAnalyzer, prefix: object) -> CLIEventAppendReporter:
    """The reporter that ``-rm events`` names: one line per event."""
    return CLIEventAppendReporter(analyzer=analyzer)
