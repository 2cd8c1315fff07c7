"""The whole: ``trtopd`` with its capture process, ``trtop attach``, ``trtop live``."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.compare import plain
from support.daemons import (
    TIMEOUT_S,
    TRTOP,
    TRTOPD,
    Daemon,
    environment,
    finished,
    peer,
    trtop,
    wait_for,
)
from support.paths import CAPTURES, EXAMPLE, ROOT
from support.processes import is_gone, terminal, with_parent

from trtop_core import Engine, EngineConfig, TrtopError, View
from trtop_core.records import GroupBy
from trtop_core.sources import open_capture
from trtop_daemon.processes.runtime_dir import PUBLIC_FOLDER
from trtop_daemon.system.privileges import CAP_NET_RAW, has_permitted

can_capture = pytest.mark.skipif(
    os.geteuid() != 0 or not has_permitted(CAP_NET_RAW), reason="needs root, to capture"
)

AS_ROOT = ["--user=root"] if os.geteuid() == 0 else []
"""The folders of pytest are for root alone."""

N_CONNECTIONS = 23

NAMES = [
    "amqp--amqp.pcap",
    "be-ns--nanosecs-big-endian.pcap",
    "derived--pcapng-merged-linktypes.pcapng",
    "empty--test002.pcapng",
    "gso--kerberos-tso.pcapng",
    "http-keepalive--http-proxy.pcap",
    "ip-frag--fuzz-2006-06-26-2594.pcap",
    "keep-alive--wechat.pcap",
    "ooo--teams.pcap",
    "pcapng-mixed-linktypes--many-interfaces-1.pcapng",
    "qinq--test.rewrite-vlan802.1ad.pcap",
    "sll2--sll2.pcap",
    "syn-scan--synscan.pcapng",
    "vxlan--vxlan.pcap",
    "zero-window--gre-aruba.pcap",
]


def trtopd(*args: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run ``trtopd`` to its end."""
    return subprocess.run(
        [*TRTOPD, *map(str, args)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=TIMEOUT_S,
        check=False,
    )


def example_or(name: str) -> Path:
    return CAPTURES / name if name else EXAMPLE


@pytest.mark.parametrize(
    "name", ["", *NAMES] if CAPTURES.is_dir() else [""], ids=lambda name: name or "example"
)
def test_a_replay_through_the_daemon_gives_what_the_file_gives(tmp_path: Path, name: str) -> None:
    path = example_or(name)
    engine = Engine(EngineConfig(group_by=GroupBy.ADDR_PORT), bytes(16))
    for batch in open_capture([path]):
        engine.feed(batch)
    engine.finish()
    with (
        Daemon(tmp_path, "-r", path, "--speed", "max", command=TRTOPD) as daemon,
        peer(daemon.path) as client,
    ):
        for group_by in GroupBy:
            view = View(group_by=group_by)
            assert plain(finished(client, view)) == plain(engine.snapshot(view))
        assert daemon.stop() == 0


def test_a_damaged_capture_is_replayed_as_far_as_it_goes(tmp_path: Path) -> None:
    bad = tmp_path / "cut.pcap"
    bad.write_bytes(EXAMPLE.read_bytes()[:-7])
    engine = Engine(EngineConfig(), bytes(16))
    with pytest.raises(TrtopError):
        for batch in open_capture([bad]):
            engine.feed(batch)
    engine.finish()
    command = ["-r", bad, "--speed=max"]
    with (
        Daemon(tmp_path / "run", *command, command=TRTOPD) as daemon,
        peer(daemon.path) as client,
    ):
        assert plain(finished(client)) == plain(engine.snapshot(View()))
        done = trtop("attach", "--once", "--format=csv", daemon.path)
        assert "cut.pcap" in done.stderr
        assert daemon.stop() == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-r", "/nonexistent.pcap"], "/nonexistent.pcap: "),
        (["--speed", "fast"], "'fast' is no speed"),
        (["--nonsense"], "see trtopd --help"),
        (["--config", "/nonexistent.toml"], "/nonexistent.toml: cannot be read"),
        (["--snaplen", "3"], "snaplen"),
        (["--user", "nosuchuser"], "there is no user nosuchuser"),
        (["-i", "any", "-i", "lo"], "any"),
        (["extra"], "unrecognized arguments: extra"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(tmp_path: Path, args: list[str], said: str) -> None:
    if "nosuchuser" in args and os.geteuid() != 0:
        pytest.skip("only root becomes somebody")
    done = trtopd("--listen", tmp_path / "s.sock", *AS_ROOT, *args)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.startswith("trtopd: ")
    assert done.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["-h"], ["-V"]])
def test_help_and_version_succeed(args: list[str]) -> None:
    done = trtopd(*args)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(("usage: trtopd", "trtopd "))
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_interfaces_are_listed_with_their_addresses() -> None:
    done = trtopd("--list-interfaces")
    assert (done.returncode, done.stderr) == (0, "")
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names[0] == "any"
    assert "lo" in names
    assert any(line.split()[:2] == ["lo", "up"] and "127.0.0.1" in line
               for line in done.stdout.splitlines())  # fmt: skip


@can_capture
def test_check_says_what_would_be_and_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    done = trtopd("--check", "-i", "lo", "--listen", path, "--user=root")
    assert (done.returncode, done.stderr) == (0, "")
    expected = f"trtopd would capture on lo, as root:root, and listen on ipc://{path}\n"
    assert done.stdout.splitlines(keepends=True)[0] == expected
    assert os.listdir(tmp_path) == []


@can_capture
def test_check_names_all_that_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file.sock").write_text("x")
    done = trtopd(
        "--check", "--user=root", "-i", "nope7", "--bpf-filter", "tcp prt 3", "-l", "tcp://0.0.0.0:7117",
        "-l", tmp_path / "missing" / "s.sock", "-l", tmp_path / "file.sock",
        "--pidfile", tmp_path / "missing" / "pid",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 6, lines
    for line, part in zip(
        lines,
        ["no interface nope7", "filter", "refused", "must exist", "is no socket", "no such folder"],
        strict=True,
    ):
        assert line.startswith("trtopd: ")
        assert part in line


@can_capture
def test_a_running_daemon_is_found_by_check(tmp_path: Path) -> None:
    with Daemon(tmp_path, "-r", EXAMPLE, command=TRTOPD) as daemon:
        done = trtopd("--check", "-i", "lo", "--user=root", "--listen", daemon.path)
    assert done.returncode == 1
    assert f"process {daemon.pid} already listens there" in done.stderr


class Echo:
    """Answers one request per connection on loopback."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(TIMEOUT_S)
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        for _ in range(N_CONNECTIONS):
            connection, _ = self._listening.accept()
            with connection:
                connection.settimeout(TIMEOUT_S)
                connection.sendall(connection.recv(100))
                connection.recv(100)

    def call(self) -> None:
        for _ in range(N_CONNECTIONS):
            with socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S) as connection:
                connection.sendall(b"ping")
                assert connection.recv(100) == b"ping"
        self._thread.join(TIMEOUT_S)
        self._listening.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach and write to."""
    with tempfile.TemporaryDirectory(prefix="trtop-test-") as name:
        os.chmod(name, 0o777)
        yield Path(name)


def status_of(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}


@can_capture
def test_real_connections_are_counted_and_nobody_keeps_a_right(open_folder: Path) -> None:
    echo = Echo()
    arguments = ["-i", "lo", "--bpf-filter", f"tcp port {echo.port}", "--user=nobody"]
    with (
        Daemon(open_folder, *arguments, command=TRTOPD) as daemon,
        peer(daemon.path) as client,
    ):
        assert "as nobody:" in daemon.log
        found = os.stat(daemon.path)
        assert found.st_uid != 0
        processes = [daemon.pid, *with_parent(daemon.pid)]
        assert len(processes) >= 2
        status = status_of(daemon.pid)
        assert set(status["Uid"]) == {str(found.st_uid)}
        assert status["Groups"] == []
        assert {int(status[name][0], 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {0}
        assert status["NoNewPrivs"] == ["1"]
        echo.call()
        wait_for(lambda: client.snapshot().totals.count("fin_out") == N_CONNECTIONS)
        totals = client.snapshot(View(group_by=GroupBy.ADDR_PORT)).totals
        for name in ("syn", "synack", "est", "requests", "responses", "fin_out"):
            assert totals.count(name) == N_CONNECTIONS, name
        assert daemon.stop() == 0
        for pid in processes:
            wait_for(lambda pid=pid: is_gone(pid))
        assert os.listdir(open_folder) == ["log"]


@can_capture
def test_a_killed_daemon_takes_its_capture_processes_along(tmp_path: Path) -> None:
    with Daemon(tmp_path, "-i", "lo", command=TRTOPD) as daemon:
        children = with_parent(daemon.pid)
        assert children
        daemon.stop(signal.SIGKILL)
        for pid in children:
            wait_for(lambda pid=pid: is_gone(pid), 5)


@can_capture
@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-"])
def test_it_captures_where_its_standard_streams_are_closed(tmp_path: Path, closed: str) -> None:
    path = tmp_path / "s.sock"
    command = " ".join([*TRTOPD, *AS_ROOT, "-i", "lo", "--listen", str(path)])
    process = subprocess.Popen(["sh", "-c", f"exec {command} {closed}"], env=environment())
    try:
        wait_for(lambda: path.exists() or process.poll() is not None)
        with peer(path) as client:
            client.snapshot()
    finally:
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0


@can_capture
def test_what_a_killed_daemon_left_goes_with_the_next_start(tmp_path: Path) -> None:
    foreign = Path(tempfile.mkdtemp(prefix="trtop-"))

    def folders(daemon: Daemon) -> list[Path]:
        return list(Path(PUBLIC_FOLDER).glob(f"trtop-{daemon.pid}-*"))

    with Daemon(tmp_path / "first", "-i", "lo", command=TRTOPD) as killed:
        assert len(folders(killed)) == 1
        killed.stop(signal.SIGKILL)
    with Daemon(tmp_path / "second", "-i", "lo", command=TRTOPD) as living:
        assert folders(killed) == []
        # That of a living one stays, and it goes on.
        with Daemon(tmp_path / "third", "-i", "lo", command=TRTOPD) as other:
            assert len(folders(other)) == 1
            assert other.stop() == 0
        assert len(folders(living)) == 1
        with peer(living.path) as client:
            client.snapshot()
        assert living.stop() == 0
        assert folders(living) == []
    foreign.rmdir()  # it is still there


@can_capture
def test_a_killed_capture_is_said_on_every_clients_screen(tmp_path: Path) -> None:
    with (
        Daemon(tmp_path, "-i", "lo", command=TRTOPD) as daemon,
        terminal("attach", "--interval=0.1", str(daemon.path)) as (process, seen, _),
    ):
        wait_for(lambda: "last 10" in seen())
        capture = next(
            pid for pid in with_parent(daemon.pid) if not with_parent(pid) and not is_gone(pid)
        )
        os.kill(capture, signal.SIGKILL)
        wait_for(lambda: "signal 9" in seen() or "SIGKILL" in seen(), 10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0


def left_by_live(temporary: Path) -> list[str]:
    return [path.name for path in temporary.iterdir() if path.name.startswith("trtop-live-")]


@pytest.mark.parametrize("end", ["q", "SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_live_leaves_nothing_running_however_it_ends(end: str, open_folder: Path) -> None:
    args = ("live", "-r", str(EXAMPLE), "--speed=max", "--window=all")
    with terminal(*args, temporary=open_folder) as (process, seen, press):
        wait_for(lambda: "192.0.2.15" in seen())
        assert left_by_live(open_folder)
        started = with_parent(process.pid)
        assert len(started) >= 2
        if end == "q":
            press(b"q")
        else:
            process.send_signal(signal.Signals[end])
        status = process.wait(TIMEOUT_S)
        assert status == (-signal.SIGKILL if end == "SIGKILL" else 0)
        for pid in started:
            wait_for(lambda pid=pid: is_gone(pid), 15)
        wait_for(lambda: not left_by_live(open_folder))


def test_live_ends_with_the_daemons_own_words() -> None:
    for args, said in (
        (["-r", "/nonexistent.pcap"], "trtop: /nonexistent.pcap: "),
        (["--speed=fast"], "'fast' is no speed"),
    ):
        done = trtop("live", *args)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_live_tells_when_its_daemon_is_killed(open_folder: Path) -> None:
    args = ("live", "-r", str(EXAMPLE), "--speed=max", "--window=all")
    with terminal(*args, temporary=open_folder) as (process, seen, _):
        wait_for(lambda: "192.0.2.15" in seen())
        daemon = next(
            pid
            for pid in with_parent(process.pid)
            if b"--lifeline" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        os.kill(daemon, signal.SIGKILL)
        assert process.wait(TIMEOUT_S) == 1
        wait_for(lambda: "trtopd has ended with status -9" in seen())
    assert not left_by_live(open_folder)


def test_live_writes_reports_for_scripts() -> None:
    process = subprocess.Popen(
        [*TRTOP, "live", "-r", str(EXAMPLE), "--speed=max", "--format=json", "--interval=0.1"],
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout:
        decoder = json.JSONDecoder()
        text = ""
        while True:
            text += process.stdout.readline()
            if text.endswith("]\n}\n"):
                document, end = decoder.raw_decode(text)
                text = text[end:].lstrip()
                if document["totals"]["syn"] == 82:
                    break
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0


def test_the_commands_are_installed() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert 'trtopd = "trtop_daemon.__main__:main"' in project
    done = subprocess.run(
        [sys.executable, "-m", "trtop_daemon", "--version"],
        capture_output=True,
        timeout=TIMEOUT_S,
        check=True,
        env=environment(),
    )
    assert done.stdout.startswith(b"trtopd ")


@can_capture
def test_an_interface_that_is_missing_is_said_while_another_is_busy(tmp_path: Path) -> None:
    is_over = threading.Event()

    def talk() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talking:
            while not is_over.wait(0.002):
                talking.sendto(b"packets", ("127.0.0.1", 9))

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        args = ("-i", "lo", "-i", "nosuch0", "--listen", tmp_path / "socket", *AS_ROOT)
        done = subprocess.run(
            [*TRTOPD, *map(str, args)],
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=TIMEOUT_S,
            check=False,
        )
    finally:
        is_over.set()
        talker.join()
    assert done.returncode == 1
    assert "nosuch0: no such interface" in done.stderr.decode()
