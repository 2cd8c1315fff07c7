"""Daemons as processes, and clients for them, for tests. Everything waits with a limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import zmq

from support.paths import ROOT, TESTS
from trtop_core import Snapshot, View, wire
from trtop_core.detail import Detail, DetailView

TIMEOUT_S = 120.0
"""Far beyond what a machine at its limits takes; nothing waits so long unless it is broken."""

PAUSE_S = 0.01

FILE_FEED = [sys.executable, str(TESTS / "support" / "file_feed.py")]
TRTOPD = [sys.executable, "-m", "trtop_daemon"]
TRTOP = [sys.executable, "-m", "trtop"]


def wait_for(what: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it is not, in time.
    """
    end_s = time.monotonic() + timeout_s
    while not what():
        if time.monotonic() > end_s:
            raise TimeoutError(f"waited {timeout_s} s in vain")
        time.sleep(PAUSE_S)


def environment(**more: str) -> dict[str, str]:
    dropped = (
        *("NO_COLOR", "COLUMNS", "NOTIFY_SOCKET", "XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY"),
        "PYTHONUNBUFFERED",  # users do not have it
    )
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return {
        **kept,
        "PYTHONPATH": os.environ.get("PYTHONPATH") or str(ROOT),
        "PYTHONUTF8": "1",
        **more,
    }


class Daemon:
    """A running daemon that has said it listens; killed at the end of the context, if need be."""

    def __init__(
        self,
        folder: Path,
        *args: str | Path,
        command: list[str] | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / "log"
        self.log_path.touch()
        offset = self.log_path.stat().st_size
        self.path = folder / "s.sock"
        arguments = [str(arg) for arg in args]
        if not any(arg.startswith(("-l", "--listen")) for arg in arguments):
            arguments += ["--listen", str(self.path)]
        if os.geteuid() == 0 and not any(arg.startswith("--user") for arg in arguments):
            arguments.append("--user=root")  # the folders of pytest are for root alone
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*(command or FILE_FEED), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(**(env or {})),
            )
        try:
            wait_for(lambda: "listening on" in self.log[offset:] or self.process.poll() is not None)
            if self.process.poll() is not None:
                raise RuntimeError(f"it did not start: {self.log[offset:]}")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def addresses(self) -> list[str]:
        line = next(line for line in self.log.splitlines() if "listening on" in line)
        return line.partition("listening on ")[2].split(", ")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit status."""
        if self.process.poll() is None:
            self.send(number)
        return self.process.wait(TIMEOUT_S)

    def n_fds(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss_bytes(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) << 10

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
        try:
            self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Peer:
    """A plain client: sends bytes, reads replies."""

    socket: zmq.Socket[bytes]
    n_asked: int = 0

    def send(self, *frames: bytes) -> None:
        self.socket.send_multipart(list(frames))

    def ask(self, view: View | None = None) -> int:
        self.n_asked += 1
        self.send(wire.encode_request(wire.Ask(self.n_asked, view or View())))
        return self.n_asked

    def reply(self) -> tuple[wire.Answer | wire.Refusal, Snapshot | None]:
        frames = self.socket.recv_multipart()
        head = wire.decode_reply(frames[0])
        assert not isinstance(head, wire.DetailAnswer)
        return head, wire.decode_snapshot(frames[1]) if len(frames) > 1 else None

    def snapshot(self, view: View | None = None) -> Snapshot:
        """The answer to a view."""
        asked = self.ask(view)
        while True:
            head, snapshot = self.reply()
            if head.id == asked:
                assert snapshot is not None, head
                return snapshot

    def detail(self, view: DetailView) -> Detail:
        """What the daemon knows of one destination."""
        self.n_asked += 1
        self.send(wire.encode_request(wire.AskDetail(self.n_asked, view)))
        head, body = self.socket.recv_multipart()
        assert wire.decode_reply(head) == wire.DetailAnswer(self.n_asked)
        return wire.decode_detail(body)


@contextmanager
def peers(address: str | Path, n: int, **options: int) -> Iterator[list[Peer]]:
    """Clients that are connected to an endpoint, or will be."""
    address = str(address)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made = []
    try:
        for _ in range(n):
            socket = context.socket(zmq.DEALER)
            socket.linger = 0
            socket.rcvtimeo = int(TIMEOUT_S * 1000)
            socket.sndtimeo = int(TIMEOUT_S * 1000)
            for name, value in options.items():
                setattr(socket, name, value)
            socket.connect(address if "://" in address else f"ipc://{address}")
            made.append(Peer(socket))
        yield made
    finally:
        context.destroy(linger=0)


@contextmanager
def peer(address: str | Path, **options: int) -> Iterator[Peer]:
    """One client."""
    with peers(address, 1, **options) as made:
        yield made[0]


def finished(client: Peer, view: View | None = None) -> Snapshot:
    """The answer once a replay has been taken in whole."""
    end_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end_s:
        client.ask(view)
        head, snapshot = client.reply()
        if isinstance(head, wire.Answer) and head.is_finished:
            assert snapshot is not None
            return snapshot
        time.sleep(PAUSE_S)
    raise TimeoutError("the replay has not ended")


def trtop(
    *args: str | Path, timeout_s: float = TIMEOUT_S, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run ``trtop`` to its end."""
    return subprocess.run(
        [*TRTOP, *map(str, args)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(**env),
        timeout=timeout_s,
        check=False,
    )
