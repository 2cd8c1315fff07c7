"""Rows of connections through a daemon: those of the file, for any number of readers."""

import io
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.builders.savefile import write_pcap
from support.daemons import (
    TIMEOUT_S,
    TRTOP,
    TRTOPD,
    Daemon,
    environment,
    finished,
    peer,
    peers,
    wait_for,
)
from support.paths import EXAMPLE
from support.traffic.busy import busy

from trtop.cli.attached_connections import WHEN_ROWS_COME
from trtop_core import wire
from trtop_core.closed_connections import ClosedView

N_CONNECTIONS = 82
PER = ("--per", "connection", "--format")


def trtop(*args: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*TRTOP, *map(str, args)],
        capture_output=True,
        check=False,
        env=environment(),
        timeout=TIMEOUT_S,
    )


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    args = ("-r", EXAMPLE, "--speed=max", "--connections=1000")
    with Daemon(tmp_path / "one", *args, command=TRTOPD) as running:
        with peer(running.path) as client:
            finished(client)
        yield running


@pytest.mark.parametrize("schema", ["trtop", "zeek", "ecs", "ocsf"])
@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_rows_are_byte_for_byte_those_of_the_file(daemon: Daemon, kind: str, schema: str) -> None:
    args = (*PER, kind, "--schema", schema)
    found, expected = trtop("attach", *args, daemon.path), trtop(*args, EXAMPLE)
    assert (found.returncode, found.stderr) == (0, b"")
    assert found.stdout == expected.stdout
    assert len(found.stdout.splitlines()) == N_CONNECTIONS + (kind == "csv")


def test_parquet_and_arrow_are_those_of_the_file(daemon: Daemon) -> None:
    expected = pq.read_table(io.BytesIO(trtop(*PER, "parquet", EXAMPLE).stdout))
    assert expected.num_rows == N_CONNECTIONS
    parquet = trtop("attach", *PER, "parquet", daemon.path)
    assert (parquet.returncode, parquet.stderr) == (0, b"")
    assert pq.read_table(io.BytesIO(parquet.stdout)).equals(expected)
    arrow = trtop("attach", *PER, "arrow", "--once", daemon.path)
    assert (arrow.returncode, arrow.stderr) == (0, b"")
    assert pa.ipc.open_stream(arrow.stdout).read_all().equals(expected)


def test_several_readers_get_all_of_them_while_one_reads_no_answer(tmp_path: Path) -> None:
    capture = tmp_path / "busy.pcap"
    capture.write_bytes(write_pcap(busy(7, 300)))
    expected = trtop(*PER, "ndjson", capture).stdout
    args = ("-r", capture, "--speed=40", "--connections=100000")
    with (
        Daemon(tmp_path / "one", *args, command=TRTOPD) as running,
        peers(running.path, 1, rcvhwm=1) as (deaf,),
    ):
        command = [*TRTOP, "attach", *PER, "ndjson", "--interval=0.1", str(running.path)]
        readers = [
            subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) for _ in range(3)
        ]
        for number in range(500):
            deaf.send(wire.encode_request(wire.AskClosed(number, ClosedView(0, number))))
        for reader in readers:
            found, _ = reader.communicate(timeout=TIMEOUT_S)
            assert reader.returncode == 0
            assert found == expected


def test_records_of_two_daemons_are_all_there(daemon: Daemon, tmp_path: Path) -> None:
    args = ("-r", EXAMPLE, "--speed=max", "--connections=1000")
    with Daemon(tmp_path / "two", *args, command=TRTOPD) as second:
        done = trtop("attach", *PER, "ndjson", daemon.path, second.path)
    assert done.returncode == 0
    single = trtop(*PER, "ndjson", EXAMPLE).stdout.splitlines()
    assert sorted(done.stdout.splitlines()) == sorted([*single, *single])


def test_what_the_first_reader_has_read_a_later_one_gets_the_latest_of(tmp_path: Path) -> None:
    args = ("-r", EXAMPLE, "--speed=max", "--connections=5", "--interval=0.1")
    with Daemon(tmp_path / "one", *args, command=TRTOPD) as running:
        with peer(running.path) as client:
            finished(client)
        first = trtop("attach", *PER, "csv", running.path)
        later = trtop("attach", *PER, "csv", "--once", running.path)
    expected = trtop(*PER, "csv", EXAMPLE).stdout
    assert first.stdout == expected
    lines = expected.splitlines(keepends=True)
    assert later.stdout == b"".join([lines[0], *lines[-5:]])
    assert (first.returncode, later.returncode) == (0, 0)


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None], bytes]]:
    """A capture that does not end, what has it written, and the rows of what is written."""
    fifo, whole = tmp_path / "fifo", tmp_path / "whole.pcap"
    packets = write_pcap(busy(7, 300))
    whole.write_bytes(packets)
    os.mkfifo(fifo)
    with os.fdopen(os.open(fifo, os.O_RDWR), "wb", 0) as capture:
        yield fifo, lambda: capture.write(packets), trtop(*PER, "csv", whole).stdout


def test_what_is_open_when_a_daemon_stops_is_recorded(
    endless: tuple[Path, Callable[[], None], bytes], tmp_path: Path
) -> None:
    fifo, write, expected = endless
    out = tmp_path / "rows.csv"
    args = ("-r", fifo, "--speed=max", "--connections=1000")
    with Daemon(tmp_path / "one", *args, command=TRTOPD) as running, out.open("wb") as rows:
        command = [*TRTOP, "attach", *PER, "csv", "--interval=0.1", str(running.path)]
        reader = subprocess.Popen(command, stdout=rows, stderr=subprocess.PIPE, env=environment())
        write()
        wait_for(lambda: out.stat().st_size > 0)
        assert out.read_bytes() != expected
        running.send(signal.SIGTERM)
        assert reader.stderr is not None
        assert b"the daemon is gone; waiting" in reader.stderr.readline()
        reader.send_signal(signal.SIGINT)
        reader.communicate(timeout=TIMEOUT_S)
        assert reader.returncode == 0
    assert out.read_bytes() == expected


def test_what_is_open_when_the_user_has_seen_enough_is_recorded(
    endless: tuple[Path, Callable[[], None], bytes], tmp_path: Path
) -> None:
    fifo, write, expected = endless
    out = tmp_path / "rows.csv"
    command = [*TRTOP, "live", "-r", str(fifo), "--speed=max", *PER, "csv"]
    with out.open("wb") as rows:
        live = subprocess.Popen(command, stdout=rows, stderr=subprocess.PIPE, env=environment())
        write()
        wait_for(lambda: out.stat().st_size > 0)
        assert out.read_bytes() != expected
        live.send_signal(signal.SIGINT)
        _, said = live.communicate(timeout=TIMEOUT_S)
    assert (live.returncode, said) == (0, b"")
    assert out.read_bytes() == expected


def test_a_daemon_that_keeps_none_is_one_line(tmp_path: Path) -> None:
    with Daemon(tmp_path / "one", "-r", EXAMPLE, command=TRTOPD) as running:
        done = trtop("attach", *PER, "csv", running.path)
        assert done.returncode == 1
        assert done.stderr.decode() == (
            f"trtop: ipc://{running.path}: no records of connections are kept: "
            "start trtopd --connections N\n"
        )
        assert done.stdout == b""


def test_without_a_daemon_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = trtop("attach", *PER, "csv", tmp_path / "none.sock")
    assert done.returncode == 1
    assert b"start one: sudo trtopd" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_signal_ends_it_with_a_whole_file(tmp_path: Path) -> None:
    capture = tmp_path / "busy.pcap"
    capture.write_bytes(write_pcap(busy(7, 300)))
    out = tmp_path / "out.parquet"
    args = ("-r", capture, "--speed=20", "--connections=1000")
    with (
        Daemon(tmp_path / "one", *args, command=TRTOPD) as running,
        open(out, "wb") as stream,
        peer(running.path) as client,
    ):
        command = [*TRTOP, "attach", *PER, "parquet", "--interval=0.1", str(running.path)]
        reader = subprocess.Popen(command, stdout=stream, env=environment())
        wait_for(lambda: client.snapshot().totals.count("syn") > 20 and out.stat().st_size > 0)
        reader.send_signal(signal.SIGINT)
        assert reader.wait(TIMEOUT_S) == 0
    assert pq.read_table(out).num_rows > 0


def test_a_daemon_that_is_gone_is_said_once(tmp_path: Path) -> None:
    fifo, out, said = tmp_path / "fifo", tmp_path / "out", tmp_path / "said"
    os.mkfifo(fifo)
    writing = os.open(fifo, os.O_RDWR)  # the capture does not end
    with (
        os.fdopen(writing, "wb", 0) as capture,
        out.open("wb") as rows,
        said.open("wb") as stderr,
        Daemon(tmp_path / "one", "-r", fifo, "--speed=max", "--connections=1000", command=TRTOPD)
        as running,
    ):  # fmt: skip
        command = [*TRTOP, "attach", *PER, "csv", "--interval=0.1", str(running.path)]
        reader = subprocess.Popen(command, stdout=rows, stderr=stderr, env=environment())
        capture.write(write_pcap(busy(7, 300)))
        wait_for(lambda: out.stat().st_size > 0)
        running.stop()
        wait_for(lambda: said.stat().st_size > 0)
        reader.send_signal(signal.SIGTERM)
        assert reader.wait(TIMEOUT_S) == 0
    name = f"trtop: ipc://{running.path}"
    assert said.read_text() == f"{name}: the daemon is gone; waiting for it to come back\n"


def test_a_reader_that_has_nothing_to_write_says_when_rows_come(tmp_path: Path) -> None:
    fifo, said = tmp_path / "fifo", tmp_path / "said"
    os.mkfifo(fifo)
    writing = os.open(fifo, os.O_RDWR)  # the capture does not end
    args = ("-r", fifo, "--speed=max", "--connections=1000")
    with (
        os.fdopen(writing, "wb", 0) as capture,
        said.open("wb") as stderr,
        Daemon(tmp_path / "one", *args, command=TRTOPD) as running,
    ):
        capture.write(write_pcap(busy(7, 3)))  # all of them stay in the table
        command = [*TRTOP, "attach", *PER, "csv", "--interval=0.1", str(running.path)]
        reader = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr,
                                  env=environment())  # fmt: skip
        wait_for(lambda: said.stat().st_size > 0)
        reader.send_signal(signal.SIGTERM)
        assert reader.wait(TIMEOUT_S) == 0
    assert said.read_text() == f"trtop: {WHEN_ROWS_COME}\n"


@pytest.mark.parametrize("kind", ["ndjson", "parquet"])
def test_live_gives_what_the_file_gives(kind: str) -> None:
    found = trtop("live", "-r", EXAMPLE, "--speed=max", *PER, kind)
    assert (found.returncode, found.stderr) == (0, b"")
    expected = trtop(*PER, kind, EXAMPLE).stdout
    if kind == "ndjson":
        assert found.stdout == expected
    else:
        tables = [pq.read_table(io.BytesIO(data)) for data in (found.stdout, expected)]
        assert tables[0].equals(tables[1])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--per", "connection"), "--per connection goes with --format ndjson, csv, parquet"),
        ((*PER, "json"), "--per connection goes with --format ndjson, csv, parquet"),
        ((*PER, "csv", "--filter", "syn>1"), "--filter goes with rows of destinations"),
        ((*PER, "csv", "--by-host"), "--by-host goes with rows of destinations"),
        ((*PER, "csv", "--from", "12:00"), "--from goes with rows of destinations"),
        (("--schema", "zeek"), "--schema goes with --per connection"),
        (("--format", "parquet"), "go with --per connection here"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_one_line(args: tuple[str, ...], said: str) -> None:
    done = trtop("attach", *args)
    assert done.returncode == 1
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
