"""The classic way to run trtop: ``main(collector, analyzer, reporter)`` of a script.

Reads the command line when a part of it is first used, makes the parts that it asks for, runs them,
and cleans up. The ``trtop`` command comes here too when it is told to use parts of one's own.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from functools import cached_property

from trtop.classic import command_line
from trtop.classic.analyzer import BaseAnalyser, OutgoingTCPAnalyzer
from trtop.classic.collector import BaseCollector, TCPDumpFileCollector
from trtop.classic.interface_collector import InterfaceCollector
from trtop.classic.reporter import BaseReporter, CLICursesOutgoingTCPReporter
from trtop.names.base import BaseResolver
from trtop.names.resolvers import DefaultDNSResolver
from trtop.names.whitelist import BaseWhitelist, DefaultWhitelist
from trtop.options.plugin_arguments import RunMode
from trtop.options.report_options import Options
from trtop.plugins import PartKind, Plugins, make_resolver, make_whitelist
from trtop.runtime.signals import Stopped, StopSignals
from trtop_core.errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_UNUSABLE, TrtopError
from trtop_core.link_types import unsupported_lines

log = logging.getLogger(__name__)

SECONDS_PER_MINUTE = 60.0

OUR_COLLECTORS = (TCPDumpFileCollector, InterfaceCollector)
"""Collectors whose ``start`` returns soon after ``stop``; of others nobody knows."""


class Session:
    """The command line of a script, and the parts that it asks for, each made when it is used.

    Args:
        options: what the command line says.

    Attributes:
        options: as given.
        plugins: what was loaded, and is cleaned up at the end.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.plugins = Plugins()

    @property
    def dump_input_filename(self) -> str | None:
        """The (first) capture; None: there is none."""
        return self.options.inputs[0] if self.options.inputs else None

    @cached_property
    def report_filename_prefix(self) -> str:
        """What the names of the reports begin with: of ``--out``, else the time in seconds."""
        return self.options.out_prefix or str(int(time.time()))

    @property
    def interface(self) -> str | None:
        """Where to capture; None: nowhere."""
        return self.options.parts.interface

    @property
    def bpf_filter(self) -> str | None:
        """Which packets to capture; None: TCP."""
        return self.options.parts.bpf_filter

    @cached_property
    def whitelist(self) -> BaseWhitelist:
        """Which destinations are shown."""
        return make_whitelist(self.options, self.plugins) or DefaultWhitelist()

    @cached_property
    def resolver(self) -> BaseResolver:
        """What destinations are called."""
        return make_resolver(self.options, self.plugins) or DefaultDNSResolver()

    @cached_property
    def analyzer(self) -> BaseAnalyser:
        """Who takes the packets."""
        name = self.options.parts.analyzer
        if name is None:
            return OutgoingTCPAnalyzer(self.whitelist, self.resolver)
        made: BaseAnalyser = self.plugins.make(
            PartKind.ANALYZER, name, self.whitelist, self.resolver
        )
        return made

    @cached_property
    def collector(self) -> BaseCollector:
        """Where packets come from."""
        options = self.options
        if options.parts.collector is not None:
            made: BaseCollector = self.plugins.make(
                PartKind.COLLECTOR, options.parts.collector, self.analyzer, self.dump_input_filename
            )
            return made
        if options.parts.interface is not None:
            return InterfaceCollector(self.analyzer, options.parts.interface, self.bpf_filter)
        return TCPDumpFileCollector(self.analyzer, options.inputs or None, options.follow)

    @cached_property
    def reporter(self) -> BaseReporter:
        """Who shows the numbers."""
        name = self.options.parts.reporter
        if name is not None:
            made: BaseReporter = self.plugins.make(
                PartKind.REPORTER, name, self.analyzer, self.report_filename_prefix
            )
            return made
        if not isinstance(self.analyzer, OutgoingTCPAnalyzer):
            return BaseReporter()  # an analyzer of one's own reports what it likes
        return CLICursesOutgoingTCPReporter(self.analyzer, self.report_filename_prefix)


_sessions: list[Session] = []


def session() -> Session:
    """The session of this process; reads the command line the first time.

    Raises:
        SystemExit: the command line makes no sense, which was said in one line.
    """
    if not _sessions:
        _sessions.append(Session(command_line.options()))
    return _sessions[0]


def main(collector: BaseCollector, analyzer: BaseAnalyser, reporter: BaseReporter) -> None:
    """Run a script: start the reporter, collect, stop both, clean up.

    Args:
        collector: where packets come from.
        analyzer: who takes them.
        reporter: who shows what it says.

    Raises:
        SystemExit: something went wrong and was said in one line, or a signal ended the run; not
            raised where all went well.
    """
    own = session()
    try:
        status = run_session(own, lambda: (collector, analyzer, reporter))
    except TrtopError as error:
        command_line.complain(str(error))
        status = error.exit_status
    if status != EXIT_OK:
        raise SystemExit(status)


def run_options(options: Options) -> int:
    """Run what the ``trtop`` command asks for; gives the exit status.

    Raises:
        TrtopError: nothing could be measured.
    """
    command_line.set_options(options)
    own = Session(options)
    _sessions[:] = [own]
    return run_session(own, lambda: (own.collector, own.analyzer, own.reporter))


Parts = tuple[BaseCollector, BaseAnalyser, BaseReporter]


def run_session(own: Session, parts: Callable[[], Parts]) -> int:
    """Run parts that are made here, so that whatever they load is cleaned up.

    Returns:
        The exit status.

    Raises:
        TrtopError: nothing could be measured.
    """
    with own.plugins:
        collector, analyzer, reporter = parts()
        log.info("session with %s, %s, %s", collector, analyzer, reporter)
        _configure(own.options, analyzer, reporter)

        def stop(number: signal.Signals) -> None:
            log.info("ended by %s", number.name)
            collector.stop()

        is_ours = isinstance(collector, OUR_COLLECTORS)
        ending = StopSignals(stop, not is_ours, _seconds(own.options))
        is_started = False
        try:
            with ending:
                reporter.start()
                is_started = True
                _connect(analyzer, reporter)
                if isinstance(reporter, CLICursesOutgoingTCPReporter) and reporter.is_interactive:
                    ending.raises = False
                    reporter.run_screen(collector, ending.is_due)
                else:
                    collector.start()
        except Stopped:
            pass
        except TrtopError as error:
            if is_started and error.exit_status != EXIT_UNUSABLE:
                reporter.stop()
            elif is_started:
                _abandon(reporter)
            raise
        except BaseException:
            if is_started:
                _abandon(reporter)
            raise
        if isinstance(analyzer, BaseAnalyser):
            analyzer.end()
        reporter.stop()
        if isinstance(analyzer, OutgoingTCPAnalyzer):
            analyzer.namer.close()
        log.info("session finished")
        return _status(collector, analyzer)


def _configure(options: Options, analyzer: BaseAnalyser, reporter: BaseReporter) -> None:
    """Tell parts of ours what the command line says beyond the classic options."""
    has_screen = isinstance(reporter, CLICursesOutgoingTCPReporter)
    if isinstance(analyzer, OutgoingTCPAnalyzer):
        analyzer.configure(
            options.engine, options.view, for_screen=has_screen, row_filter=options.filter
        )
    if isinstance(reporter, CLICursesOutgoingTCPReporter):
        reporter.configure(options)


def _connect(analyzer: BaseAnalyser, reporter: BaseReporter) -> None:
    """Have the analyzer tell the reporter, unless somebody has seen to that, or the screen asks."""
    if isinstance(reporter, CLICursesOutgoingTCPReporter):
        return
    if isinstance(analyzer, OutgoingTCPAnalyzer) and analyzer.observer is None:
        analyzer.set_observer(reporter)


def _abandon(reporter: BaseReporter) -> None:
    """Give the terminal back; there is nothing to report."""
    if isinstance(reporter, CLICursesOutgoingTCPReporter):
        reporter.abandon()
        return
    try:
        reporter.stop()
    except Exception:  # the first error is the one to tell
        log.exception("the reporter failed to stop")


def _seconds(options: Options) -> float:
    """How long a snapshot lasts; 0: until it is ended."""
    if options.parts.mode is RunMode.SNAPSHOT:
        return options.parts.minutes * SECONDS_PER_MINUTE
    return 0.0


def _status(collector: BaseCollector, analyzer: BaseAnalyser) -> int:
    """Say what could not be read; gives the exit status."""
    lines = [str(error) for error in getattr(collector, "errors", ())]
    lines += getattr(collector, "notices", ())
    if isinstance(analyzer, OutgoingTCPAnalyzer):
        lines += unsupported_lines(analyzer.engine.unsupported_link_types)
        for failure in analyzer.namer.failures:
            command_line.complain(failure)
    for line in lines:
        command_line.complain(line)
    return EXIT_INCOMPLETE if lines else EXIT_OK
