"""A real Prometheus scrapes a real daemon: PromQL gives the true numbers.

Rules and dashboard are those of ``packaging/``: each query is one that this Prometheus answers.
"""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from support.daemons import TIMEOUT_S, TRTOPD, Daemon, wait_for
from support.paths import ROOT

import trtop
from trtop_core.snapshot import Snapshot
from trtop_daemon.ipc.export_orders import DEFAULT_BOUNDS_S

sys.path.append(str(ROOT / "packaging" / "grafana"))
import make as grafana

pytestmark = pytest.mark.xdist_group("prometheus")
"""One worker runs them all: one server serves them."""

SERVICES = ROOT / "examples" / "services.pcap"
RULES = ROOT / "packaging" / "prometheus"

CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: trtop
    static_configs: [{{targets: ["{target}"]}}]
"""


def needs(*commands: str) -> None:
    for command in commands:
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")


class Prometheus:
    """A server's HTTP API."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **query: str) -> Any:
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            return json.loads(response.read())["data"]

    def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """An instant query: labels and value of each series."""
        found = self.get("/api/v1/query", query=query)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def number(self, query: str) -> float:
        ((_, value),) = self.ask(query)
        return value

    def is_ready(self) -> bool:
        with suppress(OSError):
            return self.ask("trtop_packets_total") != [] and self.number(
                "trtop_packets_total"
            ) == float(1559)
        return False


@pytest.fixture(scope="module")
def truth() -> Snapshot:
    return trtop.analyze(str(SERVICES), group_by="addr,port").snapshot


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    needs("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    options = ["-r", str(SERVICES), "--speed", "max", "--metrics", "0"]
    with Daemon(folder / "trtopd", *options, command=TRTOPD) as daemon:
        target = daemon.log.split("metrics at http://")[1].split("/")[0]
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(rules=RULES / "trtop.rules.yml", target=target))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            made = Prometheus(port)
            wait_for(made.is_ready)
            yield made
        finally:
            process.terminate()
            try:
                process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def test_promql_gives_the_true_counts(prometheus: Prometheus, truth: Snapshot) -> None:
    found = {
        (labels["destination"], labels.get("port", "")): value
        for labels, value in prometheus.ask("trtop_connection_attempts_total")
    }
    wanted = {
        (str(row.origin.address), str(row.origin.port)): float(row.count("syn"))
        for row in truth.rows()
    }
    assert found == {**wanted, ("other", ""): 0}
    total = prometheus.number("sum(trtop_connections_refused_total)")
    assert total == truth.totals.count("refused")
    total = prometheus.number("sum(trtop_received_bytes_total)")
    assert total == truth.totals.count("bytes_in")


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("trtop_response_time_seconds", "response_time"),
        ("trtop_connect_duration_seconds", "connect_latency"),
    ],
)
def test_p95_is_within_a_bucket_of_the_true_one(
    prometheus: Prometheus, truth: Snapshot, family: str, name: str
) -> None:
    bounds = (0.0, *DEFAULT_BOUNDS_S, math.inf)
    found = {
        labels["destination"]: value
        for labels, value in prometheus.ask(f"histogram_quantile(0.95, {family}_bucket)")
    }
    n_compared = 0
    for row in truth.rows():
        true_ns = row.quantile(name, 95)
        if true_ns is None:
            continue
        true_s = true_ns / 1e9
        low, high = next((a, b) for a, b in pairwise(bounds) if a < true_s <= b)
        assert low <= found[str(row.origin.address)] <= high
        n_compared += 1
    assert n_compared >= 8


def test_every_query_of_the_dashboard_is_one_that_prometheus_answers(
    prometheus: Prometheus,
) -> None:
    queries = grafana.queries()
    assert len(queries) > 20
    for query in queries:
        for name, value in (
            ("$instance", ".*"),
            ("$destination", ".*"),
            ("$__rate_interval", "5m"),
            ("$__range", "1h"),
        ):
            query = query.replace(name, value)  # noqa: PLW2901
        assert "$" not in query
        assert prometheus.get("/api/v1/query", query=query)["resultType"] == "vector"


def test_every_metric_of_dashboard_and_rules_is_exported(prometheus: Prometheus) -> None:
    known = set(prometheus.get("/api/v1/label/__name__/values"))
    rules = json.loads(json.dumps(prometheus.get("/api/v1/rules")))
    texts = [*grafana.queries(), *(r["query"] for g in rules["groups"] for r in g["rules"])]
    named = {
        word
        for text in texts
        for word in "".join(c if c.isalnum() or c in "_:" else " " for c in text).split()
        if word.startswith("trtop_")
    }
    # A replay has no kernel's counters, and nothing in this capture that cannot be decoded.
    absent = {
        "trtop_packets_kernel_dropped_total",
        "trtop_packets_received_total",
        "trtop_packets_undecoded_total",
    }
    assert len(named) > 25
    assert named - known <= absent


def test_the_rules_are_evaluated_without_an_error(prometheus: Prometheus) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = prometheus.get("/api/v1/rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    wait_for(lambda: all(rule["health"] == "ok" for rule in rules()))
    assert len(rules()) == 25


@pytest.mark.parametrize(
    "arguments", [("check", "rules", "trtop.rules.yml"), ("test", "rules", "trtop.rules.test.yml")]
)
def test_promtool_has_nothing_to_say_against_the_rules(arguments: tuple[str, ...]) -> None:
    needs("promtool")
    done = subprocess.run(
        ["promtool", *arguments],
        cwd=RULES,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout + done.stderr


def test_every_alert_has_a_test() -> None:
    rules = (RULES / "trtop.rules.yml").read_text()
    tests = (RULES / "trtop.rules.test.yml").read_text()
    alerts = [line.split("alert: ")[1] for line in rules.splitlines() if "alert: " in line]
    assert len(alerts) == 12
    for alert in alerts:
        assert f"alertname: {alert}\n        exp_alerts" in tests, alert


def test_the_dashboard_is_what_the_script_makes() -> None:
    written = grafana.PATH.read_text(encoding="utf-8")
    assert written == grafana.text(), "run: python packaging/grafana/make.py"
    panels = json.loads(written)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
