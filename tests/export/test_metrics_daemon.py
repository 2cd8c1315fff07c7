"""``trtopd --metrics`` and ``--otlp`` as processes: what comes out, what is refused, who dies."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.daemons import FILE_FEED, TIMEOUT_S, TRTOPD, Daemon, environment, wait_for
from support.export import OPENMETRICS, Receiver, receiver
from support.paths import ROOT

import trtop
from trtop.export.reader import MIN_AGE_S
from trtop_core.snapshot import Snapshot
from trtop_daemon.keys import write_key_pair

SERVICES = ROOT / "examples" / "services.pcap"
REPLAY = ["-r", str(SERVICES), "--speed", "max"]
METRICS = ["--metrics", "0"]


@pytest.fixture(scope="module")
def truth() -> Snapshot:
    return trtop.analyze(str(SERVICES), group_by="addr,port").snapshot


def url_of(daemon: Daemon) -> str:
    return next(
        word
        for line in daemon.log.splitlines()
        if "metrics at" in line
        for word in line.split()
        if word.startswith("http://")
    )


def scrape(daemon: Daemon, **headers: str) -> str:
    request = urllib.request.Request(url_of(daemon), headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        text: str = response.read().decode()
        return text


def numbers(text: str, name: str) -> dict[tuple[str, str], float]:
    """A family's numbers by destination and port."""
    return {
        (sample.labels["destination"], sample.labels.get("port", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def health(text: str, name: str) -> float:
    (found,) = (
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )
    return found


def replayed(daemon: Daemon) -> str:
    """A scrape after the replay has ended."""
    text = ""

    def is_over() -> bool:
        nonlocal text
        text = scrape(daemon)
        return health(text, "trtop_packets_total") == 1559

    wait_for(is_over)
    return text


@contextmanager
def replaying(folder: Path, *more: str, command: list[str] | None = None) -> Iterator[Daemon]:
    with Daemon(folder, *REPLAY, *more, command=command) as daemon:
        yield daemon


def failing(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FILE_FEED, *arguments],
        capture_output=True,
        text=True,
        env=environment(**env),
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The real ``trtopd``, once it has replayed all."""
    with replaying(tmp_path_factory.mktemp("trtopd"), *METRICS, command=TRTOPD) as daemon:
        replayed(daemon)
        yield daemon


def test_a_scrape_has_the_numbers_of_the_capture(shared: Daemon, truth: Snapshot) -> None:
    text = scrape(shared)
    openmetrics = scrape(shared, Accept=OPENMETRICS)
    attempts = numbers(text, "trtop_connection_attempts_total")
    refused = numbers(text, "trtop_connections_refused_total")
    samples = numbers(text, "trtop_response_time_seconds_count")
    for row in truth.rows():
        key = str(row.origin.address), str(row.origin.port)
        assert attempts.pop(key) == row.count("syn")
        assert refused[key] == row.count("refused")
        assert samples.get(key, 0) == row.samples("response_time")
    assert attempts == {("other", ""): 0}
    words = {
        (sample.labels["destination"], sample.labels["verdict"])
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "trtop_destination_verdict"
    }
    assert {("192.0.2.13", "REFUSED"), ("192.0.2.12", "SLOW SERVER"), ("192.0.2.11", "ok")} <= words
    assert openmetrics.endswith("# EOF\n")


def test_promtool_has_nothing_to_say_against_it(shared: Daemon) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=scrape(shared),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_destinations_beyond_the_limit_are_added_up(tmp_path: Path, truth: Snapshot) -> None:
    with replaying(tmp_path, *METRICS, "--export-destinations", "3") as daemon:
        text = replayed(daemon)
    attempts = numbers(text, "trtop_connection_attempts_total")
    assert len(attempts) == 4
    assert sum(attempts.values()) == truth.totals.count("syn")
    assert health(text, "trtop_destinations_folded") == len(truth.table) - 3
    assert health(text, "trtop_destinations") == len(truth.table)
    assert health(text, "trtop_destinations_limit") == 3


def test_names_of_a_hosts_file(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text('192.0.2.12 db"\\x\n')
    with replaying(tmp_path, *METRICS, "--export-names", f"hosts:{hosts}") as daemon:
        text = replayed(daemon)
    names = {
        sample.labels["destination"]: sample.labels.get("name")
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "trtop_connection_attempts_total"
    }
    assert names["192.0.2.12"] == 'db"\\\\x'
    assert names["192.0.2.13"] is None


def test_bounds_of_ones_own_and_rows_by_address(tmp_path: Path) -> None:
    options = ["--export-bounds", "0.002,0.2", "--group-by", "addr"]
    with replaying(tmp_path, *METRICS, *options) as daemon:
        text = replayed(daemon)
    bounds = {
        sample.labels["le"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "trtop_response_time_seconds_bucket"
    }
    assert bounds == {"0.002", "0.2", "+Inf"}
    assert {port for _, port in numbers(text, "trtop_connection_attempts_total")} == {""}


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    with replaying(tmp_path, "--metrics", f"unix:{path}") as daemon:
        assert f"metrics at unix:{path}" in daemon.log
        mode = path.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert not mode & stat.S_IRWXO
        with closing(http.client.HTTPConnection("localhost", timeout=TIMEOUT_S)) as connection:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(path))
            connection.request("GET", "/metrics")
            assert b"trtop_build_info" in connection.getresponse().read()
    assert not path.exists()


def test_nothing_listens_unless_asked(tmp_path: Path) -> None:
    with replaying(tmp_path) as daemon:
        children = psutil.Process(daemon.pid).children(recursive=True)
        assert [child.name() for child in children] == []
        assert "metrics at" not in daemon.log


def test_loopback_by_default_and_a_warning_of_who_may_read(shared: Daemon, tmp_path: Path) -> None:
    assert url_of(shared).startswith("http://127.0.0.1:")
    assert "every user of this machine may read it" in shared.log
    with replaying(tmp_path, "--metrics", "0.0.0.0:0") as daemon:
        assert "everyone who reaches this address can read who talks to whom" in daemon.log


def test_where_clients_need_keys_the_exporter_has_its_own(tmp_path: Path) -> None:
    write_key_pair(str(tmp_path), "server")
    (tmp_path / "clients").mkdir()
    options = [
        *("--listen", "tcp://127.0.0.1:0", "--server-key", str(tmp_path / "server.key_secret")),
        *("--authorized-keys", str(tmp_path / "clients")),
    ]
    with replaying(tmp_path, *METRICS, *options) as daemon:
        assert numbers(replayed(daemon), "trtop_connection_attempts_total")
        daemon.send(signal.SIGHUP)
        wait_for(lambda: "reloaded" in daemon.log)
        worker = exporter_of(daemon).children()[0]
        worker.kill()  # the next one connects anew, with the same keys
        wait_for(lambda: "another one in" in daemon.log)
        wait_for(lambda: is_scraped(daemon))


def exporter_of(daemon: Daemon) -> psutil.Process:
    children = psutil.Process(daemon.pid).children()
    (found,) = (child for child in children if child.name() == "trtop-export")
    return found


def is_scraped(daemon: Daemon) -> bool:
    try:
        return bool(numbers(scrape(daemon), "trtop_connection_attempts_total"))
    except OSError:
        return False


def test_a_worker_that_dies_is_replaced_and_the_exporter_dies_with_the_daemon(
    tmp_path: Path,
) -> None:
    with replaying(tmp_path, *METRICS) as daemon:
        replayed(daemon)
        exporter = exporter_of(daemon)
        (worker,) = exporter.children()
        worker.kill()
        wait_for(lambda: "the exporter's worker has ended (signal 9)" in daemon.log)
        wait_for(lambda: is_scraped(daemon))
        (worker,) = exporter.children()
        daemon.process.kill()
        wait_for(lambda: not exporter.is_running() and not worker.is_running())


def test_an_exporter_that_is_killed_is_missed_and_the_daemon_goes_on(tmp_path: Path) -> None:
    with replaying(tmp_path, *METRICS) as daemon:
        exporter_of(daemon).kill()
        wait_for(lambda: "metrics are not exported any more" in daemon.log)
        with pytest.raises(OSError, match="refused"):
            scrape(daemon)
        assert daemon.process.poll() is None
        assert daemon.stop() == 0
    assert daemon.log.count("metrics are not exported any more") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
def test_the_exporter_keeps_no_right(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    listen = ["--listen", "tcp://127.0.0.1:0", "--user", "nobody"]
    with Daemon(tmp_path, *REPLAY, *METRICS, *listen) as daemon:
        replayed(daemon)
        exporter = exporter_of(daemon)
        for process in (exporter, *exporter.children()):
            status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
            assert set(fields["Uid"].split()) == {"65534"}
            assert fields["NoNewPrivs"] == "1"
            for kind in ("CapPrm", "CapEff", "CapAmb", "CapInh"):
                assert int(fields[kind], 16) == 0, kind


WRONG = [
    (["--metrics", "x"], "'x' is no place for metrics"),
    (["--otlp", "https://x", "--otlp-ca", "/nowhere/at/all"], "/nowhere/at/all: cannot be read"),
    (
        ["--metrics", "0", "--export-names", "hosts:/nowhere/at/all"],
        "/nowhere/at/all: No such file",
    ),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = failing("--listen", str(tmp_path / "s.sock"), "--user=root", *arguments)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("trtopd: ")
    assert words in last
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = failing("--listen", str(tmp_path / "s"), "--user=root", "--metrics", str(port))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f"127.0.0.1:{port}: Address already in use")


@pytest.mark.parametrize(
    ("arguments", "package"),
    [(["--metrics", "0"], "prometheus_client"), (["--otlp", "http://x"], "opentelemetry")],
)
def test_a_missing_extra_is_one_line(tmp_path: Path, arguments: list[str], package: str) -> None:
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / f"{package}.py").write_text(
        f"raise ModuleNotFoundError('No module named {package}', name='{package}')"
    )
    done = failing(
        *("--listen", str(tmp_path / "s"), "--user=root", *arguments),
        PYTHONPATH=f"{folder}:{ROOT}",
    )
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if "needs a package" in line)
    assert package in line
    assert line.endswith("pip install 'trtop[metrics]'")


def test_check_says_where_metrics_go_and_what_is_in_the_way(tmp_path: Path) -> None:
    options = ["--listen", str(tmp_path / "s"), "--user=root", *REPLAY, "--check"]
    done = failing("--metrics", "9464", "--otlp", "http://x", *options)
    assert (done.returncode, done.stderr) == (0, "")
    first, _ = done.stdout.splitlines()
    assert first.endswith(", metrics at tcp://127.0.0.1:9464, pushing metrics to http://x")
    done = failing("--metrics", f"unix:{tmp_path}/none/m.sock", *options)
    assert done.returncode == 1
    assert f"{tmp_path}/none/m.sock" in done.stderr


def test_a_daemon_without_metrics_imports_nothing_of_them() -> None:
    code = (
        "import sys; import trtop_daemon.cli;"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " ('prometheus_client', 'opentelemetry', 'google', 'grpc', 'trtop', 'http', 'ssl')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=TIMEOUT_S,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_otlp_is_pushed_bin_for_bin(tmp_path: Path, truth: Snapshot) -> None:
    with receiver() as there:
        url = f"http://127.0.0.1:{there.port}"
        options = ["--otlp", url, "--otlp-interval", "0.3", "--otlp-header", "X-Token=s3cret"]
        with replaying(tmp_path, *options) as daemon:
            wait_for(lambda: n_packets(there) == 1559)
            command = Path(f"/proc/{exporter_of(daemon).pid}/cmdline").read_text()
            assert "s3cret" not in command
        assert there.heads[0]["x-token"] == "s3cret"
        assert "s3cret" not in daemon.log
        histogram = there.metrics()["trtop.response_time"].exponential_histogram
    found = {}
    for point in histogram.data_points:
        named = {one.key: one.value for one in point.attributes}
        bins = {point.positive.offset + i: n for i, n in enumerate(point.positive.bucket_counts)}
        key = named["network.peer.address"].string_value, named["network.peer.port"].int_value
        found[key] = [[number, n] for number, n in bins.items() if n]
    wanted = {
        (row.origin.address, row.origin.port): row.sketch_record("response_time", True)["bins"]
        for row in truth.rows()
        if row.samples("response_time")
    }
    assert found == wanted


def n_packets(there: Receiver) -> int:
    if not there.requests:
        return 0
    return int(there.metrics()["trtop.packets"].sum.data_points[0].as_int)


def test_deltas_add_up_to_what_was_captured_though_the_receiver_was_away(
    tmp_path: Path, truth: Snapshot
) -> None:
    with receiver() as there:
        there.statuses = [503, 503, 200]
        url = f"http://127.0.0.1:{there.port}"
        options = ["--otlp", url, "--otlp-interval", "0.2", "--otlp-temporality", "delta"]
        with Daemon(tmp_path, "-r", str(SERVICES), "--speed", "15", *options, command=TRTOPD):
            wait_for(lambda: total(there) == truth.totals.count("syn"))
        assert len(there.requests) > 2


def total(there: Receiver) -> int:
    metrics = [there.metrics(i) for i in range(len(there.requests))]
    sums = [
        one["trtop.connection_attempts"].sum
        for one in metrics
        if "trtop.connection_attempts" in one
    ]
    return sum(int(point.as_int) for one in sums for point in one.data_points)


def test_scrapes_within_a_second_ask_the_daemon_once(shared: Daemon) -> None:
    start_s = time.monotonic()
    # The time that asking took is in the text, and never twice the same.
    texts = [scrape(shared) for _ in range(20)]
    assert len(set(texts)) <= 1 + (time.monotonic() - start_s) / MIN_AGE_S + 1
