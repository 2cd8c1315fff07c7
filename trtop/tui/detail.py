"""The drill-down: everything known of one destination, as lines to scroll through. Pure.

Takes a ``Detail``; where there is none (yet), the row of the model, which has the same numbers
but no history and no connections.
"""

from __future__ import annotations

import ipaddress
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from trtop.escape import escape, shorten
from trtop.metrics import format as units
from trtop.table.marks import JUDGED_PERCENTILES, mark_of, verdict_role, verdict_text
from trtop.table.rows import Figures, QuickRow
from trtop.table.text import HIGH_MARK, MARKED, Line, Role, Span, line_of
from trtop.tui.effects import Context
from trtop.tui.frame import TerminalCaps
from trtop.tui.header import WINDOW_NAMES
from trtop.tui.keys import KEY_OF, Action
from trtop.tui.page import Page
from trtop.tui.scene import Scene
from trtop.tui.sparkline import bars, histogram
from trtop.tui.state import Mode, State
from trtop_core.detail import ConnectionState, Detail
from trtop_core.metric_types import Group, Kind, Metric, Unit
from trtop_core.metrics import METRIC_OF, METRICS, SKETCHES
from trtop_core.records import NS_PER_S
from trtop_core.sketch import SketchColumn
from trtop_core.snapshot import DETAIL_PERCENTILES
from trtop_core.verdicts import Cause
from trtop_core.view import DEFAULT_PERCENTILE

CELL_WIDTH = 28
"""Columns of a field's name and its number."""

NAME_WIDTH = 16

LATENCY_NAME_WIDTH = 9
COUNT_WIDTH = 6
VALUE_WIDTH = 7
"""Columns of a latency and the gap before it; a mark takes one more, where there is room."""
MIN_HISTOGRAM_WIDTH = 8
MAX_HISTOGRAM_WIDTH = 60

MIN_WIDE = 70
"""Characters from which on connections show how long they have been silent."""

STATE_NAMES = {
    ConnectionState.PENDING: "pending",
    ConnectionState.TIMED_OUT: "timed out",
    ConnectionState.OPENING: "opening",
    ConnectionState.OPEN: "open",
    ConnectionState.WAITING: "waiting",
    ConnectionState.CLOSING: "closing",
    ConnectionState.CLOSED: "closed",
    ConnectionState.RESET: "reset",
    ConnectionState.IDLE: "idle",
}

_BESIDE = {metric.beside for metric in METRICS}

FIELDS = {
    group: tuple(
        metric
        for metric in METRICS
        if metric.group is group
        and metric.kind is not Kind.DISTRIBUTION
        and metric.is_field
        and metric.name not in _BESIDE
    )
    for group in Group
}
"""What stands side by side, by group; distributions have lines of their own."""

Series = Callable[[Any], list[float | None]]
"""One number per slot of a history, None where there is none."""

WAITING = "waiting for the answer about this destination"
NOTHING = "nothing of this destination in this window"
NO_HISTORY = "The last minutes are known where windows are kept, for one address at a time."


@dataclass(frozen=True, slots=True)
class _DetailFormat:
    """How lines are written: how wide, in which characters."""

    width: int
    caps: TerminalCaps

    @property
    def micro(self) -> str:
        return "u" if self.caps.ascii_only else "µ"

    @property
    def value_width(self) -> int:
        wanted = VALUE_WIDTH + (not self.caps.color)
        room = self.width - 1 - LATENCY_NAME_WIDTH - COUNT_WIDTH
        return max(1, min(wanted, room // (len(DETAIL_PERCENTILES) + 1)))

    def duration(self, ns: int) -> str:
        return units.NO_SAMPLE if ns < 0 else units.duration(ns, self.micro)


def detail_lines(scene: Scene, width: int, caps: TerminalCaps) -> list[Line]:
    """Everything known of the selected destination.

    Args:
        scene: with the detail, or at least the model that has its row.
        width: characters of a line.
        caps: what the terminal can show.
    """
    fmt = _DetailFormat(width, caps)
    name, row = _row(scene)
    lines = [
        line_of(" ", Span(escape(name, caps.ascii_only), Role.BOLD), *_window(scene, row, fmt))
    ]
    if row is None:
        text = NOTHING if scene.answer is not None else WAITING
        return [*lines, (), line_of(" ", text)]
    text = verdict_text(row, caps.ascii_only)
    wrapped = textwrap.wrap(text, max(10, width - 2), subsequent_indent="  ")
    lines += [line_of(" ", Span(part, verdict_role(row))) for part in wrapped]
    if row.suspect and row.cause is not Cause.CAPTURE:
        warning = "? the capture missed part of it: counters are lower bounds"
        lines.append(line_of(" ", Span(warning, Role.WARNING)))
    lines += _latencies(row, scene, fmt)
    if scene.answer is not None:
        lines += _history(scene.answer, fmt)
        lines += _connections(scene.answer, fmt)
    for group in Group:
        lines += [(), _title(group.value[0]), *_fields(row, FIELDS[group], scene, fmt)]
    if scene.answer is None:
        lines += [(), line_of(" ", NO_HISTORY)]
    return lines


def _row(scene: Scene) -> tuple[str, QuickRow | None]:
    """What the destination is called, and its numbers."""
    state, model = scene.state, scene.model
    place = None
    if model is not None and state.selected_key is not None:
        place = model.place(state.selected_key)
    name = model.names[place] if model is not None and place is not None else ""
    loss = model.snapshot.window_health.loss if model is not None else None
    if scene.answer is not None:
        table = scene.answer.table
        if not len(table):
            return name, None
        return name or address_of(table.keys["addr"][0], int(table.keys["port"][0])), QuickRow(
            table, 0, scene.answer.span_ns, loss, name, Figures(table)
        )
    if model is None or place is None:
        return name, None
    table = model.snapshot.table
    span_ns = model.snapshot.span_ns
    return name, QuickRow(table, place, span_ns, loss, name, Figures(table))


def _window(scene: Scene, row: QuickRow | None, fmt: _DetailFormat) -> Iterator[str]:
    yield f"  {WINDOW_NAMES[scene.state.window]}"
    if row is not None and row.span_ns > 0:
        yield f" ({units.duration(row.span_ns, fmt.micro)})"
    model = scene.model
    if model is not None and scene.answer is None and scene.state.selected_key is not None:
        place = model.place(scene.state.selected_key)
        if place is not None and model.members[place] > 1:
            yield f"  {model.members[place]:,} addresses of this name"


def _title(text: str, more: str = "") -> Line:
    return line_of(" ", Span(text, Role.SORTED), more)


def _fields(
    row: QuickRow, metrics: tuple[Metric, ...], scene: Scene, fmt: _DetailFormat
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


def _field(row: QuickRow, metric: Metric, fmt: _DetailFormat) -> str:
    """The text of one field."""
    if metric.kind is Kind.DERIVED:
        return _derived(row, metric, fmt)
    n = row.count(metric.name)
    if metric.unit is Unit.NS:
        return units.duration(n, fmt.micro)
    text = f"{n:,}"
    if metric.beside:
        other = row.derived(metric.beside)
        text += "" if other is None else f" ({_derived(row, METRIC_OF[metric.beside], fmt)})"
    elif metric.share_of and n and (whole := row.whole(metric.name)):
        text += f" ({units.percent(n, whole)})"
    if len(text) > CELL_WIDTH - 3 - NAME_WIDTH:
        text = units.count_forms(n)[0] if n < 10**9 else units.count_forms(n)[-1]
    return text


def _derived(row: QuickRow, metric: Metric, fmt: _DetailFormat) -> str:
    """A metric that is computed from others; rates say that they are some."""
    value = row.derived(metric.name)
    if value is None:
        return units.NO_SAMPLE
    text = units.forms_of(metric.unit, value, fmt.micro)[0]
    return f"{text}/s" if metric.unit is Unit.PER_SECOND else text


def _latencies(row: QuickRow, scene: Scene, fmt: _DetailFormat) -> list[Line]:
    """Each latency's percentiles side by side, and its histogram."""
    percentiles = [float(p) for p in DETAIL_PERCENTILES]
    headings = [*(f"p{p:g}" for p in percentiles), "max"]
    used = 1 + LATENCY_NAME_WIDTH + COUNT_WIDTH + len(headings) * fmt.value_width
    room = min(MAX_HISTOGRAM_WIDTH, fmt.width - used - 3)
    is_beside = room >= MIN_HISTOGRAM_WIDTH
    heading = f"{'n':>{COUNT_WIDTH}}"
    heading += "".join(f"{text:>{fmt.value_width}}" for text in headings)
    lines = [
        (),
        line_of(
            " ",
            Span(f"{'Latencies':<{LATENCY_NAME_WIDTH}}", Role.SORTED),
            Span(heading, Role.BOLD),
            Span("  from min to max" if room >= 15 else "", Role.DIM) if is_beside else "",
        ),
    ]
    for name in SKETCHES:
        column = row.table.sketches[name]
        metric = METRIC_OF[name]
        label = f" {metric.label or metric.shown_name:<{LATENCY_NAME_WIDTH}}"
        if not row.samples(name):
            lines.append(line_of(label, f"{units.NO_SAMPLE:>{COUNT_WIDTH}}"))
            continue
        chart_width = room if is_beside else min(MAX_HISTOGRAM_WIDTH, fmt.width - 24)
        chart = _histogram(column, row.idx, max(1, chart_width), fmt)
        line = line_of(label, *_percentiles(row, metric, percentiles, scene, fmt))
        low, high = _extremes(row, name)
        if is_beside:
            lines.append(line_of(*line, "  ", chart))
        else:
            lines.append(line)
            ends = (_value(metric, value, fmt) for value in (low, high))
            lines.append(line_of(Span(f"   {next(ends):>7} {chart} {next(ends)}", Role.DIM)))
    return lines


def _percentiles(
    row: QuickRow, metric: Metric, percentiles: list[float], scene: Scene, fmt: _DetailFormat
) -> Iterator[Span]:
    judged = JUDGED_PERCENTILES.get(metric.name, DEFAULT_PERCENTILE)
    yield Span(f"{units.count_forms(row.samples(metric.name))[-1]:>{COUNT_WIDTH}}")
    for percentile in [*percentiles, 100.0]:
        value = row.quantile(metric.name, percentile)
        text = units.NO_SAMPLE if value is None else _value(metric, value, fmt)
        role = mark_of(metric, row, percentile, scene.thresholds)
        if role is Role.VERDICT and percentile != judged:
            role = Role.PLAIN
        mark = HIGH_MARK if role in MARKED and not fmt.caps.color else ""
        yield Span(f"{mark + text:>{fmt.value_width}}", role)


def _value(metric: Metric, value: int, fmt: _DetailFormat) -> str:
    return units.forms_of(metric.unit, value, fmt.micro)[-1]


def _extremes(row: QuickRow, name: str) -> tuple[int, int]:
    _, _, lows, highs = row.figures.stats(name)
    return lows[row.idx], highs[row.idx]


def _histogram(column: SketchColumn, idx: int, width: int, fmt: _DetailFormat) -> str:
    at = slice(column.indptr[idx], column.indptr[idx + 1])
    shape = histogram(column.bins[at], column.counts[at], width)
    return bars(shape, fmt.caps.ascii_only)


def _history(detail: Detail, fmt: _DetailFormat) -> list[Line]:
    """The last minutes, and the last minute, as rows of bars."""
    if not len(detail.minutes) and not len(detail.minute):
        return [(), line_of(" ", NO_HISTORY)]
    bar = " | " if fmt.caps.ascii_only else " │ "
    heading = f"{'5 min':>10}{' ' * len(bar)}{'1 min':>12}  {'greatest':>8} {'now':>7}"
    lines: list[Line] = [
        (),
        line_of(
            " ",
            Span(f"{'History':<11}", Role.SORTED),
            Span(heading, Role.BOLD),
            Span("  30 s, 5 s a bar" if fmt.width >= MIN_WIDE else "", Role.DIM),
        ),
    ]
    series_of: tuple[tuple[str, Series, Callable[[float], str]], ...] = (
        ("attempts/s", lambda part: _rates(part, "syn"), units.rate),
        ("requests/s", lambda part: _rates(part, "requests"), units.rate),
        ("Rtt p95", _response_times, lambda ns: fmt.duration(round(ns))),
        ("resets", lambda part: _counts(part, "rst"), lambda n: f"{n:,.0f}"),
    )
    for label, series, shown in series_of:
        long, short = series(detail.minutes), series(detail.minute)
        known = [value for value in [*long, *short] if value is not None]
        top = units.NO_SAMPLE if not known else shown(max(known))
        now = next((value for value in reversed(short) if value is not None), None)
        latest = units.NO_SAMPLE if now is None else shown(now)
        ascii_only = fmt.caps.ascii_only
        lines.append(
            line_of(
                f" {label:<11}",
                Span(f"{bars(long, ascii_only):>10}"),
                Span(bar, Role.DIM),
                f"{bars(short, ascii_only):>12}",
                f"  {top:>8} {latest:>7}",
            )
        )
    return lines


def _rates(part: Any, name: str) -> list[float | None]:
    spans = part["span_ns"].tolist()
    return [
        n * NS_PER_S / span if span > 0 else None
        for n, span in zip(part[name].tolist(), spans, strict=True)
    ]


def _counts(part: Any, name: str) -> list[float | None]:
    return [float(n) for n in part[name].tolist()]


def _response_times(part: Any) -> list[float | None]:
    return [None if ns < 0 else float(ns) for ns in part["response_time_ns"].tolist()]


def _connections(detail: Detail, fmt: _DetailFormat) -> list[Line]:
    """The longest open connections, and the slowest."""
    lines: list[Line] = []
    clock_ns = detail.clock_ns or 0
    for title, part in (
        ("Longest open", detail.longest_open),
        ("Slowest latest request", detail.slowest),
    ):
        lines += [(), _title(title, f"  {len(part):,} of {detail.n_connections:,} connections")]
        if not len(part):
            lines.append(line_of("  none"))
            continue
        wide = fmt.width >= MIN_WIDE
        client_width = max(15, min(47, fmt.width - (54 if wide else 45)))
        silent = f" {'silent':>8}" if wide else ""
        heading = (
            f" {'client':<{client_width}} {'port':>5} {'state':<9} {'age':>8}{silent} "
            f"{'answers':>7} {'latest':>8}"
        )
        lines.append(line_of(Span(heading, Role.BOLD)))
        lines += [_connection(item, clock_ns, client_width, fmt) for item in part]
    return lines


def _connection(item: Any, clock_ns: int, client_width: int, fmt: _DetailFormat) -> Line:
    client = address_of(item["client_addr"], int(item["client_port"]))
    client = shorten(client, client_width, fmt.caps.ascii_only)
    opened_ns = int(item["opened_ns"])
    age = "unknown" if item["is_midstream"] else fmt.duration(max(0, clock_ns - opened_ns))
    silent = fmt.duration(max(0, clock_ns - int(item["last_ns"])))
    state = ConnectionState(int(item["state"]))
    waits = state is ConnectionState.WAITING
    return line_of(
        f" {client:<{client_width}} {int(item['server_port']):>5} ",
        Span(f"{STATE_NAMES[state]:<9}", Role.BOLD if waits else Role.PLAIN),
        f" {age:>8}" + (f" {silent:>8}" if fmt.width >= MIN_WIDE else ""),
        f" {int(item['responses']):>7,} ",
        f"{fmt.duration(int(item['response_ns'])) + ('+' if waits else ''):>8}",
    )


def address_of(raw: Any, port: int) -> str:
    """An address with its port, if it has one."""
    address = ipaddress.IPv6Address(bytes(raw))
    if address.ipv4_mapped is not None:
        return f"{address.ipv4_mapped}:{port}" if port else str(address.ipv4_mapped)
    return f"[{address}]:{port}" if port else str(address)


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
