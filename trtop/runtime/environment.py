"""All contact of the command with the system, as one object.

Gives streams, environment, clock and the terminal's size; tests give their own. Asks the system
only when asked.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from trtop.metrics.columns import Column
from trtop.options.parser import MIN_WIDTH, Color
from trtop.options.report_options import STDIN, Options
from trtop.table.style import TableStyle
from trtop.table.text import Theme
from trtop_core.metric_types import Thresholds

DEFAULT_SIZE = os.terminal_size((80, 24))

DRAWN = "µ…─"
"""What a stream must be able to print; if it cannot, a report is all ASCII."""


def _size_of(stream: TextIO) -> os.terminal_size | None:
    """Columns and lines of the terminal behind a stream; None where there is none."""
    try:
        return os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return None


class StyleOptions(Protocol):
    """Options that say how a table looks."""

    @property
    def color(self) -> Color:
        """When to use colour."""

    @property
    def width(self) -> int | None:
        """Columns; None asks the terminal."""

    @property
    def thresholds(self) -> Mapping[str, Thresholds]:
        """By column key, instead of the columns' own."""

    @property
    def theme(self) -> Theme:
        """Which colours stand for what."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Which ones, in their order; empty: all, as far as there is room."""


def _n_cores() -> int:
    return len(os.sched_getaffinity(0))


def _is_known(term: str) -> bool:
    """Whether the system knows how to draw on a terminal of this type."""
    from trtop.tui.terminal import is_known  # noqa: PLC0415 - only where there is a terminal

    return is_known(term)


PLAIN_LOCALES = ("C", "POSIX")
"""Who asks for one of these wants ASCII; Python writes UTF-8 there all the same."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What the command knows of the system around it.

    Attributes:
        stdout: where reports go.
        stderr: where messages and progress go.
        environ: environment variables.
        monotonic_s: a clock in seconds that never goes back.
        size_of: columns and lines of the terminal behind a stream, None where there is none.
        is_known: whether a type of terminal, as ``TERM`` names it, can be drawn on.
        is_own_process: this process is the command's alone, which may confine it for good.
        n_cores: how many cores the command may run on.
    """

    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    monotonic_s: Callable[[], float] = time.monotonic
    size_of: Callable[[TextIO], os.terminal_size | None] = _size_of
    is_known: Callable[[str], bool] = _is_known
    is_own_process: bool = False
    n_cores: Callable[[], int] = _n_cores

    def can_redraw(self) -> bool:
        """Standard output is a terminal that moves its cursor."""
        term = self.environ.get("TERM", "dumb")
        return self.stdout.isatty() and term != "dumb" and self.is_known(term)

    def is_ascii(self) -> bool:
        """Nothing but ASCII may be written: the locale or the stream has no more."""
        is_plain = self.environ.get("LC_ALL") in PLAIN_LOCALES
        return is_plain or not can_print(self.stdout, DRAWN)

    def has_color(self, color: Color) -> bool:
        """Whether reports are coloured (https://no-color.org)."""
        if color is Color.AUTO:
            return self.can_redraw() and not self.environ.get("NO_COLOR")
        return color is Color.ALWAYS

    def screen_size(self) -> os.terminal_size:
        """Columns and lines of the terminal on standard output."""
        size = self.size_of(self.stdout)
        return size if size and size.columns and size.lines else DEFAULT_SIZE

    def table_style(self, options: StyleOptions) -> TableStyle:
        """How a table is drawn on standard output, as wide as it is now."""
        return TableStyle(
            width=options.width or self._width(),
            color=self.has_color(options.color) and options.theme is not Theme.MONO,
            ascii_only=self.is_ascii(),
            thresholds=options.thresholds,
            columns=options.columns,
            theme=options.theme,
        )

    def _width(self) -> int | None:
        """Columns of the terminal, or of the one behind a pipe; None, all of it, for a file."""
        if self.stdout.isatty():
            return max(MIN_WIDTH, self.screen_size().columns)
        columns = self.environ.get("COLUMNS", "")
        if columns.isascii() and columns.isdigit():
            return max(MIN_WIDTH, int(columns))
        if not _is_pipe(self.stdout):
            return None
        size = self.size_of(self.stderr)
        return max(MIN_WIDTH, size.columns) if size and size.columns else None


def is_live(options: Options) -> bool:
    """Packets arrive while we read: a pipe, a device, or files still being written."""
    return options.follow or any(_is_stream(path) for path in options.inputs)


def _is_stream(path: str) -> bool:
    try:
        mode = os.fstat(0).st_mode if path == STDIN else os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _is_pipe(stream: TextIO) -> bool:
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode)


def can_print(stream: TextIO, text: str) -> bool:
    """Whether a stream's encoding has these characters."""
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
