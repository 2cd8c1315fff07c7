"""The recipes of docs/records.md, run as they stand: SQL merges percentiles as trtop does."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.builders.savefile import write_pcap
from support.paths import ROOT
from support.traffic.busy import SEED, busy

from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.merging.snapshots import merge
from trtop_core.sources import open_capture, read_into
from trtop_core.view import View

PAGE = (ROOT / "docs" / "records.md").read_text()

N_FILES = 4


def recipe(kind: str) -> str:
    found = re.findall(rf"^```\w+ {kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, kind
    return str(found[0])


def trtop(*args: str, stdout: Path) -> None:
    with stdout.open("wb") as out:
        subprocess.run([sys.executable, "-m", "trtop", *args], stdout=out, check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captures of several hosts, and what the page's commands make of them."""
    made = tmp_path_factory.mktemp("records")
    for i in range(N_FILES):
        capture = made / f"{i}.pcap"
        capture.write_bytes(write_pcap(busy(100 + i, 60 + 40 * i)))
        parquet = made / f"destinations-{i}.parquet"
        trtop("--format", "parquet", "--bins", str(capture), stdout=parquet)
    trtop(
        *("--per", "connection", "--format", "parquet", str(made / "0.pcap")),
        stdout=made / "connections.parquet",
    )
    return made


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def merged_p95_ns(folder: Path) -> int:
    """What trtop's own merge says."""
    snapshots = []
    for i in range(N_FILES):
        engine = Engine(EngineConfig(), SEED)
        with open_capture((str(folder / f"{i}.pcap"),)) as source:
            read_into(engine, source)
        engine.finish()
        snapshots.append(engine.snapshot(View()))
    total = merge(snapshots, View()).total.sketches["response_time"]
    assert total.stats["count"][0] > 100
    return int(total.quantiles(95)[0])


def test_duckdb_merges_percentiles_as_trtop_does(inside: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    assert duckdb.sql(recipe("duckdb")).fetchall() == [(merged_p95_ns(inside),)]


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_data_frames_merge_percentiles_as_trtop_does(inside: Path, library: str) -> None:
    pytest.importorskip(library)
    names: dict[str, Any] = {}
    exec(compile(recipe(library), "docs/records.md", "exec"), names)
    assert names["p95_ns"] == merged_p95_ns(inside)


def test_clickhouse_merges_percentiles_as_trtop_does(inside: Path) -> None:
    pytest.importorskip("chdb")
    code = "import chdb, sys; print(chdb.query(sys.argv[1], 'CSV'))"
    command = [sys.executable, "-c", code, recipe("clickhouse")]  # a process of its own: 500 MB
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == str(merged_p95_ns(inside))


def test_duckdb_reads_connections(inside: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    rows = duckdb.sql(recipe("duckdb-connections")).fetchall()
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)
    assert sum(row[1] for row in rows) == 180
