"""Makes packaging/grafana/trtop.json, a Grafana dashboard of what trtopd exports.

    python packaging/grafana/make.py            writes trtop.json beside this file
    python packaging/grafana/make.py --check    says whether it is out of step, and writes nothing

The classic dashboard schema, which every Grafana since 9 imports. Each query is a line of a table
here; a test asks a real Prometheus every one of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

PATH = Path(__file__).with_name("trtop.json")

SOURCE = {"type": "prometheus", "uid": "${source}"}

CHOSEN = 'instance=~"$instance",destination=~"$destination"'
CAPTURE = 'instance=~"$instance"'

LEGEND = "{{destination}} {{name}} {{port}}"

WIDTH, HEIGHT = 12, 8

SERIES, STAT, TABLE, HEATMAP = "timeseries", "stat", "table", "heatmap"


class Panel(NamedTuple):
    """One panel.

    Attributes:
        title: above it.
        kind: of Grafana.
        unit: of its numbers, as Grafana calls it.
        queries: pairs of PromQL and legend.
        help: what it means.
        width: of 24 columns.
        height: in rows.
    """

    title: str
    kind: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    help: str = ""
    width: int = WIDTH
    height: int = HEIGHT


def rate(name: str, chosen: str = CHOSEN) -> str:
    """A counter per second."""
    return f"rate({name}{{{chosen}}}[$__rate_interval])"


def share(part: str, whole: str, chosen: str = CHOSEN) -> str:
    """One counter as a share of another, where that grows."""
    return f"{rate(part, chosen)} / ({rate(whole, chosen)} > 0)"


def quantile(q: float, name: str) -> str:
    """A quantile of a histogram."""
    return f"histogram_quantile({q}, {rate(f'{name}_bucket')})"


def top(query: str) -> str:
    """The ten greatest."""
    return f"topk(10, {query})"


def latency(title: str, name: str, text: str) -> Panel:
    """The 95th percentile of a latency by destination."""
    return Panel(title, SERIES, "s", ((top(quantile(0.95, name)), LEGEND),), text)


def shares(title: str, part: str, whole: str, text: str) -> Panel:
    """Failures as a share."""
    return Panel(title, SERIES, "percentunit", ((top(share(part, whole)), LEGEND),), text)


ATTEMPTS = "trtop_connection_attempts_total"

ROWS: dict[str, tuple[Panel, ...]] = {
    "What is wrong": (
        Panel(
            "Verdicts that are not ok", TABLE, "none",
            ((f'trtop_destination_verdict{{{CHOSEN},verdict!="ok"}} == 1', ""),),
            "The verdict of trtop about each destination in the last minute.", 12, 9,
        ),
        Panel(
            "Connection attempts", SERIES, "cps", ((top(rate(ATTEMPTS)), LEGEND),),
            "First SYNs per second.", 12, 9,
        ),
        shares("Refused", "trtop_connections_refused_total", ATTEMPTS,
               "Reset instead of answered: nothing listens there, or a firewall answers."),
        shares("Timeouts", "trtop_connection_timeouts_total", ATTEMPTS,
               "No answer for 20 s: the host is down, or something drops packets."),
        shares("Reset by the server", "trtop_connections_reset_by_server_total", ATTEMPTS,
               "Connections that the other end cut, refused ones included."),
        shares("Requests without an answer", "trtop_requests_unanswered_total",
               "trtop_requests_total", "The connection ended first."),
    ),
    "How long it takes": (
        latency("Response time, p95", "trtop_response_time_seconds",
                "End of the request to the first byte of the response."),
        latency("Server time, p95", "trtop_server_time_seconds",
                "Response time less the least round trip: what the service itself takes."),
        latency("Connecting, p95", "trtop_connect_duration_seconds",
                "First SYN to the client's ACK."),
        Panel(
            "Path, median", SERIES, "s", ((top(quantile(0.5, "trtop_path_rtt_seconds")), LEGEND),),
            "Least round trip of a connection.",
        ),
        latency("TLS handshake, p95", "trtop_tls_handshake_duration_seconds", ""),
        Panel(
            "Response times", HEATMAP, "s",
            ((f"sum by (le) ({rate('trtop_response_time_seconds_bucket')})", "{{le}}"),),
            "All chosen destinations together.",
        ),
    ),
    "What travels": (
        Panel("Requests", SERIES, "reqps", ((top(rate("trtop_requests_total")), LEGEND),)),
        Panel(
            "Responses per connection, median", SERIES, "none",
            ((top(quantile(0.5, "trtop_responses_per_connection")), LEGEND),),
            "1: connections are not reused.",
        ),
        Panel(
            "Bytes", SERIES, "Bps",
            (
                (top(rate("trtop_received_bytes_total")), f"{LEGEND} in"),
                (top(rate("trtop_sent_bytes_total")), f"{LEGEND} out"),
            ),
        ),
        Panel(
            "Segments sent again", SERIES, "percentunit",
            (
                (top(share("trtop_segments_sent_again_total", "trtop_segments_sent_total")),
                 f"{LEGEND} out"),
                (top(share("trtop_segments_received_again_total",
                           "trtop_segments_received_total")), f"{LEGEND} in"),
            ),
            "Packet loss, by direction.",
        ),
    ),
    "May the numbers be trusted": (
        Panel("Capturing", STAT, "bool_yes_no",
              ((f"trtop_capturing{{{CAPTURE}}}", "{{instance}}"),), "", 6, 5),
        Panel(
            "Captured of what was acknowledged", STAT, "percentunit",
            ((
                f"1 - sum by (instance) ({rate('trtop_capture_gap_bytes_total', CAPTURE)}) / "
                f"(sum by (instance) ({rate('trtop_acknowledged_bytes_total', CAPTURE)}) > 0)",
                "{{instance}}",
            ),),
            "Below 99.9 % counters are lower bounds.", 6, 5,
        ),
        Panel("Destinations added up in other", STAT, "none",
              ((f"trtop_destinations_folded{{{CAPTURE}}}", "{{instance}}"),),
              "--export-destinations sets how many have series of their own.", 6, 5),
        Panel("Interruptions", STAT, "none",
              ((f"increase(trtop_capture_interruptions_total{{{CAPTURE}}}[$__range])",
                "{{instance}}"),),
              "Times that capturing stopped by itself.", 6, 5),
        Panel(
            "Packets", SERIES, "pps",
            (
                (rate("trtop_packets_total", CAPTURE), "{{instance}} captured"),
                (rate("trtop_packets_kernel_dropped_total", CAPTURE), "{{instance}} dropped"),
                (rate("trtop_packets_undecoded_total", CAPTURE), "{{instance}} {{reason}}"),
            ),
        ),
        Panel("Time per scrape that the daemon takes", SERIES, "s",
              ((f"trtop_snapshot_duration_seconds{{{CAPTURE}}}", "{{instance}}"),)),
    ),
}  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The whole of it, in Grafana's classic schema."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        panels.append(_row(title, len(panels) + 1, y))
        x, y, tallest = 0, y + 1, 0
        for panel in row:
            if x + panel.width > 24:
                x, y, tallest = 0, y + tallest, 0
            grid = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            panels.append(_panel(panel, len(panels) + 1, grid))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return {
        "title": "trtop: TCP connections by destination",
        "uid": "trtop",
        "tags": ["trtop", "tcp"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": panels,
    }


def queries() -> list[str]:
    """Every query of every panel and variable."""
    found = [query for row in ROWS.values() for panel in row for query, _ in panel.queries]
    return [*found, *(f"group by ({label}) ({series})" for _, label, series in VARIABLES)]


VARIABLES = (
    ("instance", "instance", "trtop_build_info"),
    ("destination", "destination", 'trtop_connection_attempts_total{instance=~"$instance"}'),
)
"""Name, label and series of each."""


def _variables() -> list[dict[str, Any]]:
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return [
        source,
        *(
            {
                "name": name,
                "type": "query",
                "datasource": SOURCE,
                "query": {"query": f"label_values({series}, {label})", "refId": name},
                "refresh": 2,
                "sort": 1,
                "multi": True,
                "includeAll": True,
                "allValue": ".*",
                "current": {"text": "All", "value": "$__all"},
            }
            for name, label, series in VARIABLES
        ),
    ]


def _row(title: str, number: int, y: int) -> dict[str, Any]:
    grid = {"x": 0, "y": y, "w": 24, "h": 1}
    return {"id": number, "type": "row", "title": title, "gridPos": grid, "collapsed": False,
            "panels": []}  # fmt: skip


def _panel(panel: Panel, number: int, grid: dict[str, int]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + i),
            "datasource": SOURCE,
            "expr": query,
            "legendFormat": legend,
            "instant": panel.kind in (TABLE, STAT),
            "format": {TABLE: "table", HEATMAP: "heatmap"}.get(panel.kind, "time_series"),
        }
        for i, (query, legend) in enumerate(panel.queries)
    ]
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": SOURCE,
        "gridPos": grid,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {},
        "targets": targets,
    }
    if panel.kind == TABLE:
        hidden = dict.fromkeys(("Time", "Value", "__name__", "instance", "job"), True)
        made["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    elif panel.kind == HEATMAP:
        made["options"] = {"calculate": False, "yAxis": {"unit": panel.unit}}
    elif panel.kind == SERIES:
        made["options"] = {"legend": {"displayMode": "table", "placement": "right",
                                      "calcs": ["lastNotNull", "max"]}}  # fmt: skip
    return made


def text() -> str:
    """The file's content."""
    return json.dumps(dashboard(), indent=1) + "\n"


def main(argv: list[str]) -> int:
    """Write or check; the exit status."""
    wanted = text()
    if "--check" in argv:
        is_kept = PATH.exists() and PATH.read_text(encoding="utf-8") == wanted
        if not is_kept:
            sys.stderr.write(f"{PATH.name} is out of step: python packaging/grafana/make.py\n")
        return 0 if is_kept else 1
    PATH.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
