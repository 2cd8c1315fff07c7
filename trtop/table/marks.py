"""What stands out in a row: the numbers that its verdict rests on, and those beyond a threshold.

Takes a row and the thresholds that the user set, gives a role for each of its numbers. A row in
which nothing is wrong has none, except for thresholds that the user set.
"""

from __future__ import annotations

from collections.abc import Mapping

from trtop.table.rows import QuickRow
from trtop.table.text import Role
from trtop_core.metric_types import Grade, Kind, Metric, Thresholds, Unit
from trtop_core.metrics import METRIC_OF
from trtop_core.verdicts.rules import RESTS_ON, Cause

JUDGED_PERCENTILES = {"path_rtt": 50.0, "reuse": 50.0}
"""Percentiles that verdicts look at, where that is not p95."""

_ROLE_OF = {Grade.ORDINARY: Role.PLAIN, Grade.NOTABLE: Role.NOTABLE, Grade.HIGH: Role.HIGH}

_FINE = (Cause.OK, Cause.NOTHING)


def verdict_role(row: QuickRow) -> Role:
    """How the verdict itself stands out."""
    if row.cause is Cause.NOTHING:
        return Role.DIM
    return Role.PLAIN if row.cause is Cause.OK else Role.VERDICT


def verdict_text(row: QuickRow, ascii_only: bool = False) -> str:
    """The verdict, and why: ``LOSS: 4.1 % of the segments …``; the word alone where all is well.

    Args:
        row: whose verdict it is.
        ascii_only: nothing but ASCII.
    """
    word, sentence = row.judged()
    text = f"{word}: {sentence}" if sentence else word
    return text.replace("µ", "u") if ascii_only else text


def mark_of(
    metric: Metric, row: QuickRow, percentile: float, thresholds: Mapping[str, Thresholds]
) -> Role:
    """How one number of a row stands out.

    Args:
        metric: which number.
        row: which row; that of the totals, which stands for no destination, has no verdict.
        percentile: the one that is shown of a distribution.
        thresholds: what the user set, by metric; the metrics' own hold for all others.
    """
    if (limits := thresholds.get(metric.name)) is not None:
        return _ROLE_OF[limits.grade(graded_value(metric, row, percentile, limits.is_share))]
    if row.is_total or row.cause in _FINE:
        return Role.PLAIN
    grade = _own_grade(metric, row, percentile)
    if metric.graded_with:
        grade = max(grade, _own_grade(METRIC_OF[metric.graded_with], row, percentile))
    if metric.name in RESTS_ON[row.cause] and _shows(metric, row, percentile, grade):
        return Role.VERDICT
    return _ROLE_OF[grade]


def _own_grade(metric: Metric, row: QuickRow, percentile: float) -> Grade:
    """The grade of a number by its metric's own thresholds."""
    limits = metric.thresholds
    if limits is None:
        return Grade.ORDINARY
    return limits.grade(graded_value(metric, row, percentile, limits.is_share))


def _shows(metric: Metric, row: QuickRow, percentile: float, grade: Grade) -> bool:
    """Whether a cause shows in a number: one of two directions may be in order."""
    if metric.thresholds is not None:
        return grade is not Grade.ORDINARY
    if metric.kind is Kind.DISTRIBUTION:
        return row.quantile(metric.name, percentile) is not None
    return bool(row.count(metric.name))


def graded_value(metric: Metric, row: QuickRow, percentile: float, is_share: bool) -> float | None:
    """A number as thresholds take it, None where there is none.

    Args:
        metric: which number.
        row: which row.
        percentile: of a distribution.
        is_share: in percent of what the metric is a share of.
    """
    if metric.kind is Kind.DISTRIBUTION:
        return row.quantile(metric.name, percentile)
    if metric.kind is Kind.DERIVED:
        value = row.derived(metric.name)
        return 100 * value if value is not None and metric.unit is Unit.SHARE else value
    n = row.count(metric.name)
    if not is_share:
        return n
    whole = row.whole(metric.name)
    return 100 * n / whole if whole else None
