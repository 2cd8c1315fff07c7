"""The table redrawn in place while packets arrive.

Takes snapshots, draws each over the one before on the terminal's alternate screen, so that the
shell's own screen is untouched. Whatever happens, leaving the context gives the terminal back.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

import numpy as np

from trtop.escape import escape
from trtop.table.render import render
from trtop.table.style import TableStyle
from trtop.table.text import HIGH_MARK, Role
from trtop_core.snapshot import Snapshot

ENTER = "\x1b[?1049h\x1b[?25l"
LEAVE = "\x1b[?25h\x1b[?1049l"
HOME = "\x1b[H"
CLEAR_TO_LINE_END = "\x1b[K"
CLEAR_BELOW = "\x1b[J"

DEFAULT_WIDTH = 80

HINT = "Ctrl-C ends with the final report"


class RedrawnTable:
    """Draws tables over each other.

    Args:
        stream: a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_entered = False

    def __enter__(self) -> RedrawnTable:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._is_entered:
            self._stream.write(LEAVE)
            self._stream.flush()

    def draw(
        self,
        snapshot: Snapshot,
        style: TableStyle,
        n_lines: int,
        notices: Sequence[str] = (),
    ) -> None:
        """Draw one table.

        Args:
            snapshot: what it shows.
            style: how it is drawn.
            n_lines: of the terminal.
            notices: what the user should know first, above the table.
        """
        told = notice_lines(notices, style)[: max(0, n_lines - 2)]
        lines = told + fit_lines(snapshot, style, n_lines - 1 - len(told))
        hint = HINT[: style.width or len(HINT)]
        body = "".join(f"{line}{CLEAR_TO_LINE_END}\r\n" for line in lines)
        frame = HOME + body + style.paint(hint, Role.DIM) + CLEAR_TO_LINE_END + CLEAR_BELOW
        opening, self._is_entered = "" if self._is_entered else ENTER, True
        self._stream.write(opening + frame)
        self._stream.flush()


def notice_lines(notices: Sequence[str], style: TableStyle) -> list[str]:
    """Notices as lines that fit the width, marked as warnings."""
    width = style.width or DEFAULT_WIDTH
    lines = []
    for text in notices:
        shown = f"{HIGH_MARK} {escape(text, style.ascii_only)}"
        wrapped = textwrap.wrap(shown, max(width, 3), subsequent_indent="  ")
        lines += [style.paint(line, Role.WARNING) for line in wrapped]
    return lines


def fit_lines(snapshot: Snapshot, style: TableStyle, n_lines: int) -> list[str]:
    """The table with as many rows as ``n_lines`` lines hold; what is below them is left out."""
    lines = list(render(snapshot, style))
    excess = len(lines) - n_lines
    if excess > 0:
        n_rows = max(0, len(snapshot.table) - excess - 1)
        table = snapshot.table.take(np.arange(n_rows))
        lines = list(render(replace(snapshot, table=table), style))
    return lines[:n_lines]
