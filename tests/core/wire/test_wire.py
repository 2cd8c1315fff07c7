"""Snapshots and requests as bytes: equal when they come back, and safe whatever comes."""

import struct
import tracemalloc
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders.snapshot import Destination, destination, incident, other, snapshot
from support.equal import assert_equal

from trtop.table.render import render
from trtop.table.style import TableStyle
from trtop_core import View, merge, wire
from trtop_core.health import Health
from trtop_core.metrics import COUNTERS, GAUGES, SKETCHES, SORTABLE
from trtop_core.records import UNDECODED, GroupBy, Window
from trtop_core.snapshot import Snapshot
from trtop_core.wire.envelope import MAGIC, pack_message

MB = 1 << 20


def again(picture: Snapshot) -> Snapshot:
    return wire.decode_snapshot(wire.encode_snapshot(picture))


amounts = st.integers(0, 2**63) | st.integers(0, 300)

rows = st.builds(
    Destination,
    st.ip_addresses().map(str),
    st.just(0) | st.integers(1, 65535),
    st.dictionaries(st.sampled_from(COUNTERS + GAUGES), st.integers(0, 2**40)),
    st.dictionaries(st.sampled_from(SKETCHES), st.lists(st.integers(1, 10**13), max_size=5)),
)

healths = st.builds(
    Health,
    packets=amounts,
    undecoded=st.dictionaries(st.sampled_from([v.name.lower() for v in UNDECODED]), amounts),
    duplicates=amounts,
    received=st.none() | amounts,
    kernel_dropped=st.none() | amounts,
)

views = st.builds(
    View,
    window=st.sampled_from(Window),
    group_by=st.sampled_from(GroupBy),
    sort=st.sampled_from(SORTABLE),
    descending=st.booleans(),
    limit=st.none() | st.integers(0, 10**6),
    percentile=st.floats(0, 100, exclude_min=True),
)


def test_a_decoded_snapshot_is_the_encoded_one_bins_included() -> None:
    assert_equal(again(incident()), incident())


@pytest.mark.parametrize("picture", [snapshot([]), snapshot([other(syn=7)])])
def test_an_empty_snapshot_and_the_row_of_others_travel(picture: Snapshot) -> None:
    assert_equal(again(picture), picture)


@given(st.lists(rows, max_size=6), views, healths)
@settings(deadline=None)
def test_any_snapshot_is_equal_after_the_journey(
    given_rows: list[Destination], view: View, health: Health
) -> None:
    picture = snapshot(given_rows, view, health)
    assert_equal(again(picture), picture)


def test_decoded_snapshots_merge_as_the_encoded_ones() -> None:
    parts = [incident(), snapshot([destination("10.20.0.11", syn=3, reuse=[4, 9])])]
    view = View(sort="rst")
    assert_equal(merge([again(part) for part in parts], view), merge(parts, view))


def test_what_is_decoded_can_be_written_to() -> None:
    back = again(incident())
    back.table.counters["syn"] += 1
    assert back.table.counters["syn"].sum() == incident().table.counters["syn"].sum() + 6


def test_a_snapshot_without_much_in_it_takes_little() -> None:
    picture = snapshot([destination(f"10.0.{i >> 8}.{i & 255}", syn=1) for i in range(10_000)])
    assert len(wire.encode_snapshot(picture)) < 10_000 * 26


@given(st.integers(0, 2**62), views)
def test_a_request_comes_back_as_it_was(number: int, view: View) -> None:
    ask = wire.Ask(number, view)
    data = wire.encode_request(ask)
    assert wire.decode_request(data) == ask
    assert len(data) <= wire.MAX_REQUEST_BYTES


def test_replies_come_back_as_they_were() -> None:
    notice = wire.Notice(7, wire.Severity.ERROR, "capture on \x1b[31m died")
    for reply in (
        wire.Answer(23, "web-3", (notice,), is_finished=True, is_last=True),
        wire.Refusal(23, wire.Reason.MALFORMED, "no", wire.VERSION),
    ):
        assert wire.decode_reply(wire.encode_reply(reply)) == reply


def test_a_request_of_another_version_says_which_to_use() -> None:
    data = bytearray(wire.encode_request(wire.Ask(1, View())))
    data[len(MAGIC)] = 9
    with pytest.raises(wire.WireVersionError, match=r"version 9 .* use version 3"):
        wire.decode_request(bytes(data))


def test_a_refusal_of_another_version_is_understood_with_fields_that_are_new() -> None:
    payload = {"type": "refusal", "id": 4, "reason": "version", "text": "new", "version": 7}
    data = MAGIC + b"\x07" + msgspec.msgpack.encode({**payload, "since": "tomorrow"})
    reply = wire.decode_reply(data)
    assert reply == wire.Refusal(4, wire.Reason.VERSION, "new", 7)


def test_an_answer_of_another_version_is_no_answer() -> None:
    data = MAGIC + b"\x07" + msgspec.msgpack.encode({"type": "answer", "id": 4})
    with pytest.raises(wire.WireVersionError):
        wire.decode_reply(data)


def test_a_request_that_is_too_long_is_not_looked_at() -> None:
    data = wire.encode_request(wire.Ask(1, View())) + bytes(wire.MAX_REQUEST_BYTES)
    with pytest.raises(wire.WireError, match="bytes are more than"):
        wire.decode_request(data)


DECODERS = (wire.decode_request, wire.decode_reply, wire.decode_snapshot)


def check(data: bytes) -> None:
    """Bytes decode to something that can be shown and merged, or raise ``WireError``."""
    for decode in DECODERS:
        try:
            value: Any = decode(data)
        except wire.WireError:
            continue
        if isinstance(value, Snapshot):
            list(render(value, TableStyle(width=80)))
            value.record(with_bins=True)
            if len(value.table) == value.n_destinations:
                merge([value, value], value.view)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    check(data)
    check(pack_message(data))


small = wire.encode_snapshot(snapshot([destination("10.0.0.1", syn=5, reuse=[3, 70])]))
MESSAGES = (
    small,
    wire.encode_snapshot(incident()),
    wire.encode_request(wire.Ask(1, View())),
    wire.encode_reply(wire.Answer(1, "web", (wire.Notice(1, wire.Severity.INFO, "x"),))),
)


@given(
    st.sampled_from(MESSAGES),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    st.floats(0, 1),
)
@settings(max_examples=400, deadline=None)
def test_damaged_messages_are_a_value_or_an_error(
    message: bytes, changes: list[tuple[float, int]], share: float
) -> None:
    damaged = bytearray(message)
    for place, value in changes:
        damaged[min(int(place * len(damaged)), len(damaged) - 1)] = value
    check(bytes(damaged))
    check(bytes(damaged[: int(share * len(damaged))]))


def test_every_cut_of_a_message_is_an_error() -> None:
    for message in (small, *MESSAGES[2:]):
        for end in range(len(message)):
            for decode in DECODERS:
                with pytest.raises(wire.WireError):
                    decode(message[:end])


@pytest.mark.parametrize(
    "payload",
    [
        b"\xdd\xff\xff\xff\xff",  # a list of 2**32 - 1
        b"\xdf\xff\xff\xff\xff",  # a map of as many
        b"\xc6\xff\xff\xff\xff",  # bytes of as many
        b"\x91" * 100_000,  # lists in lists
        msgspec.msgpack.encode({"view": {}, "table": {"counters": [0] * MB}}),
        msgspec.msgpack.encode({"health": {"amounts": {str(i): i for i in range(MB // 8)}}}),
        b"\x82\xa4view\x80\xa5table\x83\xa4keys\xc4\x00\xa8counters\xdd\xff\xff\xff\xff",
        b"\x81\xa6health\x82\xa7amounts\xdf\xff\xff\xff\xff",
    ],
    ids=["list", "map", "bytes", "nested", "counters", "amounts", "inner list", "inner map"],
)
def test_memory_is_bounded_by_what_was_sent(payload: bytes) -> None:
    data = pack_message(payload)
    tracemalloc.start()
    try:
        for decode in DECODERS:
            with pytest.raises(wire.WireError):
                decode(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MB + 8 * len(data)


def fields_of(message: bytes) -> Any:
    return msgspec.msgpack.decode(message[len(MAGIC) + 1 :])


def with_fields(fields: Any) -> bytes:
    return pack_message(msgspec.msgpack.encode(fields))


def _reverse_bins(fields: Any) -> None:
    sketch = fields["table"]["sketches"]["reuse"]
    code, data = sketch[2]
    numbers = np.frombuffer(data, code)
    assert len(numbers) == 2
    sketch[2][1] = numbers[::-1].tobytes()


def _bin_out_of_range(fields: Any) -> None:
    fields["table"]["sketches"]["reuse"][2] = ["<u2", struct.pack("<HH", 1, 9999)]


def _no_samples_in_a_bin(fields: Any) -> None:
    fields["table"]["sketches"]["reuse"][3] = ["<u1", b"\x00\x01"]


def _unknown_kind(fields: Any) -> None:
    keys = bytearray(fields["table"]["keys"])
    keys[18] = 77
    fields["table"]["keys"] = bytes(keys)


def _counter_of_two_rows(fields: Any) -> None:
    fields["table"]["counters"]["syn"] = ["<u1", b"\x05\x05"]


def _two_totals(fields: Any) -> None:
    fields["total"]["keys"] *= 2


def _more_rows_than_destinations(fields: Any) -> None:
    fields["n_destinations"] = 0


def _unknown_reason(fields: Any) -> None:
    fields["health"]["undecoded"] = {"\x1b[2J": 1}


def _packets_unknown(fields: Any) -> None:
    fields["health"]["amounts"]["packets"] = None


def _negative_amount(fields: Any) -> None:
    fields["health"]["amounts"]["duplicates"] = -1


def _unknown_sort(fields: Any) -> None:
    fields["view"]["sort"] = "__class__"


def _clock_beyond_the_range(fields: Any) -> None:
    fields["clock_ns"] = 1 << 63


@pytest.mark.parametrize(
    "spoil",
    [
        _reverse_bins,
        _bin_out_of_range,
        _no_samples_in_a_bin,
        _unknown_kind,
        _counter_of_two_rows,
        _two_totals,
        _more_rows_than_destinations,
        _unknown_reason,
        _packets_unknown,
        _negative_amount,
        _unknown_sort,
        _clock_beyond_the_range,
    ],
)
def test_a_snapshot_that_contradicts_itself_is_refused(spoil: Any) -> None:
    fields = fields_of(small)
    assert_equal(wire.decode_snapshot(with_fields(fields)), wire.decode_snapshot(small))
    spoil(fields)
    with pytest.raises(wire.WireError):
        wire.decode_snapshot(with_fields(fields))


def test_a_counter_and_a_distribution_that_are_not_sent_are_0() -> None:
    fields = fields_of(small)
    del fields["table"]["counters"]["syn"], fields["table"]["sketches"]["connect_latency"]
    del fields["health"]["amounts"]["duplicates"], fields["health"]["amounts"]["received"]
    received, sent = wire.decode_snapshot(with_fields(fields)), wire.decode_snapshot(small)
    row, other = next(received.rows()), next(sent.rows())
    assert other.count("syn") > 0
    assert row.count("syn") == row.samples("connect_latency") == 0
    assert row.count("est") == other.count("est")
    assert (received.health.duplicates, received.health.received) == (0, None)
    assert received.health.packets == sent.health.packets


def test_what_a_newer_program_counts_is_left_out() -> None:
    fields = fields_of(small)
    for part in (fields["table"], fields["total"]):
        part["counters"]["of tomorrow"] = ["<u1", b"\x07"]
        part["sketches"]["of tomorrow"] = part["sketches"]["reuse"]
    fields["health"]["amounts"]["of tomorrow"] = 7
    assert_equal(wire.decode_snapshot(with_fields(fields)), wire.decode_snapshot(small))


def test_a_long_text_is_cut_to_what_a_message_bears() -> None:
    long = "x" * 1000
    notice = wire.Notice(0, wire.Severity.INFO, wire.cut(long))
    answer = wire.Answer(1, "h", (notice,))
    assert wire.decode_reply(wire.encode_reply(answer)) == answer
    assert wire.cut("short") == "short"


def test_the_windows_health_travels_apart_from_the_captures() -> None:
    picture = replace(incident(), window_health=Health(packets=3))
    assert again(picture).window_health.packets == 3
    assert again(picture).health.packets == 1_234_567
