"""``View``: what a client asks a snapshot for. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from trtop_core.metrics import SORTABLE
from trtop_core.records import TS_LIMIT_NS, GroupBy, Window

DEFAULT_PERCENTILE = 95.0


@dataclass(frozen=True, slots=True)
class Period:
    """A span of capture time in the past; its answer covers whole slots of the history.

    Attributes:
        start_ns: where it begins.
        end_ns: the moment behind it.

    Raises:
        ValueError: it is empty, or out of range.
    """

    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        if not -TS_LIMIT_NS <= self.start_ns < self.end_ns <= TS_LIMIT_NS:
            raise ValueError("a period has a start before its end")


@dataclass(frozen=True, slots=True)
class View:
    """One question to an engine.

    Attributes:
        window: the span of capture time, up to now, that counters and sketches cover.
        group_by: what makes a row; not finer than what the engine keeps.
        sort: one of ``metrics.SORTABLE``.
        descending: largest first.
        limit: at most so many rows (totals are of all rows), or None.
        percentile: what latency columns show and sort by, above 0 and at most 100.
        period: instead of the window, a span in the past, as far as a history is kept of it.

    Raises:
        ValueError: a field is out of range.
    """

    window: Window = Window.ALL
    group_by: GroupBy = GroupBy.ADDR
    sort: str = "syn"
    descending: bool = True
    limit: int | None = None
    percentile: float = DEFAULT_PERCENTILE
    period: Period | None = None

    def __post_init__(self) -> None:
        if self.sort not in SORTABLE:
            raise ValueError(f"cannot sort by {self.sort!r}; one of: {', '.join(SORTABLE)}")
        if self.limit is not None and self.limit < 0:
            raise ValueError("a limit is 0 or more rows")
        if not 0 < self.percentile <= 100:
            raise ValueError("a percentile is above 0 and at most 100")
