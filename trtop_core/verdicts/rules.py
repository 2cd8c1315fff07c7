"""Verdicts: what is wrong with a row, as one word.

Takes counters and sketches of any rows, of one engine or merged, and gives one cause per row, all
rows at once; ``because`` beside it says it in a sentence. A pure function: never counts, and never
looks at packets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from trtop_core.metric_types import Counters
from trtop_core.records import Wait
from trtop_core.verdicts.causes import ANSWER_TIMEOUT_NS, DEFAULT_LIMITS, Cause, Limits
from trtop_core.verdicts.evidence import Evidence, Mask, Samples, suspect_rows


def _refused(e: Evidence) -> Mask:
    return e.is_share(e.count("refused"), e.count("syn"), e.limits.refused)


def _no_answer(e: Evidence) -> Mask:
    cases = e.count("timeouts") + e.count("pending_retrans")
    return e.is_share(cases, e.count("syn"), e.limits.no_answer) | _is_tried_in_vain(e)


def _is_tried_in_vain(e: Evidence) -> Mask:
    """Whether an attempt that timed out is still tried, and nothing at all answers meanwhile.

    Between two of its SYNs, ever further apart, nothing counts.
    """
    answers = ("synack", "est", "midstream", "responses", "banners", "rst_in")
    is_answered = np.logical_or.reduce([e.count(name) > 0 for name in answers])
    return np.asarray((e.wait(Wait.ATTEMPT) >= ANSWER_TIMEOUT_NS) & ~is_answered)


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
        # A connection counts once: one that began and closed its window before goes on here.
        stalled |= (e.connections == 0) & (e.count(f"zero_window_{side}") >= e.limits.cases)
    return stalled


def _far(e: Evidence) -> Mask:
    enough = e.samples("response_time") >= e.limits.samples
    rows = enough & (e.reaches("path_rtt", e.limits.far_ns) | (e.taken_off_ns >= e.limits.far_ns))
    path = np.maximum(e.percentile_where("path_rtt", 50, rows), e.taken_off_ns)
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
    mixed = e.is_share(e.count("multiplexed_unfollowed"), e.connections, e.limits.mixed)
    return mixed | _talks_without_turns(e)


def _talks_without_turns(e: Evidence) -> Mask:
    """Whether both sides send in a window, where nothing begins or ends, and none asks or answers.

    New data of the client begin a request on every connection but one that is multiplexed.
    """
    turns = ("requests", "responses", "tls_turns", "banners", "fin_out", "fin_in")
    resets = ("rst_out", "rst_in")
    is_else = np.logical_or.reduce([e.count(name) > 0 for name in (*turns, *resets)])
    talk = np.minimum(e.count("segments_out"), e.count("segments_in")) >= e.limits.cases
    new = np.minimum(e.count("bytes_out"), e.count("bytes_in")) > 0
    return np.asarray((e.connections == 0) & ~is_else & talk & new)


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
    Cause.NO_ANSWER: lambda e: np.maximum(
        _cases("timeouts", "pending_retrans")(e), _is_tried_in_vain(e)
    ),
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
