"""The page of all columns and fields, from the tables that the program itself goes by."""

from __future__ import annotations

from trtop.metrics.columns import Column
from trtop_core.metric_types import Group, Kind, Metric, Unit
from trtop_core.metrics import METRICS

INTRODUCTION = """\
# Columns and fields

Every field of a row, under the name that JSON and CSV give it, with the heading that table and screen
have for it. Fields without a heading are in JSON, CSV and the screen's drill-down only, unless `--columns`
names them. `!` marks what is beyond its threshold; `--high COLUMN=VALUE` sets one for
any column.

Percentages are of `syn`; those of `rst`, `fin_out` and `fin_in` are of `syn + midstream`. Directions: *out* is what the
client sends, *in* what the server sends. Times are in ns in JSON and CSV (`_ns` in the name); rates are per second of
capture time.
"""

NOTES = """\
## Reading them

- **Rtt is the response time**, as it was always called here: from the end of a request to the first byte
  of its response. `net_rtt` is the network's round trip (a client segment to the ACK that covers its
  end), `syn_rtt` that of SYN and SYN/ACK. A server that acknowledges a request together with its answer
  makes `net_rtt` as long as the answer takes: `syn_rtt` tells then what the network alone needs.
- **`verdict`** is one word for what is wrong with a row, `because` a sentence with the numbers that it
  rests on: `CAPTURE` (the capture missed too much to judge), `REFUSED`, `NO ANSWER`, `RESET`,
  `TLS FAILS`, `SILENT` (accepts and does not answer), `SLOW CONNECT`, `LOSS`, `SLOW SERVER`, `STALLS`,
  `FAR`, `NO REUSE`, `MIXED` (request times cannot be told); `waiting` if nothing is answered yet, or a
  request waits longer than is usual; `ok` if none of these holds, `-` if nothing
  happened. The first that holds is the verdict.
- **`path_rtt`** is the least round trip that a connection has shown, sampled every 10 s while it has
  segments and when it closes: what the path itself takes. `net_rtt` includes delayed acknowledgements.
- **`retrans_out`, `retrans_in`** are shares of `segments_out`, `segments_in`. FINs alone count in
  `fin_retrans`, what only overtook on its way in `out_of_order` (it came sooner than a round trip).
- **`server_time`** is Rtt less the least round trip that the connection has shown so far, where it has
  shown one: fewer samples than Rtt, and other ones.
- **QoS** is responses per connection, sampled when a connection closes. Like the latencies it shows one
  percentile, p95: the best used connections. For the worst used ones ask for a low one:
  `--percentile 5`.
- **Out above In**: requests that nobody has answered yet, or ever. `active` connections with an open
  request stand in the drill-down, the slowest first.
- **`timeouts`** counts attempts that got no answer for 20 s; until then they are `pending`.
- **Completeness below 100 %, Err above 0**: the capture has missed data that arrived. Counters of rows
  marked `?` are lower bounds. Latencies that depend on missing data are left out rather than guessed.
- **`address`, `port`, `name`** stand beside `destination`, which is what the table calls the row: `port` is
  `null` where rows are not kept by port (`--group-by addr,port`), `name` where nobody knows one, `address`
  where a row is of several addresses with one name.
- A latency's JSON object has `count`, `sum_ns`, `min_ns`, `max_ns` (exact) and `p50_ns`, `p90_ns`,
  `p95_ns`, `p99_ns`, `p999_ns` (relative error at most 0.55 %), and `bins` with `--bins`.

## The capture's health

| field | meaning |
|---|---|
| `packets` | packets that reached the decoder |
| `not_tcp` | of these, packets without TCP |
| `undecoded` | of these, packets that should have held TCP but could not be read, by reason: `truncated` (cut off before the end of the TCP header), `fragment` (not the first of an IP datagram), `bad_header`, `bad_offset`, `bad_length`, `too_deep` (more than 8 nested headers), `link_type` |
| `duplicates` | segments that the capture held twice (`-i any`, mirror ports); they count once |
| `clock_steps` | times that capture time jumped: back (32 packets in a row lie more than 10 s behind), or forward by more than a day. No latency spans a step, and no rate counts it as time |
| `stray_times` | packets whose time no later packet confirms, 20 s and more ahead of the others: they count, and move no clock |
| `untimed` | packets without a time (pcapng simple packets), skipped |
| `evicted` | connections that a full table forgot: attempts that are not established first, then closed ones, idle ones, the rest; of each the longest idle first |
| `holes_unkept`, `samples_unbinned` | memory for missing data, or for percentiles, was full |
| `received`, `kernel_dropped`, `interface_dropped` | what the capturing side says; `null` where it does not say |
| `loss`, `completeness` | share of packets lost; share of acknowledged bytes that were captured |
"""

SECTIONS = {
    "Connections": Group.CONNECTIONS,
    "Transport": Group.TRANSPORT,
    "Latencies, and responses per connection": None,
    "Pcap: may the numbers be trusted?": Group.PCAP,
}
"""Titles, and the group of metrics below each; None for all distributions."""


def columns_page() -> str:
    """Markdown of ``docs/columns.md``."""
    parts = [INTRODUCTION]
    for title, group in SECTIONS.items():
        rows = [_row(metric) for metric in METRICS if _section(metric) is group]
        table = ["| field | heading | meaning | stands out |", "|---|---|---|---|", *rows]
        parts.append(f"## {title}\n\n" + "\n".join(table) + "\n")
    return "\n".join([*parts, NOTES])


def _section(metric: Metric) -> Group | None:
    return None if metric.kind is Kind.DISTRIBUTION else metric.group


def _row(metric: Metric) -> str:
    headings = Column(metric).headings[0] if metric.titles else ""
    stands_out = ""
    if metric.thresholds is not None:
        given = (metric.thresholds.notable, metric.thresholds.high)
        limits = " / ".join(f"{limit:g}" for limit in given if limit is not None)
        is_percent = metric.thresholds.is_share or metric.unit is Unit.SHARE
        stands_out = f"{metric.thresholds.side.value} {limits}{' %' if is_percent else ''}"
    return f"| `{metric.name}` | {headings} | {metric.help} | {stands_out} |"
