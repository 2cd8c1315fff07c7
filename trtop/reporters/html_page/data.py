"""The numbers of a page as plain data: what its script draws, sorts and filters.

Takes a snapshot and what was recorded, gives dictionaries and lists for JSON. Runs of zeros are
packed, what is 0 is left out, and only ``N_DETAILED`` rows have more than what the table shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop.escape import escape
from trtop.metrics import format as units
from trtop.metrics.columns import Column
from trtop.reporters.html_page.connections import HEADINGS, connection_cells, slow_by_place
from trtop.reporters.html_page.encoding import packed, script_json
from trtop.reporters.html_page.recorded import N_DETAILED
from trtop.table.rows import QuickRow
from trtop_core.activity import SERIES, Activity
from trtop_core.history.asking import PERCENTILE
from trtop_core.metric_types import Kind, Metric, Unit
from trtop_core.metrics import METRICS
from trtop_core.records import NS_PER_US
from trtop_core.sketch import BINS_PER_OCTAVE
from trtop_core.snapshot import Snapshot
from trtop_core.verdicts.explain import HINT, NEXT_STEPS, explain

BINS_PER_BAR = (8, 16, 32)
"""Bins of a sketch that a histogram may show as one bar: 8, 4 or 2 bars an octave, the first of
which there are not too many."""

MAX_NUMBERS = 40_000
"""Numbers of all histograms of a page, 3 bytes each. Where there would be more, bars are wider."""

MAX_DETAIL_BYTES = 620_000
"""Rows beyond that have no details. With the table and the script of 500 rows it is below 1 MB;
500 busy ones take 600 kB."""

SHOWN_PERCENTILES = (50, 90, 95, 99, 99.9)

FIELDS = tuple(metric for metric in METRICS if metric.kind is not Kind.DISTRIBUTION)
DISTRIBUTIONS = tuple(metric for metric in METRICS if metric.kind is Kind.DISTRIBUTION)


@dataclass(frozen=True, slots=True)
class PageRows:
    """The rows of a page, and how they are shown.

    Attributes:
        snapshot: of which they are.
        rows: at most as many as a page has.
        columns: of the table.
        recorded: what came when; None where nobody kept it.
    """

    snapshot: Snapshot
    rows: Sequence[QuickRow]
    columns: Sequence[Column]
    recorded: Activity | None


def page_data(page: PageRows) -> dict[str, Any]:
    """All that the script of a page needs."""
    timeline, series = _timelines(page)
    detailed = page.rows[:N_DETAILED]
    bins_per_bar, distributions = _distributions(detailed)
    slow = {} if page.recorded is None else slow_by_place(page.recorded)
    clock_ns = page.snapshot.clock_ns or 0
    details: list[dict[str, Any]] = []
    n_left = MAX_DETAIL_BYTES
    for i, row in enumerate(detailed):
        connections = [connection_cells(item, clock_ns) for item in slow.get(i, ())]
        drawn = {"distributions": distributions[i], "series": series[i], "slow": connections}
        detail = {**_detail(row), **drawn}
        if _is_partial(i, row, page.recorded):
            detail["partial"] = 1
        n_left -= len(script_json(detail))
        if n_left < 0:
            break
        details.append(detail)
    return {
        "columns": [_column_data(column, page) for column in page.columns],
        "fields": [[metric.name, metric.help] for metric in FIELDS],
        "distributions": [
            [_called(metric), metric.help, metric.unit is Unit.NS] for metric in DISTRIBUTIONS
        ],
        "bars_per_octave": BINS_PER_OCTAVE // bins_per_bar,
        "next": {
            str(int(cause)): NEXT_STEPS[cause]
            for cause in {row.cause for row in detailed}
            if cause in NEXT_STEPS
        },
        "series": SERIES,
        "connections": HEADINGS,
        "timeline": timeline,
        "names": [escape(row.name) for row in page.rows],
        "verdicts": [[int(row.cause), row.judged()[0]] for row in page.rows],
        "values": [[_value(column, row, page) for column in page.columns] for row in page.rows],
        "details": details,
    }


def _called(metric: Metric) -> str:
    return metric.label or (metric.titles[0] if metric.titles else metric.name)


def _column_data(column: Column, page: PageRows) -> dict[str, Any]:
    metric = column.metric
    unit = "ns" if metric.unit is Unit.NS else metric.unit.name.lower()
    keys = [column.headings[-1], metric.name, *metric.aliases]
    names = sorted({key.lower() for key in keys})
    place = SERIES.index(metric.name) if metric.name in SERIES else -1
    percentile = column.percentile or page.snapshot.view.percentile
    if metric.name == "response_time" and percentile == PERCENTILE:
        place = len(SERIES)
    return {"names": names, "unit": unit, "series": place}


def _value(column: Column, row: QuickRow, page: PageRows) -> float | None:
    """The number of a cell, to sort and filter by; None where there is none."""
    name, kind = column.metric.name, column.metric.kind
    if kind is Kind.DISTRIBUTION:
        return row.quantile(name, column.percentile or page.snapshot.view.percentile)
    if kind is Kind.DERIVED:
        value = row.derived(name)
        return None if value is None else float(f"{value:.6g}")
    return row.count(name)


def _detail(row: QuickRow) -> dict[str, Any]:
    """Why a row has its verdict, and its fields that are not 0."""
    found = explain(row.figures.causes()[0], row.idx)
    detail: dict[str, Any] = {"why": found.sentence or ""}
    if found.facts:
        detail["facts"] = [[fact.name, fact.value, fact.limit] for fact in found.facts]
    if found.certainty and found.sentence:
        detail["sure"] = found.certainty
    if found.next_steps != NEXT_STEPS.get(found.cause, ()):
        detail["next"] = found.next_steps
    if found.also or found.hints:
        few = [(f"{word} ({HINT})", sentence) for word, sentence in found.hints]
        detail["also"] = [list(other) for other in (*found.also, *few)]
    detail["fields"] = [
        [i, text] for i, metric in enumerate(FIELDS) if (text := _field_text(metric, row))
    ]
    return detail


def _distributions(rows: Sequence[QuickRow]) -> tuple[int, list[list[Any]]]:
    """Bins of a bar, and the distributions of each row that have samples."""
    known = [
        [
            (i, _statistics(metric, row), _bins(metric, row))
            for i, metric in enumerate(DISTRIBUTIONS)
            if row.samples(metric.name)
        ]
        for row in rows
    ]
    for bins_per_bar in BINS_PER_BAR:
        found: list[list[Any]] = [
            [[i, statistics, *_bars(bins, bins_per_bar)] for i, statistics, bins in listed]
            for listed in known
        ]
        if sum(len(bars) for listed in found for _, _, _, bars in listed) <= MAX_NUMBERS:
            break
    return bins_per_bar, found


def _field_text(metric: Metric, row: QuickRow) -> str:
    """A field as a person reads it; nothing where it is 0 or unknown."""
    if metric.kind is Kind.DERIVED:
        value = row.derived(metric.name)
        return "" if not value else units.forms_of(metric.unit, value)[0]
    n = row.count(metric.name)
    if not n:
        return ""
    text = units.duration(n) if metric.unit is Unit.NS else f"{n:,}"
    whole = row.whole(metric.name) if metric.share_of else 0
    return f"{text} ({units.percent(n, whole)})" if whole else text


def _statistics(metric: Metric, row: QuickRow) -> list[float]:
    """Count, min, percentiles and max; times in µs. What comes at the end twice is there once."""
    n_samples, _, low, high = (column[row.idx] for column in row.figures.stats(metric.name))
    at = [row.quantile(metric.name, percentile) or 0 for percentile in SHOWN_PERCENTILES]
    values = [_four_digits(value, metric.unit) for value in (low, *at, high)]
    while len(values) > 1 and values[-1] == values[-2]:
        values.pop()
    return [n_samples, *values]


def _bins(metric: Metric, row: QuickRow) -> npt.NDArray[np.int64]:
    """Numbers of bins, and samples in each, shape (n, 2)."""
    return np.array(row.figures.bins(metric.name, row.idx), np.int64).reshape(-1, 2)


def _bars(bins: npt.NDArray[np.int64], bins_per_bar: int) -> tuple[int, list[int]]:
    """Number of the first bar, and samples of each, packed."""
    # Bin i ends at 2^((i + 1) / 64), so that bars end at whole parts of an octave.
    bars = bins[:, 0] // bins_per_bar
    first = int(bars.min()) if len(bars) else 0
    counts = np.bincount(bars - first, bins[:, 1]).astype(np.int64)
    return first, packed(counts.tolist())


def _four_digits(value: int, unit: Unit) -> float:
    """A number, of times that of µs, with as many digits as are shown and one more."""
    rounded = float(f"{value / (NS_PER_US if unit is Unit.NS else 1):.4g}")
    return int(rounded) if rounded.is_integer() else rounded


def _timelines(page: PageRows) -> tuple[dict[str, Any] | None, list[list[Any]]]:
    """The timeline of all destinations, and those of the detailed rows, by slot."""
    n_detailed = min(len(page.rows), N_DETAILED)
    told = page.recorded
    if told is None or not len(told.totals):
        return None, [[] for _ in range(n_detailed)]
    data = {
        "first_ms": told.first_ns / 1e6,
        "slot_s": told.length_ns / 1e9,
        "slots": len(told.totals),
        "factor": told.factor,
        "all": _series(told.totals, told.response_time_ns),
    }
    bounds = np.searchsorted(told.cells["row"], np.arange(n_detailed + 1))
    n_columns = -(-len(told.totals) // told.factor)
    found = []
    for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        cells = told.cells[first:end]
        counters = np.zeros((n_columns, len(SERIES)), np.int64)
        times = np.full(n_columns, -1, np.int64)
        for i, name in enumerate(SERIES):
            counters[cells["column"], i] = cells["counters"][name]
        times[cells["column"]] = cells["response_time_ns"]
        found.append(_series(counters, times))
    return data, found


def _is_partial(place: int, row: QuickRow, told: Activity | None) -> bool:
    """Whether the history holds less of a row than the table counts."""
    if told is None:
        return False
    first, end = np.searchsorted(told.cells["row"], [place, place + 1])
    counters = told.cells["counters"][first:end]
    return any(int(counters[name].sum()) < row.count(name) for name in SERIES)


def _series(counters: Any, percentiles: Any) -> list[Any]:
    """Number of each series that is not all 0, and its values, packed; times in µs."""
    found: list[Any] = []
    for i in range(len(SERIES)):
        if counters[:, i].any():
            found.append([i, packed(counters[:, i].tolist())])
    if (percentiles >= 0).any():
        times_us = np.where(percentiles >= 0, np.maximum(1, np.rint(percentiles / 1e3)), 0)
        found.append([len(SERIES), packed(times_us.astype(np.int64).tolist())])
    return found
