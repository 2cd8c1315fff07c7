import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builders.savefile import write_pcap
from support.paths import EXAMPLE, ROOT
from support.traffic.conversation import MS, conversation

from trtop.cli import main as cli
from trtop.cli import report as run
from trtop.table.redraw import ENTER, LEAVE
from trtop_core.batch import PacketBatch
from trtop_core.sources import Source, open_capture

TIMEOUT_S = 60

FIRST_NS = 1_714_565_000 * 10**9

FDDI = 10

N_CONNECTIONS = 23


def packets() -> list[tuple[int, bytes]]:
    return [step for i in range(N_CONNECTIONS) for step in conversation(i, FIRST_NS + i * 100 * MS)]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "busy.pcap"
    path.write_bytes(write_pcap(packets()))
    return path


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
    return {
        **kept,
        "PYTHONPATH": os.environ.get("PYTHONPATH") or str(ROOT),
        "PYTHONUTF8": "1",
        **more,
    }


def trtop(*args: str | Path, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "trtop", *map(str, args)],
        input=stdin,
        capture_output=True,
        env=environment(**env),
        timeout=TIMEOUT_S,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def start(*args: str | Path, **streams: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "trtop", *map(str, args)]
    return subprocess.Popen(command, env=environment(TERM="xterm"), **streams)  # type: ignore[call-overload, no-any-return] - streams vary


def test_a_capture_of_23_connections_shows_23_and_succeeds(capture: Path) -> None:
    done = trtop(capture, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert [row["destination"] for row in document["destinations"]] == ["192.0.2.7"]
    totals = document["totals"]
    counted = {name: totals[name] for name in ("syn", "synack", "est", "fin_out", "responses")}
    assert set(counted.values()) == {N_CONNECTIONS}
    assert totals["connect_latency"]["max_ns"] == 3 * MS
    assert totals["response_time"]["min_ns"] == 40 * MS


def test_the_table_shows_the_same(capture: Path) -> None:
    done = trtop(capture)
    row = next(line for line in done.stdout.splitlines() if line.startswith(" 192.0.2.7"))
    assert "23(100%)" in row
    assert "3ms" in row
    assert "40ms" in row
    assert "\x1b" not in done.stdout


def test_standard_input_and_the_classic_option_read_the_same(capture: Path) -> None:
    from_file = trtop("-i", capture, "--format", "csv").stdout
    from_pipe = trtop("-", "--format", "csv", stdin=capture.read_bytes()).stdout
    assert from_file == from_pipe
    assert from_file.count("\n") == 2


def test_a_capture_without_packets_is_an_empty_table(tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    path.write_bytes(write_pcap([]))
    done = trtop(path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no connections" in done.stdout


def test_a_cut_off_capture_is_reported_and_then_told(capture: Path) -> None:
    capture.write_bytes(capture.read_bytes()[:-5])
    done = trtop(capture, "--format", "json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["totals"]["syn"] == N_CONNECTIONS
    assert done.stderr.startswith(f"trtop: {capture}: ")
    assert done.stderr.count("\n") == 1


def test_what_is_no_capture_gives_no_table(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"hello, this is not a capture at all\n" * 10)
    done = trtop(path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"trtop: {path}: not a pcap")
    assert done.stderr.count("\n") == 1


def test_one_good_file_of_two_is_reported_and_the_other_told(capture: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(b"no capture")
    done = trtop(bad, capture)
    assert done.returncode == 2
    assert "23(100%)" in done.stdout
    assert done.stderr.count("\n") == 1
    assert str(bad) in done.stderr


def test_a_missing_file_is_told_in_one_line(tmp_path: Path) -> None:
    done = trtop(tmp_path / "missing.pcap")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1


def test_a_file_name_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    done = trtop(f"{tmp_path}/\x1b[31mred\udcff")
    assert done.returncode == 1
    assert "\\x1b[31mred" in done.stderr
    assert "\x1b" not in done.stderr


def test_an_unsupported_link_type_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ring.pcap"
    path.write_bytes(write_pcap([(FIRST_NS, bytes(60))] * 1333, link_type=FDDI))
    done = trtop(path)
    assert done.returncode == 2
    said = f"trtop: {path}: unsupported link type 10 (FDDI): 1,333 packets not decoded\n"
    assert done.stderr == said
    assert "1,333 unknown link type" in done.stdout


@pytest.mark.parametrize("args", [[], ["--nonsense", "x"], ["--sort", "x", "y"], ["-i"]])
def test_a_wrong_command_line_is_one_line_and_status_1(args: list[str]) -> None:
    done = trtop(*args)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("trtop: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["-h"], ["-V"]])
def test_help_and_version_succeed_on_standard_output(args: list[str]) -> None:
    done = trtop(*args)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(("usage: trtop", "trtop "))
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_a_reader_that_goes_away_ends_it_quietly(capture: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with start(capture, stdout=write_end, stderr=subprocess.PIPE) as process:
        os.close(write_end)
        _, said = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, said) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_told_in_one_line(capture: Path) -> None:
    with open("/dev/full", "wb") as full:
        process = start(capture, stdout=full, stderr=subprocess.PIPE)
        _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert said.startswith(b"trtop: ")
    assert said.count(b"\n") == 1


def test_the_final_report_is_copied_to_files(capture: Path, tmp_path: Path) -> None:
    done = trtop(capture, "-o", tmp_path / "copy", "--format", "csv")
    assert done.returncode == 0
    assert done.stdout.startswith("clock_ns,")
    assert "23(100%)" in (tmp_path / "copy.trtop").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "copy.json").read_text())["totals"]["syn"] == N_CONNECTIONS
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "busy.pcap", "copy.json", "copy.trtop",
    ]  # fmt: skip


def test_a_folder_that_is_not_there_is_told_before_reading(capture: Path) -> None:
    prefix = capture.parent / "none" / "copy"
    done = trtop(capture, "-o", str(prefix))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"--out {prefix}" in done.stderr


def test_a_report_imports_nothing_that_it_does_without(capture: Path) -> None:
    spared = [
        *(
            "trtop.names.namer",
            "trtop.table.render",
            "trtop.table.redraw",
            "trtop.tui",
            "trtop_core.detail_query",
        ),
        *("lz4", "zstandard", "lzma", "curses", "zmq", "msgspec", "psutil", "logging", "pathlib"),
    ]
    code = (
        "import sys\n"
        f"from trtop.cli.main import main; main(['--format', 'json', {str(capture)!r}])\n"
        f"sys.exit(' '.join(name for name in {spared} if name in sys.modules))\n"
    )
    command = [sys.executable, "-S", "-c", code]  # without what .pth files import
    path = os.pathsep.join([environment()["PYTHONPATH"], *sys.path[1:]])
    done = subprocess.run(
        command, env=environment(PYTHONPATH=path), capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""
    assert json.loads(done.stdout)["totals"]["syn"] == N_CONNECTIONS


def test_options_reach_the_engine(capture: Path) -> None:
    by_port = trtop(capture, "--group-by", "addr,port", "--format", "csv").stdout
    assert ",192.0.2.7:443," in by_port
    incoming = trtop(capture, "--direction", "in", "--local", "192.0.2.0/24", "--format", "csv")
    assert ",10.0.0.1," in incoming.stdout
    assert incoming.stderr == ""
    foreign = trtop(capture, "--local", "172.16.0.0/12", "--format", "json")
    assert json.loads(foreign.stdout)["destinations"] == []
    assert foreign.stderr == (
        "trtop: no connection opened by the networks of --local; "
        "without --local every connection counts\n"
    )
    assert foreign.returncode == 0
    denied = trtop(capture, "--local", "10.0.0.0/8", "--deny", "0.0.0.0/0", "--format", "csv")
    assert (denied.stdout.count("\n"), denied.stderr) == (1, "")
    last = json.loads(trtop(capture, "--window", "10s", "--format", "json").stdout)
    assert (last["window"], last["totals"]["syn"]) == ("10s", N_CONNECTIONS)
    assert trtop(capture, "--limit", "0", "--format", "csv").stdout.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_live_capture_with_its_report(capture: Path, number: int) -> None:
    process = start(
        "-", "--format", "ndjson", "--interval", "0.05",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(capture.read_bytes() + b"a part of the next packet"[:9])
        process.stdin.flush()
        for line in process.stdout:
            record = json.loads(line)
            if record["type"] == "capture" and record["totals"]["syn"] == N_CONNECTIONS:
                break
        process.send_signal(number)
        process.stdin.close()
        lines = process.stdout.read().splitlines()
        said = process.stderr.read() if process.stderr else b""
    assert (process.returncode, said) == (0, b"")
    assert json.loads(lines[-1])["destination"] == "192.0.2.7"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_while_reading_files_reports_what_was_measured(
    number: int,
    status: int,
    capture: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Interrupted:
        """A source during whose first batch the signal arrives."""

        errors: tuple[()] = ()
        early: tuple[()] = ()
        bytes_total = None

        def __init__(self, source: Source) -> None:
            self._source = source

        def __enter__(self) -> "Interrupted":
            return self

        def __exit__(self, *_: object) -> None:
            self._source.close()

        def __iter__(self) -> Iterator[PacketBatch]:
            for batch in self._source:
                os.kill(os.getpid(), number)
                yield batch

    monkeypatch.setattr(run, "open_capture", lambda *a, **k: Interrupted(open_capture(*a, **k)))
    assert cli.main([str(capture), str(capture), "--format", "json"]) == status
    assert json.loads(capsys.readouterr().out)["totals"]["syn"] == N_CONNECTIONS


def read_all(fd: int, into: bytearray) -> None:
    while True:
        try:
            piece = os.read(fd, 65_536)
        except OSError:  # the terminal is gone
            return
        if not piece:
            return
        into += piece


def test_a_pipe_on_a_terminal_is_redrawn_and_ends_with_a_report(capture: Path) -> None:
    master, slave = pty.openpty()
    screen = bytearray()
    process = start("-", "--interval", "0.05", "--color", "never", stdin=subprocess.PIPE,
                    stdout=slave, stderr=slave)  # fmt: skip
    os.close(slave)
    reader = threading.Thread(target=read_all, args=(master, screen))
    reader.start()
    assert process.stdin is not None
    process.stdin.write(capture.read_bytes())
    process.stdin.flush()
    waited = threading.Event()
    for _ in range(TIMEOUT_S * 100):
        if b"23(100%)" in screen:
            break
        waited.wait(0.01)
    process.stdin.close()
    assert process.wait(TIMEOUT_S) == 0
    reader.join(TIMEOUT_S)
    os.close(master)
    text = screen.decode()
    assert text.count(ENTER) == text.count(LEAVE) == 1
    assert text.index(ENTER) < text.index("23(100%)") < text.index(LEAVE)
    assert "23(100%)" in text[text.index(LEAVE) :]


def test_the_final_report_fits_the_terminal_as_it_is_then(capture: Path) -> None:
    master, slave = pty.openpty()
    screen = bytearray()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    process = start("-", "--interval", "0.05", "--color", "never", stdin=subprocess.PIPE,
                    stdout=slave, stderr=slave)  # fmt: skip
    reader = threading.Thread(target=read_all, args=(master, screen))
    reader.start()
    assert process.stdin is not None
    process.stdin.write(capture.read_bytes())
    process.stdin.flush()
    waited = threading.Event()
    for _ in range(TIMEOUT_S * 100):
        if b"23(100%)" in screen:
            break
        waited.wait(0.01)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    os.close(slave)
    process.stdin.close()
    assert process.wait(TIMEOUT_S) == 0
    reader.join(TIMEOUT_S)
    os.close(master)
    text = screen.decode()
    final = text[text.index(LEAVE) + len(LEAVE) :].splitlines()
    assert any("23(100%)" in line for line in final)
    assert max(map(len, final)) <= 60


@pytest.mark.parametrize("prefix", ["", "."])
def test_a_prefix_without_a_name_is_told_before_reading(capture: Path, prefix: str) -> None:
    done = trtop(capture, "-o", prefix)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no beginning of a file name" in done.stderr
    assert done.stderr.count("\n") == 1


def test_more_connections_than_there_is_memory_for_are_told_in_one_line(capture: Path) -> None:
    command = f'ulimit -v 4000000; exec {sys.executable} -m trtop "$@"'
    done = subprocess.run(
        ["bash", "-c", command, "bash", "--max-connections", "60000000", str(capture)],
        cwd=ROOT, env=environment(), capture_output=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"trtop: not enough memory for 60,000,000 connections; allow fewer\n"


def test_files_in_the_wrong_order_are_told(tmp_path: Path) -> None:
    all_packets = packets()
    half = len(all_packets) // 2
    first, second = tmp_path / "cap.pcap", tmp_path / "cap.pcap1"
    late = [(ts_ns + 5 * 10**9, data) for ts_ns, data in all_packets[half:]]
    first.write_bytes(write_pcap(all_packets[:half]))
    second.write_bytes(write_pcap(late))
    assert trtop(first, second).stderr == ""
    done = trtop(second, first)
    assert done.returncode == 0
    assert f"{first}: begins before the file in front of it ended" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_not_there_yet_is_waited_for_and_told(capture: Path, tmp_path: Path) -> None:
    process = start("--follow", tmp_path / "later.pcap", "--format", "json",
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    assert process.stderr is not None
    said = process.stderr.readline()
    assert (
        said == f"trtop: waiting for {tmp_path / 'later.pcap'}, which is not there yet\n".encode()
    )
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 0
    process.stderr.close()
    assert process.stdout is not None
    process.stdout.close()


def test_a_terminal_that_cannot_be_redrawn_gets_report_after_report(capture: Path) -> None:
    master, slave = pty.openpty()
    screen = bytearray()
    process = subprocess.Popen(
        [sys.executable, "-m", "trtop", "--format", "table", "-"],
        env=environment(TERM="dumb"), stdin=subprocess.PIPE, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    reader = threading.Thread(target=read_all, args=(master, screen))
    reader.start()
    assert process.stdin is not None
    process.stdin.write(capture.read_bytes())
    process.stdin.flush()
    waited = threading.Event()
    for _ in range(TIMEOUT_S * 100):
        if screen.count(b"23(100%)") > 1:
            break
        waited.wait(0.01)
    process.stdin.close()
    assert process.wait(TIMEOUT_S) == 0
    reader.join(TIMEOUT_S)
    os.close(master)
    assert ENTER.encode() not in screen
    assert screen.count(b"23(100%)") > 2


def test_the_collector_of_garbage_rests_while_the_command_loads_and_no_longer() -> None:
    code = (
        "import gc, sys; from trtop.__main__ import _load; "
        "gc.collect(); before = gc.get_stats()[2]['collections']; _load(); "
        "sys.exit(not (gc.isenabled() and gc.get_stats()[2]['collections'] == before))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_a_plain_locale_gets_a_table_in_ascii(locale: str) -> None:
    done = trtop(EXAMPLE, "--format", "table", LC_ALL=locale)
    assert done.returncode == 0
    assert re.search(r"[0-9]us\b", done.stdout)
    assert done.stdout.isascii()
    assert not trtop(EXAMPLE, "--format", "table", LC_ALL="C.UTF-8").stdout.isascii()
