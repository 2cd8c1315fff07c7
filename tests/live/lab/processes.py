"""Programs that run inside a host of the laboratory, and end with it, whatever happens.

Each runs in a process namespace of its own: when it is stopped, or the laboratory itself is
killed, everything that it started is gone.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.netns import Host

from lab import LabError

START_TIMEOUT_S = 60.0
PAUSE_S = 0.01

REAL_TIME = ["chrt", "--rr", "1"]
"""A client that waits for the processor measures that: its truth would be no truth."""

LISTENING = "0A"
"""State of a socket in /proc/net/tcp."""

SETTLED = {"06", LISTENING, "07"}
"""TIME_WAIT, LISTEN, CLOSE: nothing will be sent any more."""


def wait_until(what: Callable[[], object], timeout_s: float, said: str) -> None:
    """Wait until something is so.

    Raises:
        LabError: it is not, in time.
    """
    end_s = time.monotonic() + timeout_s
    while not what():
        if time.monotonic() > end_s:
            raise LabError(f"{said}: not within {timeout_s:g} s")
        time.sleep(PAUSE_S)


def inside(host: Host, command: Sequence[str | Path], user: str | None = None) -> list[str]:
    """Give the command line that runs a command in a host."""
    words = ["setpriv", "--pdeathsig", "KILL", *_priority()]
    words += ["nsenter", f"--net=/run/netns/{host.name}"]
    words += ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    if user:
        words += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
    return [*words, *(str(word) for word in command)]


@functools.cache
def _priority() -> list[str]:
    """Give what starts a program at real-time priority, where that is allowed."""
    if lacking(REAL_TIME[:1]):
        return []
    probe = subprocess.run([*REAL_TIME, "true"], capture_output=True, check=False)
    return [] if probe.returncode else REAL_TIME


@contextlib.contextmanager
def running(
    host: Host,
    command: Sequence[str | Path],
    log: Path,
    user: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a host meanwhile; what it says goes to a file."""
    with open(log, "ab") as said:
        process = subprocess.Popen(
            inside(host, command, user),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            env={**os.environ, **(env or {})},
            cwd=log.parent,
        )
    try:
        yield process
    finally:
        stop(process)


def run(
    host: Host,
    command: Sequence[str | Path],
    timeout_s: float,
    *,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    said: str = "",
    may_fail: bool = False,
) -> str:
    """Run a program in a host to its end; what it wrote.

    Raises:
        LabError: it failed or took too long, with the end of what it said.
    """
    with subprocess.Popen(
        inside(host, command, user),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, **(env or {})},
        text=True,
        errors="replace",
    ) as process:
        try:
            out, errors = process.communicate(said, timeout_s)
        except subprocess.TimeoutExpired:
            raise LabError(f"{Path(command[0]).name}: not done within {timeout_s:g} s") from None
        finally:
            stop(process)
    if process.returncode and not may_fail:
        said = (errors.strip() or out.strip())[-600:]
        raise LabError(f"{Path(command[0]).name}: status {process.returncode}: {said}")
    return out


def stop(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End a program and all that it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass(frozen=True)
class Socket:
    """A TCP socket of a host: its local port, its state and peer as /proc/net/tcp writes them."""

    port: int
    state: str
    peer: str


def sockets(host: Host) -> list[Socket]:
    """List the TCP sockets of a host."""
    found = []
    with host.inside():
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]:
                _, local, peer, state, *_ = line.split()
                found.append(Socket(int(local.rpartition(":")[2], 16), state, peer))
    return found


def wait_for_port(host: Host, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until somebody listens at a port of a host.

    Raises:
        LabError: the program ended first, or time ran out.
    """

    def is_listening() -> bool:
        if process.poll() is not None:
            raise LabError(f"it ended: {log.read_text(errors='replace')[-600:]}")
        return any(one.port == port and one.state == LISTENING for one in sockets(host))

    wait_until(is_listening, START_TIMEOUT_S, f"nobody listens at port {port}")


def is_settled(host: Host, other: Host) -> bool:
    """Tell whether all connections between two hosts have ended at one of them."""
    address = ipaddress.IPv4Address(other.v4).packed[::-1].hex().upper()
    return all(one.state in SETTLED or address not in one.peer for one in sockets(host))


def datagram(host: Host, address: tuple[str, int], payload: bytes) -> None:
    """Send one UDP datagram from a host."""
    with host.inside():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        sender.sendto(payload, address)


def lacking(commands: Sequence[str]) -> list[str]:
    """Say which of some commands are not installed."""
    return [command for command in commands if not shutil.which(command)]
