"""Resolvers: what a destination is called.

A resolver takes an address and a port, gives a name or None. trtop asks it once per destination,
on a thread of its own, so it may take its time; until it has answered the address is shown. Rows
whose names are equal become one row.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trtop_core.errors import TrtopError

if TYPE_CHECKING:
    from trtop.names.capture import CaptureResolver
    from trtop.names.dns import DNSResolver

__all__ = [
    "Answer",
    "BaseResolver",
    "CaptureResolver",
    "ChainResolver",
    "DNSResolver",
    "DefaultDNSResolver",
    "HostsResolver",
    "NoResolver",
]

HOSTS_FILE = "/etc/hosts"

MAX_HOSTS_BYTES = 64 * 1024 * 1024
"""Of a hosts file: the largest block lists have some MiB."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a resolver said.

    Attributes:
        name: the name; None: there is none, the address is shown.
        max_age_s: after so many seconds it is worth asking again; None: never.
    """

    name: str | None
    max_age_s: float | None = None


class BaseResolver:
    """Subclass this and write ``resolve``.

    Attributes:
        concurrency: how many threads may ask at the same time. One, unless you say otherwise: a
            resolver need not be thread-safe.
        is_instant: ``resolve`` looks something up in memory. It is then asked for every picture,
            by the thread that makes it, and may change its mind.
        needs_port: names depend on the port; else a destination is an address, and port is 0.
    """

    concurrency = 1
    is_instant = False
    needs_port = True

    def resolve(self, addr: str, port: int) -> str | None:
        """The name of a destination.

        Args:
            addr: IPv4 or IPv6 address.
            port: the server's port; 0 where destinations are addresses.

        Returns:
            A name, or None for the address itself. Whatever it raises is logged once.
        """
        raise NotImplementedError(f"{type(self).__name__} has no resolve(addr, port)")

    def resolve_async(
        self, addr: str, port: int, callback: Callable[[str, str | None], Any]
    ) -> None:
        """Call ``callback(addr, name)`` with what ``resolve`` gives."""
        callback(addr, self.resolve(addr, port))

    def answer(self, addr: str, port: int) -> Answer:
        """What ``resolve`` gives, and how long it is good for; as a rule, for ever."""
        return Answer(self.resolve(addr, port))

    def links(self) -> Sequence[BaseResolver]:
        """The resolvers to ask one after the other; those of a chain, else this one."""
        return (self,)


class NoResolver(BaseResolver):
    """Addresses stay addresses."""

    is_instant = True
    needs_port = False

    def resolve(self, addr: str, port: int) -> str | None:
        """The address."""
        return addr

    def links(self) -> Sequence[BaseResolver]:
        """None: there is nothing to ask."""
        return ()


class DefaultDNSResolver(NoResolver):
    """What a script gets that asks for nothing else: addresses, and no traffic of our own.

    The name is the classic tool's. ``DNSResolver`` asks name servers.
    """


class ChainResolver(BaseResolver):
    """Several resolvers; the first that knows a name wins.

    Args:
        resolvers: in the order of trust.
    """

    def __init__(self, resolvers: Iterable[BaseResolver]) -> None:
        self.resolvers = tuple(resolvers)
        self.needs_port = any(resolver.needs_port for resolver in self.resolvers)

    def resolve(self, addr: str, port: int) -> str | None:
        """The first name that one of the resolvers gives."""
        for resolver in self.resolvers:
            name = resolver.resolve(addr, port)
            if name and name != addr:
                return name
        return None

    def links(self) -> Sequence[BaseResolver]:
        """The resolvers of the chain, those of chains in it one by one."""
        return tuple(link for resolver in self.resolvers for link in resolver.links())


class HostsResolver(BaseResolver):
    """Names from a hosts file: an address, then its name, then aliases, then ``#`` and remarks.

    Args:
        path: the file, read once, now. The first name of an address counts.

    Raises:
        TrtopError: the file cannot be read.
    """

    is_instant = True
    needs_port = False

    def __init__(self, path: str | os.PathLike[str] = HOSTS_FILE) -> None:
        self._names: dict[str, str] = {}
        try:
            with open(path, encoding="utf-8", errors="backslashreplace") as lines:
                text = lines.read(MAX_HOSTS_BYTES)
        except OSError as error:
            raise TrtopError(f"{os.fspath(path)}: {error.strerror}") from None
        for line in text.splitlines():
            self._add(line)

    def resolve(self, addr: str, port: int) -> str | None:
        """The name in the file."""
        return self._names.get(addr)

    def _add(self, line: str) -> None:
        words = line.partition("#")[0].split()
        if len(words) < 2:
            return
        try:
            address = ipaddress.ip_address(words[0].partition("%")[0])
        except ValueError:
            return  # as the system's own resolver does
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        self._names.setdefault(str(mapped or address), words[1])


def __getattr__(name: str) -> Any:
    """Resolvers with rooms of their own are imported when they are used."""
    if name == "DNSResolver":
        from trtop.names.dns import DNSResolver  # noqa: PLC0415 - dnspython takes a while

        return DNSResolver
    if name == "CaptureResolver":
        from trtop.names.capture import CaptureResolver  # noqa: PLC0415 - as above

        return CaptureResolver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
