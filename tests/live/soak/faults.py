"""What happens to the daemons of the soak, one each minute, in turn.

A fault is begun before the minute's packets and has ended after them; meanwhile the packets are
offered. It says itself what must be said of it, and which packets nobody can have counted.
"""

from __future__ import annotations

import contextlib
import errno
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from support.builders.packets import Talk
from support.daemons import TRTOP, environment, peers, wait_for
from support.processes import is_gone, terminal

from soak.leg import FLOOD_SERVER, TIMEOUT_S, Leg, MismatchError
from soak.legs import LiveLeg, ReplayLeg
from soak.traffic import FRAME_BYTES

SHORT_S = 0.3
SILENT_S = 2.6
"""After two seconds people are told that a capture does not answer."""

N_CLIENTS = 16
N_QUESTIONS = 64
N_GARBAGE = 16

FLOOD = Talk(client="172.31.255.1", server=FLOOD_SERVER).out(1, 1).ljust(FRAME_BYTES, b"\0")
"""Packets of a flood are counted by the daemon's health alone: which of them are lost is chance."""


@dataclass
class Soak:
    """Both daemons, and what has happened to them."""

    replay: ReplayLeg
    live: LiveLeg
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    n_deaths: int = 0

    @property
    def legs(self) -> tuple[Leg, Leg]:
        return self.replay, self.live

    def offer(self, number: int) -> None:
        """Give both their packets of a minute, as far as they take them now."""
        self.replay.offer(number)
        self.live.offer()


Fault = Callable[[Soak, int], None]


@contextlib.contextmanager
def stopped(*processes: psutil.Process) -> Iterator[None]:
    """Processes that stand still."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
        wait_for(lambda process=process: process.status() == psutil.STATUS_STOPPED, TIMEOUT_S)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def stop_captures(soak: Soak, number: int) -> None:
    """Both capture processes stand still for a moment: packets wait."""
    with stopped(*(leg.capture() for leg in soak.legs)):
        soak.offer(number)
        time.sleep(SHORT_S)


def stop_captures_for_long(soak: Soak, number: int) -> None:
    """They stand still until people are told so, and go on."""
    since_ns = time.time_ns()
    with stopped(*(leg.capture() for leg in soak.legs)):
        soak.offer(number)
        time.sleep(SILENT_S)
        soak.live.has_said("does not answer", since_ns)
    soak.live.has_said("answers again", since_ns)


def stop_main_processes(soak: Soak, number: int) -> None:
    """What counts stands still."""
    with stopped(*(psutil.Process(leg.daemon.pid) for leg in soak.legs)):
        soak.offer(number)
        time.sleep(SHORT_S)


def stop_launchers(soak: Soak, number: int) -> None:
    """What would start another capture process stands still."""
    launchers = [child for leg in soak.legs for child in leg.processes("trtop-launcher")]
    with stopped(*launchers):
        soak.offer(number)
        time.sleep(SHORT_S)


def overrun(soak: Soak, number: int) -> None:
    """More packets than there is room for: what was dropped is known to the packet."""
    before = soak.live.n_lost
    soak.offer(number)
    soak.live.check()
    with stopped(psutil.Process(soak.live.daemon.pid), soak.live.capture()):
        soak.live.flood(FLOOD)
    soak.live.check()
    if soak.live.n_lost == before:
        raise MismatchError("nothing was dropped by a ring that was too small")


def kill_capture(soak: Soak, number: int) -> None:
    """The capture process dies: a gap, and another one."""
    old = soak.live.capture()
    old.kill()
    soak.n_deaths += 1
    soak.live.wait_until(lambda _, got: got.health.interruptions == soak.n_deaths, "the death")
    wait_for(lambda: is_gone(old.pid), TIMEOUT_S)
    # So that the next one does not come in the middle of a burst, however busy the machine is.
    with stopped(*soak.live.processes("trtop-launcher")):
        if not soak.live.processes("trtop-capture"):
            soak.live.miss()
    soak.live.wait_until(lambda head, _: head.is_capturing, "the next capture process")
    soak.offer(number)


def kill_exporters(soak: Soak, number: int) -> None:
    """The exporters' workers die; others come, later and later, and nobody waits for them."""
    for leg in soak.legs:
        for worker in leg.export_workers():
            worker.kill()
    soak.offer(number)


def interface_down(soak: Soak, number: int) -> None:
    """The interface is down, and up again."""
    since_ns = time.time_ns()
    soak.live.set_interface("down")
    soak.live.has_said("is down", since_ns)
    soak.live.set_interface("up")
    soak.live.has_said("is up again", since_ns)
    soak.offer(number)


def interface_gone(soak: Soak, number: int) -> None:
    """The interface vanishes, and another one of its name comes."""
    since_ns = time.time_ns()
    soak.live.remove_interface()
    soak.live.has_said("is gone", since_ns)
    wait_for(lambda: not soak.live.processes("trtop-capture"), TIMEOUT_S)
    soak.live.add_interface()
    soak.live.has_said("was gone for", since_ns)
    soak.offer(number)


def clients_that_hang_up(soak: Soak, number: int) -> None:
    """Clients ask and are gone before the answer."""
    soak.offer(number)
    for leg in soak.legs:
        for _ in range(4):
            with peers(leg.daemon.path, N_CLIENTS) as made:
                for client in made:
                    client.ask()


def deaf_clients(soak: Soak, number: int) -> None:
    """Clients ask on and on, and read nothing."""
    with contextlib.ExitStack() as stack:
        deaf = []
        for leg in soak.legs:
            deaf += stack.enter_context(peers(leg.daemon.path, N_CLIENTS, rcvhwm=1, sndtimeo=0))
        soak.offer(number)
        for _ in range(N_QUESTIONS):
            for client in deaf:
                with contextlib.suppress(OSError):  # nobody takes its questions any more
                    client.ask()


def garbage(soak: Soak, number: int) -> None:
    """What is no message, on the daemons' own sockets."""
    soak.offer(number)
    for leg in soak.legs:
        for name in ("s.sock", "m.sock"):
            for _ in range(N_GARBAGE):
                with socket.socket(socket.AF_UNIX) as stranger:
                    stranger.settimeout(TIMEOUT_S)
                    stranger.connect(str(leg.folder / name))
                    with contextlib.suppress(OSError):
                        stranger.sendall(soak.chance.randbytes(soak.chance.randrange(4_096)))


def killed_client(soak: Soak, number: int) -> None:
    """Somebody looks, and is killed."""
    with terminal("attach", "--interval=0.1", str(soak.replay.daemon.path)) as (process, seen, _):
        soak.offer(number)
        wait_for(lambda: "Syn" in seen(), TIMEOUT_S)
        process.kill()


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """A disk on which there is no byte left."""
    filler = folder / "filler"
    try:
        with open(filler, "wb", buffering=0) as stream:
            for size in (1 << 16, 1):
                try:
                    while True:
                        stream.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        yield
    finally:
        filler.unlink()


def full_log(soak: Soak, number: int) -> None:
    """There is no room for the log, and there is something to say."""
    since_ns = time.time_ns()
    with full(soak.live.folder), full(soak.replay.folder):
        soak.live.set_interface("down")
        soak.live.has_said("is down", since_ns)
        soak.live.set_interface("up")
        soak.live.has_said("is up again", since_ns)
        soak.offer(number)


def full_report(soak: Soak, number: int) -> None:
    """There is no room for what a client writes: it says so, and fails."""
    soak.offer(number)
    path = soak.replay.folder / "report"
    command = [*TRTOP, "attach", "--once", str(soak.replay.daemon.path)]
    with full(soak.replay.folder), open(path, "wb") as report:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=report,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=TIMEOUT_S,
            check=False,
        )
    path.unlink()
    if done.returncode != 1 or b"No space left" not in done.stderr:
        raise MismatchError(f"a report on a full disk: {done.returncode}, {done.stderr!r}")


FAULTS: dict[str, Fault] = {
    "captures stopped": stop_captures,
    "capture killed": kill_capture,
    "main processes stopped": stop_main_processes,
    "interface down and up": interface_down,
    "clients that hang up": clients_that_hang_up,
    "ring overrun": overrun,
    "no room for the log": full_log,
    "captures stopped for long": stop_captures_for_long,
    "deaf clients": deaf_clients,
    "exporters killed": kill_exporters,
    "interface gone and back": interface_gone,
    "garbage on sockets": garbage,
    "client killed": killed_client,
    "launchers stopped": stop_launchers,
    "no room for a report": full_report,
}
