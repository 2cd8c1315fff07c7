"""What a user sees while packets are still being read.

One of: a table redrawn in place, successive reports, a progress line, or nothing. Takes the engine
and the source at every batch, looks at the wall clock, and shows something when it is time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TextIO

from trtop.metrics import format as units
from trtop.options.report_options import Options
from trtop.reporters.formats import Format, Reporter
from trtop.runtime.environment import Environment
from trtop_core.engine import Engine
from trtop_core.sources import Source

DEFAULT_INTERVAL_S = 1.0

PATIENCE_S = 0.5
"""Seconds of reading before a line appears: a short read needs none."""

REDRAW_S = 0.1

BAR_WIDTH = 20

CLEAR_LINE = "\r\x1b[K"


class LiveOutput(AbstractContextManager["LiveOutput"]):
    """Shows nothing while packets are read; the base of all that show something."""

    def __exit__(self, *exc: object) -> None:
        return

    def tick(self, engine: Engine, source: Source) -> None:
        """Show something, if it is time."""


class _Reports(LiveOutput):
    """Writes a report every so many seconds."""

    def __init__(self, options: Options, env: Environment, reporter: Reporter) -> None:
        self._view = options.view
        self._env = env
        self._reporter = reporter
        self._interval_s = options.interval_s or DEFAULT_INTERVAL_S
        self._next_s = env.monotonic_s() + self._interval_s

    def tick(self, engine: Engine, source: Source) -> None:
        """Write a report, if it is time."""
        now_s = self._env.monotonic_s()
        if now_s >= self._next_s:
            self._next_s = now_s + self._interval_s
            self._show(engine)

    def _show(self, engine: Engine) -> None:
        self._reporter.report(engine.snapshot(self._view))


class _Redrawn(_Reports):
    """Draws the table over the last one."""

    def __init__(self, options: Options, env: Environment, reporter: Reporter) -> None:
        super().__init__(options, env, reporter)
        self._options = options
        from trtop.table.redraw import RedrawnTable  # noqa: PLC0415 - only for a terminal

        self._screen = RedrawnTable(env.stdout)

    def __exit__(self, *exc: object) -> None:
        self._screen.__exit__(*exc)

    def _show(self, engine: Engine) -> None:
        n_lines = self._env.screen_size().lines
        limit = n_lines if self._view.limit is None else min(n_lines, self._view.limit)
        snapshot = engine.snapshot(replace(self._view, limit=limit))
        self._screen.draw(snapshot, self._env.table_style(self._options), n_lines)


class _ProgressLine(LiveOutput):
    """Shows how far reading has come."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        size = env.size_of(env.stderr)
        columns = size.columns if size and size.columns else 80
        self._progress = Progress(env.stderr, env.monotonic_s(), columns)

    def __exit__(self, *exc: object) -> None:
        self._progress.clear()

    def tick(self, engine: Engine, source: Source) -> None:
        """Draw the line, if it is time."""
        now_s = self._env.monotonic_s()
        self._progress.update(
            now_s,
            source.bytes_read,
            source.bytes_total,
            source.n_packets,
            source.bytes_unpacked,
        )


class Progress:
    """Draws how far reading has come.

    Args:
        stream: a terminal.
        started_s: when reading began, of the clock that ``update`` is given.
        columns: of the terminal; longer lines are cut.
    """

    def __init__(self, stream: TextIO, started_s: float, columns: int) -> None:
        self._stream = stream
        self._started_s = started_s
        self._columns = columns
        self._next_s = started_s + PATIENCE_S
        self._is_shown = False

    def update(
        self,
        now_s: float,
        bytes_read: int,
        bytes_total: int | None,
        n_packets: int,
        bytes_unpacked: int = 0,
    ) -> None:
        """Draw, unless it was drawn a moment ago.

        Args:
            now_s: the time now.
            bytes_read: of the files, as they are stored.
            bytes_total: of all files, None where it is unknown.
            n_packets: read so far.
            bytes_unpacked: of the captures in them, if compressed.
        """
        if now_s < self._next_s:
            return
        self._next_s = now_s + REDRAW_S
        elapsed_s = now_s - self._started_s
        text = line(elapsed_s, bytes_read, bytes_total, n_packets, bytes_unpacked)
        self._stream.write(CLEAR_LINE + text[: max(1, self._columns - 1)])
        self._stream.flush()
        self._is_shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            self._stream.write(CLEAR_LINE)
            self._stream.flush()
            self._is_shown = False


def line(
    elapsed_s: float,
    bytes_read: int,
    bytes_total: int | None,
    n_packets: int,
    bytes_unpacked: int = 0,
) -> str:
    """The line: bar, bytes, packets per second, time left; in ASCII."""
    read = units.bytes_forms(bytes_read)[0] + "B"
    speed = units.count_forms(round(n_packets / elapsed_s))[-1] if elapsed_s > 0 else "0"
    pace = f"{speed} packets/s"
    unpacked = ""
    if bytes_unpacked > bytes_read:
        unpacked = f"  {units.bytes_forms(bytes_unpacked)[0]}B unpacked"
    if not bytes_total:
        return f"{read}{unpacked}  {units.count_forms(n_packets)[0]} packets  {pace}"
    share = min(1.0, bytes_read / bytes_total)
    n_full = int(BAR_WIDTH * share)
    bar = "#" * n_full + "." * (BAR_WIDTH - n_full)
    text = f"[{bar}] {int(100 * share):3}%  {read} of {units.bytes_forms(bytes_total)[0]}B"
    text += f"{unpacked}  {pace}"
    if 0 < share < 1:
        left_s = elapsed_s * (1 - share) / share
        text += f"  {_clock(left_s)} left"
    return text


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def make_live_output(
    options: Options, env: Environment, reporter: Reporter, live: bool
) -> LiveOutput:
    """The output that suits the options and the terminal.

    Args:
        options: what the user asked for.
        env: where it is shown.
        reporter: writes successive reports.
        live: packets arrive while we read.
    """
    is_table = options.report_format is Format.TABLE
    has_interval = options.interval_s is not None
    if is_table and env.can_redraw() and (live or has_interval):
        return _Redrawn(options, env, reporter)
    if has_interval or (is_table and live and env.stdout.isatty()):
        return _Reports(options, env, reporter)
    if options.with_progress and env.stderr.isatty():
        return _ProgressLine(env)
    return LiveOutput()
