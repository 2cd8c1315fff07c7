import random
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import dns.message
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders.names import (
    NAME_SERVER,
    call,
    client_hello,
    dns_answer,
    request,
    udp,
    udp_frame,
)
from support.builders.packets import CLIENT, Talk, ethernet, ipv4, tcp
from support.builders.savefile import write_pcap
from support.daemons import trtop

from trtop.names import capture
from trtop.names.capture import CaptureResolver, answers, host, server_name
from trtop_core.batch import PacketBatch
from trtop_core.decode import decode
from trtop_core.name_hints import HINTS_SEED_BYTES, MAX_DNS, MAX_HELLOS, Hint, NameHints
from trtop_core.records import HintKind, LinkType

SERVER = "198.51.100.7"
SEED = bytes(range(HINTS_SEED_BYTES))


def batch(frames: Iterable[bytes]) -> PacketBatch:
    return PacketBatch.from_packets(enumerate(frames))


def resolver_after(*frames: bytes) -> CaptureResolver:
    resolver = CaptureResolver()
    resolver.feed(batch(frames))
    return resolver


def look(frames: Sequence[bytes]) -> list[Hint]:
    return NameHints(SEED).look(batch(frames))


# What the pages of RFC 6066, RFC 9110 and RFC 1035 say, read from real bytes.


@pytest.mark.parametrize("name", ["api.example.com", "a", "x" * 60 + ".example.org"])
def test_the_server_name_of_a_client_hello_is_read(name: str) -> None:
    assert server_name(client_hello(name)) == name


@pytest.mark.parametrize("name", [" ", "  .", "\t \n", "total", "Total.", "(other)"])
def test_neither_a_blank_nor_what_stands_for_many_rows_names_one(name: str) -> None:
    assert server_name(client_hello(name)) is None
    assert host(request(name)) is None


def test_a_client_hello_without_a_server_name_has_none() -> None:
    assert server_name(client_hello(None)) is None


def test_a_client_hello_gives_its_name_or_nothing_wherever_it_is_cut() -> None:
    hello = client_hello("api.example.com")
    end = hello.index(b"api.example.com") + len("api.example.com")
    for n_bytes in range(len(hello)):
        expected = "api.example.com" if n_bytes >= end else None
        assert server_name(hello[:n_bytes]) == expected


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_a_name_or_none(junk: bytes) -> None:
    hello = client_hello("api.example.com")
    for payload in (junk, hello[:43] + junk, b"GET / HTTP/1.1\r\nHost: " + junk, hello[:90] + junk):
        for found in (server_name(payload), host(payload)):
            assert found is None or (0 < len(found) <= 253 and found.isascii())
    for addr, name in answers(junk):
        assert addr
        assert name


@pytest.mark.parametrize(
    ("given_host", "expected"),
    [
        ("www.example.com", "www.example.com"),
        ("WWW.Example.com:8080", "www.example.com"),
        ("www.example.com.", "www.example.com"),
        ("192.0.2.7", None),
        ("[2001:db8::1]:80", None),
        ("", None),
        (None, None),
        ("x" * 254, None),
    ],
)
def test_the_host_of_a_request_is_read(given_host: str | None, expected: str | None) -> None:
    assert host(request(given_host)) == expected


def test_a_host_that_was_cut_is_no_name() -> None:
    text = b"GET / HTTP/1.1\r\nHost: www.example.com\r\n"
    assert host(text) == "www.example.com"
    for n_bytes in range(len(text)):
        assert host(text[:n_bytes]) is None


def test_a_request_to_a_proxy_does_not_name_the_proxy() -> None:
    assert host(request("www.example.com", "http://www.example.com/")) is None


def test_a_host_in_the_body_is_no_name() -> None:
    assert host(b"POST / HTTP/1.1\r\nAccept: */*\r\n\r\nfirst\r\nHost: evil.example\r\n") is None


def test_an_answer_gives_the_name_that_was_asked_for_over_aliases() -> None:
    message = dns_answer("www.example.com", ["192.0.2.7", "192.0.2.8"], ["cdn.net", "edge.cdn.net"])
    assert sorted(answers(message)) == [
        ("192.0.2.7", "www.example.com"),
        ("192.0.2.8", "www.example.com"),
    ]


def test_an_ipv6_answer_is_read() -> None:
    message = dns_answer("www.example.com", ["2001:db8::7"])
    assert list(answers(message)) == [("2001:db8::7", "www.example.com")]


@pytest.mark.parametrize("n_bytes", [0, 5, 12, 20, -1])
def test_of_an_answer_that_was_cut_nothing_is_taken(n_bytes: int) -> None:
    assert list(answers(dns_answer("www.example.com", ["192.0.2.7"])[:n_bytes])) == []


def test_an_address_of_a_name_that_was_not_asked_for_is_not_taken() -> None:
    message = dns.message.from_wire(dns_answer("www.example.com", ["192.0.2.7"]))
    other = dns.message.from_wire(dns_answer("bank.example", ["192.0.2.9"]))
    message.answer += other.answer
    assert list(answers(message.to_wire())) == [("192.0.2.7", "www.example.com")]


def test_an_error_and_a_query_give_nothing() -> None:
    assert list(answers(dns_answer("www.example.com", [], rcode=3))) == []
    assert list(answers(dns.message.make_query("www.example.com", "A").to_wire())) == []


# The whole way, from frames.


@pytest.mark.parametrize("server", [SERVER, "2001:db8::7"])
def test_a_client_hello_names_the_server_and_port_it_goes_to(server: str) -> None:
    resolver = resolver_after(call(server, 8443, client_hello("api.example.com")))
    assert resolver.resolve(server, 8443) == "api.example.com"
    assert resolver.resolve(server, 0) == "api.example.com"
    assert resolver.resolve(server, 443) is None
    assert resolver.resolve(CLIENT, 8443) is None


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_request_names_the_server_it_goes_to(method: str) -> None:
    frame = call(SERVER, 80, request("www.example.com", method=method))
    assert resolver_after(frame).resolve(SERVER, 80) == "www.example.com"


@pytest.mark.parametrize("version", [4, 6])
def test_a_dns_answer_over_udp_names_its_addresses(version: int) -> None:
    message = dns_answer("www.example.com", [SERVER])
    resolver = resolver_after(udp_frame(message, version=version))
    assert resolver.resolve(SERVER, 443) == "www.example.com"
    assert resolver.resolve(NAME_SERVER, 53) is None


def test_a_dns_answer_over_tcp_names_its_addresses() -> None:
    message = dns_answer("www.example.com", [SERVER])
    talk = Talk(server=NAME_SERVER, server_port=53)
    frame = talk.back(501, 120, payload=struct.pack(">H", len(message)) + message)
    assert resolver_after(frame).resolve(SERVER, 80) == "www.example.com"


@pytest.mark.parametrize("payload", [client_hello("bank.example"), request("bank.example")])
@pytest.mark.parametrize("is_dns_first", [True, False])
def test_a_client_does_not_rename_what_dns_named_otherwise(
    payload: bytes, is_dns_first: bool
) -> None:
    frames = [udp_frame(dns_answer("evil.example", [SERVER])), call(SERVER, 443, payload)]
    resolver = resolver_after(*(frames if is_dns_first else reversed(frames)))
    assert resolver.resolve(SERVER, 443) == "evil.example~"
    assert resolver.resolve(SERVER, 80) == "evil.example"


def test_of_the_names_that_dns_gave_an_address_the_client_says_which() -> None:
    names = [f"n{i}.example" for i in range(capture.MAX_NAMES_OF_ADDRESS + 1)]
    resolver = resolver_after(
        *(udp_frame(dns_answer(name, [SERVER])) for name in names),
        call(SERVER, 443, client_hello(names[-2])),
        call(SERVER, 8443, client_hello(names[-1])),
    )
    assert resolver.resolve(SERVER, 443) == names[-2]
    assert resolver.resolve(SERVER, 80) == names[0]
    assert resolver.resolve(SERVER, 8443) == f"{names[0]}~"  # beyond what is kept


@pytest.mark.parametrize("names", ["hosts", None])
def test_names_in_packets_rename_nothing_unless_they_are_asked_for(
    tmp_path: Path, names: str | None
) -> None:
    path = tmp_path / "call.pcap"
    calls = (
        call(SERVER, 443, client_hello("bank.example")),
        call(SERVER, 80, request("bank.example")),
    )
    path.write_bytes(write_pcap(list(enumerate(calls))))
    given = [] if names is None else [f"--names={names}"]
    assert "bank.example" not in trtop("--format=csv", *given, path).stdout
    assert "bank.example" in trtop("--format=csv", "--names=capture", path).stdout


def test_the_first_name_stays() -> None:
    resolver = resolver_after(
        call(SERVER, 443, client_hello("first.example.com")),
        call(SERVER, 443, client_hello("second.example.com")),
        udp_frame(dns_answer("one.example.com", ["192.0.2.9"])),
        udp_frame(dns_answer("two.example.com", ["192.0.2.9"])),
    )
    assert resolver.resolve(SERVER, 443) == "first.example.com"
    assert resolver.resolve("192.0.2.9", 1) == "one.example.com"


def test_names_beyond_the_bound_push_out_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "N_NAMES", 7)
    resolver = resolver_after(
        *(udp_frame(dns_answer(f"n{i}.example", [f"192.0.2.{i}"])) for i in range(11))
    )
    known = [i for i in range(11) if resolver.resolve(f"192.0.2.{i}", 1)]
    assert known == [4, 5, 6, 7, 8, 9, 10]


# The kernel: what it picks, and what it passes over.


def naive(frames: Sequence[bytes]) -> list[tuple[HintKind, bytes]]:
    """What the kernel picks of Ethernet frames, by plain reading."""
    dns_hints, hellos = [], []
    whole = batch(frames)
    methods = (b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"PATC", b"OPTI")
    for frame, row in zip(frames, decode(whole).columns, strict=True):
        if row["verdict"] == 0:
            start = int(row["payload_offset"])
            payload = whole.data[start : start + int(row["payload_caplen"])].tobytes()
            if row["src_port"] == 53 and payload:
                dns_hints.append((HintKind.DNS_TCP, payload))
            elif len(payload) >= 6 and payload[0] == 22:
                if payload[1] == 3 and payload[5] == 1:
                    hellos.append((HintKind.TLS, payload))
            elif len(payload) >= 16 and payload[:4] in methods:
                hellos.append((HintKind.HTTP, payload))
        elif len(frame) > 42 and frame[23] == 17 and frame[34:36] == b"\x00\x35":
            dns_hints.append((HintKind.DNS_UDP, frame[42:]))
    return dns_hints + hellos


PAYLOADS = st.sampled_from(
    [b"", b"\x16\x03\x01\x00\x05\x01", b"\x16\x03\x01\x00\x05\x02", b"\x16\x03\x01", b"GET / HTTP",
     b"GET / HTTP/1.1\r\n", b"PUT /something\r\n", b"PATCH /something", b"HEADING to the end",
     b"\x17\x03\x03\x00\x05\x01", b"x" * 40]
)  # fmt: skip


@given(st.lists(st.tuples(PAYLOADS, st.booleans(), st.sampled_from([53, 443, 80])), max_size=150))
def test_the_kernel_picks_what_a_plain_reading_picks(
    stories: list[tuple[bytes, bool, int]],
) -> None:
    frames = []
    for i, (payload, is_udp, port) in enumerate(stories):
        talk = Talk(server_port=port, client_port=1024 + i, server=f"10.0.{i // 250}.{i % 250}")
        is_answer = len(payload) % 2 == 0
        if is_udp:
            frames.append(udp_frame(payload, sport=port))
        elif is_answer:
            frames.append(talk.back(500, 100, payload=payload))
        else:
            frames.append(talk.out(100, 500, payload=payload))
    expected = naive(frames)
    n_dns = sum(kind in (HintKind.DNS_UDP, HintKind.DNS_TCP) for kind, _ in expected)
    if n_dns <= MAX_DNS:
        assert [(hint.kind, hint.payload) for hint in look(frames)] == expected


def test_udp_inside_a_tunnel_is_looked_at_unless_tunnels_are_left_out() -> None:
    inner = udp_frame(dns_answer("www.example.com", [SERVER]))
    vxlan = b"\x08" + bytes(7) + inner
    frame = ethernet(ipv4("10.0.0.1", "10.0.0.2", udp(40_000, 4789, vxlan), proto=17))
    assert len(look([frame])) == 1
    assert NameHints(SEED, decap=False).look(batch([frame])) == []
    plain = udp_frame(dns_answer("www.example.com", [SERVER]))
    assert len(NameHints(SEED, decap=False).look(batch([plain]))) == 1


def test_a_tunnel_that_ends_in_something_else_is_no_datagram() -> None:
    arp = bytes(12) + b"\x08\x06" + b"\x00\x35" * 40
    frame = ethernet(
        ipv4("10.0.0.1", "10.0.0.2", udp(53, 4789, b"\x08" + bytes(7) + arp), proto=17)
    )
    assert look([frame]) == []


def test_any_packet_may_be_cut_anywhere() -> None:
    frames = [
        udp_frame(dns_answer("www.example.com", [SERVER])),
        call(SERVER, 443, client_hello("api.example.com")),
        call("2001:db8::7", 80, request("www.example.com")),
    ]
    for frame in frames:
        for n_bytes in range(len(frame)):
            resolver_after(frame[:n_bytes])


def test_a_settled_server_is_passed_over_and_another_is_not() -> None:
    hints = NameHints(SEED)
    frames = batch(
        [
            call(SERVER, 443, client_hello("api.example.com")),
            call(SERVER, 8443, client_hello("api.example.com")),
            call(SERVER, 443, request("api.example.com")),
        ]
    )
    first, *_ = hints.look(frames)
    hints.settle(first)
    assert [(hint.port, hint.kind) for hint in hints.look(frames)] == [
        (8443, HintKind.TLS),
        (443, HintKind.HTTP),
    ]


def test_a_server_that_never_says_its_name_is_given_up() -> None:
    resolver = CaptureResolver()
    nameless = call(SERVER, 80, request(None))
    for _ in range(capture.MAX_TRIES):
        resolver.feed(batch([nameless]))
    resolver.feed(batch([call(SERVER, 80, request("late.example.com"))]))
    assert resolver.resolve(SERVER, 80) is None


def test_one_try_less_and_it_would_have_been_heard() -> None:
    resolver = CaptureResolver()
    for _ in range(capture.MAX_TRIES - 1):
        resolver.feed(batch([call(SERVER, 80, request(None))]))
    resolver.feed(batch([call(SERVER, 80, request("late.example.com"))]))
    assert resolver.resolve(SERVER, 80) == "late.example.com"


def test_a_flood_is_looked_at_in_part_and_the_rest_is_counted() -> None:
    answer = udp_frame(dns_answer("www.example.com", [SERVER]))
    resolver = resolver_after(*[answer] * (MAX_DNS + 23))
    assert resolver.n_skipped == 23
    hellos = [call(f"10.0.{i // 250}.{i % 250}", 80, request(None)) for i in range(MAX_HELLOS + 7)]
    hints = NameHints(SEED)
    assert len(hints.look(batch(hellos))) == MAX_HELLOS
    assert hints.n_skipped == 7


def test_the_same_names_come_out_however_packets_are_cut_into_batches() -> None:
    rng = random.Random(23)
    frames = [
        call(f"10.0.0.{rng.randrange(40)}", rng.choice([80, 443]), payload)
        for payload in (
            client_hello("a.example"), request("b.example"), client_hello("c.example"), b"nothing"
        )
        for _ in range(60)
    ]  # fmt: skip
    rng.shuffle(frames)
    whole, pieces = CaptureResolver(), CaptureResolver()
    whole.feed(batch(frames))
    for start in range(0, len(frames), 7):
        pieces.feed(batch(frames[start : start + 7]))
    for i in range(40):
        for port in (80, 443, 0):
            assert whole.resolve(f"10.0.0.{i}", port) == pieces.resolve(f"10.0.0.{i}", port)


def test_every_link_type_is_looked_at() -> None:
    packet = ipv4(CLIENT, SERVER, tcp(40_000, 443, payload=client_hello("api.example.com")))
    resolver = CaptureResolver()
    resolver.feed(PacketBatch.from_packets([(0, packet)], link_type=LinkType.RAW))
    assert resolver.resolve(SERVER, 443) == "api.example.com"


def test_an_empty_batch_and_a_packet_outside_the_data_are_told_apart() -> None:
    assert look([]) == []
    broken = batch([udp_frame(b"x" * 20)])
    broken.index["caplen"] += 1
    with pytest.raises(ValueError, match="outside"):
        NameHints(SEED).look(broken)
    with pytest.raises(ValueError, match="seed"):
        NameHints(SEED[1:])
    assert np.array_equal(NameHints(SEED)._known, np.zeros(1 << 16, np.uint64))
