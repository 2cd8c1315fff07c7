"""What was true, what was shown, and how far apart the two may be.

Truth comes from the clients' own clocks and counts, what is shown from one row of ``trtop``'s JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

NS_PER_MS = 1_000_000

TOLERANCE = 0.05
TOLERANCE_NS = NS_PER_MS
"""A percentile may differ by the larger of the two."""

SLOW_NS = 100 * NS_PER_MS

CROWD_CONNECTIONS = 100
ENOUGH_SAMPLES = 10
"""From when on a service is called slow (the metric definitions, §10)."""

RECOGNISED = 0.99
"""Share of multiplexed connections that must be recognised."""


class Kind(StrEnum):
    """What a pairing is judged by."""

    ALTERNATING = "alternating"
    """The two sides take turns: requests exact, times within the tolerance."""

    PER_STREAM = "per stream"
    """Several requests at once, readable: the same."""

    MULTIPLEXED = "multiplexed"
    """Both sides talk at once, not readable: recognised, and no time given."""

    FAILED = "failed"
    """TLS handshakes that fail: counted as such, and nothing else."""

    CROWD = "crowd"
    """Many connections whose sides take turns: none is taken for multiplexed."""

    LOSSY = "lossy"
    """The path loses packets: no request is forgotten, no retransmission misread."""


@dataclass(frozen=True)
class Times:
    """Two percentiles of a time, by nearest rank.

    Attributes:
        p50_ns, p95_ns: the percentiles.
    """

    p50_ns: int
    p95_ns: int


def less(times: Times | None, ns: int) -> Times | None:
    """Give times that are shorter by so much, never below 0."""
    return times and Times(max(0, times.p50_ns - ns), max(0, times.p95_ns - ns))


def times_of(samples_ns: Iterable[float]) -> Times | None:
    """Give the percentiles of some samples; none of none."""
    ordered = sorted(samples_ns)
    if not ordered:
        return None
    p50, p95 = (ordered[max(0, math.ceil(len(ordered) * q) - 1)] for q in (0.5, 0.95))
    return Times(round(p50), round(p95))


@dataclass(frozen=True)
class Truth:
    """What a client did and measured.

    Attributes:
        requests: sent and answered.
        connections: opened and used.
        idle_connections: opened beside, and never used.
        response_time: end of the request to the first byte of the answer, at the client.
        service: what the service is known to take of it, where it is known.
        server_time: the response time less the path's known round trip.
        tls_failed: handshakes that failed.
        unanswered: requests that were never answered, beside ``requests``.
        farewells: last words that nobody answers (Terminate, QUIT), beside ``requests``.
        retrans_out, retrans_in: retransmissions that passed the capture.
    """

    requests: int
    connections: int
    response_time: Times | None = None
    service: Times | None = None
    server_time: Times | None = None
    tls_failed: int = 0
    unanswered: int = 0
    farewells: int = 0
    idle_connections: int = 0
    retrans_out: int | None = None
    retrans_in: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        return asdict(self)


def truth_of(words: Mapping[str, Any]) -> Truth:
    """Read back what ``as_dict`` gave."""
    values = dict(words)
    for name in ("response_time", "service", "server_time"):
        if values.get(name):
            values[name] = Times(**values[name])
    return Truth(**values)


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        what: the field.
        true, shown: both values; none is "no such value".
        holds: the target is met.
        unit: "ns" for times, "" for counts.
    """

    what: str
    true: float | str | None
    shown: float | str | None
    holds: bool
    unit: str = ""

    def error(self) -> float | None:
        """Give the relative error, where there is one."""
        if isinstance(self.true, str) or isinstance(self.shown, str):
            return None
        if self.true is None or self.shown is None or not self.true:
            return None
        return (self.shown - self.true) / self.true


@dataclass(frozen=True)
class Outcome:
    """One pairing as it came out.

    Attributes:
        kind: what it is judged by.
        truth: what was true.
        row: what ``trtop`` said of the destination.
        checks: the comparisons.
    """

    kind: Kind
    truth: Truth
    row: Mapping[str, Any]
    checks: Sequence[Check] = field(default_factory=tuple)

    @property
    def failures(self) -> list[Check]:
        """Give the comparisons that do not hold."""
        return [check for check in self.checks if not check.holds]


def judge(kind: Kind, truth: Truth, row: Mapping[str, Any]) -> Outcome:
    """Compare what was true with a row."""
    rules = {
        Kind.ALTERNATING: _alternating,
        Kind.PER_STREAM: _per_stream,
        Kind.MULTIPLEXED: _multiplexed,
        Kind.FAILED: _failed,
        Kind.CROWD: _crowd,
        Kind.LOSSY: _lossy,
    }
    checks = tuple(rules[kind](truth, row))
    if cause := ailment(kind, truth):
        checks += (Check("verdict", cause, row.get("verdict"), row.get("verdict") == cause),)
    return Outcome(kind, truth, row, checks)


def ailment(kind: Kind, truth: Truth) -> str:
    """Give the verdict's word for what ails a pairing's server; empty where nothing is certain."""
    if kind is Kind.FAILED:
        return "TLS FAILS"
    if kind is Kind.MULTIPLEXED:
        # A crowd that opens at once makes a small machine send again: a cause of its own.
        is_crowd = truth.connections >= CROWD_CONNECTIONS
        return "" if truth.idle_connections or is_crowd else "MIXED"
    known = truth.server_time if kind in (Kind.ALTERNATING, Kind.PER_STREAM) else None
    if known and truth.response_time and truth.requests >= ENOUGH_SAMPLES:
        return "SLOW SERVER" if known.p95_ns >= SLOW_NS else ""
    return ""


def _exact(what: str, true: int | None, row: Mapping[str, Any]) -> Check:
    shown = row.get(what)
    return Check(what, true, shown, shown == true)


def _percentiles(
    what: str, true: Times | None, row: Mapping[str, Any], least: Times | None = None
) -> Iterable[Check]:
    """Compare percentiles; with a known least, what is shown may lie anywhere between the two.

    A service that sleeps takes at least that long, and at most what its client saw less the
    path's round trip: between them lies what a busy machine adds.
    """
    if true is None:
        return
    for name, value in asdict(true).items():
        low = min(value, getattr(least, name)) if least else value
        shown = row[what][name]
        holds = shown is not None and low - _margin(low) <= shown <= value + _margin(value)
        yield Check(f"{what} {name.removesuffix('_ns')}", value, shown, holds, "ns")


def _margin(ns: float) -> float:
    return max(TOLERANCE * ns, TOLERANCE_NS)


def _requests(truth: Truth, row: Mapping[str, Any]) -> Iterable[Check]:
    yield _exact("syn", truth.connections + truth.idle_connections, row)
    yield _exact("requests", truth.requests + truth.unanswered + truth.farewells, row)
    yield _exact("responses", truth.requests, row)
    yield _exact("unanswered", truth.unanswered, row)
    yield _exact("tls_failed", truth.tls_failed, row)
    yield from _percentiles("response_time", truth.response_time, row)
    yield from _percentiles("server_time", truth.server_time, row, truth.service)


def _alternating(truth: Truth, row: Mapping[str, Any]) -> Iterable[Check]:
    yield from _requests(truth, row)
    yield _exact("multiplexed", 0, row)


def _per_stream(truth: Truth, row: Mapping[str, Any]) -> Iterable[Check]:
    yield from _requests(truth, row)
    yield _exact("multiplexed", truth.connections, row)


def _multiplexed(truth: Truth, row: Mapping[str, Any]) -> Iterable[Check]:
    shown = row.get("multiplexed")
    holds = shown is not None and truth.connections >= shown >= RECOGNISED * truth.connections
    yield _exact("syn", truth.connections + truth.idle_connections, row)
    yield Check("multiplexed", truth.connections, shown, holds)
    # What was counted before the second crossed run stays: two turns of each connection at most.
    most = 2 * truth.connections
    given = row["response_time"]["count"]
    yield Check("response_time count at most", most, given, given <= most)


def _failed(truth: Truth, row: Mapping[str, Any]) -> Iterable[Check]:
    yield _exact("syn", truth.connections + truth.idle_connections, row)
    yield _exact("tls_failed", truth.tls_failed, row)
    yield _exact("requests", 0, row)
    yield _exact("unanswered", 0, row)


def _crowd(truth: Truth, row: Mapping[str, Any]) -> Iterable[Check]:
    yield _exact("syn", truth.connections + truth.idle_connections, row)
    yield _exact("multiplexed", 0, row)


def _lossy(truth: Truth, row: Mapping[str, Any]) -> Iterable[Check]:
    yield _exact("syn", truth.connections + truth.idle_connections, row)
    yield _exact("requests", truth.requests, row)
    withheld, unanswered = row.get("withheld"), row.get("unanswered")
    told = row["response_time"]["count"]
    accounted = None
    if withheld is not None and unanswered is not None:
        accounted = told + withheld + unanswered
    yield Check(
        "timed + withheld + unanswered", truth.requests, accounted, accounted == truth.requests
    )
    yield _exact("out_of_order", 0, row)
    yield _exact("retrans_out", truth.retrans_out, row)
    yield _exact("retrans_in", truth.retrans_in, row)
    yield _exact("multiplexed", 0, row)
