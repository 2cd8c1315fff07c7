"""The lines under the rows: why a row has its verdict, a message, or what is wrong with a text.

Pure: takes the rows and a state, gives so many lines.
"""

from __future__ import annotations

import textwrap

from trtop.escape import escape
from trtop.table.marks import verdict_role, verdict_text
from trtop.table.rows import QuickRow
from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.frame import Size, TerminalCaps
from trtop.tui.prompt_line import MIN_HEIGHT_OF_FOOT
from trtop.tui.state import State
from trtop.tui.view_model import ViewModel
from trtop_core.verdicts.causes import Cause
from trtop_core.verdicts.explain import HINT, explain

MIN_ROOMY_HEIGHT = 20
ROOMY_WIDTH = 132
"""On a terminal as wide, or less high, that reason takes one line, else two."""


def height_of(size: Size) -> int:
    """Lines for the reason of the selected row's verdict; always as many on one terminal."""
    if size.height < MIN_HEIGHT_OF_FOOT:
        return 0
    return 1 if size.width >= ROOMY_WIDTH or size.height < MIN_ROOMY_HEIGHT else 2


def foot_lines(
    model: ViewModel, state: State, n_lines: int, width: int, caps: TerminalCaps
) -> list[Line]:
    """A message, or what is said of what is typed; else why the selected row has its verdict."""
    prompt = state.prompt
    if n_lines and prompt is None and state.message:
        said = _wrapped(escape(state.message, caps.ascii_only), n_lines, width, caps)
        lines = [line_of(" ", Span(part, Role.BOLD)) for part in said]
        return lines + [()] * (n_lines - len(lines))
    if not n_lines or prompt is None or not (prompt.error or prompt.note):
        return _because(model, state, n_lines, width, caps)
    role = Role.WARNING if prompt.is_refused else Role.PLAIN
    wrapped = _wrapped(escape(prompt.error or prompt.note, caps.ascii_only), n_lines, width, caps)
    lines = [line_of(" ", Span(part, role)) for part in wrapped]
    return lines + [()] * (n_lines - len(lines))


def _because(
    model: ViewModel, state: State, n_lines: int, width: int, caps: TerminalCaps
) -> list[Line]:
    """What is wrong with the selected row, in so many lines."""
    if not n_lines:
        return []
    lines: list[Line] = []
    if 0 <= state.selected < len(model.names):
        row = model.row(state.selected)
        word = row.judged()[0]
        said = verdict_text(row, caps.ascii_only) + _hint(row, caps)
        for i, text in enumerate(_wrapped(said, n_lines, width, caps)):
            head = word if i == 0 and text.startswith(word) else ""
            lines.append(line_of(" ", Span(head, verdict_role(row)), text[len(head) :]))
    return lines + [()] * (n_lines - len(lines))


def _hint(row: QuickRow, caps: TerminalCaps) -> str:
    """What would be wrong with a sound row if fewer cases were enough to judge it."""
    if row.cause is not Cause.OK:
        return ""
    hints = explain(row.figures.causes()[0], row.idx).hints
    if not hints:
        return ""
    word, sentence = hints[0]
    text = f" ({HINT}: {word}: {sentence})"
    return text.replace("µ", "u") if caps.ascii_only else text


def _wrapped(text: str, n_lines: int, width: int, caps: TerminalCaps) -> list[str]:
    more = " ~" if caps.ascii_only else " …"
    return textwrap.wrap(text, max(10, width - 2), max_lines=n_lines, placeholder=more)
