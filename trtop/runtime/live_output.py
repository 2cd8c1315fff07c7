"""What a user sees while packets are still being read.

One of: a table redrawn in place, successive reports, a progress line, or nothing. Takes the engine
and the source at every batch, looks at the wall clock, and shows something when it is time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType

from trtop.options.report_options import Options
from trtop.reporters import Format, Reporter
from trtop.runtime.environment import Surroundings
from trtop_core.engine import Engine
from trtop_core.sources import Source

DEFAULT_INTERVAL_S = 1.0


class Display(AbstractContextManager["Display"]):
    """Is told of every batch; this one shows nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return

    def tick(self, engine: Engine, source: Source) -> None:
        """Show something, if it is time."""


class _Reports(Display):
    """Writes a report every so many seconds."""

    def __init__(self, options: Options, around: Surroundings, reporter: Reporter) -> None:
        self._view = options.view
        self._around = around
        self._reporter = reporter
        self._interval_s = options.interval_s or DEFAULT_INTERVAL_S
        self._next_s = around.monotonic_s() + self._interval_s

    def tick(self, engine: Engine, source: Source) -> None:
        """Write a report, if it is time."""
        now_s = self._around.monotonic_s()
        if now_s >= self._next_s:
            self._next_s = now_s + self._interval_s
            self._show(engine)

    def _show(self, engine: Engine) -> None:
        self._reporter.report(engine.snapshot(self._view))


class _Redrawn(_Reports):
    """Draws the table over the last one."""

    def __init__(self, options: Options, around: Surroundings, reporter: Reporter) -> None:
        super().__init__(options, around, reporter)
        self._options = options
        from trtop.table.redraw import Screen  # noqa: PLC0415 - only for a terminal

        self._screen = Screen(around.stdout)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._screen.__exit__(kind, error, traceback)

    def _show(self, engine: Engine) -> None:
        n_lines = self._around.screen_size().lines
        limit = n_lines if self._view.limit is None else min(n_lines, self._view.limit)
        snapshot = engine.snapshot(replace(self._view, limit=limit))
        self._screen.draw(snapshot, self._around.table_style(self._options), n_lines)


class _ProgressLine(Display):
    """Shows how far reading has come."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        from trtop.runtime.progress import Progress  # noqa: PLC0415 - only for a terminal

        size = around.size_of(around.stderr)
        columns = size.columns if size and size.columns else 80
        self._progress = Progress(around.stderr, around.monotonic_s(), columns)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.clear()

    def tick(self, engine: Engine, source: Source) -> None:
        """Draw the line, if it is time."""
        now_s = self._around.monotonic_s()
        self._progress.update(now_s, source.bytes_read, source.bytes_total, source.n_packets)


def make_display(options: Options, around: Surroundings, reporter: Reporter, live: bool) -> Display:
    """The display that suits the options and the terminal.

    Args:
        options: what the user asked for.
        around: where it is shown.
        reporter: writes successive reports.
        live: packets arrive while we read.
    """
    is_table = options.report_format is Format.TABLE
    has_interval = options.interval_s is not None
    if is_table and around.can_redraw() and (live or has_interval):
        return _Redrawn(options, around, reporter)
    if has_interval or (is_table and live and around.stdout.isatty()):
        return _Reports(options, around, reporter)
    if options.with_progress and around.stderr.isatty():
        return _ProgressLine(around)
    return Display()
