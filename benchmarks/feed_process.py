"""The main process of a capture without clients, for the benchmarks.

    python benchmarks/feed_process.py CONFIG

CONFIG is JSON: the fields of ``CaptureConfig``, or ``replay`` with a path. Prints one JSON object
when it captures (its pids), and one when its standard input has ended or the replay has: counters,
seconds since then, CPU seconds of each process, most memory of this one.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

import zmq

from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_daemon.capture.replay import ReplayConfig
from trtop_daemon.ipc.feed import MAX_TAKE_S, CaptureConfig
from trtop_daemon.processes.supervisor import Supervisor

SNAPSHOT_S = 1.0
"""A client that looks on asks for one so often."""


def cpu_s(pid: int) -> float:
    """User and system time of a process so far, all its threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(config: CaptureConfig) -> None:
    """Capture or replay, and tell."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    feed = Supervisor(config, context)
    children = [slot.child.pid for slot in feed.slots if slot.child is not None]
    _tell({"pid": os.getpid(), "children": children})
    began_s, look_s = time.perf_counter(), time.monotonic() + SNAPSHOT_S
    before = feed.snapshot(View(limit=0)).health.packets
    is_asked = True
    while is_asked and not feed.is_finished:
        poller = zmq.Poller()
        for item, flags in ((s, zmq.POLLIN) for s in feed.sockets):
            poller.register(item, flags)
        for fd, flags in feed.filenos().items():
            poller.register(fd, flags)
        if config.source is None:
            poller.register(0, zmq.POLLIN)
        now_s = time.monotonic()
        wait_s = min(feed.tick(now_s), look_s - now_s)
        ready = dict(poller.poll(max(0, int(wait_s * 1000))))
        is_asked = 0 not in ready
        if ready:
            feed.on_ready(MAX_TAKE_S)
        if time.monotonic() >= look_s:
            look_s = time.monotonic() + SNAPSHOT_S
            feed.snapshot(View(limit=50))
    took_s = time.perf_counter() - began_s
    cpu = {"main": cpu_s(os.getpid()), "capture": sum(cpu_s(p) for p in children if _is_there(p))}
    feed.stop()
    snapshot = feed.snapshot(View())
    _tell(_summary(snapshot, before) | {"took_s": took_s, "cpu_s": cpu})
    context.destroy(linger=0)


def _summary(snapshot: Snapshot, before: int) -> dict[str, Any]:
    record = snapshot.record()
    record.pop("destinations")
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"record": record, "packets_before": before, "peak_rss_bytes": peak_kib * 1024}


def _is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}/stat")


def _tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    """Read the configuration, and run."""
    given = json.loads(sys.argv[1])
    if "replay" in given:
        run(CaptureConfig(source=ReplayConfig((given["replay"],), None)))
    else:
        given["interfaces"] = tuple(given["interfaces"])
        run(CaptureConfig(**given))


if __name__ == "__main__":
    main()
