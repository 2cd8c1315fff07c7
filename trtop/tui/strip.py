"""The strip above the rows: requests, errors and Rtt over all of a history. Pure.

Takes a timeline and the span that is looked at, gives lines; the span is marked on them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trtop.metrics import format as units
from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.frame import Size, TerminalCaps
from trtop.tui.sparkline import bars, with_waits
from trtop.tui.view_model import ViewModel
from trtop_core.merging.timelines import merge_timelines
from trtop_core.records import NS_PER_S, Wait
from trtop_core.timeline import Timeline
from trtop_core.view import Period

LABEL_WIDTH = 10
TOP_WIDTH = 9
"""Characters before the bars, and of the greatest value behind them."""

MIN_HEIGHT = 30
"""Lines of a terminal from which on the strip is always there; else only in the past."""

MIN_BARS = 10

RTT = "response_time_ns"

DAY_NS = 24 * 3600 * NS_PER_S


def n_bars(width: int) -> int:
    """How many columns of a history there is room for."""
    return max(1, width - LABEL_WIDTH - TOP_WIDTH - 4)


def has_strip(timeline: Timeline | None, period: Period | None, size: Size) -> bool:
    """Whether the strip is shown."""
    if timeline is None or len(timeline.columns) < 2 or n_bars(size.width) < MIN_BARS:
        return False
    return period is not None or size.height >= MIN_HEIGHT


def strip_lines(
    timeline: Timeline,
    period: Period | None,
    width: int,
    caps: TerminalCaps,
    waiting: Period | None = None,
) -> list[Line]:
    """Where the span lies, and three rows of bars.

    Args:
        timeline: of at least one column.
        period: that is looked at; None: now.
        width: characters of a line.
        caps: what the terminal can show.
        waiting: since when something waits that should be answered long ago, until now; None:
            nothing does.
    """
    timeline = _narrowed(timeline, n_bars(width))
    first = int(timeline.columns["start_ns"][0]) // timeline.length_ns
    at = timeline.columns["start_ns"] // timeline.length_ns - first
    n_counted = n = int(at[-1]) + 1
    n_waiting = 0
    if waiting is not None:
        # Where nothing else happens, no column is of now.
        n = max(n, min(waiting.end_ns // timeline.length_ns - first + 1, n_bars(width)))
        n_waiting = n - max(0, waiting.start_ns // timeline.length_ns - first)
    micro = "u" if caps.ascii_only else "µ"
    rows = (("requests", "requests"), ("errors", "errors"), ("Rtt p95", RTT))
    marked = _marked(timeline, period, first, n_counted)
    lines = [_title(timeline, period, width)]
    for label, name in rows:
        values = np.zeros(n, np.int64)
        values[at] = np.maximum(timeline.columns[name].astype(np.int64), 0)
        top = int(values.max(initial=0))
        shown = units.duration(top, micro) if name == RTT else units.count_forms(top)[-1]
        text = bars(values.tolist(), caps.ascii_only)
        if name == "errors":
            text = with_waits(text, n_waiting, caps.ascii_only)
        start, end = marked
        lines.append(
            line_of(
                f" {label:<{LABEL_WIDTH - 1}}",
                text[:start],
                *_selection(text[start:end], caps),
                text[end:],
                f" {shown if top else '-':>{TOP_WIDTH - 1}}",
            )
        )
    return lines


def waiting_span(model: ViewModel) -> Period | None:
    """Since when requests or attempts of any row wait that should be answered long ago."""
    totals, clock_ns = model.totals, model.snapshot.clock_ns
    evidence, _ = totals.figures.causes()
    late = ((Wait.REQUEST, "waiting_long"), (Wait.ATTEMPT, "pending_retrans"))
    waits = [int(evidence.wait(what)[0]) for what, gauge in late if totals.count(gauge)]
    longest_ns = max(waits, default=0)
    if clock_ns is None or not longest_ns:
        return None
    return Period(clock_ns - longest_ns, clock_ns)


def _narrowed(timeline: Timeline, n_columns: int) -> Timeline:
    """With columns of several where there is no room for all, as after a resize."""
    starts = timeline.columns["start_ns"] // timeline.length_ns
    n_all = int(starts[-1] - starts[0]) + 1
    if n_all <= n_columns:
        return timeline
    n_joined = -(-n_all // max(1, n_columns - 1))
    longer = replace(timeline, length_ns=timeline.length_ns * n_joined)
    return merge_timelines([longer], timeline.view)


def _selection(text: str, caps: TerminalCaps) -> list[Span]:
    """The bars of the span that is looked at; blanks are seen too."""
    blank = "_" if caps.ascii_only else "·"
    return [Span(text.replace(" ", blank), Role.SELECTED)] if text else []


def _marked(timeline: Timeline, period: Period | None, first: int, n: int) -> tuple[int, int]:
    """From and up to which bar the span reaches."""
    if period is None:
        return n, n
    start = period.start_ns // timeline.length_ns - first
    end = -(-period.end_ns // timeline.length_ns) - first
    return max(0, min(start, n)), max(0, min(end, n))


def _title(timeline: Timeline, period: Period | None, width: int) -> Line:
    """From when to when, how fine, and how much memory."""
    begin = int(timeline.columns["start_ns"][0])
    end = int(timeline.columns["end_ns"][-1])
    has_days = begin // DAY_NS != end // DAY_NS
    a_bar = units.duration(timeline.length_ns)
    head = line_of(
        " ",
        Span("history ", Role.SORTED),
        f"{moment_text(begin, has_days)} to {moment_text(end, has_days)}, {a_bar} a bar",
    )
    used, bound = units.memory(timeline.n_bytes), units.memory(timeline.max_bytes)
    grain = f", kept per {units.duration(timeline.grain_ns)}" if timeline.grain_ns else ""
    tail = f"{grain}, {used} of {bound}"
    n_used = sum(len(span.text) for span in head)
    if n_used + len(tail) <= width:
        head = line_of(*head, Span(tail, Role.DIM))
    return head


def period_text(period: Period) -> str:
    """From when to when, as the line of the view says it."""
    has_days = period.start_ns // DAY_NS != (period.end_ns - 1) // DAY_NS
    return f"{moment_text(period.start_ns, has_days)} to {moment_text(period.end_ns, has_days)}"


def moment_text(time_ns: int, has_day: bool) -> str:
    """A time of day, behind its date where that is wanted."""
    day, gap, time = units.point_in_time(time_ns).partition(" ")
    if not gap:
        return day
    return f"{day} {time[:8]}" if has_day else time[:8]
