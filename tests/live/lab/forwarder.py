"""A path between two network namespaces: known delay, seeded loss, first in first out.

    python -m lab.forwarder CONFIG.json

Makes a TAP device in either namespace and carries frames between them in userspace. Says ``ready``
once both exist; ends when its input closes. Each TCP segment that enters is a line of the log:
what it was, and whether it was let through. Never reorders, duplicates or changes a frame.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import random
import select
import struct
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

CLONE_NEWNET = 0x4000_0000
TUNSETIFF = 0x4004_54CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000

MAX_FRAME_BYTES = 65_536
MAX_QUEUE_FRAMES = 20_000
"""Beyond that a frame is lost, and logged so."""

PRIORITY = 1
"""Real time, the lowest: a path that waits for the processor is a longer path."""

FRAMES_PER_TURN = 32


@dataclass(frozen=True)
class PathConfig:
    """What the path does.

    Attributes:
        near, far: (namespace, interface) of either end.
        delay_us: one way.
        loss_out, loss_in: share of TCP frames lost from near to far, from far to near.
        seed: of the choice which.
        log: file of the log.
    """

    near: tuple[str, str]
    far: tuple[str, str]
    delay_us: int
    loss_out: float
    loss_in: float
    seed: int
    log: str

    def write(self, path: Path) -> None:
        """Write the file that ``main`` reads."""
        path.write_text(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Segment:
    """One TCP segment that entered the path.

    Attributes:
        time_ns: when, on the monotonic clock.
        is_out: from near to far.
        is_lost: not let through.
        sport, dport, seq, ack, flags: of its header.
        payload_bytes: by the lengths of its headers.
    """

    time_ns: int
    is_out: bool
    is_lost: bool
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    payload_bytes: int

    def line(self) -> str:
        """Its line of the log."""
        values = asdict(self).values()
        return " ".join(str(int(value)) for value in values) + "\n"


def read_log(path: Path) -> list[Segment]:
    """Read what went into a path, in order."""
    segments = []
    for line in path.read_text().splitlines():
        time_ns, is_out, is_lost, *header = (int(word) for word in line.split())
        segments.append(Segment(time_ns, bool(is_out), bool(is_lost), *header))
    return segments


class _Direction:
    """One way through the path: frames wait in order until they are due."""

    def __init__(self, source: int, sink: int, is_out: bool, config: PathConfig) -> None:
        self.source, self.sink, self.is_out = source, sink, is_out
        self.delay_ns = config.delay_us * 1_000
        self.loss = config.loss_out if is_out else config.loss_in
        self.random = random.Random(f"{config.seed} {'out' if is_out else 'in'}")
        self.waiting: deque[tuple[int, bytes]] = deque()

    def take_in(self, log: IO[str]) -> None:
        """Read what there is, decide its fate."""
        for _ in range(FRAMES_PER_TURN):
            try:
                frame = os.read(self.source, MAX_FRAME_BYTES)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EIO):  # nothing there, or not up
                    return
                raise
            now_ns = time.monotonic_ns()
            header = _tcp_header(frame)
            is_lost = len(self.waiting) >= MAX_QUEUE_FRAMES
            if header:
                is_lost = is_lost or self.random.random() < self.loss
                log.write(Segment(now_ns, self.is_out, is_lost, *header).line())
            if not is_lost:
                self.waiting.append((now_ns + self.delay_ns, frame))

    def give_out(self) -> None:
        """Write what is due."""
        while self.waiting and self.waiting[0][0] <= time.monotonic_ns():
            _, frame = self.waiting.popleft()
            try:
                os.write(self.sink, frame)
            except OSError as error:
                if error.errno != errno.EIO:  # not up: nobody is there
                    raise


def _tcp_header(frame: bytes) -> tuple[int, int, int, int, int, int] | None:
    """Read the ports, seq, ack, flags and payload length of a frame with TCP over IPv4."""
    if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return None
    tcp = 14 + (frame[14] & 15) * 4
    end = 14 + int.from_bytes(frame[16:18], "big")
    sport, dport, seq, ack, offset, flags = struct.unpack_from(">HHIIBB", frame, tcp)
    return sport, dport, seq, ack, flags, end - tcp - (offset >> 4) * 4


def make_tap(namespace: str, interface: str) -> int:
    """Make a TAP device in a namespace; its non-blocking descriptor. The process moves there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as inside:
        if libc.setns(inside.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", interface.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def forward(config: PathConfig, near: int, far: int, until: int) -> None:
    """Carry frames between two devices until a descriptor can be read."""
    ways = [_Direction(near, far, True, config), _Direction(far, near, False, config)]
    with open(config.log, "w", buffering=1) as log:
        while True:
            due_ns = [way.waiting[0][0] for way in ways if way.waiting]
            wait_s = max(0, min(due_ns) - time.monotonic_ns()) / 1e9 if due_ns else None
            readable, _, _ = select.select([near, far, until], [], [], wait_s)
            if until in readable:
                return
            for way in ways:
                way.give_out()
                if way.source in readable:
                    way.take_in(log)


def main() -> None:
    """Run the path that a file describes."""
    words = json.loads(Path(sys.argv[1]).read_text())
    config = PathConfig(**{**words, "near": tuple(words["near"]), "far": tuple(words["far"])})
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    taps = [make_tap(*config.near), make_tap(*config.far)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    forward(config, *taps, until=0)


if __name__ == "__main__":
    main()
