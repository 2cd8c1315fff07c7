"""The bottom line while something is being typed. Pure.

Takes what is typed and how many rows it shows, gives the line and the place of the cursor.
"""

from __future__ import annotations

from trtop.escape import display_width, escape
from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.frame import Size, TerminalCaps, cut
from trtop.tui.state import Prompt

MIN_HEIGHT_OF_FOOT = 12
"""Lines from which on errors and notes stand above; on a smaller terminal behind the text."""

GAP = 2


def prompt_line(
    prompt: Prompt, matches: str, size: Size, caps: TerminalCaps
) -> tuple[Line, tuple[int, int]]:
    """What is typed, with the part around the cursor in sight, and how many rows match.

    Args:
        prompt: what is typed.
        matches: how many rows it shows; empty where that is not known.
        size: of the terminal.
        caps: what it can show.
    """
    width = size.width
    label = prompt.purpose.value
    if len(label) > width // 2:
        label = label[-max(0, width // 2) :]
    if len(label) + len(matches) + GAP >= width // 2:
        matches = ""
    before = display_width(escape(prompt.text[: prompt.at], caps.ascii_only))
    room = max(1, width - len(label) - 1 - (len(matches) + GAP if matches else 0))
    start = max(0, before - room)
    shown = _from(_parts(prompt, caps), start, room)
    behind: list[str | Span] = []
    said = prompt.error or prompt.note
    if said and size.height < MIN_HEIGHT_OF_FOOT:
        role = Role.WARNING if prompt.is_refused else Role.PLAIN
        behind = ["  ", Span(escape(said, caps.ascii_only), role)]
    elif matches:
        used = len(label) + sum(display_width(span.text) for span in shown)
        behind = [" " * (width - used - len(matches)), Span(matches, Role.BOLD)]
    line = line_of(Span(label, Role.BOLD), *shown, *behind)
    cursor = (min(width - 1, len(label) + before - start), size.height - 1)
    return cut(line, width, caps.ascii_only), cursor


def _parts(prompt: Prompt, caps: TerminalCaps) -> list[Span]:
    """The text, with the part that was refused marked."""
    start, end = prompt.error_place if prompt.error and prompt.is_refused else (0, 0)
    pieces = (
        (prompt.text[:start], Role.PLAIN),
        (prompt.text[start:end], Role.WARNING),
        (prompt.text[end:], Role.PLAIN),
    )
    return [Span(escape(text, caps.ascii_only), role) for text, role in pieces if text]


def _from(spans: list[Span], start: int, room: int) -> list[Span]:
    """A part of some spans: so many characters from a place on."""
    found = []
    for span in spans:
        text = span.text[start:][: max(0, room)]
        start = max(0, start - len(span.text))
        room -= len(text)
        found.append(Span(text, span.role))
    return [span for span in found if span.text]
