"""How long attempts and requests of each row wait, and which port stands out in an address."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.builders.packets import ACK, RST, SYN, Talk
from support.equal import assert_equal
from support.traffic.busy import FIRST_NS, MS, SEED, Packet, asked, busy, engine, mapped, opened

from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.detail import DetailView
from trtop_core.engine import Engine
from trtop_core.merging.delta import since
from trtop_core.merging.snapshots import merge
from trtop_core.records import NS_PER_S, GroupBy, Wait, Window
from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_core.wire import decode_snapshot, encode_snapshot

WINDOWS = (Window.LAST_10_S, Window.LAST_60_S)


def windowed(packets: list[Packet], now_ns: int, **view: object) -> Snapshot:
    """What an engine knows at a time, of the last 10 s unless told otherwise."""
    made = Engine(EngineConfig(windows=WINDOWS, group_by=GroupBy.ADDR_PORT), SEED)
    made.feed(PacketBatch.from_packets(packets))
    made.advance(now_ns)
    view = {"window": Window.LAST_10_S, "sort": "verdict"} | view
    return made.snapshot(View(**view))  # type: ignore[arg-type]


def judged(snapshot: Snapshot) -> dict[str, tuple[str, str | None]]:
    return {row.name: row.judged() for row in snapshot.rows()}


def dead_host(tries: tuple[int, ...] = (0, 1, 3, 7)) -> list[Packet]:
    syn = Talk(server="203.0.113.9").out(1, flags=SYN)
    return [(FIRST_NS + at_s * NS_PER_S, syn) for at_s in tries]


def test_a_dead_host_is_said_in_a_window_in_which_no_attempt_began() -> None:
    shown = windowed(dead_host(), FIRST_NS + 15 * NS_PER_S)
    assert judged(shown)["203.0.113.9"] == (
        "NO ANSWER",
        "1 earlier attempt without an answer (port 443, 1 still waiting, for 15 s, 1 SYN sent "
        "again): the host is down, or a route or firewall drops them",
    )


def outage(end_s: int, *answers: Packet) -> Snapshot:
    """The last 10 s of a dead host, live: the clock moves on between packets."""
    made = Engine(EngineConfig(windows=WINDOWS, group_by=GroupBy.ADDR_PORT), SEED)
    for at_ns, data in sorted([*dead_host((0, 1, 3, 7, 15, 31, 63)), *answers]):
        if at_ns <= FIRST_NS + end_s * NS_PER_S:
            for second in range(1 + at_ns // NS_PER_S - FIRST_NS // NS_PER_S):
                made.advance(min(at_ns, FIRST_NS + second * NS_PER_S))
            made.feed(PacketBatch.from_packets([(at_ns, data)]))
    made.advance(FIRST_NS + end_s * NS_PER_S)
    return made.snapshot(View(window=Window.LAST_10_S, sort="verdict"))


@pytest.mark.parametrize("end_s", [1, 5, 12, 19, 20, 25, 29, 30, 31, 35, 45, 62, 63, 80, 126])
def test_the_row_of_a_dead_host_stays_while_its_syn_may_be_sent_again(end_s: int) -> None:
    """Between two SYNs of an attempt that timed out nothing counts, for up to a minute."""
    assert judged(outage(end_s))["203.0.113.9"][0] == "NO ANSWER"


def test_a_dead_host_stands_before_what_is_well_between_two_syns() -> None:
    other = Talk(server="203.0.113.1")
    shown = outage(45, *opened(other, FIRST_NS + 40 * NS_PER_S))
    assert list(judged(shown)) == ["203.0.113.9", "203.0.113.1"]
    assert shown.n_destinations == len(shown.table) == 2


def test_an_attempt_that_is_given_up_has_no_row() -> None:
    assert not judged(outage(129))
    packets = dead_host((0, 1, 3))  # the program gave up after some seconds
    assert judged(windowed(packets, FIRST_NS + 25 * NS_PER_S))
    assert not judged(windowed(packets, FIRST_NS + 31 * NS_PER_S))
    reset = Talk(server="203.0.113.9").out(2, flags=RST)
    assert not judged(outage(50, (FIRST_NS + 33 * NS_PER_S, reset)))


def test_it_is_said_for_how_long_a_dead_host_is_tried() -> None:
    reason = "the host is down, or a route or firewall drops them"
    assert judged(outage(45))["203.0.113.9"][1] == (
        f"attempts without an answer (one tried for 45 s): {reason}"
    )
    assert judged(outage(31))["203.0.113.9"][1] == (
        f"attempts without an answer (one tried for 31 s, 1 SYN sent again): {reason}"
    )


def test_a_host_that_answers_others_is_not_judged_by_one_old_attempt() -> None:
    other = Talk(server="203.0.113.9", client_port=1000)
    assert judged(outage(45, *opened(other, FIRST_NS + 40 * NS_PER_S)))["203.0.113.9"][0] == "ok"


def test_an_attempt_that_was_not_sent_again_yet_waits() -> None:
    shown = windowed(dead_host((0,)), FIRST_NS + NS_PER_S // 2)
    assert judged(shown)["203.0.113.9"] == ("waiting", "1 attempt waits for an answer, for 500 ms")


def test_a_request_of_before_the_window_waits_and_then_is_silence() -> None:
    talk = Talk(server="203.0.113.9")
    packets = [*opened(talk, FIRST_NS), *asked(talk, FIRST_NS + NS_PER_S, 0, None)]
    early = windowed(packets, FIRST_NS + 9 * NS_PER_S)
    assert judged(early)["203.0.113.9"][0] == "ok"  # its handshake is in the window
    packets = [*opened(talk, FIRST_NS - 60 * NS_PER_S), *packets[3:]]
    late = windowed(packets, FIRST_NS + 9 * NS_PER_S)
    assert judged(late)["203.0.113.9"] == ("waiting", "1 request waits for an answer, for 8 s")
    silent = windowed(packets, FIRST_NS + 25 * NS_PER_S)
    assert judged(silent)["203.0.113.9"] == (
        "SILENT",
        "1 request waits longer than 10 s, for 24 s (port 443): it accepts and does not answer",
    )


def test_a_request_that_waits_longer_than_is_usual_is_said() -> None:
    talk = Talk(server="203.0.113.9")
    packets = opened(talk, FIRST_NS)
    for turn in range(3):
        at_ns = FIRST_NS + (1 + turn) * NS_PER_S
        packets += asked(talk, at_ns, turn, 100 * MS)
    packets += asked(talk, FIRST_NS + 4 * NS_PER_S, 3, None)
    soon = windowed(packets, FIRST_NS + 4 * NS_PER_S + 900 * MS)
    assert judged(soon)["203.0.113.9"][0] == "ok"
    shown = windowed(packets, FIRST_NS + 6 * NS_PER_S)
    assert judged(shown)["203.0.113.9"] == (
        "waiting",
        "1 request waits for an answer, for 2 s; answers take 100 ms (p95)",
    )


@pytest.mark.parametrize("group_by", list(GroupBy))
@pytest.mark.parametrize("seed", [3, 5, 8])
def test_waits_are_those_of_the_connections(seed: int, group_by: GroupBy) -> None:
    packets = busy(seed, 200)
    n_waiting = 0
    for n_packets in range(50, len(packets), len(packets) // 10):
        made = engine(packets[:n_packets], group_by=GroupBy.ADDR_PORT)
        shown = made.snapshot(View(group_by=group_by))
        assert shown.table.waits_ns is not None
        for row, wait_ns in zip(shown.rows(), shown.table.waits_ns.tolist(), strict=True):
            key = shown.table.keys[row.idx]
            asked_ns = made.detail(
                DetailView(bytes(key["addr"]), int(key["port"]), int(key["kind"]), group_by)
            ).oldest_wait_ns
            assert wait_ns[Wait.REQUEST] == max(0, asked_ns, int(asked_ns == 0))
            assert wait_ns[Wait.ATTEMPT] > 0 or not row.count("pending")
            assert wait_ns[Wait.ATTEMPT] == 0 or row.count("pending") or row.count("timeouts")
            n_waiting += row.count("waiting")
    assert n_waiting > 0


@pytest.mark.parametrize("group_by", list(GroupBy))
def test_a_detail_says_the_same_as_the_row(group_by: GroupBy) -> None:
    talk = Talk(server="203.0.113.9", client_port=1000)
    packets = [*opened(talk, FIRST_NS), *asked(talk, FIRST_NS + NS_PER_S, 0, None)]
    made = Engine(EngineConfig(windows=WINDOWS, group_by=GroupBy.ADDR_PORT), SEED)
    made.feed(PacketBatch.from_packets([*packets, *dead_host((2, 5))]))
    made.advance(FIRST_NS + 14 * NS_PER_S)
    for window in (Window.ALL, Window.LAST_10_S):
        shown = made.snapshot(View(window=window, group_by=group_by))
        key = shown.table.keys[0]
        about = (bytes(key["addr"]), int(key["port"]), int(key["kind"]), group_by, window)
        detail = made.detail(DetailView(*about))
        row = next(replace(shown, table=detail.table).rows())
        assert row.judged() == next(shown.rows()).judged()
        assert detail.table.waits_ns is not None
        assert detail.table.waits_ns.tolist() == [[12 * NS_PER_S, 13 * NS_PER_S]]


def test_waits_and_ports_travel_and_the_longest_waits_of_machines_hold() -> None:
    long = windowed(dead_host(), FIRST_NS + 15 * NS_PER_S)
    short = windowed(dead_host((7, 8, 10, 14)), FIRST_NS + 15 * NS_PER_S)
    for shown in (long, short):
        assert_equal(decode_snapshot(encode_snapshot(shown)), shown)
    both = merge([short, long], long.view)
    assert both.table.waits_ns is not None
    assert both.table.waits_ns.tolist() == [[15 * NS_PER_S, 0]]
    unknown = replace(short, table=replace(short.table, waits_ns=None, ports=None))
    assert decode_snapshot(encode_snapshot(unknown)).table.waits_ns is None
    assert merge([unknown, long], long.view).table.waits_ns is None


def test_waits_since_a_reset_are_as_of_now() -> None:
    before = windowed(dead_host((0,)), FIRST_NS, window=Window.ALL)
    now = windowed(dead_host(), FIRST_NS + 15 * NS_PER_S, window=Window.ALL)
    table = since(now, before).table
    assert table.waits_ns is not None
    assert table.waits_ns.tolist() == [[15 * NS_PER_S, 0]]


def refusals(*ports: int) -> list[Packet]:
    packets: list[Packet] = []
    for number, port in enumerate(ports):
        talk = Talk(server="203.0.113.9", client_port=1000 + number, server_port=port)
        at_ns = FIRST_NS + number * MS
        packets.append((at_ns, talk.out(1, flags=SYN)))
        packets.append((at_ns + 1000, talk.back(0, 2, flags=RST | ACK)))
    return packets


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ([6379] * 5, " (port 6379)"),
        ([6379] * 9 + [80], " (port 6379)"),
        ([6379] * 8 + [80, 81], ""),
        ([6379] * 4 + [80] * 4, ""),
    ],
)
def test_the_port_that_has_nearly_all_cases_is_said(ports: list[int], said: str) -> None:
    shown = windowed(refusals(*ports), FIRST_NS + NS_PER_S)
    n = len(ports)
    reason = f"{n} of {n} attempts refused{said}: nothing listens at that port, or a firewall"
    assert judged(shown)["203.0.113.9"] == ("REFUSED", f"{reason} answers")


def test_rows_by_port_name_theirs_and_no_other() -> None:
    shown = windowed(refusals(80, 80, 80), FIRST_NS + NS_PER_S, group_by=GroupBy.ADDR_PORT)
    assert shown.table.ports is None
    assert "(port" not in str(judged(shown)["203.0.113.9:80"][1])


def test_without_anything_that_waits_no_connection_is_looked_at() -> None:
    shown = windowed(refusals(80), FIRST_NS + NS_PER_S)
    assert np.array_equal(shown.table.waits_ns, np.zeros((1, len(Wait)), np.int64))
    assert mapped("203.0.113.9") == bytes(shown.table.keys[0]["addr"])
