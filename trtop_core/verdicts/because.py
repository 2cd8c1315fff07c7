"""Sentences for verdicts: what is wrong with a row, with the numbers that this rests on.

Takes the evidence of one row, gives one line of plain text. Never decides what is wrong:
``trtop_core.verdicts.rules`` does.
"""

from __future__ import annotations

from collections.abc import Callable

from trtop_core.records import Wait
from trtop_core.verdicts.causes import ANSWER_TIMEOUT_NS, WORDS, Cause
from trtop_core.verdicts.evidence import Evidence
from trtop_core.verdicts.phrases import duration, of_whole, percent, several, share
from trtop_core.verdicts.ports import CAUSES_OF_PORTS
from trtop_core.verdicts.rules import causes_of


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
    return None if sentence is None else sentence(RowEvidence(evidence, idx))


class RowEvidence:
    """The numbers of one row as Python's own.

    Args:
        evidence: of some rows.
        idx: which row.

    Attributes:
        connections: ``syn + midstream``.
    """

    def __init__(self, evidence: Evidence, idx: int) -> None:
        self.evidence = evidence
        self._idx = idx
        self.connections = self["syn"] + self["midstream"]

    def __getitem__(self, counter: str) -> int:
        """A counter or gauge."""
        return int(self.evidence.count(counter)[self._idx])

    def at(self, sketch: str, percentile: float) -> int:
        """A percentile of a distribution, -1 without samples."""
        return int(self.evidence.percentile(sketch, percentile)[self._idx])

    def path(self) -> int:
        """The path's round trip in ns, p50; -1 where it is not known."""
        return max(self.at("path_rtt", 50), int(self.evidence.taken_off_ns[self._idx]))

    def samples(self, sketch: str) -> int:
        """How many samples a distribution has."""
        return int(self.evidence.samples(sketch)[self._idx])

    def wait(self, what: Wait) -> int:
        """For how long the oldest attempt or request waits, in ns; 0: none does, or not known."""
        return int(self.evidence.wait(what)[self._idx])

    def port(self, cause: Cause) -> int:
        """The port at which nearly all cases of a cause are; 0: none, or not known."""
        if self.evidence.ports is None or cause not in CAUSES_OF_PORTS:
            return 0
        return int(self.evidence.ports[self._idx, CAUSES_OF_PORTS.index(cause)])

    def at_port(self, cause: Cause) -> str:
        """That port in brackets; empty where there is none."""
        port = self.port(cause)
        return f" (port {port})" if port else ""

    def sum(self, *sketches: str) -> float:
        """The sum of all samples of some distributions."""
        return float(self.evidence.total(*sketches)[self._idx])


def _capture(row: RowEvidence) -> str:
    parts = []
    if row["gap_bytes"]:
        missed = share(row["gap_bytes"], row["acked_bytes"])
        gaps = several(row["capture_gaps"], "gap")
        parts.append(f"missed {missed} of the acknowledged bytes ({gaps})")
    if row["synack"] < row["est"]:
        n_unseen = row["est"] - row["synack"]
        parts.append(f"did not see the answer of {several(n_unseen, 'handshake')} it saw complete")
    loss = row.evidence.loss
    if loss:
        parts.append(f"lost {percent(loss)} of its packets")
    return f"the capture {' and '.join(parts)}: these numbers are lower bounds"


def _refused(row: RowEvidence) -> str:
    cases = of_whole(row["refused"], row["syn"], "attempt")
    port = row.at_port(Cause.REFUSED)
    return f"{cases} refused{port}: nothing listens at that port, or a firewall answers"


def _no_answer(row: RowEvidence) -> str:
    n_cases, n_waiting = row["timeouts"] + row["pending_retrans"], row["pending_retrans"]
    port, wait_ns = row.port(Cause.NO_ANSWER), row.wait(Wait.ATTEMPT)
    parts = [f"port {port}"] if port else []
    if wait_ns >= ANSWER_TIMEOUT_NS and not row["timeouts"]:
        # Of an attempt that timed out before this time, of which there may be more.
        parts += [f"{n_waiting:,} still waiting"] if n_waiting else []
        parts.append(f"one tried for {duration(wait_ns)}")
    elif n_waiting:
        parts.append(f"{n_waiting:,} still waiting{_age(n_waiting, wait_ns)}")
    if row["syn_retrans"]:
        parts.append(f"{several(row['syn_retrans'], 'SYN')} sent again")
    reason = f" ({', '.join(parts)})" if parts else ""
    cases = of_whole(n_cases, row["syn"], "attempt") if n_cases else "attempts"
    return f"{cases} without an answer{reason}: the host is down, or a route or firewall drops them"


def _reset(row: RowEvidence) -> str:
    cases = of_whole(row["rst_in"] - row["refused"], row.connections, "connection")
    age = row.at("reset_age", 50)
    after = f", half of them within {duration(age)}" if age >= 0 else ""
    carried = ""
    if row.connections:
        each = f"{row['requests'] / row.connections:.2g}"
        requests = "request" if each == "1" else "requests"
        carried = f"; connections carried {each} {requests} on average"
    return f"{cases} reset by the other end{row.at_port(Cause.RESET)}{after}{carried}"


def _tls_fails(row: RowEvidence) -> str:
    cases = of_whole(row["tls_failed"], row["tls_hellos"], "TLS handshake")
    n_there = row["tls_failed_in"]
    n_here = row["tls_failed"] - n_there
    port = row.at_port(Cause.TLS_FAILS)
    return f"{cases} failed{port}: {n_there} ended by the server, {n_here} by the client"


def _silent(row: RowEvidence) -> str:
    parts = []
    if row["unanswered"]:
        cases = of_whole(row["unanswered"], row["requests"], "request")
        parts.append(f"{cases} unanswered when the connection closed")
    if row["waiting_long"]:
        waiting = several(row["waiting_long"], "request")
        verb = "waits" if row["waiting_long"] == 1 else "wait"
        age = _age(row["waiting_long"], row.wait(Wait.REQUEST))
        parts.append(f"{waiting} {verb} longer than 10 s{age}")
    return f"{', '.join(parts)}{row.at_port(Cause.SILENT)}: it accepts and does not answer"


def _slow_connect(row: RowEvidence) -> str:
    syns = several(row["syn_retrans"], "SYN")
    synacks = several(row["synack_retrans"], "SYN/ACK")
    attempts = several(row["syn"], "attempt") if row["syn"] else "earlier attempts"
    times = ""
    if row.samples("connect_latency"):
        latency, path = row.at("connect_latency", 95), row.path()
        of_path = f", the path {duration(path)}" if path >= 0 else ""
        times = f"connecting takes {duration(latency)} (p95){of_path}; "
    answers = ("synack", "est", "responses", "rst_in")
    if row["syn"] and not any(row[name] for name in answers):
        # Fewer than can be judged as NO ANSWER wait with their SYN sent again.
        return (
            f"{syns} sent again for {attempts}, none answered: SYNs are lost, or the host is down"
        )
    return (
        f"{times}{syns} and {synacks} sent again for {attempts}: "
        "the listen queue is full, the host overloaded, or SYNs are lost"
    )


def _loss(row: RowEvidence) -> str:
    out = share(row["retrans_out"], row["segments_out"])
    back = share(row["retrans_in"], row["segments_in"])
    return (
        f"{out} of the segments sent and {back} of those received were sent again; "
        f"{several(row['slow_by_loss'], 'answer')} came later for it"
    )


def _slow_server(row: RowEvidence) -> str:
    server, path = row.at("server_time", 95), row.path()
    return (
        f"the service takes {duration(server)} (p95), the path {duration(path)}: "
        "it is the service, not the network"
    )


def _stalls(row: RowEvidence) -> str:
    parts = []
    for side, reader in (("out", "the reader here"), ("in", "the reader there")):
        if row[f"zero_window_connections_{side}"]:
            cases = of_whole(row[f"zero_window_connections_{side}"], row.connections, "connection")
            parts.append(f"{cases} had to wait for {reader}")
        elif row[f"zero_window_{side}"] and not row.connections:
            segments = several(row[f"zero_window_{side}"], "segment")
            parts.append(f"{segments} said that {reader} has no room yet")
    if row["stalls"]:
        pauses, streams = several(row["stalls"], "pause"), several(row["streams"], "stream")
        parts.append(f"{pauses} above 1 s in {streams} while the reader here was ready")
    return "; ".join(parts)


def _far(row: RowEvidence) -> str:
    path, response = row.path(), row.at("response_time", 50)
    return (
        f"the path takes {duration(path)} of the {duration(response)} until an answer (p50): "
        "fewer round trips help, not a faster service"
    )


def _no_reuse(row: RowEvidence) -> str:
    connecting = row.sum("connect_latency", "tls_latency")
    spent = connecting + row.sum("response_duration")
    each = round(connecting / max(1, row.samples("connect_latency")))
    return (
        f"half of {several(row.samples('reuse'), 'closed connection')} or more carried one "
        f"request; connecting takes {percent(connecting / spent)} of the time: "
        f"keeping them saves {duration(each)} a request"
    )


def _mixed(row: RowEvidence) -> str:
    n_cases = row["multiplexed_unfollowed"]
    cases = of_whole(n_cases, row.connections, "connection") if n_cases else "earlier connections"
    return f"{cases} used by both sides at once: request times cannot be told"


def _waiting(row: RowEvidence) -> str:
    n_attempts, n_requests = row["pending"], row["waiting"]
    parts = [several(n_attempts, "attempt")] if n_attempts else []
    if n_requests:
        parts.append(several(n_requests, "request"))
    n_all = n_attempts + n_requests
    verb = "waits" if n_all == 1 else "wait"
    age = _age(n_all, max(row.wait(what) for what in Wait))
    usual = ""
    if n_requests and row.samples("response_time"):
        usual = f"; answers take {duration(row.at('response_time', 95))} (p95)"
    return f"{' and '.join(parts)} {verb} for an answer{age}{usual}"


def _age(n: int, wait_ns: int) -> str:
    """For how long the one that waits longest of n does; empty where nobody knows."""
    if wait_ns <= 0:
        return ""
    return f", for {duration(wait_ns)}" if n == 1 else f", the longest for {duration(wait_ns)}"


SENTENCES: dict[Cause, Callable[[RowEvidence], str]] = {
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
"""How each cause is said."""
