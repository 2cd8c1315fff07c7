"""The figures of one destination, and their shape in a report.

Takes counts and latency samples; gives the row of a report, fields that are 0 and latencies
without samples left out, percentiles by nearest rank over the exact samples. Never rounds and
never forgets a sample: it is the reference that sketches are compared with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

COUNTERS = (
    "syn",
    "syn_retrans",
    "synack",
    "synack_retrans",
    "est",
    "rst",
    "rst_out",
    "rst_in",
    "refused",
    "rst_after_fin",
    "fin_out",
    "fin_in",
    "midstream",
    "timeouts",
    "pending",
    "active",
    "requests",
    "responses",
    "unanswered",
    "waiting",
    "waiting_long",
    "pending_retrans",
    "withheld",
    "multiplexed",
    "multiplexed_unfollowed",
    "banners",
    "tls_turns",
    "tls_hellos",
    "tls_failed",
    "tls_failed_in",
    "slow_by_loss",
    "bytes_out",
    "bytes_in",
    "segments_out",
    "segments_in",
    "retrans_out",
    "retrans_in",
    "fin_retrans",
    "keepalives",
    "out_of_order",
    "zero_window_out",
    "zero_window_in",
    "zero_window_connections_out",
    "zero_window_connections_in",
    "streams",
    "stream_bytes",
    "stream_ns",
    "stalls",
    "capture_gaps",
    "gap_bytes",
    "acked_bytes",
    "one_sided",
)
UNIT_SUFFIXES = {
    **dict.fromkeys(
        (
            "connect_latency",
            "syn_rtt",
            "response_time",
            "response_duration",
            "tls_latency",
            "net_rtt",
            "server_time",
            "path_rtt",
            "reset_age",
        ),
        "_ns",
    ),
    "reuse": "",
}
"""Every distribution, and what the names of its statistics end in."""
# Percentiles in tenths of a percent, so that ranks are whole-number arithmetic.
PERCENTILES = {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p99.9": 999}


@dataclass
class Row:
    """Counters and samples of one destination."""

    counts: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[int]] = field(default_factory=dict)

    def add(self, name: str, n: int = 1) -> None:
        if name not in COUNTERS:
            raise ValueError(f"no counter is called {name!r}")
        self.counts[name] += n

    def sample(self, name: str, value: int) -> None:
        """Keep a sample; a negative latency is none."""
        if name not in UNIT_SUFFIXES:
            raise ValueError(f"no distribution is called {name!r}")
        if value >= 0:
            self.samples.setdefault(name, []).append(value)

    def as_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {name: self.counts[name] for name in COUNTERS if self.counts[name]}
        for name, suffix in UNIT_SUFFIXES.items():
            if self.samples.get(name):
                out[name] = _summary(sorted(self.samples[name]), suffix)
        return out


def merged(rows: Iterable[Row]) -> Row:
    """Return one row with the counts and samples of all."""
    total = Row()
    for row in rows:
        total.counts.update(row.counts)
        for name, values in row.samples.items():
            total.samples.setdefault(name, []).extend(values)
    return total


def nearest_rank(ordered: list[int], tenths: int) -> int:
    """Return the least sample that at least `tenths` per mille of all samples do not exceed."""
    rank = -(-tenths * len(ordered) // 1000)
    return ordered[max(rank, 1) - 1]


def _summary(ordered: list[int], unit: str) -> dict[str, int]:
    summary = {
        "count": len(ordered),
        f"sum{unit}": sum(ordered),
        f"min{unit}": ordered[0],
        f"max{unit}": ordered[-1],
    }
    for name, tenths in PERCENTILES.items():
        summary[f"{name}{unit}"] = nearest_rank(ordered, tenths)
    return summary
