"""Sentences for verdicts: what is wrong with a row, with the numbers that this rests on.

Takes the evidence of one row, gives one line of plain text. Never decides what is wrong:
``trtop_core.verdicts`` does.
"""

from __future__ import annotations

from collections.abc import Callable

from trtop_core.records import NS_PER_MS, NS_PER_S
from trtop_core.verdicts import WORDS, Cause, Evidence, causes_of


def judge(evidence: Evidence) -> tuple[list[str], list[str | None]]:
    """The verdict of each row as a word, and why as a sentence where something is wrong."""
    causes = [Cause(cause) for cause in causes_of(evidence).tolist()]
    sentences = [because(evidence, cause, idx) for idx, cause in enumerate(causes)]
    return [WORDS[cause] for cause in causes], sentences


def because(evidence: Evidence, cause: Cause, idx: int = 0) -> str | None:
    """Why a row has its verdict, as a sentence without a full stop; None where nothing is wrong.

    Args:
        evidence: of some rows.
        cause: the row's verdict.
        idx: which row.
    """
    sentence = SENTENCES.get(cause)
    return None if sentence is None else sentence(_Row(evidence, idx))


class _Row:
    """The numbers of one row as Python's own."""

    def __init__(self, evidence: Evidence, idx: int) -> None:
        self.evidence = evidence
        self._idx = idx
        self.connections = self["syn"] + self["midstream"]

    def __getitem__(self, counter: str) -> int:
        return int(self.evidence.count(counter)[self._idx])

    def at(self, sketch: str, percentile: float) -> int:
        return int(self.evidence.percentile(sketch, percentile)[self._idx])

    def samples(self, sketch: str) -> int:
        return int(self.evidence.samples(sketch)[self._idx])

    def sum(self, *sketches: str) -> float:
        return float(self.evidence.total(*sketches)[self._idx])


def _capture(row: _Row) -> str:
    parts = []
    if row["gap_bytes"]:
        share = _share(row["gap_bytes"], row["acked_bytes"])
        gaps = _several(row["capture_gaps"], "gap")
        parts.append(f"missed {share} of the acknowledged bytes ({gaps})")
    if row["synack"] < row["est"]:
        n_unseen = row["est"] - row["synack"]
        parts.append(f"did not see the answer of {_several(n_unseen, 'handshake')} it saw complete")
    loss = row.evidence.loss
    if loss:
        parts.append(f"lost {_percent(loss)} of its packets")
    return f"the capture {' and '.join(parts)}: these numbers are lower bounds"


def _refused(row: _Row) -> str:
    cases = _of(row["refused"], row["syn"], "attempt")
    return f"{cases} refused: nothing listens at that port, or a firewall answers"


def _no_answer(row: _Row) -> str:
    cases = _of(row["timeouts"] + row["pending_retrans"], row["syn"], "attempt")
    again = _several(row["syn_retrans"], "SYN")
    return (
        f"{cases} without an answer ({again} sent again): "
        "the host is down, or a route or firewall drops them"
    )


def _reset(row: _Row) -> str:
    cases = _of(row["rst_in"] - row["refused"], row.connections, "connection")
    age = row.at("reset_age", 50)
    after = f", half of them within {_duration(age)}" if age >= 0 else ""
    each = row["requests"] / row.connections
    return (
        f"{cases} reset by the other end{after}; connections carried {each:.2g} requests on average"
    )


def _tls_fails(row: _Row) -> str:
    cases = _of(row["tls_failed"], row["tls_hellos"], "TLS handshake")
    n_there = row["tls_failed_in"]
    n_here = row["tls_failed"] - n_there
    return f"{cases} failed: {n_there} ended by the server, {n_here} by the client"


def _silent(row: _Row) -> str:
    parts = []
    if row["unanswered"]:
        cases = _of(row["unanswered"], row["requests"], "request")
        parts.append(f"{cases} unanswered when the connection closed")
    if row["waiting_long"]:
        waiting = _several(row["waiting_long"], "request")
        verb = "waits" if row["waiting_long"] == 1 else "wait"
        parts.append(f"{waiting} {verb} longer than 10 s")
    return f"{', '.join(parts)}: it accepts and does not answer"


def _slow_connect(row: _Row) -> str:
    syns = _several(row["syn_retrans"], "SYN")
    synacks = _several(row["synack_retrans"], "SYN/ACK")
    attempts = _several(row["syn"], "attempt")
    times = ""
    if row.samples("connect_latency"):
        latency, path = row.at("connect_latency", 95), row.at("path_rtt", 50)
        of_path = f", the path {_duration(path)}" if path >= 0 else ""
        times = f"connecting takes {_duration(latency)} (p95){of_path}; "
    return (
        f"{times}{syns} and {synacks} sent again for {attempts}: "
        "the listen queue is full, the host overloaded, or SYNs are lost"
    )


def _loss(row: _Row) -> str:
    out = _share(row["retrans_out"], row["segments_out"])
    back = _share(row["retrans_in"], row["segments_in"])
    return (
        f"{out} of the segments sent and {back} of those received were sent again; "
        f"{_several(row['slow_by_loss'], 'answer')} came later for it"
    )


def _slow_server(row: _Row) -> str:
    server, path = row.at("server_time", 95), row.at("path_rtt", 50)
    return (
        f"the service takes {_duration(server)} (p95), the path {_duration(path)}: "
        "it is the service, not the network"
    )


def _stalls(row: _Row) -> str:
    parts = []
    if row["zero_window_connections_out"]:
        cases = _of(row["zero_window_connections_out"], row.connections, "connection")
        parts.append(f"{cases} had to wait for the reader here")
    if row["zero_window_connections_in"]:
        cases = _of(row["zero_window_connections_in"], row.connections, "connection")
        parts.append(f"{cases} had to wait for the reader there")
    if row["stalls"]:
        pauses, streams = _several(row["stalls"], "pause"), _several(row["streams"], "stream")
        parts.append(f"{pauses} above 1 s in {streams} while the reader here was ready")
    return "; ".join(parts)


def _far(row: _Row) -> str:
    path, response = row.at("path_rtt", 50), row.at("response_time", 50)
    return (
        f"the path takes {_duration(path)} of the {_duration(response)} until an answer (p50): "
        "fewer round trips help, not a faster service"
    )


def _no_reuse(row: _Row) -> str:
    connecting = row.sum("connect_latency", "tls_latency")
    spent = connecting + row.sum("response_duration")
    each = round(connecting / max(1, row.samples("connect_latency")))
    return (
        f"half of {_several(row.samples('reuse'), 'closed connection')} or more carried one "
        f"request; connecting takes {_percent(connecting / spent)} of the time: "
        f"keeping them saves {_duration(each)} a request"
    )


def _mixed(row: _Row) -> str:
    cases = _of(row["multiplexed_unfollowed"], row.connections, "connection")
    return f"{cases} used by both sides at once: request times cannot be told"


SENTENCES: dict[Cause, Callable[[_Row], str]] = {
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
}
"""How each cause is said."""


def _several(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _of(cases: int, whole: int, noun: str) -> str:
    """``3 of 17 attempts``."""
    return f"{cases:,} of {_several(whole, noun)}"


def _share(part: int, whole: int) -> str:
    return _percent(part / whole if whole else 0.0)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _duration(ns: int) -> str:
    if ns < NS_PER_MS:
        return f"{ns / 1000:.3g} µs"
    if ns < NS_PER_S:
        return f"{ns / NS_PER_MS:.3g} ms"
    return f"{ns / NS_PER_S:.3g} s"
