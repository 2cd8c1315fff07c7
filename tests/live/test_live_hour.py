"""An hour of traffic through the daemon, at high speed: its memory stays flat."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from support.builders.packets import ACK, FIN, PSH, SYN, Talk
from support.builders.savefile import write_pcap
from support.daemons import TRTOPD, Daemon, peer

from trtop_core import View, wire
from trtop_core.records import NS_PER_S, Window

HOUR_S = 3600
SPEED = 400
PER_S = 23
N_PACKETS = 11

FIRST_S = 1_714_565_000
FILE_HEADER_LEN, RECORD_HEADER_LEN = 24, 16
CAPLEN = 60
"""Captured bytes of every packet; Ethernet pads the shorter ones."""

PORTS_AT = RECORD_HEADER_LEN + 14 + 20

MB = 1024 * 1024

SAMPLE_S = 0.02


def connection(number: int) -> list[tuple[int, bytes, bool]]:
    """Two requests within a second: when, the frame, whether the client sent it."""
    talk = Talk(server=f"192.0.2.{1 + number % 250}", ident=number * N_PACKETS)
    told = [
        (talk.out(100, flags=SYN), True),
        (talk.back(500, 101, flags=SYN | ACK), False),
        (talk.out(101, 501), True),
        (talk.out(101, 501, flags=ACK | PSH, payload=b"GET"), True),
        (talk.back(501, 104, flags=ACK | PSH, payload=b"200"), False),
        (talk.out(104, 504, flags=ACK | PSH, payload=b"GET"), True),
        (talk.back(504, 107, flags=ACK | PSH, payload=b"200"), False),
        (talk.out(107, 507, flags=ACK | FIN), True),
        (talk.back(507, 108, flags=ACK | FIN), False),
        (talk.out(108, 508), True),
        (talk.out(108, 508), True),
    ]
    step_ns = (1 + number % 7) * NS_PER_S // 100
    return [(i * step_ns, frame.ljust(CAPLEN, b"\0"), sent) for i, (frame, sent) in enumerate(told)]


def write_hour(path: Path, per_s: int) -> int:
    """Write an hour of so many connections a second, no two in a row alike; gives its packets."""
    told = sorted((*packet, j) for j in range(per_s) for packet in connection(j))
    data = write_pcap([(FIRST_S * NS_PER_S + at, frame) for at, frame, _, _ in told])
    second = np.frombuffer(data, np.uint8, offset=FILE_HEADER_LEN).reshape(len(told), -1)
    sent = np.array([sent for _, _, sent, _ in told])
    numbers = np.array([j for *_, j in told])
    with open(path, "wb") as stream:
        stream.write(data[:FILE_HEADER_LEN])
        for passed_s in range(HOUR_S):
            block = second.copy()
            block[:, :4] = np.frombuffer((FIRST_S + passed_s).to_bytes(4, "little"), np.uint8)
            ports = (1_024 + (passed_s * per_s + numbers) % 60_000).astype(">u2")
            for rows, at in ((sent, PORTS_AT), (~sent, PORTS_AT + 2)):
                block[rows, at : at + 2] = ports[rows].view(np.uint8).reshape(-1, 2)
            stream.write(block.tobytes())
    return HOUR_S * len(told)


class MemoryWatch:
    """Bytes that a daemon has in memory, taken all the time: its answers are too few when it is
    busy.

    Args:
        daemon: which one.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.samples: list[tuple[float, int]] = []
        self._daemon = daemon
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(SAMPLE_S):
            self.samples.append((time.monotonic(), self._daemon.rss_bytes()))


class Replay(NamedTuple):
    """What a daemon took while it replayed a file.

    Attributes:
        progress: when it answered, and its packets by then.
        samples: when its memory was looked at, and bytes.
        n_connections: in the end.
    """

    progress: list[tuple[float, int]]
    samples: list[tuple[float, int]]
    n_connections: int

    def memory(self, first: int, last: int) -> list[int]:
        """Bytes in memory while it had more packets than the first number, and less than the last.

        Only what was taken between two answers that both lie there.
        """
        inside = [at_s for at_s, n_packets in self.progress if first < n_packets < last]
        begin_s, end_s = min(inside, default=0.0), max(inside, default=0.0)
        return [n_bytes for at_s, n_bytes in self.samples if begin_s <= at_s <= end_s]


def memory_over_time(path: Path, folder: Path, *args: str) -> Replay:
    """The memory of a daemon while it replays a file."""
    progress = []
    view = View(window=Window.LAST_60_S)
    with Daemon(folder, "-r", path, *args, command=TRTOPD) as daemon:
        with MemoryWatch(daemon) as watch, peer(daemon.path) as client:
            while True:
                client.ask(view)
                head, snapshot = client.reply()
                assert isinstance(head, wire.Answer)
                assert snapshot is not None
                progress.append((time.monotonic(), snapshot.health.packets))
                if head.is_finished:
                    break
                time.sleep(SAMPLE_S)
            n_connections = client.snapshot(View()).totals.count("syn")
        assert daemon.stop() == 0
    return Replay(progress, watch.samples, n_connections)


def test_an_hour_of_traffic_leaves_memory_flat(tmp_path: Path) -> None:
    path = tmp_path / "hour.pcap"
    n_packets = write_hour(path, PER_S)
    args = f"--speed={SPEED}", "--history=1MiB"
    replay = memory_over_time(path, tmp_path, *args)
    assert replay.progress[-1][1] == n_packets == HOUR_S * PER_S * N_PACKETS
    assert replay.n_connections == HOUR_S * PER_S
    # Windows are full after five minutes; a quarter of an hour later nothing grows any more, but
    # the history up to its bound.
    early = replay.memory(n_packets // 4, n_packets // 2)
    late = replay.memory(n_packets * 3 // 4, n_packets)
    assert min(len(early), len(late)) > 10
    assert max(late) - max(early) < MB
