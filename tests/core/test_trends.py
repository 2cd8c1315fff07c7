"""Trends of rows are what each slot added, for engines alone and merged."""

import random

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
from trtop_core.detail import DetailView
from trtop_core.engine import Engine
from trtop_core.merging.trends import merge_trends
from trtop_core.records import DESTINATION_KEY, NS_PER_S, DestinationKind, GroupBy, Window
from trtop_core.trends import MAX_TREND_ROWS, Trends, TrendView
from trtop_core.view import View

ERRORS = ("rst_in", "timeouts", "tls_failed", "unanswered")
"""What docs/screen.md calls errors."""

SLOTS_S = {Window.LAST_10_S: (1, 10), Window.LAST_60_S: (5, 12), Window.LAST_300_S: (30, 10)}


def troubled(seed: int, seconds: int) -> list[Packet]:
    """Busy servers, and some that refuse, do not answer, or are silent until they hang up."""
    rng = random.Random(seed)
    packets = busy(seed, seconds)
    for i in range(seconds):
        at_ns = FIRST_NS + rng.randrange(seconds * NS_PER_S)
        talk = Talk(server=f"198.51.100.{20 + i % 3}", server_port=80, client_port=40_000 + i)
        if i % 3 == 0:
            packets.append((at_ns, talk.out(100, flags=SYN)))
            packets.append((at_ns + MS, talk.back(0, 101, flags=RST | ACK)))
        elif i % 3 == 1:
            packets.append((at_ns, talk.out(100, flags=SYN)))
        else:
            packets += opened(talk, at_ns)
            packets += asked(talk, at_ns + 5 * MS, 0, None)
            packets.append((at_ns + 900 * MS, talk.back(501, 104, flags=FIN | ACK)))
    return sorted(packets, key=lambda packet: packet[0])


def view_of(made: Engine, window: Window, group_by: GroupBy = GroupBy.ADDR) -> TrendView:
    keys = made.snapshot(View(group_by=group_by)).table.keys
    return TrendView(keys.tobytes(), group_by, window)


def errors_until(packets: list[Packet], at_ns: int, group_by: GroupBy) -> dict[bytes, int]:
    """Errors of every row up to a moment, by an engine that saw nothing else."""
    made = Engine(EngineConfig(group_by=group_by), SEED)
    before = [packet for packet in packets if packet[0] < at_ns]
    if not before:
        return {}
    made.feed(PacketBatch.from_packets(before))
    made.advance(at_ns - 1)
    table = made.snapshot(View(group_by=group_by)).table
    sums = sum(table.counters[name].astype(np.int64) for name in ERRORS)
    return {key.tobytes(): int(n) for key, n in zip(table.keys, sums, strict=True)}


@pytest.mark.parametrize("group_by", list(GroupBy))
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("seconds", [7, 90])
def test_errors_of_a_trend_are_what_each_slot_added(
    seconds: int, window: Window, group_by: GroupBy
) -> None:
    packets = troubled(seconds, seconds)
    made = engine(packets, group_by=group_by)
    view = view_of(made, window, group_by)
    trends = made.trends(view)
    slot_s, n_slots = SLOTS_S[window]
    slot_ns = slot_s * NS_PER_S
    last = packets[-1][0] // slot_ns
    first = max(packets[0][0] // slot_ns, last - n_slots + 1)
    assert trends.errors.shape == (len(view.rows), last - first + 1)
    ends = [errors_until(packets, (first + i) * slot_ns, group_by) for i in range(last - first + 1)]
    ends.append(errors_until(packets, packets[-1][0] + 1, group_by))
    for row, key in enumerate(view.rows):
        counts = [end.get(key.tobytes(), 0) for end in ends]
        assert trends.errors[row].tolist() == np.diff(counts).tolist()
    assert trends.starts_ns.tolist() == [
        max(packets[0][0], (first + i) * slot_ns) for i in range(last - first + 1)
    ]
    assert (trends.starts_ns + trends.spans_ns)[-1] == packets[-1][0]


def test_each_kind_of_error_counts_in_a_trend() -> None:
    packets = troubled(3, 60)
    made = engine(packets)
    made.advance(packets[-1][0] + 30 * NS_PER_S)
    table = made.snapshot(View()).table
    for name in set(ERRORS) - {"tls_failed"}:
        assert table.counters[name].sum() > 2, name
    view = view_of(made, Window.LAST_300_S)
    place = {key.tobytes(): i for i, key in enumerate(table.keys)}
    sums = sum(table.counters[name].astype(np.int64) for name in ERRORS)
    assert made.trends(view).errors.sum(axis=1).tolist() == [
        int(sums[place[key.tobytes()]]) for key in view.rows
    ]


@pytest.mark.parametrize("group_by", list(GroupBy))
@pytest.mark.parametrize("window", [Window.LAST_60_S, Window.LAST_300_S])
def test_response_times_of_a_trend_are_those_of_the_detail(
    window: Window, group_by: GroupBy
) -> None:
    """A detail's history is held to a plain twin of its own."""
    made = engine(busy(11, 200), group_by=group_by)
    view = view_of(made, window, group_by)
    trends = made.trends(view)
    assert (trends.response_time_ns > 0).sum() > 20
    for row, key in enumerate(view.rows):
        about = DetailView(
            bytes(key["addr"]), int(key["port"]), int(key["kind"]), group_by=group_by
        )
        detail = made.detail(about)
        history = detail.minute if window is Window.LAST_60_S else detail.minutes
        assert trends.response_time_ns[row].tolist() == history["response_time_ns"].tolist()
        assert trends.starts_ns.tolist() == history["start_ns"].tolist()
        assert trends.spans_ns.tolist() == history["span_ns"].tolist()


def test_rows_of_a_trend_come_as_they_were_asked_for() -> None:
    made = engine(troubled(5, 60), group_by=GroupBy.ADDR_PORT)
    whole = made.trends(view_of(made, Window.LAST_60_S))
    rows = whole.view.rows
    unknown = np.zeros(1, DESTINATION_KEY)
    unknown["addr"] = np.frombuffer(mapped("203.0.113.9"), np.uint8)
    order = [2, 0, 2]
    asked_for = np.concatenate([rows[order], unknown])
    found = made.trends(TrendView(asked_for.tobytes()))
    assert found.errors[:3].tolist() == whole.errors[order].tolist()
    assert found.response_time_ns[:3].tolist() == whole.response_time_ns[order].tolist()
    assert not found.errors[3].any()
    assert (found.response_time_ns[3] == -1).all()


def test_the_row_of_all_others_has_a_trend() -> None:
    made = engine(troubled(5, 60), max_destinations=2)
    view = view_of(made, Window.LAST_60_S)
    other = int(np.flatnonzero(view.rows["kind"] == DestinationKind.OTHER)[0])
    assert made.trends(view).errors[other].sum() > 3


def test_no_trend_before_the_first_packet() -> None:
    made = engine([])
    trends = made.trends(TrendView(np.zeros(2, DESTINATION_KEY).tobytes()))
    assert trends.errors.shape == trends.response_time_ns.shape == (2, 0)


def test_what_is_not_kept_is_refused() -> None:
    made = Engine(EngineConfig(windows=(Window.LAST_10_S,)), SEED)
    with pytest.raises(ValueError, match="the window of 60 s is not kept"):
        made.trends(TrendView(b""))
    with pytest.raises(ValueError, match="by address only"):
        made.trends(TrendView(b"", GroupBy.ADDR_PORT, Window.LAST_10_S))
    with pytest.raises(ValueError, match="window that slides"):
        TrendView(b"", window=Window.ALL)
    with pytest.raises(ValueError, match="inside a key"):
        TrendView(b"123")
    with pytest.raises(ValueError, match=f"at most {MAX_TREND_ROWS} rows"):
        TrendView(bytes(DESTINATION_KEY.itemsize * (MAX_TREND_ROWS + 1)))


@pytest.mark.parametrize("window", WINDOWS)
def test_trends_of_parts_are_those_of_the_whole(window: Window) -> None:
    packets = troubled(8, 120)
    whole = engine(packets)
    by_port = [engine([p for p in packets if client_port(p[1]) % 2 == i]) for i in range(2)]
    end_ns = packets[-1][0]
    for made in (whole, *by_port):
        made.advance(end_ns)
    view = view_of(whole, window)
    expected = whole.trends(view)
    found = merge_trends([made.trends(view) for made in by_port], view)
    assert found.starts_ns.tolist() == expected.starts_ns.tolist()
    assert found.spans_ns.tolist() == expected.spans_ns.tolist()
    assert found.errors.tolist() == expected.errors.tolist()
    assert ((found.response_time_ns > 0) == (expected.response_time_ns > 0)).all()
    assert (found.response_time_ns >= expected.response_time_ns).all()


def client_port(packet: bytes) -> int:
    """The port of the client, which is above those of all servers."""
    ends = packet[34:36], packet[36:38]
    return max(int.from_bytes(end, "big") for end in ends)


def test_a_part_that_stopped_long_ago_has_no_say() -> None:
    early, late = engine(troubled(8, 10)), engine([])
    shifted = [(at + 3600 * NS_PER_S, data) for at, data in troubled(9, 30)]
    late.feed(PacketBatch.from_packets(shifted))
    view = view_of(late, Window.LAST_60_S)
    alone = late.trends(view)
    found = merge_trends([early.trends(view), alone], view)
    assert found.starts_ns[-len(alone.starts_ns) :].tolist() == alone.starts_ns.tolist()
    assert found.errors[:, -alone.errors.shape[1] :].tolist() == alone.errors.tolist()
    assert not found.errors[:, : -alone.errors.shape[1]].any()
    assert len(found.starts_ns) == 12


def test_nothing_to_merge_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to merge"):
        merge_trends([], TrendView(b""))


def test_parts_before_their_first_packets_are_empty() -> None:
    view = TrendView(np.zeros(1, DESTINATION_KEY).tobytes())
    found: Trends = merge_trends([engine([]).trends(view)] * 2, view)
    assert found.errors.shape == (1, 0)
