"""``View``: what a client asks a snapshot for. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from trtop_core.metrics import SORTABLE
from trtop_core.records import GroupBy, Window

DEFAULT_PERCENTILE = 95.0


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

    Raises:
        ValueError: a field is out of range.
    """

    window: Window = Window.ALL
    group_by: GroupBy = GroupBy.ADDR
    sort: str = "syn"
    descending: bool = True
    limit: int | None = None
    percentile: float = DEFAULT_PERCENTILE

    def __post_init__(self) -> None:
        if self.sort not in SORTABLE:
            raise ValueError(f"cannot sort by {self.sort!r}; one of: {', '.join(SORTABLE)}")
        if self.limit is not None and self.limit < 0:
            raise ValueError("a limit is 0 or more rows")
        if not 0 < self.percentile <= 100:
            raise ValueError("a percentile is above 0 and at most 100")
