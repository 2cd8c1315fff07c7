"""Captures of many hosts on this machine: the numbers of one process, whatever breaks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.builders.savefile import write_pcap
from support.equal import assert_equal
from support.host_captures import VIEW, reader_of, serial, write_hosts
from support.traffic.busy import busy
from support.traffic.generated import generate

import trtop
from trtop.batch import run
from trtop.batch.run import Progress
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.errors import TrtopError
from trtop_core.merging.snapshots import merge

SEED = bytes(16)


def same(result: trtop.Result, folder: Path) -> None:
    assert_equal(merge([result.snapshot], VIEW), serial(folder))


def test_all_cores_give_what_one_process_gives(tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 7)
    result = trtop.analyze_many(folder)
    same(result, folder)
    assert result.errors == ()
    assert result.snapshot.totals.count("syn") == 7 * 6 * 3


@pytest.mark.parametrize(("n_hosts", "fan_in"), [(1, 2), (2, 2), (9, 2), (10, 3), (17, 16)])
def test_a_tree_of_merges_gives_what_one_merge_gives(
    tmp_path: Path, n_hosts: int, fan_in: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "FAN_IN", fan_in)
    folder = write_hosts(tmp_path / "captures", n_hosts, n_files=1, seconds=3)
    with ThreadPoolExecutor(3) as pool:
        same(trtop.analyze_many(folder, pool), folder)


def test_captures_of_one_folder_that_overlap_are_said_to(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    for name, second in (("a", 100), ("b", 200), ("c", 201), ("d", 199), ("e", 198)):
        packets = [(10**9 * second, b"\0" * 60), (10**9 * (second + 1), b"\0" * 60)]
        (tmp_path / "web" / f"{name}.pcap").write_bytes(write_pcap(packets))
    errors = trtop.analyze_many(tmp_path).errors
    # A second is what two clocks may differ by; b ends with 201, c with 202, d with 200.
    early = [error.partition(": begins before")[0] for error in errors]
    assert early == [f"{tmp_path}/web/{name}.pcap" for name in "de"]


def test_hosts_that_share_no_connection_add_up_to_one_capture_of_all(tmp_path: Path) -> None:
    packets = [(packet.ts_ns, packet.data) for packet in generate(3, 120)]
    whole = Engine(EngineConfig(), SEED)
    whole.feed(PacketBatch.from_packets(packets))
    whole.finish()
    parts: dict[int, list[tuple[int, bytes]]] = {}
    for ts_ns, data in packets:
        # Either end's low address byte, whichever way the packet goes.
        parts.setdefault(sum(data[26:34]) + sum(data[22:54]) * (data[12] == 0x86), []).append(
            (ts_ns, data)
        )
    assert len(parts) > 3
    for i, part in enumerate(parts.values()):
        (tmp_path / f"host-{i}").mkdir()
        (tmp_path / f"host-{i}" / "x.pcap").write_bytes(write_pcap(part))
    result = trtop.analyze_many(tmp_path)
    expected = whole.snapshot(VIEW)
    for name in ("syn", "est", "rst", "requests", "responses", "bytes_in", "retrans_out"):
        assert result.snapshot.totals.count(name) == expected.totals.count(name)


class Counting:
    """An executor that runs what it is given one step later, and counts what is under way."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._max_workers = 2
        self.most = 0
        self.n_calls = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, fn, args))
        self.n_calls += 1
        self.most = max(self.most, len(self.waiting))
        threading.Timer(0.02, self.step).start()
        return future

    def step(self) -> None:
        future, fn, args = self.waiting.popleft()
        future.set_result(fn(*args))


def test_few_tasks_are_under_way_at_once(tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 20, n_files=1, seconds=2)
    executor = Counting()
    same(trtop.analyze_many(folder, executor), folder)
    assert executor.most <= 4
    assert executor.n_calls == 20 + 1  # one merge of 16


def test_progress_is_told_of_every_host(tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 5, n_files=1, seconds=2)
    told: list[Progress] = []
    trtop.analyze_many(folder, on_progress=told.append)
    assert [item.n_done for item in told] == [1, 2, 3, 4, 5]
    assert {item.n_hosts for item in told} == {5}


def test_a_bad_capture_costs_itself_only_and_is_named(tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 3)
    expected = serial(folder)
    (folder / "web-1" / "eth0.pcap7").write_bytes(b"no capture at all")
    (folder / "web-1" / "eth0.pcap99").mkdir()
    result = trtop.analyze_many([folder, folder / "web-9" / "gone.pcap"])
    assert_equal(merge([result.snapshot], VIEW), expected)
    errors = sorted(result.errors)
    assert len(errors) == 2
    assert errors[0].startswith(f"{folder}/web-1/eth0.pcap7: not a pcap")
    assert errors[1].startswith(f"{folder}/web-9/gone.pcap: ")


def test_a_damaged_capture_counts_up_to_where_it_broke(tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 2, n_files=1)
    path = folder / "web-0" / "eth0.pcap8"
    path.write_bytes(path.read_bytes()[:-1000])
    result = trtop.analyze_many(folder)
    assert len(result.errors) == 1
    assert result.errors[0].startswith(str(path))
    expected = trtop.analyze(path).snapshot.totals.count("syn")
    expected += trtop.analyze(folder / "web-1" / "eth0.pcap8").snapshot.totals.count("syn")
    assert result.snapshot.totals.count("syn") == expected


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.pcap").write_bytes(b"none")
    with pytest.raises(TrtopError, match=r"x\.pcap: not a pcap"):
        trtop.analyze_many(tmp_path)


def test_what_was_measured_is_not_read_again_unless_its_bytes_change(tmp_path: Path) -> None:
    folder, state = write_hosts(tmp_path / "captures", 4), tmp_path / "state"

    def n_kept() -> int:
        told: list[Progress] = []
        same(trtop.analyze_many(folder, state=state, on_progress=told.append), folder)
        return told[-1].n_kept

    assert n_kept() == 0
    assert n_kept() == 4
    (folder / "web-2").rename(folder / "web-7")  # the same bytes under another name
    assert n_kept() == 4
    later = [(ts_ns + 10**13, data) for ts_ns, data in busy(99, 3)]
    (folder / "web-0" / "eth0.pcap10").write_bytes(write_pcap(later))
    assert n_kept() == 3
    changed = trtop.analyze_many(folder, state=state, decap=False)
    assert changed.errors == ()
    for path in state.iterdir():
        path.write_bytes(path.read_bytes()[:50])
    assert n_kept() == 0
    assert n_kept() == 4


def test_what_could_not_be_read_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    folder, state = write_hosts(tmp_path / "captures", 2), tmp_path / "state"
    path = folder / "web-0" / "eth0.pcap9"
    whole = path.read_bytes()
    path.write_bytes(b"torn")
    assert len(trtop.analyze_many(folder, state=state).errors) == 1
    path.write_bytes(whole)
    same(trtop.analyze_many(folder, state=state), folder)


def test_a_worker_that_is_killed_costs_nothing(tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 6)
    expected = serial(folder)
    slow = folder / "web-3" / "eth0.pcap9"
    data = slow.read_bytes()
    slow.unlink()
    os.mkfifo(slow)  # its worker waits here until it is killed
    found: list[Any] = []
    running = threading.Thread(target=lambda: found.append(trtop.analyze_many(folder)))
    running.start()
    os.kill(reader_of(slow), signal.SIGKILL)
    slow.unlink()
    slow.write_bytes(data)
    running.join(120)
    assert found[0].errors == ()
    assert_equal(merge([found[0].snapshot], VIEW), expected)


def test_a_host_that_kills_every_worker_costs_itself_only(tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 5)
    script = (
        "import os, signal, sys, trtop\n"
        "from trtop.batch import measure\n"
        "read = measure._read\n"
        "def poisoned(engine, path, *rest):\n"
        "    if 'web-2' in path: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return read(engine, path, *rest)\n"
        "measure._read = poisoned\n"
        "result = trtop.analyze_many(sys.argv[1])\n"
        "print(result.snapshot.totals.count('syn'), *result.errors, sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, folder],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == str(4 * 6 * 3), done.stderr
    assert len(lines) == 2
    assert lines[1].startswith(f"{folder}/web-2: ")
    assert lines[1].endswith("(tried 3 times)")


def trtop_batch(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trtop", "batch", *map(str, args)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def test_the_command_reports_what_the_function_gives(tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 3)
    done = trtop_batch("--format", "csv", "--columns", "syn,rst", "--sort", "destination", folder)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split(",") for line in done.stdout.splitlines()[1:]]
    expected = [(row.name, str(row.count("syn"))) for row in serial(folder).rows()]
    assert [(row[1], row[-2]) for row in rows] == expected


def test_the_command_names_what_could_not_be_read(tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 2)
    (folder / "web-0" / "bad.pcap").write_bytes(b"?")
    done = trtop_batch("--format", "json", folder)
    assert done.returncode == 2
    assert done.stderr.startswith(f"trtop: {folder}/web-0/bad.pcap: not a pcap")
    done = trtop_batch(folder / "web-0" / "bad.pcap")
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--engine", "none", "x"], "--engine"),
        (["--workers", "0", "x"], "--workers is 1 or more"),
        (["--address", "a:1", "x"], "--address goes with"),
        (["--follow", "x"], "reads files once"),
        (["--jobs", "2", "x"], "leave out --jobs"),
        (["--window", "10s", "x"], "leave out --window"),
        (["--names", "capture", "x"], "--names capture needs the packets"),
        (["/nonexistent/*.pcap"], "there is no capture"),
        (["nosuch://bucket/x.pcap"], "nosuch"),
        ([], "no capture given"),
    ],
)
def test_what_makes_no_sense_is_one_line(args: list[str], words: str) -> None:
    done = trtop_batch(*args)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_names_and_filters_apply_to_all_hosts_together(tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 3)
    done = trtop_batch("--filter", "198.51.100.8", "--format", "ndjson", folder)
    assert done.stdout.count('"type":"destination"') == 1
    page = trtop_batch("--format", "html", folder)
    assert page.stdout.startswith("<!DOCTYPE html>")


def test_the_commands_need_neither_ray_nor_dask_nor_fsspec() -> None:
    script = (
        "import sys, trtop.cli.batch, trtop\n"
        "trtop.analyze_many\n"
        "print({'ray', 'distributed', 'dask', 'fsspec', 's3fs'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.stdout == "set()\n", done.stderr
