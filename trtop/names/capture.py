"""``CaptureResolver``: names that the capture itself shows.

Takes batches, gives names: from TLS ClientHellos (the server name, RFC 6066 §3), HTTP requests
(Host, RFC 9110 §7.2) and DNS answers over UDP and TCP. Makes no traffic. What a server was called
by its own client counts if no DNS answer named that address, or one with that very name; else the
DNS answer's name stands, with a mark that they contradict each other. Of each kind the first name
that was seen stays.

Which way it errs: of an address that many names share, the first is shown for all. A name that the
snapshot length cut off is not seen; a ClientHello in several segments is read as far as its first.
Anyone can forge these packets: a name is a hint, not a proof.
"""

from __future__ import annotations

import ipaddress
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import TypeVar

import dns.exception
import dns.message
import dns.rdataclass
import dns.rdatatype

from trtop.filters.rows import CONFLICT
from trtop.names.base import BaseResolver
from trtop_core.batch import PacketBatch
from trtop_core.name_hints import HINTS_SEED_BYTES, Hint, NameHints
from trtop_core.records import HintKind
from trtop_core.snapshot import TOTALS_NAME
from trtop_core.table import OTHER_NAME, address_name

K = TypeVar("K")
V = TypeVar("V")

N_NAMES = 131_072
"""Names that are kept of each kind, the oldest go first."""

MAX_NAMES_OF_ADDRESS = 16
"""Names in DNS answers that are kept of one address: for a shared one, what a client calls it
should be among them."""

MAX_NAME = 253
"""Characters of a name, RFC 1035 §2.3.4."""

NO_NAMES = (TOTALS_NAME, OTHER_NAME)
"""Not taken from a packet: a row of that name would pass for the one of all, or of the rest."""

MAX_TRIES = 8
"""A server whose packets held no name so often is no longer looked at."""

MAX_HEAD = 16 * 1024
"""Bytes of a request in which Host is looked for."""

MAX_CNAMES = 16
"""Links of a chain of aliases that are followed."""

HOST = re.compile(rb"\r?\nhost[ \t]*:[ \t]*([^\r\n]*)\r?\n", re.IGNORECASE)

CLIENT_RANDOM_END = 5 + 4 + 2 + 32
"""Fixed bytes at the start of a ClientHello: record header, handshake header, version, random."""

EXTENSION_SERVER_NAME = 0


class CaptureResolver(BaseResolver):
    """Names from the captured packets themselves.

    Args:
        decap: whether to look inside tunnels.

    Attributes:
        n_skipped: packets that may have held a name, beyond what is looked at per batch.
    """

    is_instant = True
    needs_port = True

    def __init__(self, decap: bool = True) -> None:
        self._hints = NameHints(os.urandom(HINTS_SEED_BYTES), decap)
        self._lock = threading.Lock()
        self._called: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._answered: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._tries: OrderedDict[int, int] = OrderedDict()

    @property
    def n_skipped(self) -> int:
        """Packets that may have held a name, beyond what is looked at per batch."""
        return self._hints.n_skipped

    def feed(self, batch: PacketBatch) -> None:
        """Look for names in a batch."""
        for hint in self._hints.look(batch):
            if hint.kind in (HintKind.DNS_UDP, HintKind.DNS_TCP):
                self._take_answers(hint)
            else:
                self._take_call(hint)

    def resolve(self, addr: str, port: int) -> str | None:
        """The name that was seen for a destination; with port 0 for any port of the address."""
        with self._lock:
            called, answered = self._called.get((addr, port)), self._answered.get(addr)
        if answered is None or called in answered:
            return called
        return answered[0] if called is None else answered[0] + CONFLICT

    def _take_call(self, hint: Hint) -> None:
        name = server_name(hint.payload) if hint.kind is HintKind.TLS else host(hint.payload)
        if name is None:
            tries = self._tries.get(hint.tag, 0) + 1
            _put(self._tries, hint.tag, tries)
            if tries >= MAX_TRIES:
                self._hints.settle(hint)
            return
        self._hints.settle(hint)
        addr = address_name(hint.addr)
        with self._lock:
            for port in (hint.port, 0):
                if (addr, port) not in self._called:
                    _put(self._called, (addr, port), name)

    def _take_answers(self, hint: Hint) -> None:
        is_tcp = hint.kind is HintKind.DNS_TCP
        for addr, name in answers(hint.payload[2:] if is_tcp else hint.payload):
            with self._lock:
                known = self._answered.get(addr, ())
                if name not in known and len(known) < MAX_NAMES_OF_ADDRESS:
                    _put(self._answered, addr, (*known, name))


def server_name(hello: bytes) -> str | None:
    """The server name of a TLS ClientHello, as far as it was captured; None without one.

    Args:
        hello: a client's first bytes, from the record header on.
    """
    at = CLIENT_RANDOM_END
    for size_bytes in (1, 2, 1):  # session id, cipher suites, compression methods
        if at + size_bytes > len(hello):
            return None
        at += size_bytes + int.from_bytes(hello[at : at + size_bytes])
    at += 2  # length of all extensions
    while at + 4 <= len(hello):
        kind = int.from_bytes(hello[at : at + 2])
        length = int.from_bytes(hello[at + 2 : at + 4])
        at += 4
        if kind == EXTENSION_SERVER_NAME:
            return _listed_name(hello[at : at + length])
        at += length
    return None


def _listed_name(extension: bytes) -> str | None:
    """The host name in a list of server names, whole or not at all."""
    if len(extension) < 5 or extension[2] != 0:
        return None
    length = int.from_bytes(extension[3:5])
    name = extension[5 : 5 + length]
    return _plausible(name) if len(name) == length else None


def host(request: bytes) -> str | None:
    """The Host of an HTTP request, without its port; None without one, and for a proxy.

    Args:
        request: a client's bytes, from the method on.
    """
    head = request[:MAX_HEAD]
    target = head.partition(b" ")[2][:1]
    if target not in (b"/", b"*"):  # a whole URL goes to a proxy, whose name Host is not
        return None
    found = HOST.search(head.partition(b"\r\n\r\n")[0] + b"\r\n")
    if found is None or (b"\r\n\r\n" not in head and found.end() > len(head)):  # cut in the line
        return None
    name = found[1].strip()
    if name.startswith(b"["):
        return None  # an IPv6 address
    return _plausible(name.partition(b":")[0])


def answers(message: bytes) -> Iterator[tuple[str, str]]:
    """Addresses in a DNS answer, each with the name that was asked for.

    Args:
        message: from the DNS header on; of a message that was cut, nothing is taken.
    """
    try:
        parsed = dns.message.from_wire(message, ignore_trailing=True)
        if not parsed.question or parsed.rcode():
            return
        asked = parsed.question[0]
        # Addresses of another class than the Internet's are none of ours (RFC 1035 §3.2.4).
        records = [rrset for rrset in parsed.answer if rrset.rdclass == dns.rdataclass.IN]
        owners, found = {asked.name}, []
        for _ in range(MAX_CNAMES):
            before = len(owners)
            for rrset in records:
                if rrset.rdtype == dns.rdatatype.CNAME and rrset.name in owners:
                    owners.update(record.target for record in rrset)
            if len(owners) == before:
                break
        for rrset in records:
            if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA) and rrset.name in owners:
                found += [str(ipaddress.ip_address(record.address)) for record in rrset]
        name = _plausible(asked.name.to_text(omit_final_dot=True).encode())
    except (dns.exception.DNSException, ValueError, UnicodeError):
        return
    if name is not None:
        for addr in found:
            yield addr, name


def _plausible(name: bytes) -> str | None:
    """A name as text; bytes that are not ASCII stay visible.

    An address or a blank is no name, nor is what rows are called that are no destination.
    """
    text = name.decode("ascii", "backslashreplace").rstrip(".")
    if not text.strip() or len(text) > MAX_NAME or text.lower() in NO_NAMES:
        return None
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return text.lower()
    return None


def _put(table: OrderedDict[K, V], key: K, value: V) -> None:
    table[key] = value
    if len(table) > N_NAMES:
        table.popitem(last=False)
