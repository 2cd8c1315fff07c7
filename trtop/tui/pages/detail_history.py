"""The history of the drill-down: the last minutes and the last minute, as rows of bars. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trtop.metrics import format as units
from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.pages.detail_format import MIN_WIDE, DetailFormat
from trtop.tui.sparkline import bars
from trtop_core.detail import Detail
from trtop_core.records import NS_PER_S

Series = Callable[[Any], list[float | None]]
"""One number per slot of a history, None where there is none."""

NO_HISTORY = "The last minutes are known where windows are kept, for one address at a time."


def history_lines(detail: Detail, fmt: DetailFormat) -> list[Line]:
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
