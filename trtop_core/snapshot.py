"""``Snapshot`` and ``Row``: a frozen answer: one row per destination, totals, the capture's health.

What an engine gives and every reporter takes. Holds copies only: nothing in it changes when the
engine goes on. ``record`` gives the same as plain data, under the names that reports have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trtop_core.health import Health, is_suspect
from trtop_core.metric_types import per_second
from trtop_core.metrics import (
    COUNTERS,
    DERIVED,
    GAUGES,
    METRIC_OF,
    SKETCHES,
    derived,
    known,
)
from trtop_core.records import Window
from trtop_core.sketch import SketchColumn
from trtop_core.table import RowOrigin, Table
from trtop_core.verdicts.because import judge
from trtop_core.verdicts.evidence import Evidence
from trtop_core.view import View

SCHEMA = 2
"""Version of the records that ``Snapshot.record`` gives; rises when a field changes its meaning."""

DETAIL_PERCENTILES = (50, 90, 95, 99, 99.9)

IDENTITY = ("destination", "address", "port", "name", "host")
"""Fields of a row that say whose numbers they are."""

TOTALS_NAME = "total"


def percentile_key(percentile: float) -> str:
    """What a percentile is called in records, where a name has no dot: ``p95``, ``p999``."""
    return f"p{percentile:g}".replace(".", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a report: a table's row, with what is derived from it.

    Attributes:
        table: where the numbers are.
        idx: which row of it.
        span_ns: capture time that the counters cover, for rates; 0 where there is none.
        loss: share of packets that the capture lost in the window, None where unknown.
        name: what the row is called.
    """

    table: Table
    idx: int
    span_ns: int
    loss: float | None
    name: str

    @property
    def host(self) -> str | None:
        """The machine that saw it; None unless rows are kept apart by that."""
        return None if self.table.hosts is None else str(self.table.hosts[self.idx])

    @property
    def origin(self) -> RowOrigin:
        """Address, port and name."""
        return self.table.cut(self.idx, self.idx + 1).row_origins()[0]

    def count(self, name: str) -> int:
        """A counter or gauge under its own name."""
        return int(self.table.counters[name][self.idx])

    def derived(self, name: str) -> float | None:
        """A metric that is computed from counters; None where it is unknown."""
        counters = self.table.counters[self.idx : self.idx + 1]
        return known(derived(name, counters, self.span_ns))[0]

    def rate(self, name: str) -> float | None:
        """A counter per second of the window; None where no time has passed."""
        return known(per_second(np.array([self.count(name)]), self.span_ns))[0]

    def whole(self, name: str) -> int:
        """What a counter or gauge is a share of; 0 where that is nothing."""
        return sum(self.count(part) for part in METRIC_OF[name].share_of)

    @property
    def completeness(self) -> float | None:
        """1 - gap_bytes / acked_bytes; None while nothing was acknowledged."""
        return self.derived("completeness")

    @property
    def suspect(self) -> bool:
        """The capture missed so much that this row's counters are lower bounds."""
        return is_suspect(self.completeness, self.loss) or self.count("synack") < self.count("est")

    def judged(self) -> tuple[str, str | None]:
        """The verdict, and why: a sentence where something is wrong."""
        row = self.table.cut(self.idx, self.idx + 1)
        words, sentences = judge(
            Evidence(row.counters, row.sketches, self.loss, waits_ns=row.waits_ns, ports=row.ports)
        )
        return words[0], sentences[0]

    def samples(self, sketch: str) -> int:
        """How many samples a sketch has."""
        return int(self.table.sketches[sketch].stats["count"][self.idx])

    def quantile(self, sketch: str, percentile: float) -> int | None:
        """A percentile in the unit of the metric, None without samples."""
        value = int(self._sketch(sketch).quantiles(percentile)[0])
        return None if value < 0 else value

    def sketch_record(self, sketch: str, with_bins: bool = False) -> dict[str, Any]:
        """Count, sum, min, max and percentiles of one sketch, with units in the names.

        Args:
            sketch: a name of ``metrics.SKETCHES``.
            with_bins: add ``bins``, a list of [bin number, samples].
        """
        column = self._sketch(sketch)
        unit = METRIC_OF[sketch].unit.suffix
        stats = column.stats[0]
        n_samples = int(stats["count"])
        record: dict[str, Any] = {"count": n_samples, f"sum{unit}": column.sums()[0]}
        record[f"min{unit}"] = int(stats["min"]) if n_samples else None
        record[f"max{unit}"] = int(stats["max"]) if n_samples else None
        values = column.quantiles_at(DETAIL_PERCENTILES)[:, 0].tolist()
        for percentile, value in zip(DETAIL_PERCENTILES, values, strict=True):
            record[f"{percentile_key(percentile)}{unit}"] = None if value < 0 else value
        if with_bins:
            record["bins"] = column.bin_counts(0)
        return record

    def record(self, with_bins: bool = False) -> dict[str, Any]:
        """Every field of this row as plain data; sketches without samples have count 0."""
        record: dict[str, Any] = {"destination": self.name, **self.origin._asdict()}
        if self.host is not None:
            record["host"] = self.host
        for name in COUNTERS + GAUGES:
            record[name] = self.count(name)
        for name in DERIVED:
            record[name] = self.derived(name)
        record["suspect"] = self.suspect
        record["verdict"], record["because"] = self.judged()
        for sketch in SKETCHES:
            record[sketch] = self.sketch_record(sketch, with_bins)
        return record

    def _sketch(self, name: str) -> SketchColumn:
        """A distribution of this row alone."""
        return self.table.sketches[name].take(np.array([self.idx]))


@dataclass(frozen=True, slots=True)
class Filtered:
    """What a filter has left of a snapshot's rows.

    Attributes:
        text: the filter as it was written.
        n_before: rows there would be without it.
        remarks: what it asks for and no row has, one sentence each.
    """

    text: str
    n_before: int
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an engine knew at one moment of capture time.

    Attributes:
        view: the question that this answers.
        clock_ns: capture time now: the latest timestamp of any packet; None before the first.
        first_ns: clock at the first packet, or where the period begins; None before it.
        span_ns: capture time that counters cover: of the window, or since the first packet.
        table: the rows that the view asked for, in its order.
        total: one row that is the union of all destinations, those beyond a limit included.
        n_destinations: rows there would be without a limit.
        health: of the whole capture so far.
        window_health: of the view's window alone.
        filtered: what a filter has left of the rows; None: they are all there.
        is_period: numbers count from a later moment than the first packet on, which is
            ``first_ns`` then.
        unread: what of the input could not be read, one sentence each; a source does not know.
    """

    view: View
    clock_ns: int | None
    first_ns: int | None
    span_ns: int
    table: Table
    total: Table
    n_destinations: int
    health: Health
    window_health: Health
    filtered: Filtered | None = None
    is_period: bool = False
    unread: tuple[str, ...] = ()

    def rows(self) -> Iterator[Row]:
        """The rows, in the view's order."""
        loss = self.window_health.loss
        for idx, name in enumerate(self.table.row_names()):
            yield Row(self.table, idx, self.span_ns, loss, name)

    @property
    def totals(self) -> Row:
        """The row of all destinations together."""
        return Row(self.total, 0, self.span_ns, self.window_health.loss, TOTALS_NAME)

    @property
    def window_name(self) -> str:
        """What numbers cover, as records say it: ``all``, ``10s``, or ``period``."""
        window = self.view.window
        if window is not Window.ALL:
            return f"{int(window)}s"
        return "period" if self.is_period else "all"

    def limited(self, limit: int | None) -> Snapshot:
        """At most so many of its rows, the first ones; None: all."""
        if limit is None or limit >= len(self.table):
            return self
        view = replace(self.view, limit=limit)
        return replace(self, view=view, table=self.table.cut(0, limit))

    def record(self, with_bins: bool = False) -> dict[str, Any]:
        """The whole snapshot as plain data, as the JSON report shows it."""
        health = self.health.record()
        health["loss"] = self.health.loss
        health["completeness"] = self.totals.completeness
        if self.unread:
            health["unread"] = list(self.unread)
        left = self.filtered
        by_filter = {} if left is None else {"filter": left.text, "n_unfiltered": left.n_before}
        return {
            "schema": SCHEMA,
            "window": self.window_name,
            "first_ns": self.first_ns,
            "clock_ns": self.clock_ns,
            "span_ns": self.span_ns,
            "n_destinations": self.n_destinations,
            **by_filter,
            "health": health,
            "totals": {
                key: value
                for key, value in self.totals.record(with_bins).items()
                if key not in IDENTITY
            },
            "destinations": [row.record(with_bins) for row in self.rows()],
        }
