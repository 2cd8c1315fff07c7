"""A syntax tree asked about rows: which ones it holds for, all at once.

Takes a tree and ``Rows``, gives a mask. What does not exist (a latency without samples, a share of
nothing) fulfils no condition. Never changes a number.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Any

import numpy as np

from trtop.filters.linear_regex import LinearRegex
from trtop.filters.rows import CONFLICT, Floats, Mask, Rows
from trtop.filters.spelling import VERDICTS, factor, quantity
from trtop.filters.tree import (
    And,
    Column,
    Compare,
    Everything,
    Inside,
    Node,
    Not,
    Number,
    Or,
    Pattern,
    Port,
    Ratio,
    Text,
    VerdictIs,
    Whole,
)
from trtop_core.metric_types import Unit
from trtop_core.metrics import METRIC_OF

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}


def mask_of(node: Node, rows: Rows) -> Mask:
    """Which rows a tree holds for, shape (n,)."""
    match node:
        case And(parts):
            return reduce(np.logical_and, (mask_of(part, rows) for part in parts))
        case Or(parts):
            return reduce(np.logical_or, (mask_of(part, rows) for part in parts))
        case Not(part):
            return ~mask_of(part, rows)
        case Everything():
            return np.ones(len(rows), bool)
        case Text(part, of_name):
            return rows.where_text(lambda text: part in text, of_name)
        case Whole(pattern, is_glob, of_name):
            return rows.where_text(_whole_test(pattern, is_glob), of_name)
        case Pattern(pattern, of_name):
            return rows.where_text(compiled(pattern).search, of_name)
        case Inside(network):
            return rows.inside(network)
        case Port(comparison, number):
            return _compared(rows.ports, comparison, np.float64(number))
        case VerdictIs(prefix):
            is_it = np.array([word.startswith(prefix) for word in VERDICTS], bool)
            return np.asarray(is_it[rows.causes])
        case Compare():
            return _condition(node, rows)


@lru_cache(maxsize=64)
def compiled(pattern: str) -> LinearRegex:
    """A regular expression ready to be used."""
    return LinearRegex(pattern)


def _whole_test(pattern: str, is_glob: bool) -> Callable[[str], bool]:
    if not is_glob:
        return lambda text: pattern in (text, text.removesuffix(CONFLICT))
    # fnmatch translates to a form that does not go back over what it has matched.
    fits = re.compile(fnmatch.translate(pattern)).match
    return lambda text: bool(fits(text) or fits(text.removesuffix(CONFLICT)))


def _condition(node: Compare, rows: Rows) -> Mask:
    left, right = node.left, node.right
    if not isinstance(right, Number):
        return _compared(numbers_of(left, rows), node.operator, numbers_of(right, rows))
    if isinstance(left, Ratio) or (right.unit == "%" and METRIC_OF[left.metric].share_of):
        return _share(left, node.operator, right, rows)
    found = numbers_of(left, rows)
    if METRIC_OF[left.metric].unit is Unit.SHARE:
        found = 100 * found
    return _compared(found, node.operator, np.float64(_value(right, left)))


def _share(left: Column | Ratio, comparison: str, limit: Number, rows: Rows) -> Mask:
    """A part against its share of a whole: multiplied out, so that 7 of 100 are exactly 7 %."""
    if isinstance(left, Ratio):
        part, whole = numbers_of(left.part, rows), numbers_of(left.whole, rows)
    else:
        part, whole = numbers_of(left, rows), rows.whole(left.metric)
    whole = np.where(whole > 0, whole, np.nan)
    if limit.unit == "%":
        return _compared(100 * part, comparison, limit.value * whole)
    return _compared(part, comparison, _value(limit, left) * whole)


def numbers_of(operand: Column | Ratio, rows: Rows) -> Floats:
    """An operand of every row, NaN where it is unknown."""
    if isinstance(operand, Column):
        return rows.column(operand.metric, operand.statistic)
    part, whole = numbers_of(operand.part, rows), numbers_of(operand.whole, rows)
    return np.asarray(part / np.where(whole > 0, whole, np.nan))


def _value(number: Number, of: Column | Ratio) -> float:
    """A number in the unit of what it is compared with."""
    what = quantity(of)
    multiple = 1.0 if number.unit == "%" or what is None else factor(number.unit, what)
    return number.value * (1.0 if multiple is None else multiple)


def _compared(left: Floats, comparison: str, right: Floats | np.float64) -> Mask:
    """A comparison that does not hold where either side is unknown."""
    with np.errstate(invalid="ignore"):
        holds = COMPARISONS[comparison](left, right)
    return np.asarray(holds & ~np.isnan(left) & ~np.isnan(right))
