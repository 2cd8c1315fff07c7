"""Real clusters of two workers on this machine: Ray and Dask give what one process gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.equal import assert_equal
from support.host_captures import VIEW, reader_of, serial, write_hosts
from support.paths import ROOT

import trtop
from trtop.batch.analyze import measure_hosts
from trtop.batch.engines import EngineKind, cluster
from trtop.batch.hosts import find_hosts
from trtop.batch.run import Running
from trtop_core.config import EngineConfig
from trtop_core.merging.snapshots import merge

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of libraries that are not ours
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("clusters"),
]


@pytest.fixture(scope="module")
def dask_address() -> Iterator[str]:
    distributed = pytest.importorskip("distributed")
    made = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with made:
        yield made.scheduler_address


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[str]:
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        object_store_memory=100_000_000,
        # Workers find the package where pytest does.
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}},
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def kill_in_the_middle(folder: Path, kind: EngineKind, address: str | None) -> None:
    """Run a batch whose third host waits, kill the worker that reads it, and go on."""
    expected = serial(folder)
    slow = folder / "web-2" / "eth0.pcap9"
    data = slow.read_bytes()
    slow.unlink()
    os.mkfifo(slow)
    killed: list[int] = []

    def kill() -> None:
        pid = reader_of(slow)
        os.kill(pid, signal.SIGKILL)
        slow.unlink()
        slow.write_bytes(data)
        killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    with cluster(kind, address) as (make_executor, n_at_once):
        measured = measure_hosts(
            find_hosts([str(folder)]), EngineConfig(), Running(make_executor, n_at_once)
        )
    killer.join(60)
    assert len(killed) == 1
    assert measured.errors == ()
    assert_equal(merge([measured.snapshot], VIEW), expected)


def test_dask_gives_what_one_process_gives(dask_address: str, tmp_path: Path) -> None:
    from distributed import Client  # noqa: PLC0415 - an extra

    folder = write_hosts(tmp_path / "captures", 20, n_files=2, seconds=2)
    with Client(dask_address, set_as_default=False) as client:
        result = trtop.analyze_many(folder, client)
        assert len(client.nthreads()) == 2
    assert result.errors == ()
    assert_equal(merge([result.snapshot], VIEW), serial(folder))


def test_dask_goes_on_when_a_worker_is_killed(dask_address: str, tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 6)
    kill_in_the_middle(folder, EngineKind.DASK, dask_address)


def test_ray_gives_what_one_process_gives(ray_cluster: str, tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 20, n_files=2, seconds=2)
    with cluster(EngineKind.RAY, None) as (make_executor, n_at_once):
        assert n_at_once == 4
        result = trtop.analyze_many(folder, make_executor())
    assert result.errors == ()
    assert_equal(merge([result.snapshot], VIEW), serial(folder))


def test_ray_goes_on_when_a_worker_is_killed(ray_cluster: str, tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 6)
    kill_in_the_middle(folder, EngineKind.RAY, None)


def batch(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trtop", "batch", "--format", "csv", *map(str, args)]
    paths = os.pathsep.join([str(ROOT), *sys.path])
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "PYTHONPATH": paths, **env},
    )


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_the_command_runs_on_a_cluster_that_is_there(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    fixture = {"dask": "dask_address", "ray": "ray_cluster"}[engine]
    address = request.getfixturevalue(fixture)
    folder = write_hosts(tmp_path / "captures", 3)
    here, there = batch(folder), batch("--engine", engine, "--address", address, folder)
    assert there.returncode == 0, there.stderr
    assert there.stdout == here.stdout


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_an_extra_that_is_not_installed_is_one_line(engine: str, tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "captures", 1)
    script = (
        "import sys\n"
        f"sys.modules[{'ray' if engine == 'ray' else 'distributed'!r}] = None\n"
        "from trtop.cli.main import main\n"
        f"sys.exit(main(['batch', '--engine', {engine!r}, {str(folder)!r}]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"pip install 'trtop[{engine}]'" in done.stderr
    assert done.stderr.count("\n") == 1
