"""The latencies of the drill-down: percentiles side by side, and a histogram of each. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from trtop.metrics import format as units
from trtop.table.marks import JUDGED_PERCENTILES, mark_of
from trtop.table.rows import QuickRow
from trtop.table.text import HIGH_MARK, MARKED, Line, Role, Span, line_of
from trtop.tui.pages.detail_format import COUNT_WIDTH, LATENCY_NAME_WIDTH, DetailFormat
from trtop.tui.scene import Scene
from trtop.tui.sparkline import bars, histogram
from trtop_core.metric_types import Metric
from trtop_core.metrics import METRIC_OF, SKETCHES
from trtop_core.sketch import SketchColumn
from trtop_core.snapshot import DETAIL_PERCENTILES
from trtop_core.view import DEFAULT_PERCENTILE

MIN_HISTOGRAM_WIDTH = 8
MAX_HISTOGRAM_WIDTH = 60


def latency_lines(row: QuickRow, scene: Scene, fmt: DetailFormat) -> list[Line]:
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
    row: QuickRow, metric: Metric, percentiles: list[float], scene: Scene, fmt: DetailFormat
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


def _value(metric: Metric, value: int, fmt: DetailFormat) -> str:
    return units.forms_of(metric.unit, value, fmt.micro)[-1]


def _extremes(row: QuickRow, name: str) -> tuple[int, int]:
    _, _, lows, highs = row.figures.stats(name)
    return lows[row.idx], highs[row.idx]


def _histogram(column: SketchColumn, idx: int, width: int, fmt: DetailFormat) -> str:
    at = slice(column.indptr[idx], column.indptr[idx + 1])
    shape = histogram(column.bins[at], column.counts[at], width)
    return bars(shape, fmt.caps.ascii_only)
