"""Rows of a snapshot, with quantiles worked out for whole columns at once.

Takes a snapshot, gives rows that answer as ``snapshot.Row`` does, only faster: a report of 100,000
destinations asks millions of questions. Never computes a number in another way than the core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trtop_core.metrics import METRIC_OF, derived, known
from trtop_core.snapshot import DETAIL_PERCENTILES, TOTALS_NAME, Row, Snapshot, percentile_key
from trtop_core.table import RowOrigin, Table
from trtop_core.verdicts.because import because
from trtop_core.verdicts.causes import WAITED_FOR, WORDS, Cause
from trtop_core.verdicts.evidence import Evidence, suspect_rows
from trtop_core.verdicts.rules import causes_of

ROWS_PER_BLOCK = 2048
"""Rows whose columns are worked out together: bounds the memory of a report."""


class Figures:
    """The columns of one table as Python lists, each worked out when it is first asked for.

    Args:
        table: the rows.
        span_ns: capture time that the counters cover, for rates; 0 where there is none.
        loss: share of packets that the capture lost in the window; None where unknown.
        is_total: its row is that of all destinations together.
    """

    def __init__(
        self, table: Table, span_ns: int, loss: float | None, is_total: bool = False
    ) -> None:
        self.is_total = is_total
        self._table = table
        self._span_ns = span_ns
        self._loss = loss
        self._counters: dict[str, list[int]] = {}
        self._quantiles: dict[tuple[str, float], list[int]] = {}
        self._stats: dict[str, tuple[list[int], ...]] = {}
        self._evidence: tuple[Evidence, list[Cause]] | None = None
        self._suspects: list[bool] | None = None
        self._derived: dict[str, list[float | None]] = {}
        self._origins: list[RowOrigin] | None = None

    def __len__(self) -> int:
        return len(self._table)

    def origins(self) -> list[RowOrigin]:
        """Address, port and name of every row."""
        if self._origins is None:
            self._origins = self._table.row_origins()
        return self._origins

    def counter(self, name: str) -> list[int]:
        """A counter or gauge of every row."""
        if name not in self._counters:
            self._counters[name] = self._table.counters[name].tolist()
        return self._counters[name]

    def quantiles(self, sketch: str, percentile: float) -> list[int]:
        """A percentile of every row in the unit of the metric, -1 without samples."""
        key = sketch, percentile
        if key not in self._quantiles:
            column = self._table.sketches[sketch]
            self._quantiles[key] = column.quantiles(percentile).tolist()
        return self._quantiles[key]

    def causes(self) -> tuple[Evidence, list[Cause]]:
        """What the verdicts rest on, and the verdict of every row."""
        if self._evidence is None:
            table = self._table
            evidence = Evidence(
                table.counters,
                table.sketches,
                self._loss,
                waits_ns=table.waits_ns,
                ports=table.ports,
            )
            self._evidence = evidence, [Cause(cause) for cause in causes_of(evidence).tolist()]
        return self._evidence

    def suspects(self) -> list[bool]:
        """Whether the capture missed so much of a row that its counters are lower bounds."""
        if self._suspects is None:
            self._suspects = suspect_rows(self.causes()[0]).tolist()
        return self._suspects

    def derived(self, name: str) -> list[float | None]:
        """A metric of ``metrics.DERIVED`` of every row, None where it is unknown."""
        if name not in self._derived:
            self._derived[name] = known(derived(name, self._table.counters, self._span_ns))
        return self._derived[name]

    def stats(self, sketch: str) -> tuple[list[int], ...]:
        """Count, sum, min and max of every row."""
        if sketch not in self._stats:
            column = self._table.sketches[sketch]
            counts, lows, highs = (column.stats[name].tolist() for name in ("count", "min", "max"))
            self._stats[sketch] = counts, column.sums(), lows, highs
        return self._stats[sketch]

    def bins(self, sketch: str, idx: int) -> list[list[int]]:
        """The bins of one row as [bin number, samples]."""
        return self._table.sketches[sketch].bin_counts(idx)


@dataclass(frozen=True, slots=True)
class QuickRow(Row):
    """A row that looks its numbers up in columns already worked out.

    Attributes:
        figures: the columns of the row's table.
    """

    figures: Figures

    @property
    def is_total(self) -> bool:
        """Whether it is the row of all destinations together."""
        return self.figures.is_total

    @property
    def origin(self) -> RowOrigin:
        """Address, port and name."""
        return self.figures.origins()[self.idx]

    def count(self, name: str) -> int:
        """A counter or gauge under its own name."""
        return self.figures.counter(name)[self.idx]

    def derived(self, name: str) -> float | None:
        """A metric that is computed from counters; None where it is unknown."""
        return self.figures.derived(name)[self.idx]

    @property
    def cause(self) -> Cause:
        """The verdict."""
        return self.figures.causes()[1][self.idx]

    @property
    def suspect(self) -> bool:
        """The capture missed so much that this row's counters are lower bounds."""
        return self.figures.suspects()[self.idx]

    def judged(self) -> tuple[str, str | None]:
        """The verdict as a word, and why: a sentence where something is wrong."""
        evidence, causes = self.figures.causes()
        return WORDS[causes[self.idx]], because(evidence, causes[self.idx], self.idx)

    @property
    def wait_ns(self) -> int:
        """For how long the oldest of what the verdict is about waits; 0: nothing of that does."""
        kinds = WAITED_FOR.get(self.cause, ())
        evidence, _ = self.figures.causes()
        return max((int(evidence.wait(kind)[self.idx]) for kind in kinds), default=0)

    def samples(self, sketch: str) -> int:
        """How many samples a sketch has."""
        return self.figures.stats(sketch)[0][self.idx]

    def quantile(self, sketch: str, percentile: float) -> int | None:
        """A percentile in the unit of the metric, None without samples."""
        value = self.figures.quantiles(sketch, percentile)[self.idx]
        return None if value < 0 else value

    def sketch_record(self, sketch: str, with_bins: bool = False) -> dict[str, Any]:
        """Count, sum, min, max and percentiles of one sketch (see ``Row.sketch_record``)."""
        unit = METRIC_OF[sketch].unit.suffix
        n_samples, total, low, high = (column[self.idx] for column in self.figures.stats(sketch))
        record: dict[str, Any] = {"count": n_samples, f"sum{unit}": total}
        record[f"min{unit}"] = low if n_samples else None
        record[f"max{unit}"] = high if n_samples else None
        for percentile in DETAIL_PERCENTILES:
            record[f"{percentile_key(percentile)}{unit}"] = self.quantile(sketch, percentile)
        if with_bins:
            record["bins"] = self.figures.bins(sketch, self.idx)
        return record


def table_blocks(snapshot: Snapshot) -> Iterator[Table]:
    """The rows of a snapshot in its order, at most ``ROWS_PER_BLOCK`` at a time."""
    n_rows = len(snapshot.table)
    for start in range(0, n_rows, ROWS_PER_BLOCK):
        yield snapshot.table.cut(start, min(start + ROWS_PER_BLOCK, n_rows))


def quick_rows(snapshot: Snapshot) -> Iterator[QuickRow]:
    """The rows of a snapshot in its order."""
    loss = snapshot.window_health.loss
    for table in table_blocks(snapshot):
        figures = Figures(table, snapshot.span_ns, loss)
        for idx, name in enumerate(table.row_names()):
            yield QuickRow(table, idx, snapshot.span_ns, loss, name, figures)


def quick_totals(snapshot: Snapshot) -> QuickRow:
    """The row of all destinations together."""
    loss = snapshot.window_health.loss
    figures = Figures(snapshot.total, snapshot.span_ns, loss, is_total=True)
    return QuickRow(snapshot.total, 0, snapshot.span_ns, loss, TOTALS_NAME, figures)
