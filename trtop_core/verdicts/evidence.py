"""``Evidence``: the numbers of rows that verdicts rest on, each worked out when first asked for.

Takes counters and sketches of any rows, of one engine or merged. Knows no cause: what counts as
enough to be judged, its limits say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from trtop_core.metric_types import Counters
from trtop_core.records import Wait
from trtop_core.verdicts.causes import DEFAULT_LIMITS, Limits

Mask = npt.NDArray[np.bool_]
"""Shape (n,): whether something holds for each row."""


class Samples(Protocol):
    """One distribution of each of n rows: a ``SketchColumn``, or one that is made when asked."""

    @property
    def stats(self) -> npt.NDArray[Any]:
        """Exact count, sum, min, max; shape (n,), dtype ``records.SKETCH_STATS``."""

    def sums(self) -> list[int]:
        """Exact sum of each row's samples."""

    def quantiles_at(self, percentiles: Sequence[float]) -> npt.NDArray[np.int64]:
        """Several percentiles of each row; shape (n_percentiles, n)."""

    def quantiles_of(
        self, rows: npt.NDArray[np.intp], percentiles: Sequence[float], /
    ) -> npt.NDArray[np.int64]:
        """Several percentiles of some rows; shape (n_percentiles, n_rows)."""


class Evidence:
    """The numbers of some rows that causes rest on, each worked out when it is first asked for.

    Args:
        counters: by name, each of shape (n,).
        sketches: by name, each of n rows.
        loss: share of packets that the capture lost in the window; None where unknown.
        limits: where causes begin.
        waits_ns: for how long the oldest attempt and request of each row wait, see
            ``Table.waits_ns``; None: not known.
        ports: that stand out, by cause, see ``Table.ports``; None: not known.
    """

    def __init__(
        self,
        counters: Counters,
        sketches: Mapping[str, Samples],
        loss: float | None,
        limits: Limits = DEFAULT_LIMITS,
        waits_ns: npt.NDArray[np.int64] | None = None,
        ports: npt.NDArray[np.uint16] | None = None,
    ) -> None:
        self.limits = limits
        self.loss = loss
        self.ports = ports
        self._waits_ns = waits_ns
        self._counters = counters
        self._sketches = sketches
        self._made: dict[tuple[str, float], npt.NDArray[np.int64]] = {}
        self._counts: dict[str, npt.NDArray[np.int64]] = {}
        self._totals: dict[tuple[str, ...], npt.NDArray[np.float64]] = {}

    def count(self, name: str) -> npt.NDArray[np.int64]:
        """A counter or gauge; shape (n,)."""
        if name not in self._counts:
            self._counts[name] = np.asarray(self._counters[name], np.int64)
        return self._counts[name]

    def samples(self, name: str) -> npt.NDArray[np.int64]:
        """How many samples a distribution has; shape (n,)."""
        key = f"{name} samples"
        if key not in self._counts:
            self._counts[key] = np.asarray(self._sketches[name].stats["count"], np.int64)
        return self._counts[key]

    def percentile(self, name: str, percentile: float) -> npt.NDArray[np.int64]:
        """A percentile of a distribution, -1 without samples; shape (n,)."""
        return self.percentiles(name, (percentile,))[0]

    def percentiles(
        self, name: str, percentiles: Sequence[float]
    ) -> Sequence[npt.NDArray[np.int64]]:
        """Several percentiles of a distribution, each as ``percentile`` gives it."""
        missing = [p for p in percentiles if (name, p) not in self._made]
        if missing:
            made = self._sketches[name].quantiles_at(missing)
            self._made.update(((name, p), made[i]) for i, p in enumerate(missing))
        return [self._made[name, p] for p in percentiles]

    def percentile_where(self, name: str, percentile: float, rows: Mask) -> npt.NDArray[np.int64]:
        """A percentile as ``percentile`` gives it of some rows, -1 for all others; shape (n,)."""
        known = self._made.get((name, percentile))
        if known is not None:
            return np.where(rows, known, -1)
        values = np.full(len(rows), -1, np.int64)
        places = np.flatnonzero(rows)
        if len(places):
            values[places] = self._sketches[name].quantiles_of(places, (percentile,))[0]
        return values

    def reaches(self, name: str, least: int) -> Mask:
        """Whether any sample of a distribution is so great; no percentile is greater than that."""
        stats = self._sketches[name].stats
        return np.asarray((stats["count"] > 0) & (stats["max"] >= least))

    def total(self, *names: str) -> npt.NDArray[np.float64]:
        """The sum of all samples of some distributions; shape (n,)."""
        if names not in self._totals:
            sums = [np.array(self._sketches[name].sums(), np.float64) for name in names]
            self._totals[names] = np.asarray(np.sum(sums, axis=0), np.float64)
        return self._totals[names]

    def under(self, limits: Limits) -> Evidence:
        """The same numbers under other limits."""
        other = copy(self)
        other.limits = limits
        return other

    def wait(self, what: Wait) -> npt.NDArray[np.int64]:
        """For how long the oldest one waits, 0 where none does or nobody knows; shape (n,)."""
        if self._waits_ns is None:
            return np.zeros(len(self.count("syn")), np.int64)
        return np.asarray(self._waits_ns[:, what])

    @property
    def connections(self) -> npt.NDArray[np.int64]:
        """``syn + midstream``; shape (n,)."""
        return self.count("syn") + self.count("midstream")

    def beyond_path(self, name: str, least_ns: int) -> Mask:
        """Whether p95 of a latency reaches a limit and is far beyond the path's round trip."""
        rows = (self.samples(name) >= self.limits.samples) & self.reaches(name, least_ns)
        latency = self.percentile_where(name, 95, rows)
        rows &= latency >= least_ns
        sampled = rows & (self.samples("path_rtt") > 0)
        taken_off = self.taken_off_ns
        return np.asarray(
            (sampled & self.is_times(latency, self.limits.beyond_path, sampled))
            | (rows & (taken_off >= 0) & (latency >= self.limits.beyond_path * taken_off))
        )

    @property
    def taken_off_ns(self) -> npt.NDArray[np.int64]:
        """What was taken off response times as the path, where nothing else tells it; shape (n,).

        The path of open connections is sampled every ten seconds: a window in which none began may
        hold no sample, though every ``server_time`` in it rests on one. The mean; -1 elsewhere.
        """
        if "taken off" not in self._counts:
            n_times = self.samples("server_time")
            rows = (self.connections == 0) & (self.samples("path_rtt") == 0) & (n_times > 0)
            rows &= n_times == self.samples("response_time")
            path = np.full(len(rows), -1, np.int64)
            if rows.any():
                off = self.total("response_time") - self.total("server_time")
                path[rows] = np.maximum(off[rows] / n_times[rows], 0).astype(np.int64)
            self._counts["taken off"] = path
        return self._counts["taken off"]

    def is_times(self, latency: npt.NDArray[np.int64], times: float, rows: Mask) -> Mask:
        """Whether a latency is so many times p50 of ``path_rtt``, where rows have one.

        The percentile lies between the least and the greatest round trip, which mostly decide.
        """
        if ("path_rtt", 50.0) in self._made:
            return latency >= times * self._made["path_rtt", 50.0]
        stats = self._sketches["path_rtt"].stats
        is_beyond = latency >= times * stats["max"]
        unsure = rows & ~is_beyond & (latency >= times * stats["min"])
        path = self.percentile_where("path_rtt", 50, unsure)
        return np.asarray(is_beyond | (unsure & (latency >= times * path)))

    def is_share(
        self, cases: npt.NDArray[np.int64], whole: npt.NDArray[np.int64], least: float
    ) -> Mask:
        """Whether cases are at least a share of a whole, and enough to be judged.

        In a window cases may be of what began before it: of a whole that is less, they are all.

        Args:
            cases: shape (n,).
            whole: shape (n,): what they are a share of.
            least: the share from which on this holds.
        """
        enough = np.minimum(self.limits.cases, np.maximum(whole, 1))
        return (cases >= enough) & (cases >= least * whole)


def suspect_rows(evidence: Evidence) -> Mask:
    """Rows whose counters are lower bounds: the capture missed a part."""
    limits = evidence.limits
    acked, gaps = evidence.count("acked_bytes"), evidence.count("gap_bytes")
    incomplete = (acked > 0) & (1 - gaps / np.maximum(acked, 1) < limits.completeness)
    unseen = evidence.count("synack") < evidence.count("est")
    lossy = evidence.loss is not None and evidence.loss > limits.loss
    return incomplete | unseen | lossy
