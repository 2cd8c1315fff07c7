"""A name server of one's own on the loopback interface: reverse zones from a table."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping

import dns.flags
import dns.message
import dns.rcode
import dns.reversename
import dns.rrset


class NameServer:
    """Answers PTR queries; a context manager.

    Args:
        names: by address; what is missing does not exist (NXDOMAIN).
        ttl_s: of every record.
        silent: addresses whose queries are not answered.
        n_held: queries that are not answered before so many addresses have been asked for.

    Attributes:
        port: of 127.0.0.1.
        asked: the addresses that were asked for, in their order.
    """

    def __init__(
        self,
        names: Mapping[str, str | list[str]],
        ttl_s: int = 300,
        silent: frozenset[str] = frozenset(),
        n_held: int = 1,
    ) -> None:
        self.asked: list[str] = []
        self._names, self._ttl_s, self._silent = names, ttl_s, silent
        self._n_held = n_held
        self._held: list[tuple[dns.message.Message, tuple[str, int]]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.port: int = self._socket.getsockname()[1]
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_over.set()
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while not self._is_over.is_set():
            try:
                wire, peer = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            query = dns.message.from_wire(wire)
            reply = self._reply(query)
            if reply is not None:
                self._held.append((reply, peer))
            if len(set(self.asked)) >= self._n_held:
                for held, asker in self._held:
                    self._socket.sendto(held.to_wire(), asker)
                self._held.clear()

    def _reply(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        addr = dns.reversename.to_address(question.name)
        self.asked.append(addr)
        if addr in self._silent:
            return None
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        targets = self._names.get(addr)
        if targets is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif targets:
            listed = [targets] if isinstance(targets, str) else targets
            reply.answer.append(
                dns.rrset.from_text(question.name, self._ttl_s, "IN", "PTR", *listed)
            )
        return reply
