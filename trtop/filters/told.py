"""What a filter finds in a row, as text: the numbers that its conditions hold for.

Takes a filter and rows, gives a text for each. Never decides which rows a filter shows.
"""

from __future__ import annotations

import math

from trtop.filters.filter import Filter, wanted_leaves
from trtop.filters.masks import mask_of, numbers_of
from trtop.filters.rows import Rows
from trtop.filters.tree import Column, Compare, Number, Ratio, operand_text
from trtop.metrics.format import forms_of, percent
from trtop_core.metric_types import Unit
from trtop_core.metrics import METRIC_OF

COUNTED = "count"


def numbers_told(chosen: Filter, rows: Rows) -> list[str]:
    """The numbers of each row for which a condition of the filter holds: ``rst 3 (12%)``.

    Args:
        chosen: the filter.
        rows: that it is asked about.

    Returns:
        One text for each row, empty where no condition on a number holds.
    """
    told: list[list[str]] = [[] for _ in range(len(rows))]
    for leaf in wanted_leaves(chosen.tree):
        if not isinstance(leaf, Compare):
            continue
        operands = [leaf.left] if isinstance(leaf.right, Number) else [leaf.left, leaf.right]
        for operand in operands:
            assert not isinstance(operand, Number)
            texts = _texts(operand, leaf, rows)
            for row in mask_of(leaf, rows).nonzero()[0].tolist():
                told[row].append(f"{operand_text(operand)} {texts[row]}")
    return [", ".join(dict.fromkeys(texts)) for texts in told]


def _whole(value: float) -> int:
    """A number without a part; of an unknown one, which no condition holds for, 0."""
    return 0 if math.isnan(value) else round(value)


def _texts(operand: Column | Ratio, leaf: Compare, rows: Rows) -> list[str]:
    """One side of a condition in every row."""
    values = numbers_of(operand, rows).tolist()
    if isinstance(operand, Ratio):
        return [f"{value:.3g}" for value in values]
    metric = METRIC_OF[operand.metric]
    unit = Unit.COUNT if operand.statistic == COUNTED else metric.unit
    is_whole = unit in (Unit.COUNT, Unit.BYTES, Unit.NS)
    known = [_whole(value) if is_whole else value for value in values]
    texts = [forms_of(unit, value)[0] for value in known]
    is_share = isinstance(leaf.right, Number) and leaf.right.unit == "%"
    if not is_share or not metric.share_of:
        return texts
    wholes = rows.whole(operand.metric).tolist()
    return [
        f"{text} ({percent(part, whole)})"
        for text, part, whole in zip(texts, known, wholes, strict=True)
    ]
