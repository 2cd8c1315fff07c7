"""Measure what a connection takes: bytes of the whole process for one more, open, closed or tried.

    python benchmarks/bench_memory.py [--connections N]

Connections over IPv4, of 100 clients with one server each, 50,000 begin in a second. Open ones have
been asked and answered once and are silent since; closed ones said good-bye besides; attempts are a
SYN. Each kind has a process of its own; its memory is read once before and once at the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10
FRAME_BYTES = 54
"""Ethernet, IPv4 and TCP: payload is not captured."""

N_AT_ONCE = 5_000
"""Connections whose packets are made together: those of a tenth of a second."""

SPAN_NS = 100_000_000
START_NS = 1_700_000_000 * 10**9

PAGE_KIB = 4


class Step(NamedTuple):
    """One packet of each connection."""

    from_client: bool
    flags: int
    seq: int
    ack: int
    n_bytes: int


ATTEMPT = (Step(True, SYN, 0, 0, 0),)
OPEN = (
    *ATTEMPT,
    Step(False, SYN | ACK, 0, 1, 0),
    Step(True, ACK, 1, 1, 0),
    Step(True, ACK | PSH, 1, 1, 300),
    Step(False, ACK | PSH, 1, 301, 1_200),
    Step(True, ACK, 301, 1_201, 0),
)
CLOSED = (
    *OPEN,
    Step(True, ACK | FIN, 301, 1_201, 0),
    Step(False, ACK | FIN, 1_201, 302, 0),
    Step(True, ACK, 302, 1_202, 0),
)
KINDS = {"attempt": ATTEMPT, "open": OPEN, "closed": CLOSED}


def main() -> int:
    """Show what each kind takes; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--connections", type=int, default=500_000, metavar="N")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.kind:
        measure(given.kind, given.connections)
        return 0
    for kind in KINDS:
        command = [sys.executable, __file__, "--connections", str(given.connections)]
        subprocess.run([*command, "--kind", kind], check=True)
    return 0


def measure(kind: str, n_connections: int) -> None:
    """Print what connections of one kind take in this process."""
    from trtop_core.config import EngineConfig  # noqa: PLC0415 - only in the measured process
    from trtop_core.engine import MIN_SEED_BYTES, Engine  # noqa: PLC0415 - likewise

    engine = Engine(EngineConfig(max_connections=2 * n_connections), bytes(MIN_SEED_BYTES))
    engine.feed(batch_of(KINDS[kind], 0))
    before_kib = resident_kib()
    n_blocks = n_connections // N_AT_ONCE
    for block in range(1, n_blocks + 1):
        engine.feed(batch_of(KINDS[kind], block))
    n_added = n_blocks * N_AT_ONCE
    grown = (resident_kib() - before_kib) * 1024 / n_added
    table = engine._state.table
    assert table.n_connections == n_added + N_AT_ONCE
    packed = table.packed_bytes / max(1, table.n_packed)
    print(
        f"{kind}: {grown:.0f} bytes each of the process, {packed:.1f} of its record when packed; "
        f"{table.n_packed} of {table.n_connections} packed, {table.n_records} records at once"
    )


def batch_of(steps: tuple[Step, ...], block: int) -> Any:
    """The packets of one block of connections, step by step."""
    from trtop_core.batch import PacketBatch  # noqa: PLC0415 - only in the measured process
    from trtop_core.records import PACKET_INDEX  # noqa: PLC0415 - likewise

    n_packets = len(steps) * N_AT_ONCE
    numbers = block * N_AT_ONCE + np.arange(N_AT_ONCE)
    frames = np.concatenate([frames_of(step, numbers) for step in steps])
    index = np.zeros(n_packets, PACKET_INDEX)
    index["ts_ns"] = START_NS + block * SPAN_NS + np.arange(n_packets) * (SPAN_NS // n_packets)
    index["offset"] = np.arange(n_packets) * FRAME_BYTES
    index["caplen"] = FRAME_BYTES
    payloads = np.repeat([step.n_bytes for step in steps], N_AT_ONCE)
    index["wire_len"] = FRAME_BYTES + payloads
    index["link_type"] = 1
    return PacketBatch(frames.reshape(-1), index)


def frames_of(step: Step, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """One packet of each connection, shape (n, FRAME_BYTES)."""
    frames = np.zeros((len(numbers), FRAME_BYTES), np.uint8)
    frames[:, 12:14] = 0x08, 0x00
    frames[:, 14] = 0x45
    put(frames, 16, 2, 40 + step.n_bytes)
    frames[:, 22:24] = 64, 6
    client = (10 << 24) + numbers % 100 + 1
    server = (198 << 24) + (51 << 16) + (100 << 8) + numbers % 100 + 1
    client_port, server_port = 1_024 + numbers // 100 % 60_000, np.full(len(numbers), 443)
    client_isn, server_isn = numbers * 2_654_435_761, numbers * 2_246_822_519
    ends = [(client, client_port, client_isn), (server, server_port, server_isn)]
    own, other = ends if step.from_client else ends[::-1]
    put(frames, 26, 4, own[0])
    put(frames, 30, 4, other[0])
    put(frames, 34, 2, own[1])
    put(frames, 36, 2, other[1])
    put(frames, 38, 4, own[2] + step.seq)
    put(frames, 42, 4, (other[2] + step.ack) * bool(step.flags & ACK))
    frames[:, 46:48] = 0x50, step.flags
    frames[:, 48:50] = 0xFF
    return frames


def put(
    frames: npt.NDArray[np.uint8], at: int, n_bytes: int, value: npt.NDArray[np.int64] | int
) -> None:
    """Write numbers in the order of the network, modulo their width."""
    for i in range(n_bytes):
        frames[:, at + i] = np.asarray(value) >> 8 * (n_bytes - 1 - i) & 0xFF


def resident_kib() -> int:
    """What this process has in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KIB


if __name__ == "__main__":
    sys.exit(main())
