"""Two hosts for a test: network namespaces that a veth pair joins. Made and removed by the test.

Needs root and ``ip``; ``needs_root`` skips a test where one is missing. A socket belongs to the
namespace in which it was made, whatever the thread does later, so one process plays both hosts.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

CLONE_NEWNET = 0x4000_0000

NS_PER_S = 1_000_000_000

_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def _lack() -> str:
    if os.geteuid():
        return "needs root, to make network namespaces"
    if not shutil.which("ip"):
        return "needs the command ip (iproute2)"
    probe = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    return "may not make network namespaces" if probe.returncode else ""


needs_root = pytest.mark.skipif(bool(_lack()), reason=_lack() or "-")


@dataclass(frozen=True)
class Host:
    """One side: a namespace with one interface.

    Attributes:
        name: of the namespace.
        link: of its end of the veth pair.
        v4, v6: its addresses, the first of several consecutive ones.
    """

    name: str
    link: str
    v4: str
    v6: str

    def address(self, number: int, version: int = 4) -> str:
        """One of the addresses, 0 … 9."""
        base = self.v4 if version == 4 else self.v6
        return f"{base[:-1]}{int(base[-1]) + number}"

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """This thread, and processes that it starts, live in the namespace meanwhile."""
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter(f"/run/netns/{self.name}")
            yield
        finally:
            if _libc.setns(outside, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            os.close(outside)

    def ip(self, *words: str) -> None:
        """``ip`` in the namespace."""
        ip("-n", self.name, *words)


def ip(*words: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """A client's host and a server's, with ten addresses of each version."""
    number = f"{os.getpid()}x{next(_numbers)}"
    near = Host(f"tt{number}a", "near0", "10.83.1.0", "fd83::1:0")
    far = Host(f"tt{number}b", "far0", "10.83.2.0", "fd83::2:0")
    try:
        for host in (near, far):
            ip("netns", "add", host.name)
            host.ip("link", "set", "lo", "up")
        ip("-n", near.name, "link", "add", near.link, "type", "veth", "peer", "name", far.link)
        ip("-n", near.name, "link", "set", far.link, "netns", far.name)
        for host in (near, far):
            furnish(host)
        yield near, far
    finally:
        for host in (near, far):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", host.name)


def furnish(host: Host) -> None:
    """Addresses, and up."""
    for i in range(10):
        host.ip("addr", "add", f"{host.address(i)}/16", "dev", host.link)
        host.ip("addr", "add", f"{host.address(i, 6)}/64", "dev", host.link, "nodad")
    host.ip("link", "set", host.link, "up")


def _enter(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)
