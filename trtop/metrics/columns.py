"""How each metric that has a column looks in a table.

Takes the numbers of rows and the percentile in use, gives the text forms of each. Which columns
there are, and all that is said of them, stands in ``trtop_core.metrics``. Knows nothing of widths,
colours or terminals beyond each column's own floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from trtop.metrics import format as units
from trtop.metrics.format import Forms
from trtop_core.metric_types import Group, Kind, Metric, Thresholds, Unit
from trtop_core.metrics import METRIC_OF, METRICS


@dataclass(frozen=True, slots=True)
class CellFormat:
    """What a cell depends on besides its row.

    Attributes:
        percentile: what latency columns show.
        micro: what stands for micro, see ``units.duration``.
        thresholds: what the user set, by metric, instead of the metrics' own.
        mark_width: characters before a high number, 0 where colour marks it.
    """

    percentile: float
    micro: str = "µ"
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    mark_width: int = 0


Value = int | float | None | tuple[float | None, ...]
"""What a cell's text is made of: a number, None or -1 where there is none, or a number and its
whole, or what stands in brackets behind it."""


class Numbers(Protocol):
    """The numbers of some rows by name, each a list of one per row."""

    def counter(self, name: str) -> list[int]:
        """A counter or gauge."""

    def derived(self, name: str) -> list[float | None]:
        """A derived metric, None where it is unknown."""

    def quantiles(self, sketch: str, percentile: float) -> list[int]:
        """A percentile of a distribution, -1 without samples."""


class Column(NamedTuple):
    """One column of numbers, aligned right.

    Attributes:
        metric: what it shows.
        percentile: of a distribution, instead of the one in use.
    """

    metric: Metric
    percentile: float | None = None

    @property
    def name(self) -> str:
        """What a user writes for it: ``rst``, ``p99(response_time)``."""
        if self.percentile is None:
            return self.metric.name
        return f"p{self.percentile:g}({self.metric.name})"

    @property
    def key(self) -> str:
        """The metric's name; rows can be sorted by it."""
        return self.metric.name

    @property
    def group(self) -> Group:
        """Which of the classic groups it stands in."""
        return self.metric.group

    @property
    def headings(self) -> Forms:
        """One name at every width, with what stands in brackets behind it where there is room."""
        name = self.metric.shown_name
        if self.percentile is not None:
            return (f"p{self.percentile:g} {name}",)
        _, bracket, rest = (self.metric.titles or (name,))[0].partition("(")
        return (f"{name}({rest}", name) if bracket else (name,)

    @property
    def importance(self) -> int:
        """1 stays to the last when a terminal is narrow."""
        return self.metric.importance

    @property
    def floor(self) -> int:
        """Characters it takes even where all its numbers are shorter, against flicker."""
        return self.metric.min_width

    def values(self, figures: Numbers, percentile: float) -> Sequence[Value]:
        """What the texts of its cells are made of, for every row.

        Args:
            figures: the rows.
            percentile: of a distribution where the column has none of its own.
        """
        metric = self.metric
        if metric.kind is Kind.DERIVED:
            return figures.derived(metric.name)
        if metric.kind is Kind.DISTRIBUTION:
            return figures.quantiles(metric.name, self.percentile or percentile)
        counts = figures.counter(metric.name)
        if metric.as_share:
            parts = [figures.counter(part) for part in metric.share_of]
            wholes = (
                parts[0] if len(parts) == 1 else [sum(each) for each in zip(*parts, strict=True)]
            )
            return list(zip(counts, wholes, strict=True))
        if metric.in_brackets:
            return list(zip(counts, figures.derived(metric.in_brackets), strict=True))
        return counts

    def forms(self, value: Value, micro: str) -> Forms:
        """A cell's text, from the most exact to the shortest.

        Args:
            value: of ``values``.
            micro: what stands for micro, see ``units.duration``.
        """
        return _SHOWN[self.metric.kind](self.metric, value, micro)


def _counted_forms(metric: Metric, value: Any, micro: str) -> Forms:
    """A number, and in brackets its share or what stands beside it: ``23(100%)``, ``23(0.7)``.

    A share of nothing, and one of 0, stands alone; so does a number beside which there is nothing,
    and one beyond its whole: in a window, or since a reset, connections end that began before.
    """
    if metric.as_share:
        n, whole = value
        forms = _levels(metric.unit, n, micro)
        if n == 0 or n > whole:
            return forms
        return tuple(f"{text}({units.percent(n, whole)})" for text in forms)
    if metric.in_brackets:
        n, other = value
        forms = _levels(metric.unit, n, micro)
        if not other:
            return forms
        text = units.forms_of(METRIC_OF[metric.in_brackets].unit, other, micro)[-1]
        return (*(f"{form}({text})" for form in forms), forms[-1])
    return _levels(metric.unit, value, micro)


def _derived_forms(metric: Metric, value: Any, micro: str) -> Forms:
    return (units.NO_SAMPLE,) if value is None else _levels(metric.unit, value, micro)


def _percentile_forms(metric: Metric, value: Any, micro: str) -> Forms:
    """One percentile; what has no sample is a dash, and an asterisk where counts are sampled."""
    if value < 0:
        return (units.NO_COUNT if metric.unit is Unit.COUNT else units.NO_SAMPLE,)
    return _levels(metric.unit, value, micro)


_N_LEVELS = {Unit.COUNT: 3, Unit.BYTES: 2, Unit.BYTES_PER_SECOND: 3}


def _levels(unit: Unit, value: float, micro: str) -> Forms:
    """A number's forms, as many for each number of a unit: the same place is the same form."""
    forms = units.forms_of(unit, value, micro)
    return forms + forms[-1:] * (_N_LEVELS.get(unit, 1) - len(forms))


_SHOWN: dict[Kind, Callable[[Metric, Any, str], Forms]] = {
    Kind.COUNTER: _counted_forms,
    Kind.GAUGE: _counted_forms,
    Kind.DERIVED: _derived_forms,
    Kind.DISTRIBUTION: _percentile_forms,
}

_GROUPS = list(Group)

COLUMNS: tuple[Column, ...] = tuple(
    Column(metric)
    for metric in sorted(METRICS, key=lambda metric: (_GROUPS.index(metric.group), metric.order))
    if metric.titles
)
"""In the order of the screen."""

BY_KEY = {column.key: column for column in COLUMNS}
