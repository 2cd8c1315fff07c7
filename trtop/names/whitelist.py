"""Whitelists: which destinations are shown and counted in the totals.

A whitelist takes a host and a port, says yes or no. trtop asks it once per destination, on a
thread of its own; a destination is left out until it has answered.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop.filters.filter import nodes_of, parse_filter
from trtop.filters.masks import mask_of
from trtop.filters.rows import MAPPED, Mask, Rows
from trtop.filters.tree import And, Inside, Node, Not, Or, Pattern, Port, Text, Whole
from trtop_core.errors import TrtopError
from trtop_core.metrics import COUNTER_ROW
from trtop_core.records import DESTINATION_KEY, DestinationKind
from trtop_core.table import Table, destination_names
from trtop_core.view import DEFAULT_PERCENTILE

__all__ = [
    "BaseWhitelist",
    "BothWhitelist",
    "DefaultWhitelist",
    "RuleWhitelist",
    "StaticListWhitelist",
]


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


class RuleWhitelist(BaseWhitelist):
    """Filters of names, addresses and ports: shown is what one allows and none denies.

    A plain word is a whole name here (``example.com``; ``*example*`` for a part), so that nothing
    is let in that was not written.

    Args:
        allow: filters as text; without any, everything is allowed.
        deny: filters as text; they win.

    Attributes:
        needs_name: a filter is about names; a destination without one is matched by its address.

    Raises:
        TrtopError: a filter makes no sense, or asks for numbers.
    """

    def __init__(self, allow: Sequence[str] = (), deny: Sequence[str] = ()) -> None:
        self._allow = [_rule(text) for text in allow]
        self._deny = [_rule(text) for text in deny]
        nodes = [node for tree in (*self._allow, *self._deny) for node in nodes_of(tree)]
        self.needs_port = any(isinstance(node, Port) for node in nodes)
        self.needs_name = any(isinstance(node, (Text, Whole, Pattern)) for node in nodes)

    def allow(self, host: str, port: int) -> bool:
        """Whether the filters allow a destination that has no name."""
        return self.allow_named(host, port, None)

    def allow_named(self, host: str, port: int, name: str | None) -> bool:
        """Whether the filters allow a destination."""
        return bool(self.mask(_one_key(host, port), [name])[0])

    def mask(self, keys: npt.NDArray[Any], names: Sequence[str | None]) -> Mask:
        """Which destinations the filters allow, shape (n,).

        Args:
            keys: shape (n,), dtype ``records.DESTINATION_KEY``.
            names: of each, without its port; None: it has none.
        """
        table = Table(keys, np.zeros(len(keys), COUNTER_ROW), {})
        labels = [name or own for name, own in zip(names, destination_names(keys), strict=True)]
        rows = Rows(table, lambda: labels, span_ns=0, percentile=DEFAULT_PERCENTILE)
        allowed = np.full(len(keys), not self._allow)
        for tree in self._allow:
            allowed |= mask_of(tree, rows)
        for tree in self._deny:
            allowed &= ~mask_of(tree, rows)
        return allowed


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


def _rule(text: str) -> Node:
    """The tree of one rule, in which plain words are whole names.

    Raises:
        TrtopError: it makes no sense.
    """
    try:
        found = parse_filter(text)
    except ValueError as error:
        raise TrtopError(f"{text!r} is no rule: {error}") from None
    if found is None:
        raise TrtopError("an empty rule; such as 10.0.0.0/8, :443, *.example.com")
    if found.has_numbers:
        raise TrtopError(
            f"{text!r} is no rule: what is counted goes by names, addresses and ports; "
            "--filter goes by numbers and verdicts"
        )
    return _with_whole_words(found.tree)


def _with_whole_words(node: Node) -> Node:
    match node:
        case And(parts):
            return And(tuple(map(_with_whole_words, parts)))
        case Or(parts):
            return Or(tuple(map(_with_whole_words, parts)))
        case Not(part):
            return Not(_with_whole_words(part))
        case Text(part, of_name) | Whole(part, False, of_name):
            try:
                return Whole(part, False, True) if of_name else Inside(ipaddress.ip_network(part))
            except ValueError:
                return Whole(part, is_glob=False)
    return node


def _one_key(host: str, port: int) -> npt.NDArray[Any]:
    key = np.zeros(1, DESTINATION_KEY)
    address = ipaddress.ip_address(host)
    packed = address.packed if address.version == 6 else MAPPED.tobytes() + address.packed
    key["addr"][0] = np.frombuffer(packed, np.uint8)
    key["port"] = port
    key["kind"] = DestinationKind.ADDR_PORT if port else DestinationKind.ADDR
    return key
