"""The path between the clients and the services of the example capture: it delays, and loses.

Hands frames from one interface to the other, in a network namespace of its own, until its standard
input ends. Needs no queueing discipline of the kernel: what is lost is the same in every recording.
"""

from __future__ import annotations

import heapq
import ipaddress
import os
import select
import socket
import sys
import time
from dataclasses import dataclass

import services

TO_CLIENTS, TO_SERVERS = "clients", "servers"
"""The interfaces of the path."""

DELAY_S = 0.000_5
"""One way, where no other is named."""

DELAYS_S = {services.FAR: 0.060, services.NOT_REUSED: 0.004}
"""One way, to and from a service."""

LOSES = services.LOSSY
LOST_OF = 7
"""Every seventh segment with payload that goes to the lossy service is lost."""

SOL_PACKET = 263
PACKET_VNET_HDR = 15
VNET_HDR_BYTES = 10
"""Before each frame: which checksum is still to be computed, and into what it is to be cut."""

ETH_BYTES, IPV4_BYTES, IPV6_BYTES = 14, 20, 40
ETHERTYPE_IPV4, ETHERTYPE_IPV6 = b"\x08\x00", b"\x86\xdd"
FRAME_BYTES = 1 << 17


@dataclass(frozen=True, slots=True)
class Ends:
    """Between whom a frame goes.

    Attributes:
        source: address, empty for what is not IP.
        destination: the same.
        payload_bytes: beyond the headers of TCP; 0 for anything but TCP over IPv4.
    """

    source: str
    destination: str
    payload_bytes: int


class Path:
    """Frames under way, and how many segments may have been lost."""

    def __init__(self) -> None:
        self._under_way: list[tuple[float, int, socket.socket, bytes]] = []
        self._n_frames = 0
        self._n_segments = 0

    def take(self, frame: bytes, onward: socket.socket, now_s: float) -> None:
        """Take a frame that is to leave by a socket."""
        ends = ends_of(frame[VNET_HDR_BYTES:])
        if ends.destination == LOSES and ends.payload_bytes:
            self._n_segments += 1
            if self._n_segments % LOST_OF == 0:
                return
        delay_s = DELAYS_S.get(ends.source) or DELAYS_S.get(ends.destination, DELAY_S)
        self._n_frames += 1
        heapq.heappush(self._under_way, (now_s + delay_s, self._n_frames, onward, frame))

    def hand_over(self, now_s: float) -> float | None:
        """Send what is due; seconds until more is, None if nothing is under way."""
        while self._under_way and self._under_way[0][0] <= now_s:
            _, _, onward, frame = heapq.heappop(self._under_way)
            onward.send(frame)
        return self._under_way[0][0] - now_s if self._under_way else None


def ends_of(frame: bytes) -> Ends:
    """Where a frame comes from and goes to."""
    packet = frame[ETH_BYTES:]
    ethertype = frame[12:14]
    if ethertype == ETHERTYPE_IPV6 and len(packet) >= IPV6_BYTES:
        return Ends(_address(packet[8:24]), _address(packet[24:40]), 0)
    if ethertype != ETHERTYPE_IPV4 or len(packet) < IPV4_BYTES:
        return Ends("", "", 0)
    header_bytes = 4 * (packet[0] & 15)
    payload_bytes = 0
    if packet[9] == socket.IPPROTO_TCP and len(packet) > header_bytes + 12:
        tcp_bytes = 4 * (packet[header_bytes + 12] >> 4)
        payload_bytes = int.from_bytes(packet[2:4], "big") - header_bytes - tcp_bytes
    return Ends(_address(packet[12:16]), _address(packet[16:20]), payload_bytes)


def _address(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


def _opened(interface: str) -> socket.socket:
    every_protocol = socket.htons(0x0003)
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, every_protocol)
    opened.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    opened.bind((interface, 0x0003))
    return opened


def main() -> None:
    """Hand frames over, say so, and end with standard input."""
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    clients, servers = _opened(TO_CLIENTS), _opened(TO_SERVERS)
    onward = {clients: servers, servers: clients}
    path = Path()
    sys.stdout.write(services.READY)
    sys.stdout.flush()
    while True:
        wait_s = path.hand_over(time.monotonic())
        ready, _, _ = select.select([*onward, sys.stdin], [], [], wait_s)
        if sys.stdin in ready:
            return
        for arrived in ready:
            frame, origin = arrived.recvfrom(FRAME_BYTES)
            if origin[2] != socket.PACKET_OUTGOING:
                path.take(frame, onward[arrived], time.monotonic())


if __name__ == "__main__":
    main()
