"""The drill-down: everything known of one destination, as lines to scroll through. Pure.

Takes a ``Detail``; where there is none (yet), the row of the model, which has the same numbers
but no history and no connections.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import replace

from trtop.escape import escape
from trtop.metrics import format as units
from trtop.table.marks import mark_of, verdict_role, verdict_text
from trtop.table.rows import Figures, QuickRow
from trtop.table.text import HIGH_MARK, MARKED, Line, Role, Span, line_of
from trtop.tui.effects import Context
from trtop.tui.frame import TerminalCaps
from trtop.tui.header import WINDOW_NAMES
from trtop.tui.keys import KEY_OF, Action
from trtop.tui.pages.detail_connections import address_of, connection_lines
from trtop.tui.pages.detail_format import DetailFormat, title_line
from trtop.tui.pages.detail_history import NO_HISTORY, history_lines
from trtop.tui.pages.detail_latencies import latency_lines
from trtop.tui.pages.page import Page
from trtop.tui.scene import Scene
from trtop.tui.state import Mode, State
from trtop.tui.strip import period_text
from trtop_core.detail import Detail
from trtop_core.metric_types import Group, Kind, Metric, Unit
from trtop_core.metrics import METRIC_OF, METRICS
from trtop_core.verdicts.causes import Cause

CELL_WIDTH = 28
"""Columns of a field's name and its number."""

NAME_WIDTH = 16

_IN_BRACKETS = {metric.in_brackets for metric in METRICS}

FIELDS = {
    group: tuple(
        metric
        for metric in METRICS
        if metric.group is group
        and metric.kind is not Kind.DISTRIBUTION
        and metric.name not in _IN_BRACKETS
    )
    for group in Group
}
"""What stands side by side, by group; distributions have lines of their own."""

WAITING = "waiting for the answer about this destination"
NOTHING = "nothing of this destination in this window"


def detail_lines(scene: Scene, width: int, caps: TerminalCaps) -> list[Line]:
    """Everything known of the selected destination.

    Args:
        scene: with the detail, or at least the model that has its row.
        width: characters of a line.
        caps: what the terminal can show.
    """
    fmt = DetailFormat(width, caps)
    detail = _detail(scene)
    name, row = _row(scene)
    lines = [
        line_of(" ", Span(escape(name, caps.ascii_only), Role.BOLD), *_window(scene, row, fmt))
    ]
    if row is None:
        text = NOTHING if detail is not None else WAITING
        return [*lines, (), line_of(" ", text)]
    text = verdict_text(row, caps.ascii_only)
    wrapped = textwrap.wrap(text, max(10, width - 2), subsequent_indent="  ")
    lines += [line_of(" ", Span(part, verdict_role(row))) for part in wrapped]
    if row.suspect and row.cause is not Cause.CAPTURE:
        warning = "? the capture missed part of it: counters are lower bounds"
        lines.append(line_of(" ", Span(warning, Role.WARNING)))
    lines += latency_lines(row, scene, fmt)
    if detail is not None:
        lines += history_lines(detail, fmt)
        lines += connection_lines(detail, fmt)
    for group in Group:
        lines += [(), title_line(group.value[0]), *_fields(row, FIELDS[group], scene, fmt)]
    if detail is None:
        lines += [(), line_of(" ", NO_HISTORY)]
    return lines


def _detail(scene: Scene) -> Detail | None:
    """What the source knows of the destination; None while it has not said so."""
    return scene.answer if isinstance(scene.answer, Detail) else None


def _row(scene: Scene) -> tuple[str, QuickRow | None]:
    """What the destination is called, and its numbers."""
    state, model = scene.state, scene.model
    place = None
    if model is not None and state.selected_key is not None:
        place = model.place(state.selected_key)
    name = model.names[place] if model is not None and place is not None else ""
    loss = model.snapshot.window_health.loss if model is not None else None
    detail = _detail(scene)
    if detail is not None:
        table = detail.table
        if not len(table):
            return name, None
        span_ns = detail.span_ns
        called = name or address_of(table.keys["addr"][0], int(table.keys["port"][0]))
        return called, QuickRow(table, 0, span_ns, loss, name, Figures(table, span_ns, loss))
    if model is None or place is None:
        return name, None
    table = model.snapshot.table
    span_ns = model.snapshot.span_ns
    return name, QuickRow(table, place, span_ns, loss, name, Figures(table, span_ns, loss))


def _window(scene: Scene, row: QuickRow | None, fmt: DetailFormat) -> Iterator[str]:
    period = scene.state.period
    yield f"  {WINDOW_NAMES[scene.state.window] if period is None else period_text(period)}"
    if row is not None and row.span_ns > 0:
        yield f" ({units.duration(row.span_ns, fmt.micro)})"
    model = scene.model
    if model is not None and scene.answer is None and scene.state.selected_key is not None:
        place = model.place(scene.state.selected_key)
        if place is not None and model.members[place] > 1:
            yield f"  {model.members[place]:,} addresses of this name"


def _fields(
    row: QuickRow, metrics: tuple[Metric, ...], scene: Scene, fmt: DetailFormat
) -> list[Line]:
    """Fields side by side: name and number."""
    n_columns = max(1, (fmt.width - 1) // CELL_WIDTH)
    cells = []
    for metric in metrics:
        role = mark_of(metric, row, scene.state.percentile, scene.thresholds)
        mark = HIGH_MARK if role in MARKED and not fmt.caps.color else ""
        room = CELL_WIDTH - 2 - NAME_WIDTH
        value = Span(f"{mark}{_field(row, metric, fmt)}".rjust(room), role)
        cells.append(line_of(f" {metric.name:<{NAME_WIDTH}}", value, " "))
    n_lines = -(-len(cells) // n_columns)
    lines = []
    for i in range(n_lines):
        parts = [span for cell in cells[i::n_lines] for span in cell]
        lines.append(line_of(*parts))
    return lines


def _field(row: QuickRow, metric: Metric, fmt: DetailFormat) -> str:
    """The text of one field."""
    if metric.kind is Kind.DERIVED:
        return _derived(row, metric, fmt)
    n = row.count(metric.name)
    if metric.unit is Unit.NS:
        return units.duration(n, fmt.micro)
    text = f"{n:,}"
    if metric.in_brackets:
        other = row.derived(metric.in_brackets)
        text += "" if other is None else f" ({_derived(row, METRIC_OF[metric.in_brackets], fmt)})"
    elif metric.share_of and n and (whole := row.whole(metric.name)):
        text += f" ({units.percent(n, whole)})"
    if len(text) > CELL_WIDTH - 3 - NAME_WIDTH:
        text = units.count_forms(n)[0] if n < 10**9 else units.count_forms(n)[-1]
    return text


def _derived(row: QuickRow, metric: Metric, fmt: DetailFormat) -> str:
    """A metric that is computed from others; rates say that they are some."""
    value = row.derived(metric.name)
    if value is None:
        return units.NO_SAMPLE
    text = units.forms_of(metric.unit, value, fmt.micro)[0]
    return f"{text}/s" if metric.unit is Unit.PER_SECOND else text


def _prepared(state: State, context: Context) -> State:
    key = context.model.key(state.selected) if context.model else None
    if key is None:
        return state.saying("there is no row to look at")
    return replace(state, selected_key=key)


DETAIL_PAGE = Page(
    mode=Mode.DETAIL,
    key=KEY_OF[Action.DETAIL],
    lines=detail_lines,
    prepare=_prepared,
    row_actions=frozenset({Action.WINDOW, Action.PAUSE, Action.SAVE}),
    question=State.detail_view,
    is_saved=True,
)
