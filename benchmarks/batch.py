"""Measure captures of many hosts: how they scale with cores here, and what a cluster would take.

    python benchmarks/batch.py [--hosts N] [--rounds N] [--workers N]

Every host has the same capture of 1,000,000 packets in the page cache. Runs with one worker and
with several alternate; medians count. The model takes the parts that are measured here: what a host
takes, what the driver does for each task, a snapshot's bytes, a merge.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from generate import DATA_DIR, SEED, ensure

from trtop.batch.analyze import measure_hosts
from trtop.batch.engines import local_pools
from trtop.batch.hosts import Host
from trtop.batch.measure import Task, measure, merge_encoded
from trtop.batch.run import FAN_IN, Running
from trtop_core.config import EngineConfig

N_EMPTY_TASKS = 500
"""Tasks whose time is all overhead."""

MODEL_HOSTS = (1_000, 10_000, 100_000)
MODEL_WORKERS = (2, 100, 1_000)

CONFIG = EngineConfig()


@dataclass(frozen=True, slots=True)
class Parts:
    """What is measured here, in seconds and bytes.

    Attributes:
        host_s: a worker reads a host's capture and encodes its snapshot.
        driver_s: the driver sends a task and takes its result.
        merge_s: a worker makes one snapshot of ``FAN_IN``.
        snapshot_bytes: of one host.
        merged_bytes: of all, where every host has the same destinations.
    """

    host_s: float
    driver_s: float
    merge_s: float
    snapshot_bytes: int
    merged_bytes: int

    def total_s(self, n_hosts: int, n_workers: int) -> float:
        """The time of a run: the slower of workers and driver, and the last merges.

        The driver handles tasks one after the other while workers measure; merges of full groups
        are tasks too, spread over the workers; the levels of the tree that are left when the last
        host is done follow each other.
        """
        n_merges = n_hosts / (FAN_IN - 1)
        workers_s = (-(-n_hosts // n_workers)) * self.host_s
        workers_s += n_merges / n_workers * self.merge_s
        driver_s = (n_hosts + n_merges) * self.driver_s
        n_levels = int(np.ceil(np.log(max(n_hosts, 2)) / np.log(FAN_IN)))
        return max(workers_s, driver_s) + n_levels * self.merge_s


def timed(work: Callable[[], object]) -> float:
    """Wall-clock seconds of a call."""
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def hosts_of(capture: Path, n_hosts: int) -> list[Host]:
    """Hosts that have all the same capture."""
    return [Host(f"host-{i}", (str(capture),)) for i in range(n_hosts)]


def run_s(hosts: list[Host], n_workers: int) -> float:
    """Wall-clock seconds of a whole run, processes included."""

    def run() -> None:
        with local_pools(n_workers) as (make_executor, n_at_once):
            measured = measure_hosts(hosts, CONFIG, Running(make_executor, n_at_once))
        assert not measured.errors

    return timed(run)


def driver_s(n_workers: int) -> float:
    """What the driver does for a task: that of a pool whose tasks do nothing."""
    with ProcessPoolExecutor(n_workers) as pool:
        pool.submit(len, ()).result()
        payload = Task(Host("host", ("/captures/host/eth0.pcap",)), CONFIG)
        return timed(
            lambda: list(pool.map(_nothing, [payload] * N_EMPTY_TASKS))
        ) / N_EMPTY_TASKS  # fmt: skip


def _nothing(task: Task) -> str:
    return task.host.name


def parts_of(capture: Path) -> Parts:
    """Everything that the model takes."""
    task = Task(Host("host", (str(capture),)), CONFIG)
    host_s = statistics.median(timed(lambda: measure(task)) for _ in range(5))
    snapshot = measure(task).snapshot
    group = [snapshot] * FAN_IN
    merge_s = statistics.median(timed(lambda: merge_encoded(group, CONFIG)) for _ in range(5))
    merged = merge_encoded(group, CONFIG)
    return Parts(host_s, driver_s(2), merge_s, len(snapshot), len(merged))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="Measure captures of many hosts.")
    parser.add_argument("--hosts", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    capture = ensure("mid", DATA_DIR, True, SEED)
    hosts = hosts_of(capture, args.hosts)
    run_s(hosts[:2], args.workers)  # into the page cache
    one, several = [], []
    for _ in range(args.rounds):
        one.append(run_s(hosts, 1))
        several.append(run_s(hosts, args.workers))
    ratios = [a / b for a, b in zip(one, several, strict=True)]
    size_mb = capture.stat().st_size / 1e6
    print(f"{args.hosts} hosts, each {size_mb:,.0f} MB, 1,000,000 packets")
    print(f"1 worker      {statistics.median(one):.2f} s ({min(one):.2f} - {max(one):.2f})")
    print(f"{args.workers} workers     {statistics.median(several):.2f} s "
          f"({min(several):.2f} - {max(several):.2f})")  # fmt: skip
    print(f"scaling       {statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})")
    print("load average ", os.getloadavg()[0])
    for name in ("mid", "wide"):
        parts = parts_of(ensure(name, DATA_DIR, True, SEED))
        print(f"\n{name}: host {parts.host_s * 1e3:.0f} ms, driver {parts.driver_s * 1e6:.0f} us a "
              f"task, merge of {FAN_IN} {parts.merge_s * 1e3:.1f} ms, snapshot "
              f"{parts.snapshot_bytes:,} bytes, merged {parts.merged_bytes:,} bytes")  # fmt: skip
        for n_hosts in MODEL_HOSTS:
            cells = [f"{parts.total_s(n_hosts, n):>10.1f} s" for n in MODEL_WORKERS]
            print(f"{n_hosts:>8,} hosts on {', '.join(map(str, MODEL_WORKERS))} workers:", *cells)


if __name__ == "__main__":
    main()
