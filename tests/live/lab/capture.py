"""Captures at a host of the laboratory: complete, and ended at a known packet."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from support.netns import Host

from lab import LabError
from lab.processes import datagram, is_settled, running, wait_until

SETTLE_TIMEOUT_S = 8.0
END_TIMEOUT_S = 10.0

MARKER = b"the end of the capture"
MARKER_PORT = 9
RECORD_HEADER_BYTES = 16
MARKER_BYTES = RECORD_HEADER_BYTES + 14 + 20 + 8 + len(MARKER)


@contextlib.contextmanager
def capturing(host: Host, peer: Host, path: Path) -> Iterator[None]:
    """Write what passes a host's interface into a file, the connections' ends included.

    At the end it waits until no connection is open any more, and until a datagram that the peer
    sends behind everything else has arrived; that one is cut off again.
    """
    log = path.with_suffix(".tcpdump")
    command = ["tcpdump", "-i", host.link, "-U", "-B", "65536", "-Z", "root"]
    command += ["--time-stamp-precision=nano", "-w", str(path)]
    with running(host, [*command, f"tcp or udp port {MARKER_PORT}"], log) as process:
        wait_until(lambda: b"listening on" in log.read_bytes(), END_TIMEOUT_S, "tcpdump starts")
        yield
        settle(host, peer)
        datagram(peer, (host.v4, MARKER_PORT), MARKER)
        wait_until(lambda: _ends_with_marker(path), END_TIMEOUT_S, "tcpdump writes the last packet")
        process.send_signal(signal.SIGTERM)
    os.truncate(path, path.stat().st_size - MARKER_BYTES)


def settle(one: Host, other: Host) -> None:
    """Wait until all connections have ended, but not for ever: some programs keep theirs."""

    def is_over() -> bool:
        return is_settled(one, other) and is_settled(other, one)

    with contextlib.suppress(LabError):
        wait_until(is_over, SETTLE_TIMEOUT_S, "connections end")


def _ends_with_marker(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - len(MARKER)))
        return file.read() == MARKER
