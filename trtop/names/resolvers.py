"""Resolvers that need nobody: none, several one after the other, and a hosts file.

``NoResolver`` and ``DefaultDNSResolver`` leave addresses as they are, ``ChainResolver`` takes the
first name that one of several gives, ``HostsResolver`` reads a file. None makes any traffic.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Sequence

from trtop.names.base import BaseResolver
from trtop_core.errors import TrtopError

HOSTS_FILE = "/etc/hosts"

MAX_HOSTS_BYTES = 64 * 1024 * 1024
"""Largest hosts file that is read: the largest block lists have some MiB."""


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
    """The resolver of scripts that name none: leaves addresses as they are, without any traffic.

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
