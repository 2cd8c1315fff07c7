"""Writes what came out as Markdown: one table a kind of pairing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lab.measures import NS_PER_MS, Kind, Outcome, Times
from lab.store import Record

HEAD = """# Accuracy

Real clients used real servers over a path of known delay, and measured themselves; this page
compares that with what trtop shows. `make lab` makes it (as root; some minutes).

- **True** is what the client counted and timed by its own clock, **shown** is trtop's row of the
  capture at the client's host, by nearest rank. Times are in ms; both are `p50 / p95`.
- The path is a forwarder between two network namespaces; a round trip takes 10 ms unless said
  otherwise. Services take 40 ms, every eighth time 120 ms, where the table says so (*known*).
- `server_time` must lie between what the service is known to take and the client's time less the
  path's round trip. Targets: counts exact, percentiles within 5 % or 1 ms, whichever is more.
- Wget, `openssl s_client` and `ab` over TLS time no answer: their counts alone are compared.
"""

TITLES = {
    Kind.ALTERNATING: "Taking turns",
    Kind.PER_STREAM: "HTTP/2 in clear, gRPC: by stream",
    Kind.MULTIPLEXED: "Both sides at once: recognised, no time given",
    Kind.FAILED: "TLS handshakes that fail",
    Kind.LOSSY: "2 % loss either way",
    Kind.CROWD: "Many connections over TLS: none mistaken for multiplexed",
}

NOTES = {
    Kind.MULTIPLEXED: """HTTP/2 over TLS is known by its opening. WebSocket has none under TLS, and
may take turns in clear: it is recognised where short messages cross twice on their way, at either
end's host (*captured at the server*: else at the client's). The shorter the path, the fewer cross:
with a round trip of 1 ms, messages pass for taking turns until two did, and give times. Nghttp
sends its first requests together with its settings, and Apache its own settings only then: these
are HTTP/2 once both have acknowledged them.""",
    Kind.LOSSY: """The path loses 2 % of the frames each way by a seeded choice, first in first
out. The capture lies before what is lost on the way out, and behind what is lost on the way in. So
its `retrans_out` are all segments that the client sent again, lost or not; its `retrans_in` are
those of the server's second sendings that were let through, less those of which nothing at or
beyond their end had passed before (the tail was lost: what the capture sees first is no
retransmission). Both are counted in the forwarder's own log. *Told* is answers with a time +
`withheld` + `unanswered`.""",
}


@dataclass(frozen=True)
class Result:
    """One line of the page: a pairing, and how it came out or why it did not run."""

    record: Record
    outcome: Outcome


@dataclass(frozen=True)
class _Column:
    title: str
    cell: Callable[[Outcome], str]


def page(results: Sequence[Result], skipped: Mapping[str, str]) -> str:
    """Write the page."""
    parts = [HEAD]
    n_met = sum(not result.outcome.failures for result in results)
    parts.append(f"{n_met} of {len(results)} pairings meet their targets.\n")
    for kind, title in TITLES.items():
        chosen = [result for result in results if result.record.kind is kind]
        if chosen:
            parts.append(f"## {title}\n")
            if kind in NOTES:
                parts.append(NOTES[kind] + "\n")
            parts.append(_table(chosen, COLUMNS[kind]))
    if skipped:
        parts.append("## Not run\n")
        parts.append("\n".join(f"- {name}: {reason}" for name, reason in skipped.items()) + "\n")
    return "\n".join(parts)


def _table(results: Iterable[Result], columns: Sequence[_Column]) -> str:
    titles = ["client", "server", "protocol", *(column.title for column in columns), "met"]
    lines = [_line(titles), _line(["---"] * len(titles))]
    for result in results:
        record, outcome = result.record, result.outcome
        cells = [column.cell(outcome) for column in columns]
        met = ", ".join(check.what for check in outcome.failures)
        verdict = f"**no**: {met}" if met else "yes"
        lines.append(_line([record.client, record.server, record.says, *cells, verdict]))
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _requests(outcome: Outcome) -> str:
    truth = outcome.truth
    asked = truth.requests + truth.unanswered + truth.farewells
    return f"{asked} / {_shown(outcome, 'requests')}"


def _shown(outcome: Outcome, name: str) -> str:
    value = outcome.row.get(name)
    return "–" if value is None else str(value)


def _ms(ns: float | None) -> str:
    return "–" if ns is None else f"{ns / NS_PER_MS:.1f}"


def _times(times: Times | None) -> str:
    return f"{_ms(times.p50_ns)} / {_ms(times.p95_ns)}" if times else "–"


def _shown_times(outcome: Outcome, name: str) -> str:
    row = outcome.row[name]
    return f"{_ms(row['p50_ns'])} / {_ms(row['p95_ns'])}"


def _error(outcome: Outcome) -> str:
    errors = [
        error
        for check in outcome.checks
        if check.what.startswith("response_time p") and (error := check.error()) is not None
    ]
    return " / ".join(f"{100 * error:+.1f} %" for error in errors) or "–"


def _told(outcome: Outcome) -> str:
    values = (
        outcome.row["response_time"]["count"],
        *map(outcome.row.get, ("withheld", "unanswered")),
    )
    return " + ".join("–" if value is None else str(value) for value in values)


def _retransmissions(outcome: Outcome) -> str:
    truth = outcome.truth
    return (
        f"{truth.retrans_out} / {_shown(outcome, 'retrans_out')}, "
        f"{truth.retrans_in} / {_shown(outcome, 'retrans_in')}"
    )


_CONNECTIONS = _Column(
    "connections true / shown", lambda one: f"{one.truth.connections} / {_shown(one, 'syn')}"
)
_MULTIPLEXED = _Column("multiplexed", lambda one: _shown(one, "multiplexed"))
_REQUESTS = _Column("requests true / shown", _requests)
_TIMES = [
    _Column("Rtt true", lambda one: _times(one.truth.response_time)),
    _Column("shown", lambda one: _shown_times(one, "response_time")),
    _Column("error", _error),
    _Column("Server known", lambda one: _times(one.truth.service)),
    _Column("at most", lambda one: _times(one.truth.server_time)),
    _Column("shown", lambda one: _shown_times(one, "server_time")),
]

COLUMNS = {
    Kind.ALTERNATING: [_REQUESTS, *_TIMES],
    Kind.PER_STREAM: [_REQUESTS, *_TIMES],
    Kind.MULTIPLEXED: [
        _CONNECTIONS,
        _MULTIPLEXED,
        _Column("answers with a time", lambda one: str(one.row["response_time"]["count"])),
    ],
    Kind.FAILED: [_CONNECTIONS, _Column("tls_failed", lambda one: _shown(one, "tls_failed"))],
    Kind.LOSSY: [
        _REQUESTS,
        _Column("told", _told),
        _Column("out of order", lambda one: _shown(one, "out_of_order")),
        _Column("retransmissions out, in, true / shown", _retransmissions),
    ],
    Kind.CROWD: [_CONNECTIONS, _MULTIPLEXED],
}
