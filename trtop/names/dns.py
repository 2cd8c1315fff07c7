"""``DNSResolver``: names by reverse look-ups (PTR, RFC 1035 §3.5), through dnspython.

Takes addresses, asks name servers, gives names. Its answers are kept as long as their time to live
says, within bounds. Never asks for an address that no public or local zone can know.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence

import dns.exception
import dns.name
import dns.resolver
import dns.reversename

from trtop.names.base import BaseResolver, NameAnswer
from trtop_core.errors import TrtopError

TIMEOUT_S = 2.0
"""Time for one name, all servers and attempts together."""

N_CACHED = 65_536
"""Answers that are kept, the least recently used go first."""

MIN_AGE_S = 60.0
"""Names with a shorter time to live are kept for so long all the same: they are for eyes."""

MAX_AGE_S = 3600.0
"""Names with a longer one are asked for again after this."""

RETRY_S = 60.0
"""When no server answered."""

N_THREADS = 16


class DNSResolver(BaseResolver):
    """Reverse look-ups, several at a time.

    This makes traffic of its own, unlike all the rest of trtop.

    Args:
        nameservers: addresses of the servers to ask; None: those of the system.
        port: theirs.
        timeout_s: after so long a look-up is given up.
        concurrency: look-ups at the same time.
        n_cached: names that are kept, the least recently used go first.
        min_age_s: no name is asked for again earlier, whatever its time to live.
        max_age_s: every name is asked for again after this.

    Raises:
        TrtopError: the system names no server.
    """

    needs_port = False

    def __init__(  # noqa: PLR0913 - all but the first are options
        self,
        nameservers: Sequence[str] | None = None,
        *,
        port: int = 53,
        timeout_s: float = TIMEOUT_S,
        concurrency: int = N_THREADS,
        n_cached: int = N_CACHED,
        min_age_s: float = MIN_AGE_S,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self.concurrency = concurrency
        self._min_age_s, self._max_age_s = min_age_s, max_age_s
        try:
            self._resolver = dns.resolver.Resolver(configure=nameservers is None)
        except (dns.resolver.NoResolverConfiguration, OSError):
            raise TrtopError("no name server in /etc/resolv.conf to ask for names") from None
        if nameservers is not None:
            try:
                self._resolver.nameservers = [*nameservers]
            except ValueError as error:
                raise TrtopError(f"no name server: {error}") from None
        self._resolver.port = port
        self._resolver.lifetime = timeout_s
        self._resolver.timeout = min(timeout_s, self._resolver.timeout)
        self._resolver.cache = dns.resolver.LRUCache(n_cached)
        self._resolver.retry_servfail = False

    def resolve(self, addr: str, port: int) -> str | None:
        """The name that the PTR record of an address gives, None without one."""
        return self.answer(addr, port).name

    def answer(self, addr: str, port: int) -> NameAnswer:
        """The name, and how long it is good for."""
        if not _is_askable(addr):
            return NameAnswer(None)
        question = dns.reversename.from_address(addr)
        try:
            found = self._resolver.resolve(question, "PTR", raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return NameAnswer(None, self._max_age_s)
        except (dns.exception.DNSException, OSError):
            return NameAnswer(None, RETRY_S)
        left_s = found.expiration - time.time()
        age_s = max(self._min_age_s, min(left_s, self._max_age_s))
        if not found.rrset:
            return NameAnswer(None, age_s)
        names = sorted(_text(record.target) for record in found.rrset)
        return NameAnswer(names[0] or None, age_s)


def _is_askable(addr: str) -> bool:
    address = ipaddress.ip_address(addr)
    return not (address.is_multicast or address.is_unspecified)


def _text(name: dns.name.Name) -> str:
    """A name without its last dot; bytes that are no letters stay visible as numbers."""
    return name.to_text(omit_final_dot=True)
