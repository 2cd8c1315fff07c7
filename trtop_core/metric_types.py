"""What a metric is made of: its kind, unit, group and thresholds. Types only.

Gives ``Metric``, of which ``trtop_core.metrics`` is the table, and what its lines are written with.
Named tuples, since a dataclass takes four times as long to import.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from trtop_core.records import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

EXACT = 1 << 53
"""Up to here floats hold whole numbers exactly."""

LAST = 1000
"""``Metric.order`` of a column that stands behind the others of its group."""


class Kind(Enum):
    """How a number comes about."""

    COUNTER = "counter"
    """Only ever grows; a window holds what it grew by."""
    GAUGE = "gauge"
    """What is so now; no window applies to it."""
    DISTRIBUTION = "distribution"
    """Samples in a sketch; a cell shows one percentile of them."""
    DERIVED = "derived"
    """Computed from counters when it is asked for."""


class Unit(Enum):
    """What a number is a number of; the value is what the names of statistics end in."""

    COUNT = ("count", "")
    BYTES = ("bytes", "")
    NS = ("nanoseconds", "_ns")
    PER_SECOND = ("per second", "")
    BYTES_PER_SECOND = ("bytes per second", "")
    SHARE = ("share of 1", "")

    @property
    def suffix(self) -> str:
        """What the names of a distribution's statistics end in: ``min_ns``, ``min``."""
        return self.value[1]


class Group(Enum):
    """The classic three groups of columns; the value is a group's headings, the longest first."""

    CONNECTIONS = ("Connections", "Conns")
    TRANSPORT = ("Transport", "Trans")
    PCAP = ("Pcap",)


class Side(Enum):
    """On which side of a limit a value stands out."""

    ABOVE = "above"
    BELOW = "below"


class Grade(IntEnum):
    """How much a value stands out."""

    ORDINARY = 0
    NOTABLE = 1
    HIGH = 2


class Thresholds(NamedTuple):
    """When a value stands out, in two grades.

    Attributes:
        side: above or below a limit; the limit itself does not stand out.
        notable: from here on a value is worth a look; None: never.
        high: from here on it is worth an alarm; None: never.
        is_share: limits are percent of what the metric is a share of; else ns for latencies,
            percent for completeness, and a count or a rate for anything else.
    """

    side: Side
    notable: float | None
    high: float | None
    is_share: bool = False

    def grades(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
        """How much each value stands out; one that does not exist, which is NaN, never does.

        Args:
            values: shape (n,).

        Returns:
            Shape (n,), numbers of ``Grade``.
        """
        grades = np.zeros(len(values), np.int8)
        for grade, limit in ((Grade.NOTABLE, self.notable), (Grade.HIGH, self.high)):
            if limit is not None:
                grades[values > limit if self.side is Side.ABOVE else values < limit] = grade
        return grades


class Counters(Protocol):
    """Counters and gauges of n rows by name: a structured array, or a mapping of columns."""

    def __getitem__(self, name: str, /) -> Any:
        """One of them, shape (n,), uint64."""


Derive: TypeAlias = "Callable[[Counters, int], npt.NDArray[np.float64]]"
"""Counters of n rows, and the capture time in ns that they cover -> shape (n,), NaN for unknown."""


class Metric(NamedTuple):
    """One number of a row.

    Attributes:
        name: its field in every report, and what ``--sort`` takes.
        kind: how it comes about.
        unit: what it is a number of.
        group: where it stands.
        help: a few words, for the help, the column chooser and the documentation.
        share_of: counters whose sum it is a share of; none for anything that is no share.
        as_share: its column shows the percentage too.
        in_brackets: a metric that is shown in brackets behind it, and nowhere else on the screen.
        titles: names of its column, the longest first; the last is its heading, with what the first
            has in brackets; none: it has no column of its own accord.
        label: its name in the drill-down, where that is not the heading.
        order: place of its column within the group, in steps of 10, so that one fits between.
        importance: 1 stays to the last when a terminal is narrow; each column has its own.
        min_width: characters that a column takes even where its numbers are shorter.
        thresholds: when a value stands out, None for never.
        graded_with: another metric whose grade its cell takes where that is higher.
        aliases: further names for ``--sort``, ``--high`` and filters, besides the titles.
        letter: the key that sorts by it; empty: the next spare one.
        is_low_first: the smallest values are looked for first.
        unknown: what a row without a value is sorted as.
        hot: place among the counters of a row's first cache lines, which almost every segment
            touches, from 1 on; 0: behind them, in the order of declaration.
        derive: computes a derived metric.
        exported: what metrics systems call it, without prefix, unit and ``_total``; empty: its
            own name.
    """

    name: str
    kind: Kind
    unit: Unit
    group: Group
    help: str
    share_of: tuple[str, ...] = ()
    as_share: bool = False
    in_brackets: str = ""
    titles: tuple[str, ...] = ()
    label: str = ""
    order: int = LAST
    importance: int = 0
    min_width: int = 0
    thresholds: Thresholds | None = None
    graded_with: str = ""
    aliases: tuple[str, ...] = ()
    letter: str = ""
    is_low_first: bool = False
    unknown: float = -1.0
    hot: int = 0
    derive: Derive | None = None
    exported: str = ""

    @property
    def is_latency(self) -> bool:
        """Whether it is a distribution of times."""
        return self.kind is Kind.DISTRIBUTION and self.unit is Unit.NS

    @property
    def shown_name(self) -> str:
        """What a person calls it: its heading without what stands in brackets."""
        return self.titles[-1].partition("(")[0] if self.titles else self.name


def above(notable: float | None, high: float | None = None, is_share: bool = False) -> Thresholds:
    """Limits above which a value stands out."""
    return Thresholds(Side.ABOVE, notable, high, is_share)


def below(notable: float | None, high: float | None = None, is_share: bool = False) -> Thresholds:
    """Limits below which a value stands out."""
    return Thresholds(Side.BELOW, notable, high, is_share)


def per_second(counts: npt.NDArray[Any], span_ns: int) -> npt.NDArray[np.float64]:
    """Counts per second of ``span_ns``; unknown where no time has passed."""
    if span_ns <= 0:
        return np.full(len(counts), np.nan)
    if span_ns <= EXACT and int(counts.max(initial=0)) * NS_PER_S <= EXACT:
        return np.asarray(counts * float(NS_PER_S) / span_ns, np.float64)
    # Python divides whole numbers of any size and rounds once.
    return np.array([n * NS_PER_S / span_ns for n in counts.tolist()], np.float64)


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """``part / whole``; unknown where ``whole`` is 0."""
    return np.asarray(np.where(whole > 0, part / np.maximum(whole, 1), np.nan), np.float64)
