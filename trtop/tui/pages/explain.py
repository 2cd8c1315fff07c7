"""Explain: why the selected row has its verdict, and what to look at next. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from trtop.escape import escape
from trtop.table.marks import quiet_text, verdict_role
from trtop.table.rows import QuickRow
from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.effects import Context
from trtop.tui.frame import TerminalCaps
from trtop.tui.keys import KEY_OF, Action
from trtop.tui.pages.page import ROW_LABELS, Page
from trtop.tui.scene import Scene
from trtop.tui.state import Mode, State
from trtop_core.records import DestinationKind
from trtop_core.verdicts.because import RowEvidence
from trtop_core.verdicts.causes import WORDS, Cause
from trtop_core.verdicts.explain import HINT, Explanation, Fact, explain
from trtop_core.verdicts.ports import CAUSES_OF_PORTS

GONE = "this destination is not among the rows any more"
NOTHING_WRONG = "None of the causes that are looked for holds for this destination."

WHICH_PORT = "Which port is it? Rows by address:port tell: g on the screen, --group-by addr,port."

NAME_WIDTH = 33
VALUE_WIDTH = 38

COUNTS = "counts "
"""What stands before a limit; a number and its limit stand on one line where all of them fit."""


def explain_lines(scene: Scene, width: int, caps: TerminalCaps) -> list[Line]:
    """The verdict, what it rests on, what to look at next, what else holds.

    Args:
        scene: with the model that has the selected row.
        width: characters of a line.
        caps: what the terminal can show.
    """
    state, model = scene.state, scene.model
    place = None
    if model is not None and state.selected_key is not None:
        place = model.place(state.selected_key)
    if model is None or place is None:
        return [line_of(" ", GONE)]
    name = escape(model.names[place], caps.ascii_only)
    return lines_of(model.row(place), name, width, caps.ascii_only)


def lines_of(row: QuickRow, name: str, width: int, ascii_only: bool) -> list[Line]:
    """The same of any row.

    Args:
        row: which one.
        name: what it is called, escaped.
        width: characters of a line.
        ascii_only: nothing but ASCII.
    """
    figures, _ = row.figures.causes()
    found = explain(figures, row.idx)
    text = _Text(width, ascii_only)
    word = WORDS[found.cause]
    lines = [line_of(" ", Span(name, Role.BOLD), "  ", Span(word, verdict_role(row)))]
    lines += [(), *text.paragraph(found.sentence or _nothing_wrong(row), " ")]
    lines += _facts(found, text)
    steps = found.next_steps
    if found.cause in CAUSES_OF_PORTS and _may_be_of_many_ports(row, found.cause):
        steps = (*steps, WHICH_PORT)
    if steps:
        lines += [(), text.title("What to look at next")]
        for step in steps:
            lines += text.paragraph(step, " - ", "   ")
    if found.also or found.hints:
        lines += [(), text.title("What else holds")]
        for other, sentence in found.also:
            lines += text.paragraph(f"{other}: {sentence}", " - ", "   ")
        for other, sentence in found.hints:
            lines += text.paragraph(f"{other} ({HINT}): {sentence}", " - ", "   ")
    return lines


def _may_be_of_many_ports(row: QuickRow, cause: Cause) -> bool:
    """Whether a row is of an address of which no port is known to stand out."""
    is_address = row.table.keys["kind"][row.idx] == DestinationKind.ADDR
    return bool(is_address) and not RowEvidence(row.figures.causes()[0], row.idx).port(cause)


def _nothing_wrong(row: QuickRow) -> str:
    if row.cause is not Cause.NOTHING:
        return NOTHING_WRONG
    text = quiet_text(row)
    return f"{text[0].upper()}{text[1:]}. A verdict is of what began."


def _facts(found: Explanation, text: _Text) -> list[Line]:
    """The numbers and limits that a verdict rests on, and how many cases they are of."""
    lines: list[Line] = []
    if found.facts:
        lines += [(), text.title("What it rests on")]
    widths = _widths(found.facts, text.width)
    for fact in found.facts:
        limit = f"{COUNTS}{fact.limit}" if fact.limit else ""
        if widths is not None:
            name_width, value_width = widths
            shown = text.plain(f"{fact.name:<{name_width}} {fact.value:<{value_width}} ")
            lines.append(line_of(" ", shown, Span(text.plain(limit), Role.DIM)))
            continue
        lines += text.paragraph(f"{fact.name}: {fact.value}", " ", "   ")
        if limit:
            lines += text.paragraph(limit, "   ", "   ", Role.DIM)
    if found.certainty:
        lines += [(), *text.paragraph(f"How sure: {found.certainty}", " ")]
    return lines


def _widths(facts: Sequence[Fact], width: int) -> tuple[int, int] | None:
    """Characters for names and for numbers; None where these and limits need lines of their own."""
    limits = max((len(COUNTS + fact.limit) for fact in facts), default=0)
    names = max((len(fact.name) for fact in facts), default=0)
    values = max((len(fact.value) for fact in facts), default=0)
    for name_width, value_width in ((NAME_WIDTH, VALUE_WIDTH), (names, values)):
        if width > name_width + value_width + limits + len(3 * " "):
            return name_width, value_width
    return None


class _Text:
    """Sentences in lines of one width.

    Args:
        width: characters of a line.
        ascii_only: nothing but ASCII.
    """

    def __init__(self, width: int, ascii_only: bool) -> None:
        self.width = width
        self._ascii_only = ascii_only

    def plain(self, text: str) -> str:
        """A text in the terminal's characters."""
        return text.replace("µ", "u").replace("×", "x") if self._ascii_only else text

    def title(self, text: str) -> Line:
        return line_of(" ", Span(text, Role.SORTED))

    def paragraph(
        self, text: str, first: str, rest: str = " ", role: Role = Role.PLAIN
    ) -> list[Line]:
        """A text in as many lines as it takes."""
        room = max(10, self.width - 1)
        wrapped = textwrap.wrap(
            self.plain(text), room, initial_indent=first, subsequent_indent=rest
        )
        return [line_of(Span(part, role)) for part in wrapped]


def _prepared(state: State, context: Context) -> State:
    key = context.model.key(state.selected) if context.model else None
    if key is None:
        return state.saying("there is no row to explain")
    return replace(state, selected_key=key)


EXPLAIN_PAGE = Page(
    mode=Mode.EXPLAIN,
    key=KEY_OF[Action.EXPLAIN],
    lines=explain_lines,
    prepare=_prepared,
    row_actions=frozenset({Action.WINDOW, Action.PAUSE}),
    labels=ROW_LABELS,
    is_saved=True,
    is_of_row=True,
)
