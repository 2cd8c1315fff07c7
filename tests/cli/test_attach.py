"""``trtop attach``: daemons shown as ``trtop FILE`` shows captures; gone ones; many hosts."""

import csv
import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.builders.snapshot import destination, incident, snapshot
from support.compare import plain
from support.daemons import (
    TIMEOUT_S,
    TRTOP,
    Daemon,
    environment,
    finished,
    peer,
    trtop,
    wait_for,
)
from support.html_page import data_of
from support.paths import EXAMPLE
from support.terminals import OnTerminal

from trtop.options.attach_options import parse
from trtop.remote.diagnosis import diagnose
from trtop.table.redraw import ENTER, LEAVE
from trtop_core import View, merge, wire
from trtop_core.errors import TrtopError
from trtop_core.merging.snapshots import merge_by_host
from trtop_core.metrics import COUNTERS, SKETCHES
from trtop_core.records import NS_PER_S, Window
from trtop_core.wire.endpoint import (
    Endpoint,
    default_connect,
    default_listen,
    parse_endpoint,
)
from trtop_daemon.system.socket_file import acting_as

N_DESTINATIONS = 10


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "one", "-r", EXAMPLE) as running:
        with peer(running.path) as client:
            finished(client)
        yield running


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "two", "-r", EXAMPLE) as running:
        with peer(running.path) as client:
            finished(client)
        yield running


@pytest.mark.parametrize(
    "args",
    [
        ["--format", "json"],
        ["--format", "json", "--bins"],
        ["--format", "csv", "--sort", "rtt"],
        ["--format", "ndjson", "--limit", "3", "--reverse"],
        ["--format", "table", "--percentile", "50"],
        ["--format", "json", "--group-by", "addr,port"],
        ["--format", "table", "--width", "60", "--high", "rst=50"],
    ],
    ids=" ".join,
)
def test_a_report_is_byte_for_byte_that_of_the_file(daemon: Daemon, args: list[str]) -> None:
    from_daemon = trtop("attach", "--once", daemon.path, *args)
    from_file = trtop(EXAMPLE, *args)
    assert (from_daemon.returncode, from_daemon.stderr) == (0, "")
    assert from_daemon.stdout == from_file.stdout


def test_a_page_has_the_timeline_of_the_daemons_history(daemon: Daemon) -> None:
    from_daemon = trtop("attach", "--once", daemon.path, "--format", "html")
    from_file = trtop("--format", "html", EXAMPLE)
    assert (from_daemon.returncode, from_daemon.stderr) == (0, "")
    assert from_daemon.stdout == from_file.stdout
    assert sum(n for n in data_of(from_file.stdout)["timeline"]["all"][0][1] if n > 0) == 82


def test_a_page_of_two_machines_that_saw_the_same_has_twice_the_timeline(
    daemon: Daemon, second: Daemon
) -> None:
    page = trtop("attach", "--once", daemon.path, second.path, "--format", "html").stdout
    (both, alone) = (data_of(text) for text in (page, trtop("--format", "html", EXAMPLE).stdout))
    assert both["timeline"]["slots"] == alone["timeline"]["slots"]
    listed = zip(both["details"], alone["details"], strict=True)
    pairs = [(both["timeline"]["all"], alone["timeline"]["all"])]
    pairs += [(row["series"], other["series"]) for row, other in listed]
    for ours, of_one in pairs:
        for (i, numbers), (j, single) in zip(ours, of_one, strict=True):
            assert i == j
            if i < len(both["series"]):
                assert numbers == [2 * n if n > 0 else n for n in single]
            else:
                assert numbers == single


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_period_is_that_of_the_file(daemon: Daemon, second: Daemon, hosts: int) -> None:
    """But for least and greatest latencies; of two machines that saw the same it is twice that."""
    period = ("--from", "2026-11-26T16:04:41Z", "--to", "16:04:44")
    asked = (*period, "--format", "json", "--sort", "destination", "--bins")
    paths = [daemon.path, second.path][:hosts]
    past = json.loads(trtop("attach", "--once", *paths, *asked).stdout)
    of_file = json.loads(trtop(EXAMPLE, *asked).stdout)
    assert past["window"] == of_file["window"] == "period"
    for key in ("first_ns", "clock_ns", "span_ns"):
        assert past[key] == of_file[key]
    assert past["health"]["packets"] == hosts * of_file["health"]["packets"] > 0
    rows = [of_file["totals"], *of_file["destinations"]]
    found = {row["destination"]: row for row in past["destinations"]} | {None: past["totals"]}
    for row in rows:
        ours = found[row.get("destination")]
        for name in COUNTERS:
            assert ours[name] == hosts * row[name], name
        for name in SKETCHES:
            assert ours[name]["count"] == hosts * row[name]["count"]
            assert ours[name]["bins"] == [[bin_, hosts * n] for bin_, n in row[name]["bins"]]


def test_a_period_in_which_nothing_was_captured_is_one_line(daemon: Daemon) -> None:
    done = trtop("attach", "--once", daemon.path, "--from", "2020-01-01", "--to", "2020-01-02")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is 2026-11-26 16:04:40.964842 UTC to 2026-11-26 16:05:02" in done.stderr
    assert done.stderr.count("\n") == 1


def heads(text: str) -> list[dict[str, Any]]:
    """The reports of NDJSON, without their rows."""
    return [json.loads(line) for line in text.splitlines() if '"capture"' in line]


@pytest.mark.parametrize("hosts", [1, 2])
def test_every_span_of_the_past_has_a_report_and_nothing_counts_twice(
    daemon: Daemon, second: Daemon, hosts: int
) -> None:
    paths = [daemon.path, second.path][:hosts]
    asked = ("attach", "--once", "--every", "5s", "--format", "ndjson", *paths)
    done = trtop(*asked)
    assert (done.returncode, done.stderr) == (0, "")
    found = heads(done.stdout)
    assert [head["clock_ns"] // NS_PER_S % 100 for head in found] == [85, 90, 95, 0, 2]
    assert sum(head["totals"]["syn"] for head in found) == 82 * hosts
    assert sum(head["health"]["packets"] for head in found) == 1559 * hosts
    later = heads(trtop(*asked, "--from", "16:04:48", "--to", "16:04:57").stdout)
    assert [head["clock_ns"] // NS_PER_S % 100 for head in later] == [90, 95, 97]
    assert later[1]["totals"] == found[2]["totals"]


def test_spans_go_on_as_time_does_until_a_signal(daemon: Daemon) -> None:
    """From a start in the past on; what has not ended is waited for, and a signal cuts it short."""
    command = [*TRTOP, "attach", daemon.path, "--every", "10s", "--from", "+1s", "--format"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, "ndjson"], **pipes, text=True, env=environment()) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        at = []
        for line in running.stdout:
            if '"capture"' in line:
                at.append(json.loads(line)["clock_ns"] // NS_PER_S % 100)
            if '"totals"' in line and len(at) == 2:
                break
        running.send_signal(signal.SIGINT)
        (rest,) = heads(running.stdout.read())
        said = running.stderr.read()
        assert running.wait(TIMEOUT_S) == 0
    assert at == [90, 0]
    assert (rest["first_ns"] // NS_PER_S % 100, rest["clock_ns"] // NS_PER_S % 100) == (0, 2)
    assert said == "trtop: interrupted: the last report is of 2.44s of 10s\n"


def test_live_prints_a_report_for_every_span_as_time_goes_on() -> None:
    command = [*TRTOP, "live", "-r", str(EXAMPLE), "--speed", "10", "--every", "5s"]
    with subprocess.Popen(
        [*command, "--format", "ndjson"], stdout=subprocess.PIPE, text=True, env=environment()
    ) as running:
        assert running.stdout is not None
        found = []
        for line in running.stdout:
            found += heads(line)
            if len(found) == 4:
                break
        running.send_signal(signal.SIGINT)
        running.stdout.read()
        assert running.wait(TIMEOUT_S) == 0
    assert [head["clock_ns"] // NS_PER_S % 100 for head in found] == [85, 90, 95, 0]
    assert [head["window"] for head in found] == ["period"] * 4
    assert [head["totals"]["syn"] for head in found] == [81, 0, 0, 0]


def test_fail_on_looks_at_every_span(daemon: Daemon) -> None:
    asked = ("attach", "--once", daemon.path, "--every", "5s", "--format", "csv")
    assert trtop(*asked, "--fail-on", "rtt>100s").returncode == 0
    assert trtop(*asked, "--fail-on", "refused").returncode == 1
    done = trtop(*asked, "--fail-on", "refused>0")
    assert done.returncode == 3
    assert "192.0.2.13" in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("attach", "--every", "1500ms"), "whole seconds"),
        (("attach", "--every", "5s", "--interval", "1"), "either --every (capture time)"),
        (("attach", "--every", "5s", "--window", "10s"), "without --window"),
        (("attach", "--every", "5s", "--once", "--format", "html"), "one page"),
        (("live", "--every", "5s", "--window", "10s"), "without --window"),
        (("live", "--from", "14:03"), "trtop live begins now"),
        (("live", "--to", "14:03"), "trtop attach --from"),
    ],
)
def test_times_that_make_no_sense_are_one_line(args: tuple[str, ...], said: str) -> None:
    done = trtop(*args)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_history_has_room_for_something() -> None:
    for args in ((EXAMPLE, "--format", "json"), ("live",)):
        done = trtop(*args, "--history", "1000")
        assert (done.returncode, done.stdout) == (1, "")
        assert "MiB or more" in done.stderr
        assert done.stderr.count("\n") == 1


SLOW = """
import time
from trtop.names.base import BaseResolver

class Slow(BaseResolver):
    def resolve(self, addr, port):
        time.sleep(0.3)
        return "slow.example" if addr == "192.0.2.14" else None

def build():
    return Slow()
"""


@pytest.mark.parametrize(
    "args",
    [
        ["--names", "hosts:hosts"],
        ["--names", "hosts:hosts,./slow.py", "--sort", "rtt"],
        ["--names", "hosts:hosts", "--group-by", "addr,port", "--allow", "*.example"],
        ["--allow", "192.0.2.0/24", "--deny", "192.0.2.15", "--deny", ":443"],
        ["--allow", "net 192/8 not 192.0.2.13", "--filter", "rst>0 or rtt>100ms"],
        ["--names", "hosts:hosts", "--filter", "name:web* or port 80 syn>10"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("report_format", ["json", "table"])
def test_names_and_rules_are_those_of_the_file(
    daemon: Daemon, tmp_path: Path, args: list[str], report_format: str
) -> None:
    (tmp_path / "hosts").write_text("192.0.2.15 web.example\n192.0.2.16 web.example\n")
    (tmp_path / "slow.py").write_text(SLOW)
    placed = [arg.replace("hosts:", f"hosts:{tmp_path}/") for arg in args]
    placed = [arg.replace("./", f"{tmp_path}/") for arg in placed]
    # Rules of ports need rows by port, which this daemon keeps.
    shown = ["--format", report_format, *placed]
    from_daemon = trtop("attach", "--once", daemon.path, *shown)
    from_file = trtop(EXAMPLE, *shown)
    assert (from_daemon.returncode, from_daemon.stderr) == (0, "")
    assert from_daemon.stdout == from_file.stdout
    if "--names" in args:
        assert "web.example" in from_daemon.stdout
    assert ("slow.example" in from_daemon.stdout) == ("./slow.py" in " ".join(args))


def test_fail_on_is_that_of_the_file(daemon: Daemon) -> None:
    args = ("--format", "csv", "--limit", "1", "--fail-on", "rst>5%")
    from_daemon, from_file = trtop("attach", "--once", daemon.path, *args), trtop(EXAMPLE, *args)
    assert from_daemon.returncode == from_file.returncode == 3
    assert from_daemon.stderr == from_file.stderr
    assert from_daemon.stdout == from_file.stdout


def test_rows_kept_apart_by_machine_are_filtered(daemon: Daemon) -> None:
    done = trtop("attach", "--once", "--by-host", daemon.path, "--format", "csv",
                 "--filter", "verdict:slow or rst>5%")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 5  # .13, .14, .16, .12, and what the columns are
    host = next(csv.DictReader(io.StringIO(done.stdout)))["host"]
    for text, n_rows in ((host, 10), (f"name:{host[:-1]}", 10), ("name:elsewhere", 0)):
        by_host = ("attach", "--once", "--by-host", daemon.path, "--format", "csv")
        assert trtop(*by_host, "--filter", text).stdout.count("\n") == n_rows + 1


def test_the_screen_shows_names(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("192.0.2.15 web.example\n")
    names = ("--names", f"hosts:{tmp_path}/hosts", "--deny", "192.0.2.14", "--window=all")
    with OnTerminal("-m", "trtop", "attach", *names, daemon.path) as terminal:
        terminal.wait_for("web.example")
        assert "192.0.2.14" not in terminal.text
        terminal.send("g")
        terminal.wait_for("by address")
        terminal.send("n")
        terminal.wait_for("192.0.2.15")
        terminal.send("q")
        assert terminal.ended() == 0


def test_without_a_daemon_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = trtop("attach", tmp_path / "none.sock")
    assert (done.returncode, done.stdout) == (1, "")
    expected = f"trtop: ipc://{tmp_path}/none.sock: no daemon runs there; start one: sudo trtopd\n"
    assert done.stderr == expected


def test_what_is_no_socket_is_called_what_it_is(tmp_path: Path) -> None:
    for path, what in ((EXAMPLE, "a file"), (tmp_path, "a folder")):
        done = trtop("attach", path)
        assert done.returncode == 1
        assert f"it is {what}, not a daemon's socket; to read a capture: trtop " in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_dead_daemon_is_called_dead(daemon: Daemon) -> None:
    daemon.stop(signal.SIGKILL)
    done = trtop("attach", daemon.path)
    assert done.returncode == 1
    assert "the daemon that was there is dead" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_who_may_not_connect_is_told_who_may() -> None:
    with tempfile.TemporaryDirectory(prefix="trtop-test-") as folder:
        os.chmod(folder, 0o755)
        with Daemon(Path(folder)) as daemon, acting_as(65_534, 65_534):
            said = diagnose(Endpoint(path=str(daemon.path)))
    assert said == "permission denied: it is for the user root and the group root"


def test_a_daemon_that_does_not_answer_is_waited_for_only_so_long(daemon: Daemon) -> None:
    daemon.send(signal.SIGSTOP)
    done = trtop("attach", "--once", "--timeout", "1", daemon.path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"trtop: ipc://{daemon.path}: no ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nothing"], "'nothing' is no endpoint"),
        (["tcp://host"], "needs a host and a port"),
        (["tcp://host:0"], "a port of 0 cannot be connected to"),
        (["--key", "x", "tcp://h:1"], "--key and --server-key go together"),
        (["/a/b", "ipc:///a/b"], "an endpoint is named twice"),
        (["--bins", "/a"], "--bins goes with"),
        (["--width", "3", "/a"], "--width is at least"),
        (["--sort", "nonsense", "/a"], "no column 'nonsense'"),
        (["--names", "capture", "/a"], "the packets are not here"),
        (["--by-host", "--names", "hosts", "/a"], "--by-host goes without names and rules"),
        (["--names", "hosts:/none", "/a"], "/none"),
        (["--nonsense"], "see trtop attach --help"),
        (["--key", "/none", "--server-key", "/none", "tcp://h:1"], "/none: cannot be read"),
    ],
)
def test_a_wrong_command_line_is_one_line(args: list[str], said: str) -> None:
    done = trtop("attach", *args)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("trtop: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["attach", "live", "keygen"])
def test_help_is_given(command: str) -> None:
    done = trtop(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: trtop {command}")
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_a_capture_called_attach_is_read_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "attach").write_bytes(EXAMPLE.read_bytes())
    done = subprocess.run(
        [*TRTOP, "./attach", "--format", "csv"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == trtop(EXAMPLE, "--format", "csv").stdout


def test_hosts_are_merged_into_one_picture(daemon: Daemon, second: Daemon) -> None:
    alone = json.loads(trtop("attach", "--once", "--format=json", daemon.path).stdout)
    done = trtop("attach", "--once", "--format=json", "--bins", daemon.path, second.path)
    assert (done.returncode, done.stderr) == (0, "")
    both = json.loads(done.stdout)
    assert both["n_destinations"] == N_DESTINATIONS
    assert both["totals"]["syn"] == 2 * alone["totals"]["syn"] == 164
    assert both["health"]["packets"] == 2 * alone["health"]["packets"]
    for row, single in zip(both["destinations"], alone["destinations"], strict=True):
        assert "host" not in row
        assert row["destination"] == single["destination"]
        assert row["response_time"]["count"] == 2 * single["response_time"]["count"]
        n_samples = sum(n for _, n in row["response_time"]["bins"])
        assert n_samples == row["response_time"]["count"]


def test_by_host_every_row_says_who_saw_it(daemon: Daemon, second: Daemon) -> None:
    args = ("attach", "--once", "--by-host", daemon.path, second.path)
    document = json.loads(trtop(*args, "--format=json").stdout)
    assert document["n_destinations"] == 2 * N_DESTINATIONS
    hosts = {row["host"] for row in document["destinations"]}
    assert len(hosts) == 2
    assert any(str(daemon.path) in host for host in hosts)
    assert "host" not in document["totals"]
    rows = list(csv.DictReader(io.StringIO(trtop(*args, "--format=csv").stdout)))
    assert {row["host"] for row in rows} == hosts
    assert sum(int(row["syn"]) for row in rows) == 164
    lines = trtop(*args, "--limit=2", "--width=200").stdout.splitlines()
    assert sum(bool(re.match(r" 192.0.2.13 \S+ ipc://", line)) for line in lines) == 2


def test_a_host_that_is_not_there_is_left_out_and_named(daemon: Daemon, tmp_path: Path) -> None:
    done = trtop("attach", "--once", "--format=json", daemon.path, tmp_path / "none.sock")
    assert done.returncode == 2
    assert json.loads(done.stdout)["totals"]["syn"] == 82
    assert done.stderr == f"trtop: ipc://{tmp_path}/none.sock: no connection; trying again\n"


def test_merging_by_host_keeps_rows_apart_in_the_views_order() -> None:
    other = snapshot([destination("10.20.0.11", syn=500), destination("192.0.2.7", syn=2)])
    view = View(limit=3)
    picture = merge_by_host({"web-1": incident(), "web-2": other}, view)
    rows = [(row.name, row.host, row.count("syn")) for row in picture.rows()]
    assert rows == [
        ("10.20.0.37", "web-1", 1234),
        ("10.20.0.11", "web-2", 500),
        ("10.20.0.99", "web-1", 311),
    ]
    assert picture.n_destinations == 8
    merged = merge([incident(), other], view)
    assert plain(picture)["totals"] == plain(merged)["totals"]
    assert picture.record()["totals"] == merged.record()["totals"]


class Reading:
    """What a process writes, collected while it runs."""

    def __init__(self, fd: int) -> None:
        self.text = ""
        self._fd = fd
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._fd, 65_536)
            except OSError:
                return
            if not data:
                return
            self.text += data.decode(errors="replace")

    def join(self) -> None:
        self._thread.join(TIMEOUT_S)
        os.close(self._fd)


def test_a_restarted_daemon_is_found_again_and_its_absence_said(daemon: Daemon) -> None:
    process = subprocess.Popen(
        [*TRTOP, "attach", "--format=ndjson", "--interval=0.05", "--limit=0", str(daemon.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = Reading(os.dup(process.stdout.fileno())), Reading(os.dup(process.stderr.fileno()))
    try:
        wait_for(lambda: out.text.count("\n") > 2)
        assert err.text == ""
        daemon.stop()
        wait_for(lambda: "the daemon has stopped; waiting for it to come back" in err.text)
        with Daemon(daemon.path.parent, "-r", EXAMPLE) as again:
            n_before = out.text.count("\n")
            wait_for(lambda: out.text.count("\n") > n_before + 2)
            again.stop(signal.SIGKILL)
            wait_for(lambda: "the connection is lost; trying again" in err.text)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0
    finally:
        process.kill()
        process.wait()
        out.join()
        err.join()
        process.stdout.close()
        process.stderr.close()
    assert "Traceback" not in err.text
    for line in out.text.splitlines():
        json.loads(line)


class Terminal:
    """``trtop`` on a pseudo-terminal."""

    def __init__(self, *args: str, rows: int = 24, columns: int = 80) -> None:
        self.fd, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*TRTOP, *args],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(TERM="xterm", LINES=str(rows)),
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = Reading(self.fd)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.seen.join()


def words(text: str) -> list[str]:
    """What stands on a screen, without what moves and colours it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).split()


def test_rows_by_host_are_redrawn_and_the_terminal_is_given_back(daemon: Daemon) -> None:
    args = ("--by-host", "--window=all", "--interval=0.1")
    with Terminal("attach", *args, str(daemon.path)) as terminal:
        wait_for(lambda: terminal.seen.text.count("192.0.2.15") > 3)
        assert terminal.seen.text.startswith(ENTER)
        daemon.stop()
        wait_for(lambda: "the daemon has stopped" in " ".join(words(terminal.seen.text)))
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(TIMEOUT_S) == 0
        wait_for(lambda: LEAVE in terminal.seen.text)
        after = terminal.seen.text.rpartition(LEAVE)[2]
        wait_for(lambda: "192.0.2.15" in terminal.seen.text.rpartition(LEAVE)[2])
        assert ENTER not in after


def test_a_daemons_notices_are_shown_and_escaped(tmp_path: Path) -> None:
    bad = tmp_path / "\x1b[31m.pcap"
    bad.write_bytes(EXAMPLE.read_bytes()[:-3])
    with Daemon(tmp_path / "run", "-r", bad) as daemon:
        with peer(daemon.path) as client:
            finished(client)
            client.ask()
            head, _ = client.reply()
        assert isinstance(head, wire.Answer)
        assert len(head.notices) == 1
        done = trtop("attach", "--once", "--format=csv", daemon.path)
        assert done.returncode == 0
        assert "\\x1b[31m.pcap" in done.stderr
        assert "\x1b" not in done.stderr
        with Terminal("attach", "--window=all", str(daemon.path)) as terminal:
            wait_for(lambda: "\\x1b[31m.pcap" in "".join(words(terminal.seen.text)))
            assert "\x1b[31m.pcap" not in terminal.seen.text


def test_the_window_is_short_on_a_terminal_and_all_for_scripts(daemon: Daemon) -> None:
    document = json.loads(trtop("attach", "--once", "--format=json", daemon.path).stdout)
    assert document["window"] == "all"
    with Terminal("attach", "--interval=0.1", str(daemon.path)) as terminal:
        wait_for(lambda: "last 10" in " ".join(words(terminal.seen.text)))


def test_endpoints_are_read_as_users_write_them() -> None:
    assert parse_endpoint("/run/x.sock") == Endpoint(path="/run/x.sock")
    assert parse_endpoint("ipc://./x.sock") == Endpoint(path="./x.sock")
    assert str(parse_endpoint("tcp://[::1]:7117")) == "tcp://[::1]:7117"
    assert parse_endpoint("tcp://[::1]:7117") == Endpoint(host="::1", port=7117)
    local = ("tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1", "/x", "tcp://127.9.9.9:1")
    assert all(parse_endpoint(text).is_local for text in local)
    far = ("tcp://0.0.0.0:1", "tcp://*:1", "tcp://[::]:1", "tcp://web1:1", "tcp://10.0.0.1:1")
    assert not any(parse_endpoint(text).is_local for text in far)


@pytest.mark.parametrize(
    "text",
    ["", "ipc://", "x", "ipc://@x", "/run/", "udp://x:1", "tcp://", "tcp://x", "tcp://:1",
     "tcp://x:", "tcp://x:65536", "tcp://x:-1", "tcp://::1:5", "tcp://[::1:5", "tcp://a b:1",
     "tcp://x:1;y:2", "/" + "x" * 107, "tcp://x:٣"],
)  # fmt: skip
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_endpoint(text)


def test_default_endpoints_depend_on_who_asks() -> None:
    run, mine = "/run/trtop/trtopd.sock", "/run/user/7/trtop/trtopd.sock"
    user = {"XDG_RUNTIME_DIR": "/run/user/7"}
    assert default_listen(user, is_root=True).path == run
    assert default_listen(user, is_root=False).path == mine
    unit = {**user, "RUNTIME_DIRECTORY": "/run/a:/run/b"}
    assert default_listen(unit, is_root=False).path == "/run/a/trtopd.sock"
    with pytest.raises(ValueError, match="--listen"):
        default_listen({}, is_root=False)
    assert default_connect(user, lambda path: path == mine).path == mine
    assert default_connect(user, lambda path: path == run).path == run
    assert default_connect({}, lambda path: False).path == run


def test_options_become_a_view() -> None:
    options = parse(["--window", "60s", "--sort", "lat", "--limit", "5", "/x"])
    assert options.view == View(window=Window.LAST_60_S, sort="connect_latency", limit=5)
    assert options.is_window_given
    assert not parse(["/x"]).is_window_given
    with pytest.raises(TrtopError):
        parse(["--server-key", "a", "--server-key", "b", "--key", "k", "tcp://h:1"])


@pytest.mark.parametrize("args", [["--format", "table"], ["--width", "80"], ["--limit", "3"]])
def test_what_only_a_report_has_is_printed_on_a_terminal(daemon: Daemon, args: list[str]) -> None:
    with OnTerminal("-m", "trtop", "attach", *args, daemon.path) as terminal:
        terminal.wait_for("destination")
        assert "TCP Remote TOP" not in terminal.text
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.ended() == 0


def test_who_gives_up_does_not_say_that_it_tries_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    done = trtop("attach", f"tcp://127.0.0.1:{port}", "--once", "--timeout=2")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"trtop: tcp://127.0.0.1:{port}: no connection\n"
