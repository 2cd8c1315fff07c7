"""The screen as a pure function: a scene, a size and what the terminal can -> a ``Frame``.

The same scene gives the same lines, whatever was drawn before. Rows that do not fit are not looked
at: the cost is that of what is shown.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trtop.escape import escape
from trtop.table.layout import MARK_WIDTH, Layout
from trtop.table.text import HIGH_MARK, Line, Role, Span, line_of
from trtop.tui import header
from trtop.tui.bottom_line import bottom_line, has_room_above, key_places
from trtop.tui.foot import foot_lines, height_of
from trtop.tui.frame import (
    Frame,
    Size,
    TerminalCaps,
    bordered,
    cut,
    edge,
    filled,
    highlighted,
    to_height,
)
from trtop.tui.grid import table_of
from trtop.tui.header import WINDOW_NAMES
from trtop.tui.pages.page import Page
from trtop.tui.pages.registry import PAGE_OF_MODE
from trtop.tui.scene import Scene
from trtop.tui.state import Mode, State
from trtop.tui.strip import has_strip, strip_lines, waiting_span
from trtop.tui.view_model import ViewModel
from trtop_core.records import Window

MAX_HEADER_SHARE = 0.4
"""Share of the lines that warnings and health may take; the rest is for rows."""

MIN_LEFT = 6
"""Lines that the strip must leave for what is above the rows, and for rows."""

NOTHING_YET = "no packets yet"
NO_ROWS = "no connections"
NO_MATCHES = "no row matches the filter"
WAY_OUT = " (Esc: all rows)"


def draw(scene: Scene, size: Size, caps: TerminalCaps) -> Frame:
    """The whole screen.

    Args:
        scene: what is drawn.
        size: of the terminal; any.
        caps: what it can show.
    """
    if size.width < 1 or size.height < 1:
        return Frame(())
    page = PAGE_OF_MODE.get(scene.state.mode)
    if page is None:
        return _rows_frame(scene, size, caps)
    return _page_frame(page, scene, size, caps)


def first_row(state: State, model: ViewModel, n_rows: int) -> int:
    """The first row shown: as before, unless the selected one would be out of sight."""
    last_first = max(0, model.n_rows - n_rows)
    first = max(0, min(state.offset, last_first))
    if state.selected < first:
        first = state.selected
    elif state.selected >= first + n_rows:
        first = state.selected - n_rows + 1
    return max(0, min(first, last_first))


@dataclass(frozen=True, slots=True)
class _Parts:
    """The lines around the rows."""

    strip: tuple[Line, ...]
    above: tuple[Line, ...]
    groups: tuple[Line, ...]
    n_rows: int
    n_foot: int


def _rows_frame(scene: Scene, size: Size, caps: TerminalCaps) -> Frame:
    state, model = scene.state, scene.model
    inner = max(1, size.width - 2)
    parts = _parts(scene, size, caps)
    if model is None:
        waiting = _sides([*parts.above, line_of(" " + NOTHING_YET)], size, caps)
        return _framed(scene, size, caps, waiting, ())
    first = first_row(state, model, parts.n_rows)
    shown = range(first, min(first + parts.n_rows, len(model.names)))
    table = table_of(scene, shown, inner, caps)

    body: list[Line] = [*parts.above, *parts.strip]
    if parts.groups:
        body.append(table.group)
    heading_at = 1 + len(body)
    # Where there is room for one or two lines, these are rows.
    room = max(1, size.height - 3) if table.rows else size.height
    has_heading = room > 1
    body += [table.heading] if has_heading else []
    body += [table.totals] if room > len((table.heading, table.totals)) else []
    rows: dict[int, int] = {}
    sided = _sides(body, size, caps)
    for number, line in zip(shown, table.rows, strict=True):
        rows[1 + len(sided)] = number
        full = filled(line, inner, caps.ascii_only)
        is_selected = number == state.selected
        sided.append(bordered(highlighted(full) if is_selected else full, size.width, caps))
    if not table.rows:
        sided += _sides(_nothing(model, state, inner, caps), size, caps)
    headings = {heading_at: _heading_places(table.layout)} if has_heading else {}
    count = _count_text(model, shown)
    foot = _sides(_foot(model, state, parts.n_foot, size, len(sided), caps), size, caps)
    frame = _framed(scene, size, caps, sided, line_of(count), foot)
    lowest = size.height - 2 - len(foot)
    return replace(
        frame,
        rows={at: number for at, number in rows.items() if at < lowest},
        headings={at: places for at, places in headings.items() if at < lowest},
        page=max(1, parts.n_rows),
        first=first,
    )


def _parts(scene: Scene, size: Size, caps: TerminalCaps) -> _Parts:
    """What goes above the rows, as far as there is room for it."""
    inner = max(1, size.width - 2)
    # Upper edge, headings, totals, one row, lower edge, bottom line.
    strip: list[Line] = []
    if scene.timeline is not None and has_strip(scene.timeline, scene.state.period, size):
        waiting = None if scene.model is None else waiting_span(scene.model)
        strip = strip_lines(scene.timeline, scene.state.period, inner, caps, waiting)
    left = size.height - 6 - len(strip)
    if left < MIN_LEFT:
        left, strip = left + len(strip), []
    warnings = _warning_lines(scene, inner, caps)
    view = [line_of(" ", *line) for line in header.view_lines(scene, caps, inner - 1)]
    health: list[Line] = []
    if scene.model is not None:
        lines = header.health_lines(scene.model, inner - 1)
        health = [line_of(" ", *line) for line in lines]
    budget = max(0, min(left - 1, round(size.height * MAX_HEADER_SHARE)))
    kept_warnings = warnings[: max(1, budget - 2)] if budget > 0 else []
    if len(kept_warnings) < len(warnings) and kept_warnings:
        n_more = len(warnings) - len(kept_warnings)
        note = Span(f" (+{n_more} more lines)", Role.WARNING)
        last = cut(kept_warnings[-1], inner - len(note.text), caps.ascii_only)
        kept_warnings[-1] = line_of(*last, note)
    budget -= len(kept_warnings)
    kept_health = health[: max(0, min(2, budget - 1))]
    budget -= len(kept_health)
    kept_view = view[: max(0, min(2, budget))]
    above = (*kept_health, *kept_view, *kept_warnings)
    left -= len(above)
    n_foot = height_of(size)
    left -= n_foot
    has_groups = left >= 4
    return _Parts(
        tuple(strip), above, ((),) if has_groups else (), max(1, left + 1 - has_groups), n_foot
    )


def _foot(
    model: ViewModel, state: State, n_lines: int, size: Size, n_above: int, caps: TerminalCaps
) -> list[Line]:
    """What stands under the rows: so many lines, and as many free ones above as a long text takes.

    Args:
        model: the rows.
        state: what the user looks at.
        n_lines: that are kept for it.
        size: of the terminal.
        n_above: lines above it that are taken.
        caps: what the terminal can show.
    """
    n_free = max(0, size.height - 3 - n_above - n_lines) if n_lines else 0
    lines = foot_lines(model, state, n_lines + n_free, max(1, size.width - 2), caps)
    while len(lines) > n_lines and not lines[-1]:
        lines.pop()
    return lines


def _nothing(model: ViewModel, state: State, width: int, caps: TerminalCaps) -> list[Line]:
    """Why there are no rows."""
    if model.filter is None or not model.n_destinations:
        if state.window is Window.ALL or state.period is not None:
            return [line_of(" " + NO_ROWS)]
        return [line_of(f" {NO_ROWS} in the {WINDOW_NAMES[state.window]} (w: a longer time)")]
    said = "; ".join(model.remarks) or NO_MATCHES
    text = escape(said, caps.ascii_only) + ("" if state.prompt else WAY_OUT)
    return [line_of(" ", part) for part in textwrap.wrap(text, max(10, width - 2))]


def _warning_lines(scene: Scene, width: int, caps: TerminalCaps) -> list[Line]:
    lines: list[Line] = []
    for sentence in header.warning_sentences(scene, caps):
        text = textwrap.wrap(f"{HIGH_MARK} {sentence}", max(10, width - 1), subsequent_indent="  ")
        lines += [line_of(" ", Span(part, Role.WARNING)) for part in text]
    return lines


def _heading_places(layout: Layout) -> tuple[tuple[int, int, str], ...]:
    """Spans of the heading line: first column, column behind the last, and the key to sort by."""
    at = 1 + MARK_WIDTH + layout.name_width
    places = [(1, at, "destination")]
    if layout.verdict_width:
        places.append((at, at + layout.verdict_width + 1, "verdict"))
        at += layout.verdict_width + 1
    for placed in layout.placed:
        places.append((at, at + placed.width + 1, placed.column.key))
        at += placed.width + 1
    return tuple(places)


def _count_text(model: ViewModel, shown: range) -> str:
    if not model.n_rows:
        return ""
    of_all = "" if model.n_rows == model.n_destinations else f" ({model.n_destinations:,})"
    last = max(shown.start + 1, shown.stop)
    return f"{shown.start + 1:,}-{last:,} of {model.n_rows:,}{of_all}"


def _page_frame(page: Page, scene: Scene, size: Size, caps: TerminalCaps) -> Frame:
    """A page: text to scroll through, or lines to choose from."""
    inner = max(1, size.width - 2)
    n_lines = max(1, size.height - 3)
    state = scene.state
    lines = page.lines(scene, inner, caps)
    first = state.scroll
    n_choices = page.count(state)
    if n_choices:
        first = max(0, state.chosen - n_lines + 1) if state.chosen >= n_lines else 0
    first = max(0, min(first, len(lines) - n_lines))
    body = []
    rows: dict[int, int] = {}
    for i, line in enumerate(lines[first : first + n_lines]):
        full = filled(line, inner, caps.ascii_only)
        if first + i < n_choices:
            rows[1 + i] = first + i
            full = highlighted(full) if first + i == state.chosen else full
        body.append(bordered(full, size.width, caps))
    last = min(len(lines), first + n_lines)
    count = line_of(f"{first + 1}-{last} of {len(lines)}" if len(lines) > n_lines else "")
    frame = _framed(scene, size, caps, body, count)
    rows = {at: number for at, number in rows.items() if at < size.height - 2}
    return replace(frame, rows=rows, page=n_lines, first=first)


def _sides(lines: Sequence[Line], size: Size, caps: TerminalCaps) -> list[Line]:
    return [bordered(line, size.width, caps) for line in lines]


def _message_of_page(scene: Scene, size: Size, caps: TerminalCaps) -> Line:
    """A message while a page is shown, for its lower edge; empty where there is none."""
    state = scene.state
    if state.mode is Mode.LIST or not state.message or not has_room_above(scene, size):
        return ()
    return line_of(Span(escape(state.message, caps.ascii_only), Role.BOLD))


def _framed(
    scene: Scene,
    size: Size,
    caps: TerminalCaps,
    body: list[Line],
    count: Line,
    foot: Sequence[Line] = (),
) -> Frame:
    """The frame around a body that is cut or filled up to the terminal's height, and its foot."""
    left, right = header.title(scene, caps, size.width)
    top = edge(size.width, caps, left, right, is_top=True)
    bottom, cursor = bottom_line(scene, size, caps)
    room = size.height - 3 - len(foot)
    if room < 1:
        return Frame(to_height([top, *body, bottom], size.height))
    empty = bordered((), size.width, caps)
    filled_up = [*body[:room], *[empty] * (room - len(body)), *foot]
    low = edge(size.width, caps, _message_of_page(scene, size, caps), count, is_top=False)
    lines = to_height([top, *filled_up, low, bottom], size.height)
    return Frame(lines, cursor, keys=key_places(scene.state, bottom))
