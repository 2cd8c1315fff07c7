"""``BaseResolver``: what every resolver is, and what it answers.

A resolver takes an address and a port, gives a name or None. trtop asks it once per destination,
on a thread of its own, so it may take its time; until it has answered the address is shown. Rows
whose names are equal become one row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NameAnswer:
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
        is_instant: ``resolve`` looks something up in memory. It is then asked for every snapshot,
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

    def answer(self, addr: str, port: int) -> NameAnswer:
        """What ``resolve`` gives, and how long it is good for; as a rule, for ever."""
        return NameAnswer(self.resolve(addr, port))

    def links(self) -> Sequence[BaseResolver]:
        """The resolvers to ask one after the other; those of a chain, else this one."""
        return (self,)
