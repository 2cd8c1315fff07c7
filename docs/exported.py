"""The page of all metrics that are exported, from the tables that the exporter itself goes by."""

from __future__ import annotations

from trtop.export.buckets import COUNT_BOUNDS
from trtop.export.catalog import (
    DESTINATION_FAMILIES,
    ERROR_TYPES,
    HEALTH_FAMILIES,
    OWN_FAMILIES,
    UNDECODED,
    VERDICT,
    Family,
    Form,
)
from trtop_daemon.ipc.export_orders import DEFAULT_BOUNDS_S, DEFAULT_LIMIT, MAX_LIMIT

INTRODUCTION = """\
# Metrics for Prometheus and OpenTelemetry

    pip install 'trtop[metrics]'                       # what the exporter takes; [grpc] for grpc://
    sudo trtopd --metrics 9464                         # http://127.0.0.1:9464/metrics
    sudo trtopd --otlp http://127.0.0.1:4318           # push to an OpenTelemetry collector
    curl -s localhost:9464/metrics | grep verdict

Every number is that of `trtop attach` and of `trtop FILE` for the same packets. The exporter is a process of its own,
without any right, that asks the daemon as every client does: text, compression, TLS and slow readers cost the capture
nothing. The daemon's event loop answers two questions per scrape or push, at most once a second.

## Prometheus

`--metrics [ADDR:]PORT` listens at 127.0.0.1 unless an address is given; `--metrics unix:PATH` at a Unix socket of mode
0660, for a proxy. It is plain HTTP without a password: **whoever reaches it reads who talks to whom**. The log says so
at the start; for other machines put a proxy that checks certificates in front of it, or a firewall, and give its
address (`--metrics 192.0.2.7:9464`).

    scrape_configs:
      - {{job_name: trtop, static_configs: [{{targets: ["localhost:9464"]}}]}}
    rule_files: [trtop.rules.yml]

[packaging/prometheus/](../packaging/prometheus/) has recording and alert rules with their unit tests
(`promtool test rules`), [packaging/grafana/trtop.json](../packaging/grafana/trtop.json) a dashboard to import.
Prometheus' text and OpenMetrics are spoken, whichever is asked for, compressed where that is taken. The labels of a
destination are `destination` (its address), `port` (with `--group-by addr,port`, the default of `trtopd`) and `name`
(`--export-names hosts,dns`; a name that was found once stays).

    sum by (destination, port) (rate(trtop_connections_refused_total[5m]))
    histogram_quantile(0.95, rate(trtop_response_time_seconds_bucket[5m]))
    trtop_destination_verdict{{verdict!="ok"}}

**Histograms** have the bounds {bounds} s
(`--export-bounds 0.005,0.05,0.5` sets others), those of counts {count_bounds}.
They are filled from sketches whose bins are about 1.1 % wide: a bucket's count is exact where its
bound is the end of a bin, as the bounds of counts are, and else that of a bound at most 0.55 % away: a bin counts where
its middle lies. `_count` and `_sum` are exact. A destination has a histogram from its first sample on.

## How many series

`--export-destinations N` ({limit} unless set, {max_limit:,} at most) destinations have series of their own: half of them
those with the worst verdicts of the last minute, then those with the most connection attempts. All others are added
up in `destination="other"`; `trtop_destinations_folded` says how many they are. A destination has about 55 lines,
and 17 for each latency that it has samples of.

A destination that is no longer among the most important ones keeps its series for ten minutes, longer where nobody
needs the place. **No counter goes back when that changes.** A destination that gets a series late begins in it at zero:
what it has counted before stays in `other`. One that loses its series counts in `other` from then on; what its series
had counted is not added there. So `sum(increase(...))` over all series is the truth, whoever has one, and a destination
that came late shows less than `trtop attach` does, by what it had counted before. When the exporter's worker
has died and another one begins (the log says so), all series of destinations begin at zero: a reset, as PromQL reads
it, after which nothing counts twice.

## OpenTelemetry

`--otlp URL` pushes every `--otlp-interval` (60 s): `http://` and `https://` are OTLP over HTTP with protobufs (the path
is `/v1/metrics` unless the URL has one), `grpc://` and `grpcs://` over gRPC. `--otlp-header NAME=VALUE` goes with each
request; a secret belongs into the daemon's file (`otlp_header = ["Authorization=Bearer ..."]`), where `ps` does not
show it. `--otlp-ca FILE` trusts other certificates than those of the system.

Latencies are exponential histograms of scale 6 in ns, whose buckets are trtop's own bins: nothing is lost, and any
two hosts add up. (In seconds they would have other buckets.) `--otlp-temporality delta` sends what
came since the last push. Names are those below without `_total` and unit, with `trtop.` in front:
`trtop.connection_attempts`, `trtop.response_time`.

| attribute | |
|---|---|
| `network.peer.address`, `network.peer.port`, `network.transport` | the destination |
| `server.address` | its name, where one is known |
| `error.type` | {error_types}, on the counter of that |
| `otel.metric.overflow` | `true` on the series in which the rest is added up |
| `trtop.verdict`, `reason`, `severity`, `result` | of the metrics with that label |

The resource has `service.name=trtop`, `service.version`, `host.name` and `trtop.observation_point` (the interfaces).

What the receiver does not take (no connection, 429, 502, 503, 504) waits in a queue of 32 MiB and is sent again, after
1 s, 2 s, ... 60 s or when `Retry-After` says. What the queue cannot hold, what the receiver refuses for good and what
it says it rejected is in `trtop_otlp_points_lost_total`. What came within the last interval before the daemon stops is
not sent.

## What it costs

`benchmarks/bench_metrics.py` (root) measures it: {figures}

## All metrics

Shares, rates and percentiles are for PromQL: [columns.md](columns.md) says what each number is a share of.

### By destination

| metric | | meaning | field |
|---|---|---|---|
"""

FIGURES = """a live capture that knows 10,000 destinations, on two cores on which
other work ran (load 6), lost no packet to four scrapes, one a second, at 50,000 and at 150,000 packets/s.

| with series of their own | a scrape | lines | bytes | compressed | an OTLP push |
|---|---|---|---|---|---|
| 100 | 0.9 s, of which 0.4 s are the daemon's answer | 17,500 | 1.4 MB | 79 kB | 0.2 s, 62 kB |
| 1,000 | 3.0 s | 171,000 | 13.7 MB | 728 kB | 3.0 s, 574 kB |"""


def metrics_page() -> str:
    """Markdown of ``docs/metrics.md``."""
    introduction = INTRODUCTION.format(
        bounds=", ".join(f"{bound:g}" for bound in DEFAULT_BOUNDS_S),
        count_bounds=", ".join(f"{bound:,}" for bound in COUNT_BOUNDS),
        limit=DEFAULT_LIMIT,
        max_limit=MAX_LIMIT,
        error_types=", ".join(f"`{name}`" for name in ERROR_TYPES.values()),
        figures=FIGURES,
    )
    rows = [_row(family) for family in (*DESTINATION_FAMILIES, VERDICT)]
    health = [_row(family) for family in (*HEALTH_FAMILIES, UNDECODED)]
    own = [_row(family) for family in OWN_FAMILIES]
    return "\n".join(
        [
            introduction + "\n".join(rows),
            _heading("The capture's health", "what the capturing side does not say has no series"),
            *health,
            _heading("The daemon and its exporter", "those of OTLP where it is used"),
            *own,
            "",
        ]
    )


def _heading(title: str, remark: str) -> str:
    head = "| metric | | meaning | field |\n|---|---|---|---|"
    return f"\n### {title}\n\n{remark[:1].upper()}{remark[1:]}.\n\n{head}"


def _row(family: Family) -> str:
    field = family.metric.name if family.metric is not None else family.field
    name = family.name if family.form is Form.HISTOGRAM else family.exposed
    if not family.metric and family.labels:
        name += "{" + ",".join(label for label in family.labels) + "}"
    shown = f"`{field}`" if field else ""
    return f"| `{name}` | {family.form.value} | {family.help} | {shown} |"
