"""The bound on instructions: what is read from callgrind, and what is above the bound."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    import bench_instructions  # noqa: PLC0415 - found there only now

    yield bench_instructions
    for name in ("bench_instructions", "generate"):
        sys.modules.pop(name, None)


PROFILE = """\
events: Ir Dr Bcm
ob=(1) /usr/lib/libc.so.6
fl=(1) libc.c
fn=(1) memcpy
10 1000 5 7
ob=(2) /x/trtop_core/_flows.cpython-311-x86_64-linux-gnu.so
fn=(2) ingest
12 30 2 1
+3 40
cob=(1)
cfn=(1)
calls=3 10
* 900 5 7
-1 5 0 1
ob=(3) /x/trtop_core/_sketch.cpython-311-x86_64-linux-gnu.so
fn=(3) flush
40 8 1
ob=(2)
fn=(2)
13 2
""".splitlines()


def test_costs_are_those_of_the_kernels_without_what_they_call(bench: Any) -> None:
    totals: dict[str, list[int]] = {}
    for kernel, costs in bench.costs_of(PROFILE):
        sums = totals.setdefault(kernel, [0, 0])
        sums[0] += costs["Ir"]
        sums[1] += costs.get("Bcm", 0)
    assert totals == {"_flows": [77, 2], "_sketch": [8, 0]}


@pytest.mark.parametrize(("now", "status"), [(1030.0, 0), (1030.1, 1), (500.0, 0)])
def test_three_percent_more_instructions_are_too_many(
    bench: Any, capsys: pytest.CaptureFixture[str], now: float, status: int
) -> None:
    assert bench.compare({"churn": 1000.0}, {"churn": now}) == status
    assert ("instructions a packet" in capsys.readouterr().err) == bool(status)


def test_counts_are_kept_for_both_captures(bench: Any) -> None:
    kept = bench.json.loads(bench.KEPT.read_text())
    assert set(kept["per_packet"]) == set(bench.CAPTURES)
    assert kept["compiler"].split()[1:]
