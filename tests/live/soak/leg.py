"""A daemon of the soak: what it must say, and how much memory it takes.

A ``Leg`` is a daemon as users start it, on a disk of its own that can be full. It knows what the
daemon was given, and compares it with every row. Faults are put in from outside.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from support.daemons import Daemon, Peer, wait_for
from support.processes import with_parent

from soak.traffic import KINDS, truth
from trtop_core import Snapshot, View, wire
from trtop_core.metrics import COUNTERS, GAUGES, SKETCHES
from trtop_core.snapshot import Row

TIMEOUT_S = 300.0
"""Longer than the longest pause before a process is started again; for a machine that does much
else, in which a client may take a minute to start."""

ASK_S = 0.05
"""Between two questions."""

FLOOD_SERVER = "203.0.113.9"
"""Of packets that are too many: which of them are lost is chance, how many is not."""

MUST_BE_0 = ("undecoded", "untimed", "evicted", "holes_unkept")
"""Of the health of both daemons."""


class MismatchError(AssertionError):
    """A daemon said something else than the truth."""


def differences(row: Row, right: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Counters, gauges and numbers of samples of a row that are not right: as told, and true."""
    told = {name: row.count(name) for name in (*COUNTERS, *GAUGES)}
    told |= {name: row.sketch_record(name)["count"] for name in SKETCHES}
    return {
        name: (count, right.get(name, 0))
        for name, count in told.items()
        if count != right.get(name, 0)
    }


class Leg:
    """A daemon, what it must have counted, and what its processes take.

    Attributes:
        daemon: the process.
        n_packets: it was given so far, and not known to be lost.
        minutes: whose every packet it was given.
        folder: its disk: log and sockets.
    """

    kinds = KINDS
    scale = 1.0

    def __init__(self, folder: Path, daemon: Daemon, client: Peer) -> None:
        self.folder = folder
        self.daemon = daemon
        self.n_packets = 0
        self.minutes = 0
        self._client = client

    def ask(self) -> tuple[wire.Answer, Snapshot]:
        """What the daemon says now."""
        asked = self._client.ask(View())
        while True:
            head, snapshot = self._client.reply()
            if head.id == asked:
                assert isinstance(head, wire.Answer)
                assert snapshot is not None
                return head, snapshot

    def wait_until(self, is_so: Callable[[wire.Answer, Snapshot], object], what: str) -> None:
        """Ask until something is so.

        Raises:
            MismatchError: it is not, in time.
        """
        end_s = time.monotonic() + TIMEOUT_S
        while True:
            head, snapshot = self.ask()
            if is_so(head, snapshot):
                return
            if time.monotonic() > end_s:
                raise MismatchError(f"waited for {what}: {head.notices}, {snapshot.health}")
            time.sleep(ASK_S)

    def has_said(self, pattern: str, since_ns: int) -> None:
        """Wait for a notice that began since."""
        self.wait_until(
            lambda head, _: any(
                pattern in notice.text and notice.time_ns >= since_ns for notice in head.notices
            ),
            repr(pattern),
        )

    def check(self) -> Snapshot:
        """Wait until all was taken; every counter of every row must be the truth.

        Raises:
            MismatchError: one is not.
        """
        self.wait_until(lambda _, got: self.n_taken(got) >= self.n_packets, "packets")
        _, snapshot = self.ask()
        if self.n_taken(snapshot) != self.n_packets:
            raise MismatchError(f"{snapshot.health}, not {self.n_packets}; {self.situation()}")
        wanted = truth(self.kinds, self.minutes, self.scale)
        for row in snapshot.rows():
            if row.name == FLOOD_SERVER:
                continue
            if wrong := differences(row, wanted.pop(row.name, {})):
                after = f"after {self.minutes} minutes"
                raise MismatchError(f"{row.name} {after}, (told, true): {wrong}")
        if wanted and self.minutes:
            raise MismatchError(f"no rows of {sorted(wanted)}")
        for name in MUST_BE_0:
            if count := getattr(snapshot.health, name):
                raise MismatchError(f"{name}: {count}")
        return snapshot

    def scraped(self) -> int:
        """Attempts to connect, of all destinations, as the exporter tells them; -1: not now."""
        try:
            return self._scrape()
        except OSError:
            return -1

    def _scrape(self) -> int:
        with contextlib.closing(http.client.HTTPConnection("localhost")) as connection:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(TIMEOUT_S)
            connection.sock.connect(str(self.folder / "m.sock"))
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        found = re.findall(r"^trtop_connection_attempts_total{.*} (\S+)$", text, re.MULTILINE)
        return round(sum(map(float, found)))

    def n_taken(self, snapshot: Snapshot) -> int:
        """Packets that the daemon accounts for."""
        return snapshot.health.packets

    def situation(self) -> str:
        """What the daemon has said of late."""
        return " | ".join(self.daemon.log.splitlines()[-12:])

    def rss_bytes(self) -> dict[str, int]:
        """Memory of each process by its name."""
        taken: dict[str, int] = {}
        for pid in (self.daemon.pid, *with_parent(self.daemon.pid)):
            with contextlib.suppress(psutil.Error):  # it has just ended
                process = psutil.Process(pid)
                name = "main" if pid == self.daemon.pid else process.name()
                if name == "trtop-export" and process.ppid() != self.daemon.pid:
                    name = "trtop-export's worker"
                taken[name] = process.memory_info().rss
        return taken

    def processes(self, name: str) -> list[psutil.Process]:
        """The daemon's processes of a name."""
        found = []
        for pid in with_parent(self.daemon.pid):
            with contextlib.suppress(psutil.Error):  # it has just ended
                process = psutil.Process(pid)
                if process.name() == name:
                    found.append(process)
        return found

    def capture(self) -> psutil.Process:
        """The one process that captures."""
        found: list[psutil.Process] = []

        def has_one() -> bool:
            found[:] = self.processes("trtop-capture")
            return len(found) == 1

        wait_for(has_one, TIMEOUT_S)
        return found[0]

    def export_workers(self) -> list[psutil.Process]:
        """The processes that export; those that fork them have the same name."""
        found = self.processes("trtop-export")
        return [process for process in found if process.ppid() != self.daemon.pid]
