"""Verdicts: what is wrong with a row, as one word.

Takes counters and sketches of any rows, of one engine or merged, and gives one cause per row, all
rows at once; ``because`` beside it says it in a sentence. A pure function: never counts, and never
looks at packets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from trtop_core.health import SUSPECT_COMPLETENESS, SUSPECT_LOSS
from trtop_core.metric_types import Counters
from trtop_core.records import NS_PER_MS, NS_PER_S, Wait

Mask = npt.NDArray[np.bool_]
"""Shape (n,): whether something holds for each row."""

ENOUGH_CASES = 3
"""A share rests on at least so many cases, or on all that there are."""

ENOUGH_SAMPLES = 10
"""A percentile that is judged rests on at least so many samples."""


class Cause(IntEnum):
    """What is wrong with a row; of several that hold, the first here is its verdict."""

    CAPTURE = 0
    REFUSED = 1
    NO_ANSWER = 2
    RESET = 3
    TLS_FAILS = 4
    SILENT = 5
    SLOW_CONNECT = 6
    LOSS = 7
    SLOW_SERVER = 8
    STALLS = 9
    FAR = 10
    NO_REUSE = 11
    MIXED = 12
    WAITING = 13
    OK = 14
    NOTHING = 15


_QUIET_WORDS = {Cause.WAITING: "waiting", Cause.OK: "ok", Cause.NOTHING: "-"}

WORDS = tuple(_QUIET_WORDS.get(cause, cause.name.replace("_", " ")) for cause in Cause)
"""The word of each cause, by its number; in capitals what is a fault."""

FAULTS = frozenset(Cause) - _QUIET_WORDS.keys()
"""Causes that say that something is wrong."""


class Limits(NamedTuple):
    """Where each cause begins; shares are 0 … 1, times ns.

    Attributes:
        completeness: CAPTURE below this share of acknowledged bytes held.
        loss: CAPTURE above this share of packets lost by the capture.
        refused: REFUSED from this share of attempts.
        no_answer: NO ANSWER from this share of attempts timed out, or waiting with their SYN
            sent again.
        reset: RESET from this share of connections.
        tls_failed: TLS FAILS from this share of connections with a ClientHello.
        unanswered: SILENT from this share of requests.
        connect_retrans: SLOW CONNECT from so many SYNs and SYN/ACKs sent again per attempt …
        connect_ns: … or from this p95 of ``connect_latency``, if it is far beyond the path.
        retrans: LOSS from this share of the segments of one direction.
        server_ns: SLOW SERVER from this p95 of ``server_time``, if it is far beyond the path.
        beyond_path: how many round trips (p50 of ``path_rtt``) are far beyond the path.
        stalls: STALLS from so many pauses per stream …
        zero_window: … or from this share of connections whose window was closed.
        far_ns: FAR from this p50 of ``path_rtt`` …
        far_share: … if it is this share of p50 of ``response_time``.
        reuse_closed: NO REUSE from so many closed connections …
        connecting: … if connecting takes this share of the time spent.
        mixed: MIXED from this share of connections.
        cases: how many a share rests on at least, or on all that there are.
        samples: how many a percentile that is judged rests on at least.
        wait_ns: waiting where a request waits for so long …
        beyond_usual: … and so many times as long as p95 of ``response_time``.
        off: causes that are not looked for.
    """

    completeness: float = SUSPECT_COMPLETENESS
    loss: float = SUSPECT_LOSS
    refused: float = 0.10
    no_answer: float = 0.10
    reset: float = 0.05
    tls_failed: float = 0.05
    unanswered: float = 0.02
    connect_retrans: float = 0.03
    connect_ns: int = 200 * NS_PER_MS
    retrans: float = 0.02
    server_ns: int = 100 * NS_PER_MS
    beyond_path: float = 3.0
    stalls: float = 0.10
    zero_window: float = 0.05
    far_ns: int = 100 * NS_PER_MS
    far_share: float = 0.5
    reuse_closed: int = 20
    connecting: float = 0.30
    mixed: float = 0.5
    cases: int = ENOUGH_CASES
    samples: int = ENOUGH_SAMPLES
    wait_ns: int = NS_PER_S
    beyond_usual: float = 3.0
    off: frozenset[Cause] = frozenset()


DEFAULT_LIMITS = Limits()


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
        rows &= (latency >= least_ns) & (self.samples("path_rtt") > 0)
        return rows & self.is_times(latency, self.limits.beyond_path, rows)

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


def _refused(e: Evidence) -> Mask:
    return e.is_share(e.count("refused"), e.count("syn"), e.limits.refused)


def _no_answer(e: Evidence) -> Mask:
    cases = e.count("timeouts") + e.count("pending_retrans")
    return e.is_share(cases, e.count("syn"), e.limits.no_answer)


def _reset(e: Evidence) -> Mask:
    return e.is_share(e.count("rst_in") - e.count("refused"), e.connections, e.limits.reset)


def _tls_fails(e: Evidence) -> Mask:
    return e.is_share(e.count("tls_failed"), e.count("tls_hellos"), e.limits.tls_failed)


def _silent(e: Evidence) -> Mask:
    silent = e.is_share(e.count("unanswered"), e.count("requests"), e.limits.unanswered)
    return silent | (e.count("waiting_long") > 0)


def _is_lossy(e: Evidence) -> Mask:
    """Whether either direction sends so much again, however few its segments are."""
    lossy = np.zeros(len(e.count("syn")), bool)
    for side in ("out", "in"):
        segments = e.count(f"segments_{side}")
        lossy |= (segments > 0) & (e.count(f"retrans_{side}") >= e.limits.retrans * segments)
    return lossy


def _slow_connect(e: Evidence) -> Mask:
    sent_again = e.count("syn_retrans") + e.count("synack_retrans")
    late = e.is_share(sent_again, e.count("syn"), e.limits.connect_retrans) & ~_is_lossy(e)
    return late | e.beyond_path("connect_latency", e.limits.connect_ns)


def _loss(e: Evidence) -> Mask:
    sides = [
        e.is_share(e.count(f"retrans_{side}"), e.count(f"segments_{side}"), e.limits.retrans)
        for side in ("out", "in")
    ]
    return sides[0] | sides[1]


def _slow_server(e: Evidence) -> Mask:
    return e.beyond_path("server_time", e.limits.server_ns)


def _stalls(e: Evidence) -> Mask:
    stalled = e.is_share(e.count("stalls"), e.count("streams"), e.limits.stalls)
    for side in ("out", "in"):
        closed = e.count(f"zero_window_connections_{side}")
        stalled |= e.is_share(closed, e.connections, e.limits.zero_window)
    return stalled


def _far(e: Evidence) -> Mask:
    enough = e.samples("response_time") >= e.limits.samples
    rows = enough & e.reaches("path_rtt", e.limits.far_ns)
    path = e.percentile_where("path_rtt", 50, rows)
    rows &= path >= e.limits.far_ns
    response = e.percentile_where("response_time", 50, rows)
    return rows & (path >= e.limits.far_share * response)


def _no_reuse(e: Evidence) -> Mask:
    closed = e.samples("reuse") >= e.limits.reuse_closed
    once: Mask = closed & (e.percentile_where("reuse", 50, closed) == 1)
    if not once.any():
        return once
    connecting = e.total("connect_latency", "tls_latency")
    spent = connecting + e.total("response_duration")
    costly = (spent > 0) & (connecting >= e.limits.connecting * spent)
    return np.asarray(once & costly)


def _mixed(e: Evidence) -> Mask:
    return e.is_share(e.count("multiplexed_unfollowed"), e.connections, e.limits.mixed)


def _waiting(e: Evidence) -> Mask:
    # Data before any answer to a SYN: the capture does not hold how it went.
    waits = (e.count("pending") > 0) ^ (e.count("waiting") > 0)
    # Of a connection without its SYN nobody knows what came before.
    answers = ("est", "midstream", "responses", "banners")
    is_answered = np.logical_or.reduce([e.count(name) > 0 for name in answers])
    limits, wait_ns = e.limits, e.wait(Wait.REQUEST)
    rows = wait_ns >= limits.wait_ns
    if not rows.any():
        return np.asarray(waits & ~is_answered)
    rows &= e.samples("response_time") > 0
    usual_ns = e.percentile_where("response_time", 95, rows)
    is_late = rows & (wait_ns >= limits.beyond_usual * usual_ns)
    return np.asarray((waits & ~is_answered) | is_late)


def _is_used(e: Evidence) -> Mask:
    # An attempt alone is no use of a service: something has to come of it.
    names = ("est", "midstream", "requests", "tls_turns", "banners", "segments_out", "segments_in")
    used: Mask = np.logical_or.reduce([e.count(name) > 0 for name in names])
    return used


RULES: tuple[tuple[Cause, Callable[[Evidence], Mask]], ...] = (
    (Cause.CAPTURE, suspect_rows),
    (Cause.REFUSED, _refused),
    (Cause.NO_ANSWER, _no_answer),
    (Cause.RESET, _reset),
    (Cause.TLS_FAILS, _tls_fails),
    (Cause.SILENT, _silent),
    (Cause.SLOW_CONNECT, _slow_connect),
    (Cause.LOSS, _loss),
    (Cause.SLOW_SERVER, _slow_server),
    (Cause.STALLS, _stalls),
    (Cause.FAR, _far),
    (Cause.NO_REUSE, _no_reuse),
    (Cause.MIXED, _mixed),
    (Cause.WAITING, _waiting),
    (Cause.OK, _is_used),
)
"""What each cause holds for, in the order in which they are tried."""


RESTS_ON: dict[Cause, tuple[str, ...]] = {
    Cause.CAPTURE: ("capture_gaps", "completeness", "one_sided"),
    Cause.REFUSED: ("refused",),
    Cause.NO_ANSWER: ("synack", "timeouts", "pending"),
    Cause.RESET: ("rst", "rst_in"),
    Cause.TLS_FAILS: ("tls_failed",),
    Cause.SILENT: ("unanswered", "waiting_long"),
    Cause.SLOW_CONNECT: ("connect_latency", "syn_retrans"),
    Cause.LOSS: ("retrans_out", "retrans_in"),
    Cause.SLOW_SERVER: ("server_time", "response_time"),
    Cause.STALLS: ("stalls", "zero_window_in"),
    Cause.FAR: ("path_rtt",),
    Cause.NO_REUSE: ("reuse",),
    Cause.MIXED: ("multiplexed_unfollowed",),
    Cause.WAITING: ("pending", "waiting"),
}
"""The metrics in which each cause shows."""


def _cases(*names: str) -> Callable[[Evidence], npt.NDArray[np.int64]]:
    """How many cases some counters have together."""
    return lambda e: np.asarray(np.sum([e.count(name) for name in names], axis=0), np.int64)


_USES = _cases("syn", "midstream", "requests")

AFFECTED: dict[Cause, Callable[[Evidence], npt.NDArray[np.int64]]] = {
    Cause.REFUSED: _cases("refused"),
    Cause.NO_ANSWER: _cases("timeouts", "pending_retrans"),
    Cause.RESET: lambda e: e.count("rst_in") - e.count("refused"),
    Cause.TLS_FAILS: _cases("tls_failed"),
    Cause.SILENT: _cases("unanswered", "waiting_long"),
    Cause.SLOW_SERVER: _cases("responses"),
    Cause.FAR: _cases("responses"),
    Cause.MIXED: _cases("multiplexed_unfollowed"),
    Cause.WAITING: _cases("pending", "waiting"),
}
"""How many connections or requests a cause affects; where none is named here, all of them."""

_MAX_AFFECTED = (1 << 40) - 1
"""More are not told apart in the order of rows, so that a float holds cause and number exactly."""


def severity(
    counters: Counters,
    sketches: Mapping[str, Samples],
    limits: Limits = DEFAULT_LIMITS,
    waits_ns: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.float64]:
    """What rows are sorted by, the worst highest: by verdict, then by how many are affected.

    What the capture lost altogether is left aside, for it concerns all rows alike.

    Args:
        counters: by name, each of shape (n,).
        sketches: by name, each of n rows.
        limits: where causes begin.
        waits_ns: as of ``Evidence``.

    Returns:
        Shape (n,), float64.
    """
    evidence = Evidence(counters, sketches, None, limits, waits_ns)
    causes = causes_of(evidence)
    affected = np.zeros(len(causes), np.int64)
    # Not `np.unique`: it imports numpy.ma, a tenth of what starting takes.
    for cause in np.flatnonzero(np.bincount(causes)).tolist():
        rows = causes == cause
        affected[rows] = AFFECTED.get(Cause(cause), _USES)(evidence)[rows]
    weight = float(_MAX_AFFECTED + 1)
    rank = (Cause.NOTHING - causes).astype(np.float64)
    return np.asarray(rank * weight + np.minimum(affected, _MAX_AFFECTED), np.float64)


def holding(evidence: Evidence) -> dict[Cause, Mask]:
    """Every cause that is looked for, and the rows that it holds for; OK among them."""
    return {cause: rule(evidence) for cause, rule in RULES if cause not in evidence.limits.off}


def verdicts(
    counters: Counters,
    sketches: Mapping[str, Samples],
    loss: float | None = None,
    limits: Limits = DEFAULT_LIMITS,
    waits_ns: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int8]:
    """The verdict of each row: the first cause that holds.

    Args:
        counters: by name, each of shape (n,).
        sketches: by name, each of n rows.
        loss: share of packets that the capture lost in the window; None where unknown.
        limits: where causes begin.
        waits_ns: as of ``Evidence``.

    Returns:
        Shape (n,): numbers of ``Cause``.
    """
    return causes_of(Evidence(counters, sketches, loss, limits, waits_ns))


def causes_of(evidence: Evidence) -> npt.NDArray[np.int8]:
    """The verdict of each row: the first cause that holds; shape (n,), numbers of ``Cause``."""
    causes = np.full(len(evidence.count("syn")), Cause.NOTHING, np.int8)
    for cause, holds in reversed(holding(evidence).items()):
        causes[holds] = cause
    return causes
