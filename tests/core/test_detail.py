import ipaddress

import numpy as np
import pytest
from support.builders.packets import ACK, FIN, RST, SYN, Talk
from support.traffic.busy import (
    FIRST_NS,
    MS,
    SEED,
    WINDOWS,
    Packet,
    asked,
    busy,
    engine,
    mapped,
    opened,
)

from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.detail import ConnectionState, Detail, DetailView
from trtop_core.engine import Engine
from trtop_core.metrics import COUNTERS, GAUGES, SKETCHES
from trtop_core.records import NS_PER_S, GroupBy, Window
from trtop_core.sketch import FIRST_BIN, MIDDLE, bin_of, nearest_rank
from trtop_core.view import View


def looked_at(packets: list[Packet], addr: str = "198.51.100.7", **view: object) -> Detail:
    group_by = view.get("group_by", GroupBy.ADDR)
    made = engine(packets, group_by=group_by)
    return made.detail(DetailView(mapped(addr), **view))  # type: ignore[arg-type]


@pytest.mark.parametrize("group_by", list(GroupBy))
@pytest.mark.parametrize("seconds", [3, 47, 420])
def test_a_history_is_what_each_slot_added(group_by: GroupBy, seconds: int) -> None:
    packets = busy(seconds, seconds)
    port = 443 if group_by is GroupBy.ADDR_PORT else 0
    detail = looked_at(packets, group_by=group_by, port=port, kind=int(group_by))
    for history, slot_s, n_slots in ((detail.minute, 5, 12), (detail.minutes, 30, 10)):
        slot_ns = slot_s * NS_PER_S
        last = packets[-1][0] // slot_ns
        first = max(FIRST_NS // slot_ns, last - n_slots + 1)
        first = max(first, packets[0][0] // slot_ns)
        assert len(history) == last - first + 1
        for i, row in enumerate(history):
            start, end = (first + i) * slot_ns, (first + i + 1) * slot_ns
            before, after = (
                totals([p for p in packets if p[0] < at], group_by, port) for at in (start, end)
            )
            assert row["start_ns"] == max(start, packets[0][0])
            assert row["span_ns"] == min(end, packets[-1][0]) - row["start_ns"]
            for name in ("syn", "requests", "rst"):
                assert row[name] == after[0][name] - before[0][name], (name, i)
            bins = np.zeros(len(MIDDLE), int)
            np.add.at(bins, bin_of(after[1]), 1)
            np.add.at(bins, bin_of(before[1]), -1)
            if not bins.sum():
                assert row["response_time_ns"] == -1
            else:
                rank = nearest_rank(int(bins.sum()), 95)
                assert row["response_time_ns"] == MIDDLE[np.searchsorted(bins.cumsum(), rank)]


def totals(packets: list[Packet], group_by: GroupBy, port: int) -> tuple[dict[str, int], list[int]]:
    """Counters of the first server, and its response times as values of their bins."""
    made = Engine(EngineConfig(group_by=group_by), SEED)
    if packets:
        made.feed(PacketBatch.from_packets(packets))
    name = f"198.51.100.7:{port}" if port else "198.51.100.7"
    for row in made.snapshot(View(group_by=group_by)).rows():
        if row.name == name:
            bins = row.record(with_bins=True)["response_time"]["bins"]
            values = [int(MIDDLE[number - FIRST_BIN]) for number, n in bins for _ in range(n)]
            return {key: row.count(key) for key in COUNTERS}, values
    return dict.fromkeys(COUNTERS, 0), []


@pytest.mark.parametrize("window", [Window.ALL, *WINDOWS])
def test_the_numbers_of_a_detail_are_those_of_its_row(window: Window) -> None:
    packets = busy(5, 200)
    made = engine(packets, group_by=GroupBy.ADDR_PORT)
    snapshot = made.snapshot(View(window=window))
    for row in snapshot.rows():
        detail = made.detail(DetailView(mapped(row.name), window=window))
        assert detail.clock_ns == snapshot.clock_ns
        assert detail.span_ns == snapshot.span_ns
        assert len(detail.table) == 1
        for name in COUNTERS + GAUGES:
            assert detail.table.counters[name][0] == row.count(name), name
        for name in SKETCHES:
            column = detail.table.sketches[name]
            assert column.stats["count"][0] == row.samples(name), name
            for percentile in (50, 95, 99.9, 100):
                value = int(column.quantiles(percentile)[0])
                assert (None if value < 0 else value) == row.quantile(name, percentile), name


def test_the_longest_open_come_first_and_the_unknown_last() -> None:
    first, second, middle = Talk(client_port=1001), Talk(client_port=1002), Talk(client_port=1003)
    packets = [
        *opened(second, FIRST_NS + 20 * MS),
        *opened(first, FIRST_NS),
        (FIRST_NS + 40 * MS, middle.out(7, 9, payload=b"x")),
    ]
    packets.sort(key=lambda packet: packet[0])
    shown = looked_at(packets).longest_open
    assert shown["client_port"].tolist() == [1001, 1002, 1003]
    assert shown["opened_ns"].tolist() == [FIRST_NS, FIRST_NS + 20 * MS, -1]
    assert shown["is_midstream"].tolist() == [0, 0, 1]
    assert shown["server_port"].tolist() == [443] * 3
    assert {bytes(addr) for addr in shown["server_addr"]} == {mapped("198.51.100.7")}
    assert {bytes(addr) for addr in shown["client_addr"]} == {mapped("192.0.2.1")}
    assert shown["last_ns"].tolist() == [FIRST_NS + MS, FIRST_NS + 21 * MS, FIRST_NS + 40 * MS]


def test_the_slowest_are_those_that_waited_or_wait_longest() -> None:
    quick, slow, waiting = (Talk(client_port=1000 + i) for i in range(3))
    packets: list[Packet] = []
    for talk, answer_ns in ((quick, 10 * MS), (slow, 300 * MS), (waiting, None)):
        packets += opened(talk, FIRST_NS)
        packets += asked(talk, FIRST_NS + 100 * MS, 0, answer_ns)
    packets.append((FIRST_NS + 700 * MS, Talk(server="198.51.100.9").out(1, flags=SYN)))
    packets.sort(key=lambda packet: packet[0])
    slowest = looked_at(packets).slowest
    assert slowest["client_port"].tolist() == [1002, 1001, 1000]
    assert slowest["response_ns"].tolist() == [600 * MS, 300 * MS, 10 * MS]
    assert slowest["responses"].tolist() == [0, 1, 1]
    assert slowest["state"].tolist() == [
        ConnectionState.WAITING,
        ConnectionState.OPEN,
        ConnectionState.OPEN,
    ]


def test_the_oldest_wait_is_that_of_the_first_request_without_an_answer() -> None:
    first, second, answered = (Talk(client_port=1000 + i) for i in range(3))
    elsewhere = Talk(server="198.51.100.9")
    packets: list[Packet] = []
    for talk, at_ns, answer_ns in (
        (elsewhere, 50 * MS, None),
        (answered, 100 * MS, 300 * MS),
        (first, 150 * MS, None),
        (second, 250 * MS, None),
    ):
        packets += opened(talk, FIRST_NS)
        packets += asked(talk, FIRST_NS + at_ns, 0, answer_ns)
    packets.append((FIRST_NS + 900 * MS, Talk(server="203.0.113.1").out(1, flags=SYN)))
    packets.sort(key=lambda packet: packet[0])
    assert looked_at(packets).oldest_wait_ns == 750 * MS
    assert looked_at(packets, "198.51.100.9").oldest_wait_ns == 850 * MS
    assert looked_at(packets, "203.0.113.1").oldest_wait_ns == -1
    assert looked_at([], "203.0.113.1").oldest_wait_ns == -1


@pytest.mark.parametrize("seed", [3, 5, 8])
def test_the_oldest_wait_agrees_with_the_gauges(seed: int) -> None:
    packets = busy(seed, 200)
    n_waiting = 0
    for n_packets in range(50, len(packets), len(packets) // 20):
        made = engine(packets[:n_packets], group_by=GroupBy.ADDR_PORT)
        for row in made.snapshot(View()).rows():
            wait_ns = made.detail(DetailView(mapped(row.name))).oldest_wait_ns
            assert (wait_ns >= 0) == (row.count("waiting") > 0)
            assert (wait_ns >= 10 * NS_PER_S) == (row.count("waiting_long") > 0)
            n_waiting += row.count("waiting")
    assert n_waiting > 0


def test_every_state_of_a_connection_is_told() -> None:
    talks = {state: Talk(client_port=1000 + state) for state in ConnectionState}
    packets: list[Packet] = []
    idle_ns = 300 * NS_PER_S
    now = FIRST_NS + idle_ns + NS_PER_S
    packets += opened(talks[ConnectionState.IDLE], FIRST_NS)
    packets.append((now - 100 * NS_PER_S, talks[ConnectionState.TIMED_OUT].out(1, flags=SYN)))
    packets.append((now, talks[ConnectionState.PENDING].out(1, flags=SYN)))
    opening = talks[ConnectionState.OPENING]
    packets += [(now, opening.out(100, flags=SYN)), (now, opening.back(500, 101, SYN | ACK))]
    for state in (
        ConnectionState.OPEN,
        ConnectionState.WAITING,
        ConnectionState.CLOSING,
        ConnectionState.CLOSED,
        ConnectionState.RESET,
    ):
        packets += opened(talks[state], now)
    packets += asked(talks[ConnectionState.WAITING], now + 2 * MS, 0, None)
    for state in (ConnectionState.CLOSING, ConnectionState.CLOSED):
        packets.append((now + 2 * MS, talks[state].out(101, 501, FIN | ACK)))
    packets.append((now + 3 * MS, talks[ConnectionState.CLOSED].back(501, 102, FIN | ACK)))
    packets.append((now + 3 * MS, talks[ConnectionState.RESET].back(501, 101, RST)))
    packets.sort(key=lambda packet: packet[0])
    made = engine(packets)
    rows = made._state.table.of_destinations(np.array([0]))
    assert len(rows) == len(ConnectionState)
    detail = made.detail(DetailView(mapped("198.51.100.7"), n_connections=99))
    assert detail.n_connections == len(ConnectionState)
    still = {int(c["client_port"]) - 1000: int(c["state"]) for c in detail.longest_open}
    assert still == {
        int(state): int(state)
        for state in (
            ConnectionState.PENDING,
            ConnectionState.OPENING,
            ConnectionState.OPEN,
            ConnectionState.WAITING,
            ConnectionState.CLOSING,
        )
    }
    from trtop_core.detail_query import shown_connections  # noqa: PLC0415

    told = {int(c["client_port"]) - 1000: int(c["state"]) for c in shown_connections(rows, now)}
    assert told == {int(state): int(state) for state in ConnectionState}


def test_no_more_connections_than_asked_for() -> None:
    packets: list[Packet] = []
    for i in range(23):
        talk = Talk(client_port=1000 + i)
        packets += opened(talk, FIRST_NS + i * MS) + asked(talk, FIRST_NS + 500 * MS, 0, i * MS)
    packets.sort(key=lambda packet: packet[0])
    detail = looked_at(packets, n_connections=7)
    assert len(detail.longest_open) == len(detail.slowest) == 7
    assert detail.n_connections == 23
    assert detail.slowest["response_ns"].tolist() == [i * MS for i in range(22, 15, -1)]


def test_a_destination_that_never_was_has_an_empty_detail() -> None:
    detail = looked_at(busy(1, 5), "203.0.113.1")
    assert len(detail.table) == len(detail.minute) == len(detail.minutes) == 0
    assert len(detail.longest_open) == len(detail.slowest) == detail.n_connections == 0
    empty = engine([]).detail(DetailView(mapped("203.0.113.1"), window=Window.LAST_10_S))
    assert empty.clock_ns is None
    assert len(empty.table) == 0


def test_without_windows_there_is_no_history() -> None:
    made = Engine(EngineConfig(), SEED)
    made.feed(PacketBatch.from_packets(busy(1, 5)))
    detail = made.detail(DetailView(mapped("198.51.100.7")))
    assert len(detail.minute) == len(detail.minutes) == 0
    assert detail.table.counters["syn"][0] > 0
    with pytest.raises(ValueError, match="not kept"):
        made.detail(DetailView(mapped("198.51.100.7"), window=Window.LAST_10_S))
    with pytest.raises(ValueError, match="address only"):
        made.detail(DetailView(mapped("198.51.100.7"), group_by=GroupBy.ADDR_PORT))


@pytest.mark.parametrize(
    "wrong", [{"addr": b"short"}, {"port": -1}, {"port": 65_536}, {"n_connections": -1}]
)
def test_a_question_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        DetailView(**{"addr": bytes(16), **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("window", [Window.ALL, *WINDOWS])
@pytest.mark.parametrize("sort", ["syn", "destination", "response_time", "completeness"])
@pytest.mark.parametrize("limit", [None, 2, 0])
def test_rows_by_address_are_the_same_whatever_the_engine_keeps(
    window: Window, sort: str, limit: int | None
) -> None:
    packets = busy(7, 90)
    view = View(window=window, sort=sort, limit=limit)
    fine = engine(packets, group_by=GroupBy.ADDR_PORT).snapshot(view)
    assert fine.record(with_bins=True) == engine(packets).snapshot(view).record(with_bins=True)


@pytest.mark.parametrize("window", [Window.ALL, Window.LAST_60_S])
def test_connections_that_nobody_asked_for_show_nowhere(window: Window) -> None:
    packets = busy(3, 20)
    made = engine(packets, local=(ipaddress.ip_network("203.0.113.0/24"),))
    snapshot = made.snapshot(View(window=window))
    assert snapshot.n_destinations == len(snapshot.table) == 0
    assert snapshot.totals.count("syn") == snapshot.totals.samples("response_time") == 0
    detail = made.detail(DetailView(mapped("198.51.100.7"), window=window))
    assert len(detail.table) == detail.n_connections == 0


def test_a_connection_that_nobody_asked_for_is_no_oldest_wait() -> None:
    shown = Talk(client="192.0.2.1", server="198.51.100.7")
    hidden = Talk(client="198.51.100.9", server="192.0.2.1")
    packets = [*opened(shown, FIRST_NS), *opened(hidden, FIRST_NS)]
    packets += asked(hidden, FIRST_NS + 2 * MS, 0, None)
    packets += asked(shown, FIRST_NS + 2 * MS, 0, None)
    packets.append((FIRST_NS + NS_PER_S, shown.out(104, 501)))
    packets.sort(key=lambda packet: packet[0])
    local = (ipaddress.ip_network("192.0.2.1/32"),)
    made = engine(packets, local=local, max_destinations=4)
    # Its row lies behind those that there are, and so do these marks.
    marks = np.ones(16, np.uint8)
    wanted = marks[:1]
    assert made._flows.oldest_wait_ns(wanted) == NS_PER_S - 2 * MS
    wanted[:] = 0
    assert made._flows.oldest_wait_ns(wanted) == -1
