"""An hour of traffic through the daemon, at high speed: its memory stays flat."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path

import numpy as np
from support.builders.packets import ACK, FIN, PSH, SYN, Talk
from support.builders.savefile import write_pcap
from support.daemons import TRTOPD, Daemon, finished, peer, wait_for

from trtop_core import Snapshot, View
from trtop_core.records import NS_PER_S, Window

HOUR_S = 3600
SPEED = 400
PER_S = 23
N_PACKETS = 11

N_PARTS = 24
"""Of the hour; memory is looked at after each, however long that takes."""

FIRST_S = 1_714_565_000
FILE_HEADER_LEN, RECORD_HEADER_LEN = 24, 16
CAPLEN = 60
"""Captured bytes of every packet; Ethernet pads the shorter ones."""

PORTS_AT = RECORD_HEADER_LEN + 14 + 20

MB = 1024 * 1024


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


def write_parts(path: Path, pipe: Path, parts: queue.Queue[int]) -> None:
    """Write a file into a pipe, a part whenever one is asked for; 0 bytes: that was all."""
    with open(path, "rb") as stream, open(pipe, "wb", buffering=0) as out:
        while n_bytes := parts.get():
            out.write(stream.read(n_bytes))


def memory_over_time(path: Path, folder: Path, *args: str) -> tuple[list[int], Snapshot]:
    """Bytes in memory after each part of a file that a daemon replays; all rows in the end."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    parts: queue.Queue[int] = queue.Queue()
    threading.Thread(target=write_parts, args=(path, pipe, parts), daemon=True).start()
    record_bytes = RECORD_HEADER_LEN + CAPLEN
    n_packets = (path.stat().st_size - FILE_HEADER_LEN) // record_bytes
    samples: list[int] = []
    view = View(window=Window.LAST_60_S)
    with (
        Daemon(folder, "-r", pipe, *args, command=TRTOPD) as daemon,
        peer(daemon.path) as client,
    ):
        for part in range(N_PARTS):
            head = 0 if part else FILE_HEADER_LEN
            parts.put(head + n_packets // N_PARTS * record_bytes)
            wanted = n_packets // N_PARTS * (part + 1)
            wait_for(lambda: client.snapshot(view).health.packets == wanted)  # noqa: B023
            samples.append(daemon.rss_bytes())
        parts.put(0)
        whole = finished(client)
        assert daemon.stop() == 0
    return samples, whole


def test_an_hour_of_traffic_leaves_memory_flat(tmp_path: Path) -> None:
    path = tmp_path / "hour.pcap"
    n_packets = write_hour(path, PER_S)
    samples, whole = memory_over_time(path, tmp_path, f"--speed={SPEED}", "--history=1MiB")
    assert whole.health.packets == n_packets == HOUR_S * PER_S * N_PACKETS
    assert whole.totals.count("syn") == HOUR_S * PER_S
    # Windows are full after five minutes; a quarter of an hour later nothing grows any more, but
    # the history up to its bound.
    early, late = samples[N_PARTS // 4 : N_PARTS // 2], samples[N_PARTS * 3 // 4 :]
    assert max(late) - max(early) < MB
