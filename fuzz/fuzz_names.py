"""Fuzz target: any payload is no name, or one that is in it and harmless wherever it is shown.

The first byte of an input says what the rest is: a ClientHello, an HTTP request, a DNS message, or
packets in the form of ``fuzz_engine``, which are looked through for all of these.
"""

from __future__ import annotations

import csv
import ipaddress
from collections.abc import Iterator

import dns.message
from fuzz_engine import FIRST_NS, as_input, packets_in
from reference import Packet
from seeds import MAX_SEED_BYTES, real_packets
from support.builders.names import client_hello, dns_answer, request, udp_frame
from support.compare import batch_of
from target import Target

from trtop.escape import display_width, escape, shorten
from trtop.names.capture import MAX_NAME, NO_NAMES, CaptureResolver, answers, host, server_name
from trtop.reporters.csv_rows import FORMULAS, CsvFields
from trtop.reporters.html_page.encoding import markup
from trtop_core import Engine, EngineConfig
from trtop_core.records import GroupBy
from trtop_core.table import key_origins

HELLO, REQUEST, ANSWER, PACKETS = range(4)

WIDTHS = (4, 9, 20)


def run(data: bytes) -> None:
    """One payload, or some packets."""
    if not data:
        return
    kind, payload = data[0] % 4, data[1:]
    if kind == PACKETS:
        _packets(payload)
    elif kind == ANSWER:
        for address, name in answers(payload):
            ipaddress.ip_address(address)
            check(name)
    else:
        found = server_name(payload) if kind == HELLO else host(payload)
        if found is not None:
            check(found)
            _check_said(found, payload)


def _packets(payload: bytes) -> None:
    """Rows are called what the resolver says, and reading names twice gives the same ones."""
    batch = batch_of(packets_in(payload))
    own = Engine(
        EngineConfig(max_connections=50, max_destinations=50, group_by=GroupBy.ADDR_PORT),
        bytes(16),
    )
    own.feed(batch)
    first, second = CaptureResolver(), CaptureResolver()
    first.feed(batch)
    second.feed(batch)
    second.feed(batch)
    for address, port in key_origins(own.keys):
        if address is None:
            continue
        name = first.resolve(address, port or 0)
        if name is not None:
            check(name.removesuffix("~") or name)
        assert (name is None) == (second.resolve(address, port or 0) is None)


def check(name: str) -> None:
    """A name is one in form, and harmless on a terminal, in a page and in a spreadsheet."""
    assert 0 < len(name) <= MAX_NAME, name
    assert name.isascii(), name
    assert name == name.lower(), name
    assert name not in NO_NAMES, name
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        raise AssertionError(f"{name!r} is an address")
    shown = escape(name)
    assert shown.isprintable(), shown
    for width in WIDTHS:
        assert display_width(shorten(shown, width)) <= width
    assert not set('<>"') & set(markup(name)), name
    written = CsvFields(1, None).literal(name)
    (cells,) = csv.reader([written])
    assert cells[0] in (shown, f"'{shown}"), cells
    assert not cells[0].startswith(FORMULAS) or cells[0] == "-", cells


def _check_said(name: str, payload: bytes) -> None:
    """What is read of bytes stands in them."""
    said = payload.decode("ascii", "backslashreplace").lower()
    assert name in said, name


def seeds() -> Iterator[bytes]:
    """Hellos, requests and answers of every form, alone and in packets."""
    names = ("api.example.com", "a", "xn--bcher-kva.example", "x" * 60 + ".example.org")
    payloads = [bytes([HELLO]) + client_hello(name) for name in (*names, None)]
    for name in (*names, None, "192.0.2.1", "[2001:db8::1]:80", "a:8080"):
        for target, method in (("/", "GET"), ("*", "OPTIONS"), ("http://x/", "POST")):
            payloads.append(bytes([REQUEST]) + request(name, target, method))
    messages = [
        dns_answer("a.example", ["192.0.2.1", "192.0.2.2"]),
        dns_answer("b.example", ["2001:db8::1"], ["c.example", "d.example"]),
        dns_answer("none.example", [], rcode=3),
        dns.message.make_query("q.example", "A").to_wire(),
    ]
    yield from payloads
    yield from (bytes([ANSWER]) + message for message in messages)
    frames = [udp_frame(message, version=version) for message in messages for version in (4, 6)]
    packets = [
        Packet(FIRST_NS + number, 1, frame, len(frame)) for number, frame in enumerate(frames)
    ]
    yield bytes([PACKETS]) + as_input(packets, 0, 0, 0)[4:]
    for real in real_packets():
        yield bytes([PACKETS]) + as_input(real, 0, 0, 0)[4:]


TARGET = Target(
    run,
    seeds,
    max_bytes=1 + MAX_SEED_BYTES,
    words=(
        b"\r\nHost: ", b"\r\n\r\n", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\x00\x00\x00",
        b"\x00\x01\x00\x01", b"\x00\x1c\x00\x01", b"\x00\x05\x00\x01", b"\xc0\x0c", b"\x03www",
        b"total", b"(other)", b"192.0.2.1", b"=cmd", b"<script>", b"\x1b[31m", b"\x81\x80",
    ),
)  # fmt: skip
