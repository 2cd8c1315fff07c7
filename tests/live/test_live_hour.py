"""An hour of traffic through the daemon, at high speed: its memory stays flat."""

from __future__ import annotations

import time
from pathlib import Path

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


def memory_over_time(path: Path, folder: Path, *args: str) -> tuple[list[tuple[int, int]], int]:
    """(packets so far, bytes in memory) while a daemon replays a file; connections in the end."""
    samples = []
    view = View(window=Window.LAST_60_S)
    with (
        Daemon(folder, "-r", path, *args, command=TRTOPD) as daemon,
        peer(daemon.path) as client,
    ):
        while True:
            client.ask(view)
            head, snapshot = client.reply()
            assert isinstance(head, wire.Answer)
            assert snapshot is not None
            samples.append((snapshot.health.packets, daemon.rss_bytes()))
            if head.is_finished:
                break
            time.sleep(0.02)
        n_connections = client.snapshot(View()).totals.count("syn")
        assert daemon.stop() == 0
    return samples, n_connections


def test_an_hour_of_traffic_leaves_memory_flat(tmp_path: Path) -> None:
    path = tmp_path / "hour.pcap"
    n_packets = write_hour(path, PER_S)
    args = f"--speed={SPEED}", "--history=1MiB"
    samples, n_connections = memory_over_time(path, tmp_path, *args)
    assert samples[-1][0] == n_packets == HOUR_S * PER_S * N_PACKETS
    assert n_connections == HOUR_S * PER_S
    # Windows are full after five minutes; a quarter of an hour later nothing grows any more, but
    # the history up to its bound.
    early = [rss for packets, rss in samples if n_packets // 4 < packets < n_packets // 2]
    late = [rss for packets, rss in samples if packets > n_packets * 3 // 4]
    assert min(len(early), len(late)) > 6
    assert max(late) - max(early) < 4 * MB
