"""Capture time in the kernels: as the twin keeps it, whatever the packets' timestamps do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import Packet, Twin
from support.builders.packets import ACK, FIN, PSH, RST, SYN, Talk
from support.compare import SEED, batch_of, config_of, differences, plain, run
from support.traffic.generated import Faults, generate

from trtop_core import Engine, EngineConfig, View

S = 10**9
HOUR = 3_600 * S
DAY = 24 * HOUR
YEAR = 365 * DAY
START_NS = 10**18
SEGMENTS_OF_A_STEP = 32

JUMPS_NS = (
    0, 10**6, 30 * 10**6, S, 9 * S, 10 * S, 10 * S + 1, 11 * S, 20 * S, 20 * S + 1, 25 * S, 61 * S,
    301 * S, HOUR, DAY, DAY + 1, 10 * YEAR,
)  # fmt: skip
jumps_ns = st.one_of(
    st.sampled_from(JUMPS_NS), st.sampled_from(JUMPS_NS).map(int.__neg__), st.just(10**6)
)

kinds = st.sampled_from(("ask", "answer", "ack", "syn", "synack", "fin", "reset", "other", "udp"))
steps = st.tuples(
    st.integers(0, 1),  # which connection
    kinds,
    jumps_ns,
    st.booleans(),  # for good, or only this packet
    st.sampled_from((1, 1, 1, 1, 2, 31, 32, 33)),  # packets, 1 ms apart
)


class _Side:
    """A connection whose segments follow each other, with sequence numbers of its own."""

    def __init__(self, port: int) -> None:
        self.talk = Talk(client_port=port, server_port=80)
        self.sent = [1_000, 5_000]

    def frame(self, kind: str) -> bytes:
        out, back = self.sent
        if kind == "syn":
            return self.talk.out(999, 0, SYN, b"")
        if kind == "synack":
            return self.talk.back(4_999, 1_000, SYN | ACK, b"")
        if kind == "ask":
            self.sent[0] += 10
            return self.talk.out(out, back, ACK | PSH, b"q" * 10)
        if kind == "answer":
            self.sent[1] += 20
            return self.talk.back(back, out, ACK | PSH, b"a" * 20)
        if kind == "fin":
            self.sent[1] += 1
            return self.talk.back(back, out, ACK | FIN, b"")
        if kind == "reset":
            return self.talk.back(back, out, ACK | RST, b"")
        return self.talk.out(out, back, ACK, b"")


def _packets(story: list[Any]) -> list[Packet]:
    sides = [_Side(40_000), _Side(40_001)]
    packets = []
    now_ns = START_NS
    for which, kind, jump_ns, stays, n_packets in story:
        for _ in range(n_packets):
            frame = b"\0" * 60 if kind in ("other", "udp") else sides[which].frame(kind)
            packets.append(Packet(now_ns + jump_ns, 1, frame, len(frame)))
            now_ns += 10**6
        if stays:
            now_ns += jump_ns
    return packets


def _check(packets: list[Packet], every: int) -> None:
    """Compare kernels and twin after every so many packets, and at the end."""
    twin, engine = Twin(), Engine(EngineConfig(), SEED)
    for at in range(0, len(packets), every):
        part = packets[at : at + every]
        for packet in part:
            twin.feed(packet)
        engine.feed(batch_of(part))
        found = differences(engine.snapshot(View()), twin)
        assert found == [], f"after packet {at + len(part)}"
    engine.finish()
    found = differences(engine.snapshot(View()), twin.ended())
    assert found == []


TIMED_OUT_BY_A_CLOCK_THAT_STEPS_BACK = [
    (0, "ask", 0, False, 3),
    (1, "syn", 10**6, False, 1),
    (0, "ask", 10**6, False, 1),
    (0, "ask", 20 * 10**9, False, 1),
    (0, "ask", 0, False, 32),
]
"""The SYN is given up by the time of the packet that is ahead, in a tick that does not end."""


@example(story=TIMED_OUT_BY_A_CLOCK_THAT_STEPS_BACK, every=64)
@settings(max_examples=150, deadline=None)
@given(story=st.lists(steps, min_size=1, max_size=12), every=st.sampled_from((1, 7, 64)))
def test_any_timestamps(story: list[Any], every: int) -> None:
    _check(_packets(story), every)


def test_a_row_that_turns_the_clock_back_holds_nothing_of_an_earlier_row() -> None:
    story = [
        (0, "ask", 10 * S, False, 1),
        (0, "syn", -30 * 10**6, False, 1),  # far behind, alone
        (0, "ask", 11 * S, False, 1),
        (0, "other", 0, False, 31),
        (0, "synack", 0, False, 1),  # the clock steps back to it: the SYN lies before the step
    ]
    packets = _packets(story)
    _check(packets, 1)
    (row,) = run([batch_of(packets)]).rows()
    assert row.samples("syn_rtt") == 0


def test_what_spans_a_step_is_no_sample_however_many_steps_follow() -> None:
    story = [
        (1, "ask", 0, False, 1),
        (0, "ask", 11 * S, False, 1),
        (0, "ask", 0, False, 31),
        (1, "answer", 0, False, 1),  # the clock steps back to it
        (0, "ask", DAY, False, 2),  # and forward
    ]
    packets = _packets(story)
    _check(packets, 1)
    (row,) = plain(run([batch_of(packets)], config_of()))["rows"].values()
    assert row["responses"] == 1
    assert not {"response_time", "response_duration"} & set(row)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("jump_ns", [HOUR, -HOUR, 15 * S, -15 * S, -25 * S, 2 * DAY])
def test_generated_traffic_with_a_step(seed: int, jump_ns: int) -> None:
    packets = generate(seed, 12, Faults(0.02, 0.02, 0.05, 0.05))
    at = len(packets) * (seed + 1) // 10
    moved = [replace(packet, ts_ns=packet.ts_ns + jump_ns) for packet in packets[at:]]
    _check([*packets[:at], *moved], 50)


@pytest.mark.parametrize("seed", range(4))
def test_generated_traffic_with_stray_times(seed: int) -> None:
    packets = generate(seed, 12, Faults(0.02, 0.02, 0.05, 0.05))
    for at in range(7, len(packets), 13 + seed):
        ts_ns = packets[at].ts_ns + (10 * YEAR, 40 * S, 2 * DAY)[at % 3]
        packets[at] = replace(packets[at], ts_ns=ts_ns)
    _check(packets, 50)


def _counters(packets: list[Packet]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Counters of the one row, and the capture's health."""
    shown = plain(run([batch_of(packets)], config_of()))
    (row,) = shown["rows"].values()
    return {name: n for name, n in row.items() if not isinstance(n, dict)}, shown["health"]


def _exchanges(n: int) -> list[Packet]:
    """So many requests with their answers on one connection, 10 ms a packet."""
    side = _Side(40_000)
    kinds_of_packets = ["syn", "synack", "ack", *["ask", "answer", "ack"] * n]
    return [
        Packet(START_NS + i * 10**7, 1, frame := side.frame(kind), len(frame))
        for i, kind in enumerate(kinds_of_packets)
    ]


def _forgotten(usual: dict[str, Any]) -> dict[str, Any]:
    """What is counted if the SYN/ACK comes after the attempt timed out and was forgotten."""
    kept = {name: n for name, n in usual.items() if name not in ("synack", "est")}
    return {**kept, "timeouts": 1, "midstream": 1}


@pytest.mark.parametrize("at", [0, 2, 3, 50, 101])
@pytest.mark.parametrize("by_ns", [10 * YEAR, -10 * YEAR, 70 * YEAR])
def test_one_packet_moved_by_years_changes_no_counter(at: int, by_ns: int) -> None:
    packets = _exchanges(33)
    usual, health = _counters(packets)
    packets[at] = replace(packets[at], ts_ns=packets[at].ts_ns + by_ns)
    moved, moved_health = _counters(packets)
    # Ten years after the SYN its answer is late.
    assert moved == (_forgotten(usual) if at == 0 and by_ns < 0 else usual)
    # The first packet sets the clock, so it is all others that step.
    is_step = at == 0
    strays = 1 if by_ns > 0 and not is_step and at < len(packets) - 1 else 0
    expected = {**health, "clock_steps": int(is_step), "stray_times": strays}
    assert moved_health == expected


@pytest.mark.parametrize("at", [1, 2, 3, 40, 60])
@pytest.mark.parametrize("by_ns", [HOUR, -HOUR])
def test_all_packets_after_one_moved_by_an_hour_change_only_what_depends_on_time(
    at: int, by_ns: int
) -> None:
    packets = _exchanges(33)
    usual, health = _counters(packets)
    packets[at:] = [replace(packet, ts_ns=packet.ts_ns + by_ns) for packet in packets[at:]]
    moved, moved_health = _counters(packets)
    if by_ns > 0 and at == 1:
        # An hour without an answer is a time-out, and the attempt is forgotten.
        usual = _forgotten(usual)
    if by_ns > 0 and at == 40:
        # An hour after the request the connection has idled for long: it closed unanswered.
        usual = {**usual, "unanswered": 1}
    assert moved == usual
    assert moved_health == {**health, "clock_steps": int(by_ns < 0)}


def test_a_window_does_not_hold_what_was_before_it_when_the_clock_stepped_back() -> None:
    from trtop_core.records import Window  # noqa: PLC0415

    side = _Side(40_000)
    early = [
        Packet(START_NS + i * S, 1, frame := side.frame("ask"), len(frame)) for i in range(3_600)
    ]
    late = [
        Packet(START_NS + i * S // 10, 1, frame := side.frame("ask"), len(frame))
        for i in range(2 * SEGMENTS_OF_A_STEP)
    ]
    engine = Engine(EngineConfig(windows=(Window.LAST_10_S,)), SEED)
    engine.feed(batch_of(early + late))
    snapshot = engine.snapshot(View(window=Window.LAST_10_S))
    (row,) = snapshot.rows()
    assert row.count("segments_out") <= 2 * SEGMENTS_OF_A_STEP + 10
    assert row.count("segments_out") >= 2 * SEGMENTS_OF_A_STEP
    assert 0 < snapshot.span_ns <= 10 * S
    assert snapshot.health.clock_steps == 1
