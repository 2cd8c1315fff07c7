"""What stands out in a row: the numbers that its verdict rests on, and those beyond a threshold.

Takes a row and the thresholds that the user set, gives a role for each of its numbers. A row in
which nothing is wrong has none, except for thresholds that the user set.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt

from trtop.table.rows import Figures, QuickRow
from trtop.table.text import Role
from trtop_core.metric_types import Grade, Kind, Metric, Thresholds, Unit
from trtop_core.metrics import METRIC_OF
from trtop_core.verdicts.causes import FAULTS, Cause
from trtop_core.verdicts.phrases import of_whole, several
from trtop_core.verdicts.rules import RESTS_ON

JUDGED_PERCENTILES = {"path_rtt": 50.0, "reuse": 50.0}
"""Percentiles that verdicts look at, where that is not p95."""

MARKS = (Role.PLAIN, Role.NOTABLE, Role.HIGH, Role.VERDICT)
"""How a number stands out, those of its grades first."""

VERDICT_MARK = MARKS.index(Role.VERDICT)

_IS_FINE = np.array([cause not in FAULTS for cause in Cause])


def verdict_role(row: QuickRow) -> Role:
    """How the verdict itself stands out."""
    if row.cause is Cause.NOTHING:
        return Role.DIM
    return Role.VERDICT if row.cause in FAULTS else Role.PLAIN


def verdict_text(row: QuickRow, ascii_only: bool = False) -> str:
    """The verdict, and why: ``LOSS: 4.1 % of the segments …``; the word alone where all is well.

    Args:
        row: whose verdict it is.
        ascii_only: nothing but ASCII.
    """
    word, sentence = row.judged()
    if row.cause is Cause.NOTHING:
        sentence = quiet_text(row)
    text = f"{word}: {sentence}" if sentence else word
    return text.replace("µ", "u") if ascii_only else text


def quiet_text(row: QuickRow) -> str:
    """What there is to say of a row in which nothing began, or nothing came of what began."""
    n_attempts = row.count("syn")
    if n_attempts:
        answered, n_late = row.count("synack"), row.count("timeouts")
        text = f"{of_whole(n_attempts, n_attempts, 'attempt')} came to no connection"
        return f"{text}; {answered:,} answered, {n_late:,} without an answer for 20 s"
    text = "nothing began here in this time"
    if n_open := row.count("active"):
        text += f"; {several(n_open, 'connection')} open"
    return text


def mark_of(
    metric: Metric, row: QuickRow, percentile: float, thresholds: Mapping[str, Thresholds]
) -> Role:
    """How one number of a row stands out (see ``marks_of``)."""
    marks = marks_of(metric, row.figures, percentile, thresholds.get(metric.name))
    return MARKS[marks[row.idx]]


def marks_of(
    metric: Metric, figures: Figures, percentile: float, limits: Thresholds | None
) -> npt.NDArray[np.int8]:
    """How one number stands out in every row.

    Args:
        metric: which number.
        figures: the rows; that of the totals, which stands for no destination, has no verdict.
        percentile: the one that is shown of a distribution.
        limits: what the user set for the metric; None: its own hold.

    Returns:
        Shape (n,), numbers of places in ``MARKS``.
    """
    if limits is not None:
        return _grades(metric, figures, percentile, limits)
    if figures.is_total:
        return np.zeros(len(figures), np.int8)
    grades = _own_grades(metric, figures, percentile)
    if metric.graded_with:
        other = METRIC_OF[metric.graded_with]
        grades = np.maximum(grades, _own_grades(other, figures, percentile))
    causes = np.array(figures.causes()[1], np.int8)
    rests = _resting_on(metric.name)[causes]
    if rests.any():
        grades[rests & _shows(metric, figures, percentile, grades)] = VERDICT_MARK
    grades[_IS_FINE[causes]] = Grade.ORDINARY
    return grades


@cache
def _resting_on(name: str) -> npt.NDArray[np.bool_]:
    """By a cause's number, whether it shows in a metric."""
    return np.array([name in RESTS_ON.get(cause, ()) for cause in Cause])


def _own_grades(metric: Metric, figures: Figures, percentile: float) -> npt.NDArray[np.int8]:
    """The grades of a number by its metric's own thresholds."""
    if metric.thresholds is None:
        return np.zeros(len(figures), np.int8)
    return _grades(metric, figures, percentile, metric.thresholds)


def _grades(
    metric: Metric, figures: Figures, percentile: float, limits: Thresholds
) -> npt.NDArray[np.int8]:
    return limits.grades(graded_values(metric, figures, percentile, limits.is_share))


def _shows(
    metric: Metric, figures: Figures, percentile: float, grades: npt.NDArray[np.int8]
) -> npt.NDArray[np.bool_]:
    """Where a cause shows in a number: one of two directions may be in order."""
    if metric.thresholds is not None:
        return np.not_equal(grades, int(Grade.ORDINARY))
    if metric.kind is Kind.DISTRIBUTION:
        return np.array(figures.quantiles(metric.name, percentile)) >= 0
    return np.array(figures.counter(metric.name)) > 0


def graded_values(
    metric: Metric, figures: Figures, percentile: float, is_share: bool
) -> npt.NDArray[np.float64]:
    """A number of every row as thresholds take it, NaN where there is none.

    Args:
        metric: which number.
        figures: the rows.
        percentile: of a distribution.
        is_share: in percent of what the metric is a share of.

    Returns:
        Shape (n,).
    """
    if metric.kind is Kind.DISTRIBUTION:
        values = np.array(figures.quantiles(metric.name, percentile), np.float64)
        return np.where(values < 0, np.nan, values)
    if metric.kind is Kind.DERIVED:
        values = np.array(figures.derived(metric.name), np.float64)
        return 100 * values if metric.unit is Unit.SHARE else values
    counts = np.array(figures.counter(metric.name), np.float64)
    if not is_share:
        return counts
    whole = np.zeros(len(figures))
    for part in metric.share_of:
        whole += figures.counter(part)
    return np.where(whole > 0, 100 * counts / np.maximum(whole, 1), np.nan)
