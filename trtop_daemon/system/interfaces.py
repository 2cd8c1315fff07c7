"""This machine's interfaces: which there are, whether they are up, and their addresses.

``InterfaceWatch`` is a descriptor that becomes readable when one of these changes; what they are
now is asked for anew then. Changes nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

import pcapy
import psutil

from trtop_daemon.ipc.feed import ANY_INTERFACE

Network = IPv4Network | IPv6Network

LOOPBACKS: tuple[Network, ...] = (
    ipaddress.IPv4Network("127.0.0.0/8"),
    ipaddress.IPv6Network("::1/128"),
)
"""Local whatever the interfaces say: all of 127/8 answers on Linux."""

# netdevice(7)
_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8
_SIOCGIFFLAGS = 0x8913
_NAME_BYTES = 15
_IFREQ = struct.Struct("16sH22x")

# rtnetlink(7)
_RTMGRP_LINK = 0x1
_RTMGRP_IPV4_IFADDR = 0x10
_RTMGRP_IPV6_IFADDR = 0x100

_MESSAGE_BYTES = 65_536
_MAX_MESSAGES = 1_000
"""Taken at a time; only that there was one matters."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface, as ``trtopd --list-interfaces`` shows it.

    Attributes:
        name: what ``-i`` takes.
        is_up: None where there is no such thing.
        addresses: as text.
    """

    name: str
    is_up: bool | None
    addresses: tuple[str, ...]


def list_interfaces() -> list[Interface]:
    """Interfaces that can be captured on, ``any`` first.

    libpcap's other sources (bluetooth, nflog and their like) hold no TCP that can be decoded.
    """
    states, addresses = psutil.net_if_stats(), _addresses()
    found = [
        Interface(name, _is_up(states[name].flags), tuple(addresses.get(name, ())))
        for name in pcapy.findalldevs()
        if name in states
    ]
    return [Interface(ANY_INTERFACE, None, ()), *found]


def local_networks() -> tuple[Network, ...]:
    """Every address of this machine as a network of its own, and the loopback networks."""
    found: dict[Network, None] = dict.fromkeys(LOOPBACKS)
    for addresses in _addresses().values():
        for address in addresses:
            with contextlib.suppress(ValueError):
                network = ipaddress.ip_network(address.partition("%")[0])
                if not any(
                    network.version == loopback.version and network.network_address in loopback
                    for loopback in LOOPBACKS
                ):
                    found[network] = None
    return tuple(found)


def index_of(name: str) -> int:
    """The kernel's number of an interface, 0 if there is none; a new one of a name has another."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def is_up(name: str) -> bool:
    """Whether an interface is there and up."""
    return bool(_flags_of(name) & _IFF_UP)


def is_loopback(name: str) -> bool:
    """Whether what leaves an interface arrives there."""
    return bool(_flags_of(name) & _IFF_LOOPBACK)


class InterfaceWatch:
    """A netlink socket that hears of changes.

    Where netlink is not to be had the descriptor never becomes readable: ask now and then as well.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK,
                socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
                socket.NETLINK_ROUTE,
            )
            self._socket.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))
        except OSError:
            self.close()

    @property
    def filenos(self) -> list[int]:
        """Descriptors to poll for input."""
        return [] if self._socket is None else [self._socket.fileno()]

    def has_changed(self) -> bool:
        """Whether something changed since this was asked last."""
        changed = False
        if self._socket is None:
            return changed
        for _ in range(_MAX_MESSAGES):
            try:
                self._socket.recv(_MESSAGE_BYTES)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: so many that some were lost
                return True
            changed = True
        return changed

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _addresses() -> dict[str, list[str]]:
    families = (socket.AF_INET, socket.AF_INET6)
    return {
        name: [entry.address for entry in entries if entry.family in families]
        for name, entries in psutil.net_if_addrs().items()
    }


def _flags_of(name: str) -> int:
    """The flags of an interface; 0 where there is none."""
    raw = name.encode(errors="surrogateescape")
    if len(raw) > _NAME_BYTES:
        return 0
    # Any socket will do; one of the internet is what a confined process cannot make.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, _SIOCGIFFLAGS, _IFREQ.pack(raw, 0))
        except OSError:
            return 0
    flags: int = _IFREQ.unpack(answer)[1]
    return flags


def _is_up(flags: str) -> bool:
    return "up" in flags.split(",")
