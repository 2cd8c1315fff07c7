"""Packets that hold names: ClientHellos that OpenSSL wrote, HTTP requests, DNS answers."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Sequence

import dns.message
import dns.rrset

from support.builders.packets import CLIENT, Talk, ethernet, ipv4, ipv6

NAME_SERVER = "192.0.2.53"


def client_hello(name: str | None) -> bytes:
    """The first bytes of a TLS client."""
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake without a server")


def request(host: str | None, target: str = "/", method: str = "GET") -> bytes:
    """An HTTP request."""
    lines = [f"{method} {target} HTTP/1.1", "User-Agent: a test"]
    if host is not None:
        lines.append(f"hOST:  {host} ")
    return ("\r\n".join([*lines, "Accept: */*", "", ""])).encode()


def dns_answer(
    name: str, addresses: Sequence[str], aliases: Sequence[str] = (), rcode: int = 0
) -> bytes:
    """A DNS answer to a query for a name, over a chain of aliases."""
    kind = "AAAA" if any(":" in address for address in addresses) else "A"
    answer = dns.message.make_response(dns.message.make_query(name, kind))
    answer.set_rcode(rcode)
    owner = name
    for alias in aliases:
        answer.answer.append(dns.rrset.from_text(owner + ".", 60, "IN", "CNAME", alias + "."))
        owner = alias
    if addresses:
        answer.answer.append(dns.rrset.from_text(owner + ".", 60, "IN", kind, *addresses))
    return answer.to_wire()


def udp(sport: int, dport: int, payload: bytes) -> bytes:
    """A UDP header (RFC 768) and its payload."""
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def udp_frame(payload: bytes, sport: int = 53, dport: int = 40_000, version: int = 4) -> bytes:
    """A UDP datagram of a name server in an Ethernet frame."""
    if version == 6:
        return ethernet(ipv6("2001:db8::53", "2001:db8::1", udp(sport, dport, payload), proto=17))
    return ethernet(ipv4(NAME_SERVER, CLIENT, udp(sport, dport, payload), proto=17))


def call(server: str, port: int, payload: bytes) -> bytes:
    """A client's first payload."""
    client = "2001:db8::1" if ":" in server else CLIENT
    return Talk(client=client, server=server, server_port=port).out(101, 501, payload=payload)
