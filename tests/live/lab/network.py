"""Two hosts that a forwarder joins, made for one run and removed after it."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.netns import Host, ip

from lab import LabError
from lab.forwarder import PathConfig

NEAR, FAR = "10.83.1.1", "10.83.2.1"

LAB = Path(__file__).parent
"""Folder of the package; its parent is where programs of the laboratory find it."""

_numbers = itertools.count()


@dataclass(frozen=True)
class Link:
    """What lies between client and server.

    Attributes:
        delay_us: one way; a round trip takes twice that.
        loss_out, loss_in: share of the frames that get lost on the way to and from the server.
        seed: of the choice which.
    """

    delay_us: int = 5_000
    loss_out: float = 0.0
    loss_in: float = 0.0
    seed: int = 1


@dataclass(frozen=True)
class Network:
    """A client's host and a server's.

    Attributes:
        near, far: the hosts.
        log: what the forwarder carried and lost.
    """

    near: Host
    far: Host
    log: Path


@contextlib.contextmanager
def network(link: Link, folder: Path) -> Iterator[Network]:
    """Make both hosts and the path between them."""
    number = f"{os.getpid()}x{next(_numbers)}"
    near = Host(f"lab{number}a", "near0", NEAR, "")
    far = Host(f"lab{number}b", "far0", FAR, "")
    log = folder / "forwarder.log"
    with contextlib.ExitStack() as stack:
        for host in (near, far):
            stack.callback(_remove, host)
            ip("netns", "add", host.name)
            host.ip("link", "set", "lo", "up")
            _without_ipv6(host)
        config = PathConfig(
            (near.name, near.link),
            (far.name, far.link),
            link.delay_us,
            link.loss_out,
            link.loss_in,
            link.seed,
            str(log),
        )
        stack.enter_context(_forwarder(config, folder))
        for host in (near, far):
            host.ip("addr", "add", f"{host.v4}/16", "dev", host.link)
            host.ip("link", "set", host.link, "up")
        _connect(near, far)
        _connect(far, near)
        yield Network(near, far, log)


def _remove(host: Host) -> None:
    with contextlib.suppress(subprocess.CalledProcessError):
        ip("netns", "del", host.name)


def _without_ipv6(host: Host) -> None:
    """Keep neighbour discovery off the path."""
    with host.inside():
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")


def _connect(host: Host, other: Host) -> None:
    """Tell a host the other's hardware address, so that no connection waits for ARP."""
    show = ["ip", "-n", other.name, "-o", "link", "show", other.link]
    words = subprocess.run(show, check=True, capture_output=True, text=True).stdout.split()
    lladdr = words[words.index("link/ether") + 1]
    host.ip("neigh", "replace", other.v4, "lladdr", lladdr, "dev", host.link, "nud", "permanent")


@contextlib.contextmanager
def _forwarder(config: PathConfig, folder: Path) -> Iterator[None]:
    """Run the path until the end of the context; it ends itself when this process does."""
    config.write(folder / "path.json")
    process = subprocess.Popen(
        [sys.executable, "-m", "lab.forwarder", str(folder / "path.json")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(LAB.parent)},
    )
    assert process.stdin
    assert process.stdout
    try:
        if process.stdout.readline() != b"ready\n":
            raise LabError("the forwarder did not start: is there a /dev/net/tun?")
        yield
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
