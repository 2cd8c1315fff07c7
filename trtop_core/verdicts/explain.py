"""What a verdict rests on, what to look at next, and what else is wrong with a row.

Takes the evidence of one row, gives an ``Explanation``: text and numbers for a person. Never
decides what is wrong: ``trtop_core.verdicts.rules`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from trtop_core.records import NS_PER_S, Wait
from trtop_core.verdicts.because import RowEvidence, because
from trtop_core.verdicts.causes import ENOUGH_CASES, WAITED_FOR, WORDS, Cause
from trtop_core.verdicts.evidence import Evidence
from trtop_core.verdicts.phrases import duration, of_whole, percent, several, share
from trtop_core.verdicts.rules import causes_of, holding

FEW_CASES = 10
"""Below, what was seen may be chance."""

MANY_CASES = 100
"""From here on, it hardly is."""

LONG_WAIT_NS = 30 * NS_PER_S
"""What waits for so long is no chance, however few they are: no answer is as late by itself."""

HINT = "of few cases"
"""Said of what would hold if fewer cases were enough."""

YOUNG_NS = NS_PER_S
"""Below this age of a connection no idle timeout can have run out."""

EQUAL_WITHIN = 1.2
"""Ages are nearly equal if p95 is at most so many times p5."""

LATE_BY_LOSS = 0.05
"""Share of the answers that loss made late, from which on it is what their p95 tells."""


class Fact(NamedTuple):
    """One number that a verdict rests on.

    Attributes:
        name: what it is.
        value: the number, with its unit.
        limit: from where on it counts; empty where there is no limit.
    """

    name: str
    value: str
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a row has its verdict.

    Attributes:
        cause: the verdict.
        sentence: why, with its numbers; None where nothing is wrong.
        facts: the numbers and limits that it rests on.
        certainty: how many cases that are, in words.
        next_steps: what to look at next, a sentence each.
        also: other causes that hold for the row and do not follow from this one, as words, with
            their sentences.
        hints: the same of causes that would hold if fewer cases were enough to judge them.
    """

    cause: Cause
    sentence: str | None
    facts: tuple[Fact, ...]
    certainty: str
    next_steps: tuple[str, ...]
    also: tuple[tuple[str, str], ...]
    hints: tuple[tuple[str, str], ...] = ()


def explain(evidence: Evidence, idx: int = 0) -> Explanation:
    """Why a row has its verdict.

    Args:
        evidence: of some rows.
        idx: which row.
    """
    cause = Cause(int(causes_of(evidence)[idx]))
    row = RowEvidence(evidence, idx)
    others = _others(evidence, idx, cause)
    anyhow = evidence.limits._replace(cases=1, samples=1)
    hints = [one for one in _others(evidence.under(anyhow), idx, cause) if one not in others]
    facts = FACTS.get(cause)
    return Explanation(
        cause=cause,
        sentence=because(evidence, cause, idx),
        facts=() if facts is None else (*facts(row), *_port(row, cause)),
        certainty=_certainty(cause, row),
        next_steps=_next_steps(cause, row),
        also=_said(evidence, idx, others),
        hints=_said(evidence, idx, hints),
    )


def _next_steps(cause: Cause, row: RowEvidence) -> tuple[str, ...]:
    """What to look at next, by the row's numbers where these say more than the verdict does."""
    return tuple(_after_resets(row)) if cause is Cause.RESET else NEXT_STEPS.get(cause, ())


def _after_resets(row: RowEvidence) -> Iterator[str]:
    """What ages and requests of connections that were reset point to."""
    least, half, most = (row.at("reset_age", percentile) for percentile in (5, 50, 95))
    if half < 0:
        yield "It is not known how old the connections were: they began before the capture."
    elif most < YOUNG_NS:
        yield (
            "All were cut soon after they began: a crash, a limit of connections, or a proxy "
            "without a backend. No idle timeout is as short."
        )
    elif least >= YOUNG_NS and most <= EQUAL_WITHIN * least:
        yield (
            f"Nearly equal ages, {duration(half)}: an idle timeout or a lifetime that is shorter "
            "there than here."
        )
    else:
        yield (
            f"Ages differ ({duration(least)} p5, {duration(most)} p95), so that no lifetime ends "
            "them all: a restart or a crash there, or an idle timeout where they idle."
        )
    carried = row.at("reuse", 50)
    if row.samples("reuse") >= ENOUGH_CASES and 1 < carried == row.at("reuse", 95):
        yield f"Each carried {carried:,} requests: a limit of requests per connection."
    yield NEXT_STEPS[Cause.RESET][0]


def _port(row: RowEvidence, cause: Cause) -> Iterator[Fact]:
    """Where nearly all cases are, if that is one port."""
    if port := row.port(cause):
        yield Fact("port of nearly all of these", f"{port}")


def _others(evidence: Evidence, idx: int, cause: Cause) -> list[Cause]:
    """Causes that hold for a row besides its verdict, and do not follow from it."""
    row = RowEvidence(evidence, idx)
    return [
        other
        for other, holds in holding(evidence).items()
        if holds[idx] and other not in (cause, Cause.OK) and not _follows(other, cause, row)
    ]


def _said(evidence: Evidence, idx: int, causes: Sequence[Cause]) -> tuple[tuple[str, str], ...]:
    """Causes as words, with their sentences."""
    return tuple((WORDS[cause], because(evidence, cause, idx) or "") for cause in causes)


def _follows(other: Cause, cause: Cause, row: RowEvidence) -> bool:
    """Whether a cause holds because of another one, and says nothing of its own."""
    if other is Cause.SLOW_CONNECT:
        return cause is Cause.NO_ANSWER
    if other is Cause.WAITING:
        return cause in (Cause.NO_ANSWER, Cause.SILENT)
    if other is Cause.SLOW_SERVER and cause is Cause.LOSS:
        return row["slow_by_loss"] >= LATE_BY_LOSS * row.samples("server_time")
    return False


def _certainty(cause: Cause, row: RowEvidence) -> str:
    if cause not in CASES:
        return ""
    noun, count = CASES[cause]
    n = count(row)
    cases = several(n, noun)
    wait_ns = max((row.wait(what) for what in WAITED_FOR.get(cause, ())), default=0)
    if n >= MANY_CASES:
        how = "firm"
    elif n >= FEW_CASES:
        how = "enough to act on"
    elif wait_ns >= LONG_WAIT_NS:
        how = f"few, but a wait of {duration(wait_ns)} is no chance: enough to act on"
    else:
        how = "few, it may be chance"
    return f"{cases}: {how}"


def _n_sent_again(row: RowEvidence) -> int:
    return row["syn_retrans"] + row["synack_retrans"]


CASES: dict[Cause, tuple[str, Callable[[RowEvidence], int]]] = {
    Cause.REFUSED: ("attempt", lambda row: max(row["syn"], row["refused"])),
    Cause.NO_ANSWER: (
        "unanswered SYN",
        # Of an attempt that timed out before, nothing counts between two of its SYNs.
        lambda row: max(1, row["timeouts"] + row["pending"] + row["syn_retrans"]),
    ),
    Cause.RESET: ("connection", lambda row: max(row.connections, row["rst_in"])),
    Cause.TLS_FAILS: ("TLS handshake", lambda row: max(row["tls_hellos"], row["tls_failed"])),
    Cause.SILENT: ("request", lambda row: max(row["requests"], row["waiting"])),
    Cause.SLOW_CONNECT: ("opening segment", lambda row: row["syn"] + _n_sent_again(row)),
    Cause.LOSS: ("segment", lambda row: row["segments_out"] + row["segments_in"]),
    Cause.SLOW_SERVER: ("timed response", lambda row: row.samples("server_time")),
    Cause.STALLS: ("connection", lambda row: row.connections),
    Cause.FAR: ("timed response", lambda row: row.samples("response_time")),
    Cause.NO_REUSE: ("closed connection", lambda row: row.samples("reuse")),
    Cause.MIXED: ("connection", lambda row: row.connections),
    Cause.WAITING: ("open case", lambda row: row["pending"] + row["waiting"]),
    Cause.OK: ("connection", lambda row: row.connections),
}
"""What each verdict was judged by, and how many there are. A SYN that is sent again and stays
without an answer is one more try that failed."""


def _cases(name: str, cases: int, whole: int, noun: str, limit: float) -> Fact:
    """A share of some cases, and from which share on it counts."""
    value = f"{of_whole(cases, whole, noun)} ({share(cases, whole)})"
    return Fact(name, value, f"from {percent(limit)}")


def _latency(row: RowEvidence, label: str, name: str, percentile: float, limit: str = "") -> Fact:
    value = row.at(name, percentile)
    text = duration(value) if value >= 0 else "not known"
    return Fact(f"{label}, p{percentile:g}", f"{text} of {row.samples(name):,} samples", limit)


def _capture(row: RowEvidence) -> Iterator[Fact]:
    acked, gaps = row["acked_bytes"], row["gap_bytes"]
    least = row.evidence.limits.completeness
    if acked:
        complete = f"{100 * (1 - gaps / acked):.4g} % of {acked:,} bytes"
        yield Fact("bytes that the capture held", complete, f"below {100 * least:g} %")
    handshakes = f"{row['synack']:,} answers seen of {row['est']:,}"
    yield Fact("handshakes", handshakes, "fewer answers than handshakes")
    loss = row.evidence.loss
    value = "not known" if loss is None else percent(loss)
    limit = f"above {percent(row.evidence.limits.loss)}"
    yield Fact("packets that the capture lost", value, limit)


def _refused(row: RowEvidence) -> Iterator[Fact]:
    limit = row.evidence.limits.refused
    yield _cases("refused", row["refused"], row["syn"], "attempt", limit)


def _no_answer(row: RowEvidence) -> Iterator[Fact]:
    cases, limit = row["timeouts"] + row["pending_retrans"], row.evidence.limits.no_answer
    yield _cases("without an answer", cases, row["syn"], "attempt", limit)
    yield Fact("of these, unanswered after 20 s", f"{row['timeouts']:,}")
    yield Fact("of these, waiting, SYN sent again", f"{row['pending_retrans']:,}")
    yield Fact("further SYNs without an answer", f"{row['syn_retrans']:,}")
    if tried_ns := row.wait(Wait.ATTEMPT):
        yield Fact("the oldest attempt is tried for", duration(tried_ns))


def _reset(row: RowEvidence) -> Iterator[Fact]:
    cases, limit = row["rst_in"] - row["refused"], row.evidence.limits.reset
    yield _cases("reset by the other end", cases, row.connections, "connection", limit)
    yield _latency(row, "age when reset", "reset_age", 50)
    yield _latency(row, "age when reset", "reset_age", 95)
    each = row["requests"] / max(1, row.connections)
    yield Fact("requests per connection", f"{each:.2g} on average")


def _tls_fails(row: RowEvidence) -> Iterator[Fact]:
    limit = row.evidence.limits.tls_failed
    yield _cases("failed", row["tls_failed"], row["tls_hellos"], "TLS handshake", limit)
    yield Fact("of these, ended by the server", f"{row['tls_failed_in']:,}")
    yield Fact("of these, ended by the client", f"{row['tls_failed'] - row['tls_failed_in']:,}")


def _silent(row: RowEvidence) -> Iterator[Fact]:
    limit = row.evidence.limits.unanswered
    yield _cases("unanswered", row["unanswered"], row["requests"], "request", limit)
    yield Fact("waiting longer than 10 s now", f"{row['waiting_long']:,}", "from 1")
    yield from _oldest(row, Wait.REQUEST)


def _slow_connect(row: RowEvidence) -> Iterator[Fact]:
    limits = row.evidence.limits
    attempts = several(row["syn"], "attempt") if row["syn"] else "earlier attempts"
    sent_again = f"{_n_sent_again(row):,} for {attempts}"
    yield Fact(
        "SYNs and SYN/ACKs sent again", sent_again, f"from {percent(limits.connect_retrans)}"
    )
    limit = f"from {duration(limits.connect_ns)} and {limits.beyond_path:g} × the path"
    yield _latency(row, "connecting", "connect_latency", 95, limit)
    yield _latency(row, "the path's round trip", "path_rtt", 50)


def _loss(row: RowEvidence) -> Iterator[Fact]:
    limit = row.evidence.limits.retrans
    for label, side in (("sent again by the client", "out"), ("sent again by the server", "in")):
        yield _cases(label, row[f"retrans_{side}"], row[f"segments_{side}"], "segment", limit)
    yield Fact("answers that came later for it", f"{row['slow_by_loss']:,}")


def _slow_server(row: RowEvidence) -> Iterator[Fact]:
    limits = row.evidence.limits
    limit = f"from {duration(limits.server_ns)} and {limits.beyond_path:g} × the path"
    yield _latency(row, "the service itself", "server_time", 95, limit)
    yield _latency(row, "the service itself", "server_time", 50)
    yield _latency(row, "the path's round trip", "path_rtt", 50)


def _stalls(row: RowEvidence) -> Iterator[Fact]:
    limits, whole = row.evidence.limits, row.connections
    for label, side in (("the reader here was full", "out"), ("the reader there was full", "in")):
        cases = row[f"zero_window_connections_{side}"]
        yield _cases(label, cases, whole, "connection", limits.zero_window)
    pauses = f"{row['stalls']:,} in {row['streams']:,} streams"
    yield Fact("pauses above 1 s", pauses, f"from {percent(limits.stalls)} of streams")


def _far(row: RowEvidence) -> Iterator[Fact]:
    limits = row.evidence.limits
    share_text = percent(limits.far_share)
    limit = f"from {duration(limits.far_ns)} and {share_text} of the answer's time"
    yield _latency(row, "the path's round trip", "path_rtt", 50, limit)
    yield _latency(row, "until the answer's first byte", "response_time", 50)


def _no_reuse(row: RowEvidence) -> Iterator[Fact]:
    limits = row.evidence.limits
    closed = f"{row.samples('reuse'):,}"
    yield Fact("closed connections", closed, f"from {limits.reuse_closed}")
    yield Fact("responses per connection, p50", f"{row.at('reuse', 50)}", "1")
    connecting = row.sum("connect_latency", "tls_latency")
    spent = connecting + row.sum("response_duration")
    value = f"{percent(connecting / spent)} of {duration(round(spent))}"
    yield Fact("time spent on connecting", value, f"from {percent(limits.connecting)}")


def _mixed(row: RowEvidence) -> Iterator[Fact]:
    cases, limit = row["multiplexed_unfollowed"], row.evidence.limits.mixed
    yield _cases("used by both sides at once", cases, row.connections, "connection", limit)


def _waiting(row: RowEvidence) -> Iterator[Fact]:
    limits = row.evidence.limits
    yield Fact("attempts without an answer yet", f"{row['pending']:,}")
    yield from _oldest(row, Wait.ATTEMPT)
    yield Fact("requests without an answer yet", f"{row['waiting']:,}")
    usual = f"from {duration(limits.wait_ns)} and {limits.beyond_usual:g} × the usual"
    yield from _oldest(row, Wait.REQUEST, usual if row.samples("response_time") else "")
    yield _latency(row, "usual until the answer", "response_time", 95)
    answered = f"{row['est']:,} and {row['responses']:,}"
    yield Fact("handshakes and answers in this time", answered)


def _oldest(row: RowEvidence, what: Wait, limit: str = "") -> Iterator[Fact]:
    """For how long the oldest attempt or request waits, where that is known."""
    if age_ns := row.wait(what):
        yield Fact(f"the oldest {what.name.lower()} waits", duration(age_ns), limit)


FACTS: dict[Cause, Callable[[RowEvidence], Iterator[Fact]]] = {
    Cause.CAPTURE: _capture,
    Cause.REFUSED: _refused,
    Cause.NO_ANSWER: _no_answer,
    Cause.RESET: _reset,
    Cause.TLS_FAILS: _tls_fails,
    Cause.SILENT: _silent,
    Cause.SLOW_CONNECT: _slow_connect,
    Cause.LOSS: _loss,
    Cause.SLOW_SERVER: _slow_server,
    Cause.STALLS: _stalls,
    Cause.FAR: _far,
    Cause.NO_REUSE: _no_reuse,
    Cause.MIXED: _mixed,
    Cause.WAITING: _waiting,
}
"""The numbers that each verdict rests on."""

NEXT_STEPS: dict[Cause, tuple[str, ...]] = {
    Cause.CAPTURE: (
        "Capture with a larger buffer or a narrower filter, or on the host itself.",
        "Both directions must pass the capture point: look at mirror ports and at routing.",
    ),
    Cause.REFUSED: (
        "Does the service run, and listen on this port and address? There: ss -ltn",
        "A firewall that rejects looks the same: compare with a try from the server itself.",
    ),
    Cause.NO_ANSWER: (
        "Is the host up, and is the route to it the right one? ping, ip route get",
        "A firewall or security group may drop the SYNs: does a capture there show them?",
        "If they arrive and nothing answers, the listen queue is full: ss -ltn, Recv-Q at Send-Q.",
    ),
    Cause.RESET: (
        "The other end's log has the moment; if it has nothing, what is between cut them.",
    ),
    Cause.TLS_FAILS: (
        "Ended by the client: it does not trust the certificate, its name or its dates.",
        "Ended by the server: version, cipher, name (SNI) or client certificate do not suit it.",
        "openssl s_client -connect HOST:PORT -servername NAME shows both.",
    ),
    Cause.SILENT: (
        "Connections are accepted and nothing works on them: a full pool, a lock, or a wait for "
        "another service. A stack dump there shows which.",
        "A load balancer may accept without a backend: look at its health checks.",
    ),
    Cause.SLOW_CONNECT: (
        "There: ss -ltn; Recv-Q at Send-Q is a full listen queue. "
        "nstat -az TcpExtListenOverflows TcpExtListenDrops counts what it dropped.",
        "If neither rises, SYNs are lost on the way, or a firewall limits new connections.",
    ),
    Cause.LOSS: (
        "ip -s link on both ends shows errors and drops; mtr shows where on the way.",
        "Is it one direction only, one path, or all that leave through the same interface?",
    ),
    Cause.SLOW_SERVER: (
        "The network is not the cause: look at the service's own traces, queues and dependencies.",
        "p50 as slow as p95: all requests are slow; p50 fast: some requests, or some instances.",
    ),
    Cause.STALLS: (
        "The reader here: the application on this side does not read fast enough "
        "(CPU, garbage collection, a slow consumer).",
        "The reader there: the other end does not take what is sent.",
    ),
    Cause.FAR: (
        "Save round trips: keep connections, resume TLS, ask for more at once, put a cache nearer.",
    ),
    Cause.NO_REUSE: (
        "Turn on keep-alive or a pool on the client; look for Connection: close on either side.",
        "A pool that is too small, or idles out sooner than requests come, looks the same.",
    ),
    Cause.MIXED: (
        "HTTP/2 over TLS and WebSocket carry many requests at once: connecting, TLS, loss, resets "
        "and bytes hold here; for request times ask the application.",
    ),
    Cause.WAITING: (
        "Nothing is judged yet: look again in some seconds, or at a longer time.",
        "Attempts whose SYN is sent again without an answer, and requests that wait longer than "
        "10 s, get a verdict.",
    ),
}
"""What to look at next, by verdict; for RESET, what its numbers point to stands before it."""
