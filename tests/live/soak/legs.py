"""The two daemons of the soak, and how they are given packets.

``ReplayLeg`` is written to through a pipe; ``LiveLeg`` captures on one end of a veth pair, and is
sent frames from the other.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from support.daemons import TRTOPD, Daemon, Peer, peer
from support.netns import Host, furnish, two_hosts

from soak.leg import TIMEOUT_S, Leg, MismatchError
from soak.traffic import CLIENTS, KINDS, REPLAYED, Minute
from trtop_core import Snapshot

DISK_BYTES = 4 << 20

LIVE_SCALE = 0.1
"""The share of a minute's connections that the live daemon is sent at once: they fit its ring."""

FLOOD_PACKETS = 60_000
"""Too many for the ring of a daemon that stands still."""

BUFFER = "4MiB"
COMMON = ("--interval=0.05", "--history=1MiB", f"--local={CLIENTS}")


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
            raise MismatchError(f"{health}, not {self.n_packets} received; {self.situation()}")
        return health.packets + self.n_lost if health.received == self.n_packets else 0

    def situation(self) -> str:
        """What the kernel says of the interface."""
        command = ["ip", "-n", self.near.name, "-s", "link", "show", self.near.link]
        shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return f"{super().situation()}; {' '.join(shown.split())}"

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
        daemon = stack.enter_context(Daemon(own, *args, command=TRTOPD, timeout_s=TIMEOUT_S))
        writer = os.open(fifo, os.O_WRONLY)
        os.close(pipe)
        client = stack.enter_context(peer(daemon.path, rcvtimeo=int(TIMEOUT_S * 1000)))
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
            daemon = stack.enter_context(Daemon(own, *args, command=TRTOPD, timeout_s=TIMEOUT_S))
        client = stack.enter_context(peer(daemon.path, rcvtimeo=int(TIMEOUT_S * 1000)))
        yield LiveLeg(own, daemon, client, (near, far))
