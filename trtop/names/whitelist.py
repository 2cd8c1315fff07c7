"""Whitelists: which destinations are shown and counted in the totals.

A whitelist takes a host and a port, says yes or no. trtop asks it once per destination, on a
thread of its own; a destination is left out until it has answered.
"""

from __future__ import annotations

import fnmatch
import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from trtop.names.base import CONFLICT
from trtop_core.errors import TrtopError

__all__ = [
    "BaseWhitelist",
    "BothWhitelist",
    "DefaultWhitelist",
    "RuleWhitelist",
    "StaticListWhitelist",
]

MAX_PORT = 65_535


class BaseWhitelist:
    """Subclass this and write ``allow``.

    Attributes:
        needs_port: the answer depends on the port; else a destination is an address, and port 0.
    """

    needs_port = True

    def allow(self, host: str, port: int) -> bool:
        """Whether to show a destination.

        Args:
            host: IPv4 or IPv6 address.
            port: the server's port; 0 where destinations are addresses.

        Returns:
            Yes or no. Whatever it raises is logged once, and counts as yes.
        """
        raise NotImplementedError(f"{type(self).__name__} has no allow(host, port)")


class DefaultWhitelist(BaseWhitelist):
    """Everything is shown."""

    needs_port = False

    def allow(self, host: str, port: int) -> bool:
        """Yes."""
        return True


class StaticListWhitelist(BaseWhitelist):
    """The listed addresses are shown.

    Args:
        allowed: addresses.
    """

    needs_port = False

    def __init__(self, allowed: Collection[str]) -> None:
        self.allowed = allowed

    def allow(self, host: str, port: int) -> bool:
        """Whether the address is in the list."""
        return host in self.allowed


@dataclass(frozen=True, slots=True)
class Rule:
    """What ``--allow`` and ``--deny`` take: networks, ports, name patterns.

    Attributes:
        network: addresses that it is about; None: any.
        port: the port that it is about; None: any.
        pattern: a shell pattern for names, in lower case; None: any.
    """

    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None
    port: int | None = None
    pattern: str | None = None

    @classmethod
    def read(cls, text: str) -> Rule:
        """A rule from its text: ``10.0.0.0/8``, ``:443``, ``*.example.com``, ``[::1]:80``.

        Raises:
            ValueError: it makes no sense.
        """
        text = text.strip()
        network, port = _network(text), None
        if network is None:
            host, colon, port_text = text.rpartition(":")
            if text.isascii() and text.isdigit():
                host, port = "", _port(text)
            elif colon and port_text.isascii() and port_text.isdigit():
                port = _port(port_text)
            else:
                host = text
            bare = host.removeprefix("[").removesuffix("]")
            network = _network(bare) if bare else None
            if network is None and bare:
                if not host.isprintable() or any(char in host for char in "/ ,:"):
                    raise ValueError(
                        f"{text!r} is no rule (10.0.0.0/8, 192.0.2.7:443, :443, *.example.com)"
                    )
                return cls(None, port, host.lower())
        if network is None and port is None:
            raise ValueError("an empty rule")
        return cls(network, port)

    def fits(self, host: str, port: int, name: str | None) -> bool:
        """Whether a destination is what the rule is about."""
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            return ipaddress.ip_address(host) in self.network
        if self.pattern is not None:
            return any(
                fnmatch.fnmatchcase(text.lower(), self.pattern) for text in (name, host) if text
            )
        return True


class RuleWhitelist(BaseWhitelist):
    """Networks, ports and name patterns: shown is what a rule allows and none denies.

    Args:
        allow: rules as text; without any, everything is allowed.
        deny: rules as text; they win.

    Attributes:
        needs_name: a rule is about names; a destination without one is matched by its address.

    Raises:
        TrtopError: a rule makes no sense.
    """

    def __init__(self, allow: Sequence[str] = (), deny: Sequence[str] = ()) -> None:
        try:
            self._allow = [Rule.read(text) for text in allow]
            self._deny = [Rule.read(text) for text in deny]
        except ValueError as error:
            raise TrtopError(str(error)) from None
        rules = self._allow + self._deny
        self.needs_port = any(rule.port is not None for rule in rules)
        self.needs_name = any(rule.pattern is not None for rule in rules)

    def allow(self, host: str, port: int) -> bool:
        """Whether the rules allow a destination that has no name."""
        return self.allow_named(host, port, None)

    def allow_named(self, host: str, port: int, name: str | None) -> bool:
        """Whether the rules allow a destination."""
        name = None if name is None else name.removesuffix(CONFLICT)
        if any(rule.fits(host, port, name) for rule in self._deny):
            return False
        return not self._allow or any(rule.fits(host, port, name) for rule in self._allow)


class BothWhitelist(BaseWhitelist):
    """A whitelist of one's own, and rules: shown is what both allow.

    Args:
        first: asked once per destination.
        rules: looked at for every snapshot.
    """

    def __init__(self, first: BaseWhitelist, rules: RuleWhitelist) -> None:
        self.first, self.rules = first, rules
        self.needs_port = first.needs_port or rules.needs_port

    def allow(self, host: str, port: int) -> bool:
        """Whether both allow a destination that has no name."""
        return self.rules.allow(host, port) and self.first.allow(host, port)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _port(text: str) -> int:
    port = int(text) if len(text) <= len(str(MAX_PORT)) else MAX_PORT + 1
    if not 0 < port <= MAX_PORT:
        raise ValueError(f"{text} is no port (1 … {MAX_PORT:,})")
    return port
