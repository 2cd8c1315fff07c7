"""Send TCP segments at a given rate, with as little work per packet as a process can do.

    python benchmarks/sender.py INTERFACE [--rate PER_S] [--packets N] [--frame BYTES]

Frames of a few thousand connections are made once and sent round and round with sendmmsg(2): a
system call takes hundreds. Prints one JSON object: packets sent, and the seconds that took. Sends
to whatever is at the other end of a veth pair, and is meant for that.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import socket
import struct
import time

N_CONNECTIONS = 1_024
N_DESTINATIONS = 64

PER_CALL = 256
"""Packets of one system call; at low rates fewer, so that they come evenly."""

CALLS_PER_S = 1_000
"""Calls per second above which more packets go into each."""

SLACK_S = 0.0002
"""Waits shorter than this are spun."""

SOL_PACKET = 263
PACKET_QDISC_BYPASS = 20

ETHERTYPE_IPV4 = 0x0800
ACK, PSH = 0x10, 0x08
TTL = 64


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("sent", ctypes.c_uint32))


def frame(connection: int, frame_bytes: int) -> bytes:
    """An Ethernet frame with one TCP segment of a connection; every one of them is new data."""
    payload = bytes(max(0, frame_bytes - 54))
    src, dst = 0x0A530100 + connection // 16_384, 0xC6336400 + connection % N_DESTINATIONS
    tcp = struct.pack(
        ">HHIIBBHHH",
        20_000 + connection % 16_384,
        443,
        1 + connection,
        1,
        0x50,
        ACK | PSH,
        512,
        connection & 0xFFFF,
        0,
    )
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 40 + len(payload), 0, 0, TTL, 6, 0, src, dst)
    # To nobody: the receiving host drops it after the capture has seen it.
    ethernet = b"\x02\0\0\0\0\x02" + b"\x02\0\0\0\0\x01" + struct.pack(">H", ETHERTYPE_IPV4)
    return ethernet + ip + tcp + payload


class Sender:
    """A packet socket with its messages made up beforehand.

    Args:
        interface: where to send.
        frame_bytes: of each frame.
    """

    def __init__(self, interface: str, frame_bytes: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((interface, 0))
        self._socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self._frames = [
            ctypes.create_string_buffer(frame(i, frame_bytes), frame_bytes)
            for i in range(N_CONNECTIONS)
        ]
        self._iovecs = (_Iovec * N_CONNECTIONS)()
        self._messages = (_Mmsghdr * N_CONNECTIONS)()
        for i, made in enumerate(self._frames):
            self._iovecs[i] = _Iovec(ctypes.addressof(made), frame_bytes)
            self._messages[i].header.iov = ctypes.pointer(self._iovecs[i])
            self._messages[i].header.iovlen = 1
        self._at = 0

    def send(self, n_packets: int) -> int:
        """Send up to so many; how many went out."""
        n_packets = min(n_packets, N_CONNECTIONS - self._at)
        first = ctypes.byref(self._messages, self._at * ctypes.sizeof(_Mmsghdr))
        sent: int = self._libc.sendmmsg(self._socket.fileno(), first, n_packets, 0)
        if sent < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._at = (self._at + sent) % N_CONNECTIONS
        return sent


def send_at(sender: Sender, rate: float | None, n_packets: int) -> tuple[int, float]:
    """Send packets evenly.

    Returns:
        How many went out, and the seconds it took.
    """
    per_call = PER_CALL if rate is None else max(1, min(PER_CALL, int(rate / CALLS_PER_S)))
    began_s = time.perf_counter()
    sent = 0
    while sent < n_packets:
        if rate is not None:
            wait_s = began_s + sent / rate - time.perf_counter()
            if wait_s > SLACK_S:
                time.sleep(wait_s)
        sent += sender.send(min(per_call, n_packets - sent))
    return sent, time.perf_counter() - began_s


def main() -> None:
    """Send, and say how much."""
    parser = argparse.ArgumentParser(description="Send TCP segments.")
    parser.add_argument("interface")
    parser.add_argument("--rate", type=float, help="packets per second; else as fast as it goes")
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--frame", type=int, default=100, metavar="BYTES")
    given = parser.parse_args()
    sent, seconds = send_at(Sender(given.interface, given.frame), given.rate, given.packets)
    print(json.dumps({"sent": sent, "seconds": seconds}))


if __name__ == "__main__":
    main()
