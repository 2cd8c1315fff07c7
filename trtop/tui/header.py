"""The lines above the rows: the capture's health, the view, and what cannot be trusted. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from trtop.escape import escape
from trtop.metrics import format as units
from trtop.table.health import warnings
from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.frame import TerminalCaps, wrapped
from trtop.tui.scene import Scene
from trtop.tui.state import State
from trtop.tui.strip import period_text
from trtop.tui.view_model import ViewModel
from trtop_core.health import SUSPECT_COMPLETENESS, SUSPECT_LOSS, Health
from trtop_core.metrics import METRIC_OF, derived
from trtop_core.records import NS_PER_S, Window

WINDOW_NAMES = {
    Window.ALL: "all",
    Window.LAST_10_S: "last 10 s",
    Window.LAST_60_S: "last 60 s",
    Window.LAST_300_S: "last 5 min",
}

MAX_SUSPECT_NAMES = 3

MIN_EXACT_WIDTH = 100
"""Characters from which on counts are shown to the last digit."""

MIN_ROOMY_WIDTH = 64
"""Characters from which on it is said that there is no filter."""

MIN_DATE_WIDTH = 80
"""Characters of the terminal from which on capture time has its date."""

TITLE = "TCP Remote TOP"


def title(scene: Scene, caps: TerminalCaps, width: int) -> tuple[Line, Line]:
    """What stands in the frame's upper edge, at the left and at the right."""
    source = escape(scene.status.source, caps.ascii_only)
    left = line_of(Span(TITLE, Role.BOLD), "  " if source else "", source)
    marks: list[Line] = []
    if scene.state.period is not None:
        marks.append(line_of(Span("past", Role.WARNING)))
    if scene.state.is_paused:
        marks.append(line_of(Span("paused", Role.WARNING)))
    snapshot = scene.model.snapshot if scene.model else None
    if snapshot is not None and snapshot.clock_ns is not None:
        marks.append(line_of(_clock(snapshot.clock_ns, width)))
    right: list[str | Span] = []
    for mark in marks:
        right += ["  " if right else "", *mark]
    return left, line_of(*right)


def _clock(clock_ns: int, width: int) -> str:
    """Capture time; without its date where there is little room."""
    moment = units.point_in_time(clock_ns)
    day, gap, time = moment.partition(" ")
    if not gap:
        return moment
    seconds = time.partition(".")[0]
    return f"{day} {seconds} UTC" if width >= MIN_DATE_WIDTH else f"{seconds} UTC"


def health_lines(model: ViewModel, width: int) -> list[Line]:
    """The capture's health, the most telling first."""
    form = 0 if width >= MIN_EXACT_WIDTH else -1
    return wrapped(list(_health_items(model, form)), width)


def view_lines(scene: Scene, caps: TerminalCaps, width: int) -> list[Line]:
    """What is looked at: window, percentile, sort, grouping, filter."""
    return wrapped(list(_view_items(scene, caps, width)), width)


def warning_sentences(scene: Scene, caps: TerminalCaps) -> list[str]:
    """Notices of the source, then why numbers cannot be trusted, and which rows that affects."""
    sentences = [escape(notice, caps.ascii_only) for notice in scene.status.notices]
    if scene.model is not None:
        # What could not be read is among the notices already.
        snapshot = replace(scene.model.snapshot, unread=())
        sentences += warnings(snapshot, scene.model.totals)
        sentences += _suspects(scene.model, caps)
    return sentences


def _health_items(model: ViewModel, form: int) -> Iterator[Line]:
    """Facts about the capture.

    Args:
        model: of which they are.
        form: which form of counts: 0 exact, -1 short.
    """
    snapshot = model.snapshot
    health, window = snapshot.health, snapshot.window_health
    speed = ""
    if snapshot.span_ns > 0:
        speed = f" {units.rate(window.packets * NS_PER_S / snapshot.span_ns)}/s"
    yield line_of(f"{units.count_forms(health.packets)[form]} packets{speed}")
    complete = model.totals.completeness
    if complete is None:
        yield line_of("complete unknown")
    else:
        role = Role.HIGH if complete < SUSPECT_COMPLETENESS else Role.PLAIN
        read = " of what was read" if snapshot.unread else ""
        yield line_of("complete ", Span(units.fine_percent(complete), role), read)
    undecoded = sum(health.undecoded.values())
    yield line_of(f"undecoded {units.count_forms(undecoded)[form]}")
    if health.kernel_dropped is None and health.interface_dropped is None:
        yield line_of("dropped unknown")
    else:
        kernel = _dropped(health.kernel_dropped, window.kernel_dropped, window)
        interface = _dropped(health.interface_dropped, window.interface_dropped, window)
        who = ("by kernel ", ", interface ") if form == 0 else ("kernel ", ", iface ")
        yield line_of(f"dropped {who[0]}", *kernel, who[1], *interface)
    if health.received is not None:
        yield line_of(f"received {units.count_forms(health.received)[form]}")
    for name, n in (
        ("not TCP", health.not_tcp),
        ("duplicates", health.duplicates),
        ("evicted", health.evicted),
    ):
        if n:
            yield line_of(f"{name} {units.count_forms(n)[form]}")


def _dropped(n: int | None, n_in_window: int | None, window: Health) -> Line:
    """How much one side dropped, and its share of the window's packets."""
    if n is None or n_in_window is None:
        return line_of("unknown")
    whole = window.received if window.received else window.packets + n_in_window
    share = min(1.0, n_in_window / whole) if whole else 0.0
    role = Role.HIGH if share > SUSPECT_LOSS else Role.PLAIN
    return line_of(Span(f"{n:,} ({units.fine_percent(share)})", role))


def _view_items(scene: Scene, caps: TerminalCaps, width: int) -> Iterator[Line]:
    state, model = scene.state, scene.model
    window = WINDOW_NAMES[state.window]
    if state.period is not None:
        window = period_text(state.period)
    if model is not None and model.is_since_reset:
        window = "since reset"
    if model is not None:
        span = units.duration(model.snapshot.span_ns, "u" if caps.ascii_only else "µ")
        window += f" ({span})"
    yield _item("window", window)
    yield line_of(Span(f"p{state.percentile:g}", Role.BOLD))
    yield _item("sort", f"{column_name(state.sort)} {_arrow(state, caps)}")
    yield _item("by", state.shown_grouping.value)
    chosen = state.shown_filter
    if chosen is None:
        if width >= MIN_ROOMY_WIDTH:
            yield _item("filter", "none")
    else:
        text = escape(chosen.text, caps.ascii_only)
        is_shown = model is not None and model.filter == chosen
        shown = f" ({model.n_rows:,} of {model.n_destinations:,})" if model and is_shown else ""
        yield line_of("filter ", Span(text, Role.BOLD), shown)
        if model is not None and is_shown and model.n_rows:
            for remark in model.remarks:
                yield line_of(Span(escape(remark, caps.ascii_only), Role.WARNING))


def _item(name: str, value: str) -> Line:
    return line_of(f"{name} ", Span(value, Role.BOLD))


def _arrow(state: State, caps: TerminalCaps) -> str:
    if caps.ascii_only:
        return "v" if state.is_descending else "^"
    return "▼" if state.is_descending else "▲"


_HEADINGS = {"destination": "Host", "verdict": "Verdict"}
"""Of the columns that are no numbers."""


def column_name(key: str) -> str:
    """A column's heading, as a user knows it."""
    return _HEADINGS.get(key) or METRIC_OF[key].shown_name


def _suspects(model: ViewModel, caps: TerminalCaps) -> Iterator[str]:
    """Which rows a warning is about."""
    snapshot = model.snapshot
    loss = snapshot.window_health.loss
    if loss is not None and loss > SUSPECT_LOSS:
        yield "Every row is affected."
        return
    complete = derived("completeness", snapshot.table.counters, snapshot.span_ns)
    counters = snapshot.table.counters
    is_suspect = (complete < SUSPECT_COMPLETENESS) | (counters["synack"] < counters["est"])
    rows = np.flatnonzero(is_suspect).tolist()
    if not rows:
        return
    names = [escape(model.names[i], caps.ascii_only) for i in rows[:MAX_SUSPECT_NAMES]]
    more = f" and {len(rows) - len(names):,} more" if len(rows) > len(names) else ""
    yield (
        f"Rows marked ? are affected, their counters are lower bounds: {', '.join(names)}{more}."
    )
