"""What the words of a filter stand for: columns, statistics, units and verdicts.

Takes text, gives names of metrics and of verdicts; says of numbers what they are numbers of. Knows
no grammar.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from enum import Enum
from functools import cache

from trtop.filters.tree import Column, Number, Operand, Ratio
from trtop.metrics.lookup import sortable_names
from trtop_core.metric_types import Kind, Metric, Unit
from trtop_core.metrics import METRIC_OF, METRICS
from trtop_core.parse import TIME_UNITS_NS
from trtop_core.verdicts.causes import WORDS

N_NEAREST = 3

MULTIPLES = {"k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
"""What a letter multiplies by: decimal as columns show sizes, with an ``i`` binary."""

NO_NUMBERS = frozenset({"destination", "verdict"})
"""What rows can be sorted by that is no number."""

EXACT = ("min", "max", "mean", "count")
"""Statistics of a distribution that are no percentile."""

VERDICTS = tuple(word.lower() for word in WORDS)


class Quantity(Enum):
    """What a number is a number of; the value says it to a user."""

    TIME = "a time"
    BYTES = "bytes"
    COUNT = "a count"
    RATE = "a rate per second"
    BYTE_RATE = "bytes per second"
    SHARE = "a share"
    PLAIN = "a plain number"


_QUANTITIES = {
    Unit.COUNT: Quantity.COUNT,
    Unit.BYTES: Quantity.BYTES,
    Unit.NS: Quantity.TIME,
    Unit.PER_SECOND: Quantity.RATE,
    Unit.BYTES_PER_SECOND: Quantity.BYTE_RATE,
    Unit.SHARE: Quantity.SHARE,
}


@cache
def columns() -> dict[str, str]:
    """Metrics by all that they are called, in lower case."""
    shown = {heading.lower(): metric.name for metric in METRICS for heading in metric.titles}
    names = {name: key for name, key in sortable_names().items() if key not in NO_NUMBERS}
    labels = {metric.label.lower(): metric.name for metric in METRICS if metric.label}
    return {**labels, **shown, **names}


@cache
def column_form() -> re.Pattern[str]:
    """The name of a column, the longest first; blanks as wide as one likes, ``-`` for ``_``."""
    forms = [
        re.escape(name).replace("_", "[_-]").replace(r"\ ", r"\s+")
        for name in sorted(columns(), key=len, reverse=True)
    ]
    return re.compile(f"(?:{'|'.join(forms)})(?![^\\s/()<>=!])", re.IGNORECASE)


def column(text: str) -> str | None:
    """The metric that a text is a name of; None: there is none."""
    name = " ".join(text.lower().split())
    return columns().get(name) or columns().get(name.replace("-", "_"))


def nearest(text: str, names: Iterable[str]) -> list[str]:
    """The three names that a text is most like, the best first."""
    name = text.lower()

    def likeness(other: str) -> tuple[float, int]:
        found = difflib.SequenceMatcher(None, name, other).ratio()
        return -found - other.startswith(name), abs(len(other) - len(name))

    return sorted(dict.fromkeys(names), key=likeness)[:N_NEAREST]


def statistic(text: str) -> str | None:
    """``p99``, ``max``, … as a column has it; None: there is no such statistic."""
    name = text.lower()
    name = {"avg": "mean", "n": "count"}.get(name, name)
    if name in EXACT:
        return name
    match = re.fullmatch(r"p([0-9]{1,3}(?:\.[0-9]{1,6})?)", name)
    if match is None or not 0 < float(match[1]) <= 100:
        return None
    return f"p{float(match[1]):.10g}"


def quantity(operand: Operand) -> Quantity | None:
    """What an operand is a number of; None: a ratio that means nothing."""
    match operand:
        case Number(_, unit):
            return Quantity.TIME if unit in TIME_UNITS_NS else Quantity.PLAIN
        case Column(metric, which):
            return Quantity.COUNT if which == "count" else _QUANTITIES[METRIC_OF[metric].unit]
        case Ratio(part, whole):
            above, below = quantity(part), quantity(whole)
            if above is below:
                return Quantity.PLAIN
            return above if below is Quantity.COUNT else None


def factor(unit: str, of: Quantity) -> float | None:
    """What a number with a unit is multiplied by; None: that unit is none of such numbers."""
    if of is Quantity.TIME:
        return TIME_UNITS_NS.get(unit)
    bare = unit.removesuffix("/s") if of in (Quantity.RATE, Quantity.BYTE_RATE) else unit
    if of in (Quantity.BYTES, Quantity.BYTE_RATE):
        bare = bare.removesuffix("b")
    return 1 if not bare else MULTIPLES.get(bare)


def can_be_share(operand: Column | Ratio) -> bool:
    """Whether percent can be asked of it."""
    if isinstance(operand, Ratio):
        return quantity(operand) is Quantity.PLAIN
    metric = METRIC_OF[operand.metric]
    return metric.unit is Unit.SHARE or bool(metric.share_of)


def is_distribution(metric: str) -> bool:
    """Whether it has percentiles."""
    return METRIC_OF[metric].kind is Kind.DISTRIBUTION


def example(operand: Column | Ratio) -> str:
    """A condition on it that would be right."""
    if isinstance(operand, Ratio):
        return "such as server/rtt>0.8"
    metric = METRIC_OF[operand.metric]
    name = f"{operand.statistic}({metric.name})" if operand.statistic else metric.name
    return f"such as {_example(metric, name, operand.statistic)}"


def _example(metric: Metric, name: str, which: str) -> str:
    if metric.unit is Unit.NS and which != "count":
        return f"{name}>100ms"
    if metric.unit is Unit.SHARE:
        return f"{name}<99.9%"
    return f"{name}>10" + (f", {name}<90%" if metric.share_of else "")
