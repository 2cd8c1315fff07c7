"""The two daemons of the soak: what each is given, what it must say, how much memory it takes.

A ``Leg`` is a daemon as users start it, on a disk of its own that can be full. ``ReplayLeg`` is
written to through a pipe; ``LiveLeg`` captures on a veth end, and is sent frames by the other. Both
know what they were given, and compare it with every row. Faults are put in from outside.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from soak.traffic import CLIENTS, KINDS, REPLAYED, Minute, truth
from support.daemons import TRTOPD, Daemon, Peer, peer, wait_for
from support.netns import Host, furnish, two_hosts
from support.processes import with_parent

from trtop_core import Snapshot, View, wire
from trtop_core.metrics import COUNTERS, GAUGES, SKETCHES

TIMEOUT_S = 90.0
"""Longer than the longest pause before a capture process is started again, on a busy machine."""

DISK_BYTES = 4 << 20

LIVE_SCALE = 0.1
"""The share of a minute's connections that the live daemon is sent at once: they fit its ring."""

FLOOD_SERVER = "203.0.113.9"
FLOOD_PACKETS = 60_000
"""Too many for the ring of a daemon that stands still."""

BUFFER = "4MiB"
COMMON = ("--interval=0.05", "--history=1MiB", f"--local={CLIENTS}")


class Mismatch(AssertionError):
    """A daemon said something else than the truth."""


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
            Mismatch: it is not, in time.
        """
        end_s = time.monotonic() + TIMEOUT_S
        while True:
            head, snapshot = self.ask()
            if is_so(head, snapshot):
                return
            if time.monotonic() > end_s:
                raise Mismatch(f"waited for {what}: {head.notices}, {snapshot.health}")
            time.sleep(0.01)

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
            Mismatch: one is not.
        """
        self.wait_until(lambda _, got: self.n_taken(got) >= self.n_packets, "packets")
        _, snapshot = self.ask()
        if self.n_taken(snapshot) != self.n_packets:
            raise Mismatch(f"{self.n_taken(snapshot)} packets, not {self.n_packets}")
        wanted = truth(self.kinds, self.minutes, self.scale)
        for row in snapshot.rows():
            if row.name == FLOOD_SERVER:
                continue
            right = wanted.pop(row.name, {})
            told = {name: row.count(name) for name in (*COUNTERS, *GAUGES)}
            told |= {name: row.sketch_record(name)["count"] for name in SKETCHES}
            wrong = {
                name: (count, right.get(name, 0))
                for name, count in told.items()
                if count != right.get(name, 0)
            }
            if wrong:
                raise Mismatch(f"{row.name} after {self.minutes} minutes, (told, true): {wrong}")
        if wanted and self.minutes:
            raise Mismatch(f"no rows of {sorted(wanted)}")
        health = snapshot.health
        for name in ("undecoded", "duplicates", "untimed", "evicted", "holes_unkept"):
            if getattr(health, name) and name != "duplicates":
                raise Mismatch(f"{name}: {getattr(health, name)}")
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


class ReplayLeg(Leg):
    """A daemon that replays what is written into a pipe.

    Args:
        minute: what is written, once for each minute.
    """

    kinds = REPLAYED

    def __init__(self, folder: Path, daemon: Daemon, client: Peer, pipe: int) -> None:
        super().__init__(folder, daemon, client)
        self.minute = Minute.of(REPLAYED)
        self._pipe = pipe
        self._write(self.minute.header)

    def offer(self, number: int) -> threading.Thread:
        """Write a minute; the thread ends when the daemon has room for all of it."""
        data = self.minute.at(number).tobytes()
        thread = threading.Thread(target=self._write, args=(data,), daemon=True)
        thread.start()
        self.n_packets += len(self.minute)
        self.minutes += 1
        return thread

    def end(self) -> None:
        """The capture is over."""
        os.close(self._pipe)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._pipe, view) :]


class LiveLeg(Leg):
    """A daemon that captures on an interface, and the host that sends to it.

    Attributes:
        near, far: the daemon's host and the other one.
        n_missed: packets sent while, as the daemon said, nothing was captured.
        n_lost: packets of floods that the kernel dropped, as the daemon said.
    """

    scale = LIVE_SCALE

    def __init__(
        self, folder: Path, daemon: Daemon, client: Peer, hosts: tuple[Host, Host]
    ) -> None:
        super().__init__(folder, daemon, client)
        self.near, self.far = hosts
        self.minute = Minute.of(KINDS, LIVE_SCALE)
        self.n_missed = 0
        self.n_lost = 0
        self._n_bursts = 0

    def send(self, frames: list[bytes]) -> None:
        """From the other host, as fast as they go."""
        with self.far.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((self.far.link, 0))
            for frame in frames:
                sender.send(frame)

    def offer(self) -> None:
        """Send a burst of connections that nobody has seen before."""
        self.send(self._next_burst())
        self.n_packets += len(self.minute)
        self.minutes += 1

    def miss(self) -> None:
        """Send a burst while nobody captures."""
        self.send(self._next_burst())
        self.n_missed += len(self.minute)

    def flood(self, frame: bytes) -> None:
        """Send more than there is room for."""
        self.send([frame] * FLOOD_PACKETS)
        self.n_packets += FLOOD_PACKETS

    def n_taken(self, snapshot: Snapshot) -> int:
        """Packets that were counted, and those that the daemon knows the kernel dropped."""
        health = snapshot.health
        self.n_lost = (health.kernel_dropped or 0) + health.read_lost
        if (health.received or 0) > self.n_packets:
            raise Mismatch(f"{health.received} received, not {self.n_packets}")
        return health.packets + self.n_lost if health.received == self.n_packets else 0

    def remove_interface(self) -> None:
        self.near.ip("link", "del", self.near.link)

    def add_interface(self) -> None:
        near, far = self.near, self.far
        near.ip("link", "add", near.link, "type", "veth", "peer", "name", far.link)
        near.ip("link", "set", far.link, "netns", far.name)
        for host in (near, far):
            furnish(host)

    def set_interface(self, state: str) -> None:
        self.near.ip("link", "set", self.near.link, state)

    def _next_burst(self) -> list[bytes]:
        self._n_bursts += 1
        return self.minute.frames(self._n_bursts)


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder.mkdir()
    size = f"size={DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "soak", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def replay_leg(folder: Path) -> Iterator[ReplayLeg]:
    """A daemon that replays a pipe."""
    with contextlib.ExitStack() as stack:
        own = stack.enter_context(disk(folder))
        fifo = own / "pipe"
        os.mkfifo(fifo)
        pipe = os.open(fifo, os.O_RDWR)  # a reader is there whatever happens
        args = ("-r", fifo, "--speed=max", "--stay", f"--metrics=unix:{own}/m.sock", *COMMON)
        daemon = stack.enter_context(Daemon(own, *args, command=TRTOPD))
        writer = os.open(fifo, os.O_WRONLY)
        os.close(pipe)
        client = stack.enter_context(peer(daemon.path))
        yield ReplayLeg(own, daemon, client, writer)


@contextlib.contextmanager
def live_leg(folder: Path) -> Iterator[LiveLeg]:
    """A daemon on an interface of a host of its own."""
    with contextlib.ExitStack() as stack:
        own = stack.enter_context(disk(folder))
        near, far = stack.enter_context(two_hosts())
        args = ("-i", near.link, f"--buffer-size={BUFFER}", *COMMON)
        args += (f"--bpf-filter=tcp and net {CLIENTS}", f"--metrics=unix:{own}/m.sock")
        with near.inside():
            daemon = stack.enter_context(Daemon(own, *args, command=TRTOPD))
        client = stack.enter_context(peer(daemon.path))
        yield LiveLeg(own, daemon, client, (near, far))
