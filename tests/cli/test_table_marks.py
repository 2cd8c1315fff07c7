"""Marks of whole columns against the same rules read number by number."""

from __future__ import annotations

import numpy as np
import pytest
from support.builders.snapshot import destination, incident, snapshot

from trtop.metrics.columns import COLUMNS
from trtop.table.marks import MARKS, mark_of, marks_of
from trtop.table.rows import QuickRow, quick_rows, quick_totals
from trtop.table.text import Role
from trtop_core.metric_types import Grade, Kind, Metric, Thresholds, Unit, above, below
from trtop_core.metrics import COUNTERS, GAUGES, METRIC_OF, SKETCHES
from trtop_core.snapshot import Snapshot
from trtop_core.verdicts.causes import Cause
from trtop_core.verdicts.rules import RESTS_ON

GRADES = {Grade.ORDINARY: Role.PLAIN, Grade.NOTABLE: Role.NOTABLE, Grade.HIGH: Role.HIGH}


def grade_of(limits: Thresholds, value: float | None) -> Grade:
    found = Grade.ORDINARY
    for grade, limit in ((Grade.NOTABLE, limits.notable), (Grade.HIGH, limits.high)):
        if value is None or limit is None:
            continue
        if value > limit if limits.side.value == "above" else value < limit:
            found = grade
    return found


def value_of(metric: Metric, row: QuickRow, percentile: float, is_share: bool) -> float | None:
    if metric.kind is Kind.DISTRIBUTION:
        return row.quantile(metric.name, percentile)
    if metric.kind is Kind.DERIVED:
        value = row.derived(metric.name)
        return 100 * value if value is not None and metric.unit is Unit.SHARE else value
    n = row.count(metric.name)
    if not is_share:
        return n
    whole = sum(row.count(part) for part in metric.share_of)
    return 100 * n / whole if whole else None


def own_grade(metric: Metric, row: QuickRow, percentile: float) -> Grade:
    limits = metric.thresholds
    if limits is None:
        return Grade.ORDINARY
    return grade_of(limits, value_of(metric, row, percentile, limits.is_share))


def plain_mark(metric: Metric, row: QuickRow, percentile: float, limits: Thresholds | None) -> Role:
    if limits is not None:
        return GRADES[grade_of(limits, value_of(metric, row, percentile, limits.is_share))]
    if row.is_total or row.cause in (Cause.OK, Cause.NOTHING):
        return Role.PLAIN
    grade = own_grade(metric, row, percentile)
    if metric.graded_with:
        grade = max(grade, own_grade(METRIC_OF[metric.graded_with], row, percentile))
    if metric.name in RESTS_ON[row.cause]:
        if metric.thresholds is not None:
            shows = grade is not Grade.ORDINARY
        elif metric.kind is Kind.DISTRIBUTION:
            shows = row.samples(metric.name) > 0
        else:
            shows = row.count(metric.name) > 0
        if shows:
            return Role.VERDICT
    return GRADES[grade]


def any_rows(seed: int, n_rows: int = 300) -> Snapshot:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n_rows):
        top = int(rng.choice([2, 10, 1000, 2**40]))
        names = [name for name in COUNTERS + GAUGES if rng.random() < 0.3]
        counters = {name: int(rng.integers(0, top)) for name in names}
        samples = {
            name: rng.integers(1, 10 ** int(rng.integers(1, 11)), 25).tolist()
            for name in SKETCHES
            if rng.random() < 0.3
        }
        made.append(destination(f"10.0.{i // 250}.{i % 250}", **counters, **samples))
    return snapshot(made)


LIMITS = (None, above(3), above(2.5, 80, is_share=True), below(None, 50), above(10**6, 10**8))


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("percentile", [50.0, 95.0])
def test_marks_are_those_that_each_number_has_by_itself(
    limits: Thresholds | None, percentile: float
) -> None:
    for picture in (any_rows(3), incident()):
        found = set()
        for row in (*quick_rows(picture), quick_totals(picture)):
            for column in COLUMNS:
                metric = column.metric
                thresholds = {} if limits is None else {metric.name: limits}
                mark = mark_of(metric, row, percentile, thresholds)
                assert mark is plain_mark(metric, row, percentile, limits), metric.name
                found.add(mark)
        assert len(found) >= (2 if limits else 3)


def test_marks_are_one_for_each_row() -> None:
    rows = list(quick_rows(any_rows(4, 40)))
    marks = marks_of(METRIC_OF["rst"], rows[0].figures, 95.0, None)
    assert [MARKS[mark] for mark in marks] == [
        mark_of(METRIC_OF["rst"], row, 95.0, {}) for row in rows
    ]
