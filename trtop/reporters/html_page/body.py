"""The text of a page: all that is there without its script, on paper and for screen readers.

Takes a snapshot's rows, gives HTML. All text from outside passes through ``encoding.markup``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from trtop._version import __version__
from trtop.metrics.columns import Column
from trtop.reporters.html_page.connections import HEADINGS, connection_cells, slowest
from trtop.reporters.html_page.data import PageRows
from trtop.reporters.html_page.encoding import markup
from trtop.reporters.html_page.meanings import MEANINGS
from trtop.table.health import health_items, warnings
from trtop.table.marks import MARKS, marks_of
from trtop.table.rows import QuickRow, quick_totals
from trtop.table.text import Role
from trtop_core.metric_types import Kind, Thresholds
from trtop_core.verdicts.causes import FAULTS, WORDS, Cause

MICRO = "µ"

N_LISTED = 20
"""Destinations whose verdict is told in a sentence above the table."""

FINE = (Cause.OK, Cause.NOTHING)

CLASS_OF = {Role.VERDICT: "v", Role.HIGH: "h", Role.NOTABLE: "n"}
"""How a number that stands out is called in the style."""

NO_TIMELINE = "No timeline: no history was kept, or whoever keeps it did not answer."


def body(page: PageRows, thresholds: Mapping[str, Thresholds], n_detailed: int) -> Iterator[str]:
    """The body of a page, in pieces.

    Args:
        page: its rows.
        thresholds: what the user set, by metric.
        n_detailed: rows, from the first on, that have plots and all fields.
    """
    yield from _head(page)
    yield from _verdicts(page)
    yield from _timeline(page)
    yield from _table(page, thresholds, n_detailed)
    yield from _slowest(page)
    yield from _definitions(page)
    yield (
        '<dialog id="detail" aria-labelledby="detail-title"><div id="detail-body"></div></dialog>'
        f"<footer><p>trtop {markup(__version__)}. This page is one file and loads nothing."
        "</p></footer>"
    )


def _head(page: PageRows) -> Iterator[str]:
    snapshot = page.snapshot
    totals = quick_totals(snapshot)
    yield '<header><h1>TCP connections by destination</h1><div class="tools">'
    yield '<button id="theme" type="button" hidden>Dark</button>'
    yield '<button id="keys" type="button" aria-expanded="false" hidden>Keys</button></div>'
    yield '<p id="key-list" hidden></p>'
    yield '<h2 class="unseen">What was captured</h2><ul class="facts">'
    for item in health_items(snapshot, totals):
        yield f"<li>{markup(item)}</li>"
    yield "</ul>"
    for warning in warnings(snapshot, totals):
        yield f'<p class="warning">{markup(warning)}</p>'
    left = snapshot.filtered
    if left is not None:
        yield (
            f"<p>Only rows of the filter <code>{markup(left.text)}</code>: "
            f"{snapshot.n_destinations:,} of {left.n_before:,}.</p>"
        )
    yield "</header><main>"


def _verdicts(page: PageRows) -> Iterator[str]:
    """What is wrong, in words."""
    ill = [(i, row) for i, row in enumerate(page.rows) if row.cause not in FINE]
    n_fine = sum(row.cause is Cause.OK for row in page.rows)
    yield '<section aria-labelledby="verdicts"><h2 id="verdicts">What is wrong</h2>'
    if not ill:
        yield f"<p>Nothing that is looked for holds for any of {len(page.rows):,} destinations.</p>"
    yield '<ol class="verdicts">'
    for i, row in ill[:N_LISTED]:
        word, sentence = row.judged()
        yield (
            f'<li><span class="verdict">{markup(word)}</span> '
            f'<a href="#d{i}">{markup(row.name)}</a><span>{markup(sentence or "")}</span></li>'
        )
    yield "</ol>"
    if ill:
        more = len(ill) - N_LISTED
        rest = f"{more:,} more with a verdict are in the table; " if more > 0 else ""
        yield f'<p class="muted">{rest}{n_fine:,} of {len(page.rows):,} destinations are ok.</p>'
    yield "</section>"


def _timeline(page: PageRows) -> Iterator[str]:
    yield '<section aria-labelledby="timeline-title"><h2 id="timeline-title">Timeline</h2>'
    if not page.snapshot.health.packets:
        yield "<p>There was no packet.</p>"
    elif page.recorded is None or not len(page.recorded.totals):
        yield f"<p>{NO_TIMELINE}</p>"
    else:
        yield '<div id="timeline"></div>'
        yield "<noscript><p>The timeline needs scripts.</p></noscript>"
    yield "</section>"


def _table(page: PageRows, thresholds: Mapping[str, Thresholds], n_detailed: int) -> Iterator[str]:
    snapshot = page.snapshot
    yield '<section aria-labelledby="rows-title"><h2 id="rows-title">Destinations</h2>'
    yield '<div id="controls" hidden></div><p id="status" role="status"></p>'
    n_left_out = snapshot.n_destinations - len(page.rows)
    if n_left_out > 0:
        yield (
            f"<p>The first {len(page.rows):,} of {snapshot.n_destinations:,} destinations; the "
            "total is of all.</p>"
        )
    if len(page.rows) > n_detailed:
        yield (
            f"<p>Plots, all fields and the numbers of a part of the time: of the first "
            f"{n_detailed:,}.</p>"
        )
    percentile = snapshot.view.percentile
    yield '<div class="wide" tabindex="0" role="group" aria-labelledby="rows-title">'
    yield '<table id="rows"><thead><tr><th scope="col">Destination</th>'
    yield '<th scope="col">Verdict</th>'
    for column in page.columns:
        metric = column.metric
        of = f", p{column.percentile or percentile:g}" if metric.kind is Kind.DISTRIBUTION else ""
        yield f'<th scope="col" title="{markup(metric.help + of)}">{markup(_heading(column))}</th>'
    yield "</tr></thead><tbody>"
    listed = zip(page.rows, _cells_of(page.rows, page, thresholds), strict=True)
    for i, (row, cells) in enumerate(listed):
        name = markup(row.name) + (f" @ {markup(row.host)}" if row.host else "")
        yield f'<tr id="d{i}"><th scope="row">{name}</th>{cells}</tr>'
    yield '</tbody><tfoot><tr><th scope="row">total</th>'
    yield from _cells_of([quick_totals(snapshot)], page, thresholds)
    yield "</tr></tfoot></table></div></section>"


def _heading(column: Column) -> str:
    return column.headings[-1]


def _cells_of(
    rows: Sequence[QuickRow], page: PageRows, thresholds: Mapping[str, Thresholds]
) -> Iterator[str]:
    """The cells of each row behind its name; columns are worked out for all rows at once."""
    percentile = page.snapshot.view.percentile
    columns: list[list[str]] = []
    for column in page.columns:
        shown = column.percentile or percentile
        cells: list[str] = []
        for figures in dict.fromkeys(row.figures for row in rows):
            values = column.values(figures, percentile)
            limits = thresholds.get(column.metric.name)
            marks = marks_of(column.metric, figures, shown, limits).tolist()
            for value, mark in zip(values, marks, strict=True):
                style = f' class="{CLASS_OF[MARKS[mark]]}"' if MARKS[mark] in CLASS_OF else ""
                cells.append(f"<td{style}>{markup(column.forms(value, MICRO)[0])}</td>")
        columns.append(cells)
    for i, row in enumerate(rows):
        yield _verdict_cell(row) + "".join(cells[i] for cells in columns)


def _verdict_cell(row: QuickRow) -> str:
    if row.is_total:
        return "<td></td>"
    style = "verdict" if row.cause in FAULTS else "fine"
    return f'<td class="{style}">{markup(row.judged()[0])}</td>'


def _slowest(page: PageRows) -> Iterator[str]:
    if page.recorded is None:
        return
    found = slowest(page.recorded)
    yield '<section aria-labelledby="slow-title"><h2 id="slow-title">Slowest connections</h2>'
    if not found:
        yield "<p>None of the connections that are remembered has an answer.</p></section>"
        return
    yield (
        '<p class="muted">By the time to the first byte of their latest answer (+: still waiting), '
        "of the connections remembered at the end of the capture, of destinations that have "
        "plots.</p>"
        '<div class="wide" tabindex="0" role="group" aria-labelledby="slow-title"><table>'
        '<thead><tr><th scope="col">Destination</th>'
    )
    yield "".join(f'<th scope="col">{heading}</th>' for heading in HEADINGS)
    yield "</tr></thead><tbody>"
    clock_ns = page.snapshot.clock_ns or 0
    for place, item in found:
        cells = "".join(f"<td>{markup(text)}</td>" for text in connection_cells(item, clock_ns))
        name = page.rows[place].name if place < len(page.rows) else "(not in this page)"
        yield f'<tr><th scope="row">{markup(name)}</th>{cells}</tr>'
    yield "</tbody></table></div></section>"


def _definitions(page: PageRows) -> Iterator[str]:
    """What the columns and the verdicts mean."""
    yield '<section aria-labelledby="words"><h2 id="words">What is shown</h2><h3>Columns</h3><dl>'
    percentile = page.snapshot.view.percentile
    for column in page.columns:
        metric = column.metric
        of = f" (p{column.percentile or percentile:g})" if metric.kind is Kind.DISTRIBUTION else ""
        yield (
            f"<div><dt>{markup(_heading(column))} <code>{markup(metric.name)}</code></dt>"
            f"<dd>{markup(metric.help + of)}</dd></div>"
        )
    yield "</dl><h3>Verdicts</h3><dl>"
    for cause, meaning in MEANINGS.items():
        yield f"<div><dt>{markup(WORDS[cause])}</dt><dd>{markup(meaning)}</dd></div>"
    yield (
        "</dl><p>A row has the first verdict of this list that holds. Percentiles come from "
        "sketches with a relative error of at most 0.55 %; counts, sums, least and greatest "
        "values are exact. Times are "
        "the capture's own, UTC.</p></section></main>"
    )
