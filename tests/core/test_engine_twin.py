"""The engine counts what the plain twin counts."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Packet, Twin, read_capture
from support.builders.packets import ACK, FIN, PSH, RST, SYN, Talk
from support.compare import SEED, batch_of, config_of, differences, run
from support.paths import CAPTURES
from support.traffic.generated import Faults, generate

from trtop_core import Engine, EngineConfig, View
from trtop_core.snapshot import Row

EXPECTED = sorted((CAPTURES / "expected-3").glob("*.json")) if CAPTURES.is_dir() else []
needs_captures = pytest.mark.skipif(not EXPECTED, reason=f"no shared captures in {CAPTURES}")

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"group_by": "addr,port"},
    {"local": ["192.0.2.1/32"], "direction": "out"},
    {"local": ["192.0.2.1/32", "2001:db8::/64"], "direction": "in"},
    {"local": ["192.0.2.0/31"], "direction": "both"},
    {"direction": "in", "group_by": "addr,port"},
    {"idle_timeout_s": 5},
    {"max_connections": 1},
    {"max_connections": 3},
)


UNSAID = {
    *("multiplexed_unfollowed", "tls_hellos", "tls_failed_in", "waiting_long", "pending_retrans"),
    *("zero_window_connections_out", "zero_window_connections_in", "reset_age"),
}
"""What references do not say: verdicts rest on it."""


def check(packets: list[Packet], options: dict[str, Any]) -> None:
    twin = Twin(**options)
    for packet in packets:
        twin.feed(packet)
    snapshot = run([batch_of(packets)], config_of(**options))
    assert differences(snapshot, twin.ended()) == []


@pytest.mark.parametrize("seed", range(60))
def test_generated_traffic(seed: int) -> None:
    rng = random.Random(seed)
    faults = Faults(*(rng.choice([0, 0.01, 0.1, 0.3]) for _ in range(4)))
    check(generate(seed, rng.choice([1, 3, 20]), faults), OPTIONS[seed % len(OPTIONS)])


@needs_captures
@pytest.mark.parametrize("expected_path", EXPECTED, ids=lambda path: path.stem)
@pytest.mark.parametrize("options", [{}, {"group_by": "addr,port", "decap": False}], ids=str)
def test_real_captures(expected_path: Path, options: dict[str, Any]) -> None:
    packets, _ = read_capture(CAPTURES / expected_path.stem)
    check(packets, options)


FLAGS = (SYN, SYN | ACK, ACK, ACK, ACK, ACK | PSH, FIN | ACK, RST, RST | ACK, 0, FIN, SYN | FIN)
HOPS_NS = (0, 1_000, 500_000, 10**6, 2 * 10**9, 25 * 10**9, 61 * 10**9, 301 * 10**9, -(10**6))
TLS_PAYLOADS = tuple(
    bytes([kind, 3, 3, 0, length, 1]) + bytes(rest)
    for kind in (20, 21, 22, 23)
    for length, rest in ((19, 18), (1, 0), (19, 5))
)

segments = st.tuples(
    st.booleans(),  # from the client
    st.sampled_from(FLAGS),
    st.integers(-2, 40),  # seq, from its side's base
    st.integers(-2, 40),  # ack, from the other side's base
    st.one_of(st.integers(0, 30).map(lambda n: b"y" * n), st.sampled_from(TLS_PAYLOADS)),
    st.sampled_from((0, 500, 500)),  # window
    st.sampled_from(HOPS_NS),
    st.sampled_from((2_000, 2_000, 60, 56, 54, 50)),  # captured bytes
    st.sampled_from((None, None, None, 0, 10**6, 10**6 + 1)),  # captured twice, so much later
)


@settings(max_examples=400, deadline=None)
@given(
    story=st.lists(segments, min_size=1, max_size=25),
    bases=st.tuples(*[st.sampled_from((0, 2**32 - 5, 12_345, 2**31))] * 2),
    ports=st.sampled_from(((40_000, 443), (40_000, 40_000), (500, 50_000), (2_000, 3_000))),
    options=st.sampled_from(OPTIONS[:7]),
)
def test_any_segments(
    story: list[Any], bases: tuple[int, int], ports: tuple[int, int], options: dict[str, Any]
) -> None:
    talk = Talk(client_port=ports[0], server_port=ports[1])
    packets = []
    now_ns = 10**18
    for from_client, flags, seq, ack, payload, window, hop_ns, caplen, twice_ns in story:
        now_ns += hop_ns
        make = talk.out if from_client else talk.back
        own, other = bases if from_client else bases[::-1]
        frame = make(own + seq, other + ack, flags, payload, window=window)
        packets.append(Packet(now_ns, 1, frame[:caplen], len(frame)))
        if twice_ns is not None:
            packets.append(Packet(now_ns + twice_ns, 1, frame[:caplen], len(frame)))
    check(packets, options)


def _compare_percentiles(row: Row, fields: dict[str, Any], found: list[str]) -> None:
    for name, value in fields.items():
        if name == "verdict":
            if row.judged()[0] != value:
                found.append(f"{row.name}: {row.judged()}, expected {value}")
            continue
        if not isinstance(value, dict):
            if row.count(name) != value:
                found.append(f"{row.name} {name}: {row.count(name)}, expected {value}")
            continue
        record = row.sketch_record(name)
        for written, exact in value.items():
            key = written.replace(".", "")
            if not key.startswith("p"):
                is_equal = record[key] == exact
            else:
                # Below 1 µs counts as 1 µs.
                counted = max(exact, 1_000) if key.endswith("_ns") else exact
                is_equal = any(abs(record[key] - n) <= 0.01 * n for n in (exact, counted))
            if not is_equal:
                found.append(f"{row.name} {name} {key}: {record[key]}, expected {exact}")


@needs_captures
@pytest.mark.parametrize("expected_path", EXPECTED, ids=lambda path: path.stem)
def test_the_reference(expected_path: Path) -> None:
    expected = json.loads(expected_path.read_text())
    if "destinations" not in expected:
        pytest.skip(f"no reference: {expected['error']}")
    packets, _ = read_capture(CAPTURES / expected_path.stem)
    engine = Engine(EngineConfig(), SEED)
    engine.feed(batch_of(packets))
    engine.finish()
    snapshot = engine.snapshot(View())
    rows = {row.name: row for row in snapshot.rows()}
    assert set(rows) == set(expected["destinations"])
    found: list[str] = []
    for name, fields in expected["destinations"].items():
        _compare_percentiles(rows[name], fields, found)
    _compare_percentiles(snapshot.totals, expected["totals"], found)
    assert found == []
    # What the reference leaves out is 0.
    for name, row in rows.items():
        record = row.record()
        for key, value in record.items():
            if key in UNSAID:
                continue
            if type(value) is int and key not in expected["destinations"][name]:
                assert not value, (name, key)
            if isinstance(value, dict) and key not in expected["destinations"][name]:
                assert value["count"] == 0, (name, key)
    health = snapshot.health
    assert (health.packets, health.not_tcp, health.duplicates, health.undecoded) == (
        expected["packets"],
        expected["not_tcp"],
        expected["duplicates"],
        expected["undecoded"],
    )
