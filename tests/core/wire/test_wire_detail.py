"""Details as bytes: equal when they come back, and safe whatever comes."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders.screen import DrivenScreen, detailed
from support.builders.snapshot import destination, table
from support.equal import assert_equal_details
from test_wire import fields_of, rows, with_fields

from trtop_core import wire
from trtop_core.detail import CONNECTION, HISTORY, ConnectionState, Detail, DetailView
from trtop_core.records import TS_LIMIT_NS, DestinationKind, GroupBy, Window
from trtop_core.wire.envelope import pack_message

views = st.builds(
    DetailView,
    st.binary(min_size=16, max_size=16),
    st.integers(0, 65_535),
    st.sampled_from([int(kind) for kind in DestinationKind]),
    group_by=st.sampled_from(GroupBy),
    window=st.sampled_from(Window),
    n_connections=st.integers(6, wire.MAX_CONNECTIONS),
)
times = st.integers(-TS_LIMIT_NS - 1, TS_LIMIT_NS)
spans = st.integers(-1, 2**62)
counts = st.integers(0, 2**64 - 1)
ports = st.integers(0, 65_535)
addrs = st.binary(min_size=16, max_size=16).map(list)

slots = st.lists(
    st.tuples(times, st.integers(0, 2**62), counts, counts, counts, spans), max_size=12
)
histories = slots.map(lambda given_: np.array(sorted(given_), HISTORY))
states = st.sampled_from([int(state) for state in ConnectionState])
connections = st.lists(
    st.tuples(
        addrs,
        addrs,
        ports,
        ports,
        states,
        st.integers(0, 1),
        st.just(0),
        times,
        times,
        spans,
        counts,
    ),
    max_size=6,
).map(lambda given_: np.array(given_, CONNECTION))
details = st.builds(
    Detail,
    views,
    st.none() | times,
    st.integers(0, 2**62),
    st.lists(rows, max_size=1).map(table),
    histories,
    histories,
    connections,
    connections,
    st.integers(6, 2**40),
    spans,
)


@given(details)
@settings(deadline=None)
def test_any_detail_is_equal_after_the_journey(detail: Detail) -> None:
    data = wire.encode_detail(detail)
    assert len(data) <= wire.MAX_DETAIL_BYTES
    assert_equal_details(wire.decode_detail(data), detail)


@given(st.integers(0, 2**62), views)
def test_a_question_about_a_destination_comes_back_as_it_was(number: int, view: DetailView) -> None:
    ask = wire.AskDetail(number, view)
    data = wire.encode_request(ask)
    assert wire.decode_request(data) == ask
    assert len(data) <= wire.MAX_REQUEST_BYTES
    head = wire.DetailAnswer(number)
    assert wire.decode_reply(wire.encode_reply(head)) == head


@pytest.mark.parametrize(
    "wrong",
    [
        {"addr": b"short"},
        {"kind": 77},
        {"kind": 1 << 40},
        {"port": 65_536},
        {"n_connections": wire.MAX_CONNECTIONS + 1},
        {"window": 7},
    ],
)
def test_a_question_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    asked = fields_of(wire.encode_request(wire.AskDetail(1, DetailView(bytes(16)))))
    assert wire.decode_request(with_fields(asked)) == wire.AskDetail(1, DetailView(bytes(16)))
    asked["view"].update(wrong)
    with pytest.raises(wire.WireError):
        wire.decode_request(with_fields(asked))


def an_example() -> Detail:
    shown = DrivenScreen().model
    return detailed(shown, shown.names[0])


def _two_rows(sent: Any) -> None:
    two = replace(an_example(), table=table([destination("10.0.0.1"), destination("10.0.0.2")]))
    sent["table"] = fields_of(wire.encode_detail(two))["table"]


def _unknown_state(sent: Any) -> None:
    sent["slowest"] = _changed(sent["slowest"], CONNECTION, "state", 99)


def _time_beyond_the_range(sent: Any) -> None:
    sent["longest_open"] = _changed(sent["longest_open"], CONNECTION, "last_ns", -(1 << 63))


def _negative_span(sent: Any) -> None:
    sent["minute"] = _changed(sent["minute"], HISTORY, "span_ns", -1)


def _half_a_record(sent: Any) -> None:
    sent["slowest"] = sent["slowest"][:-1]


def _endless_history(sent: Any) -> None:
    sent["minutes"] = bytes(HISTORY.itemsize * 65)


def _more_than_were_asked_for(sent: Any) -> None:
    sent["view"]["n_connections"] = 0


def _more_than_there_are(sent: Any) -> None:
    sent["n_connections"] = 0


def _unknown_kind(sent: Any) -> None:
    sent["view"]["kind"] = 9


def _changed(data: bytes, dtype: Any, name: str, value: int) -> bytes:
    records = np.frombuffer(data, dtype).copy()
    assert len(records)
    records[name][0] = value
    return records.tobytes()


@pytest.mark.parametrize(
    "spoil",
    [
        _two_rows,
        _unknown_state,
        _time_beyond_the_range,
        _negative_span,
        _half_a_record,
        _endless_history,
        _more_than_were_asked_for,
        _more_than_there_are,
        _unknown_kind,
    ],
)
def test_a_detail_that_contradicts_itself_is_refused(spoil: Any) -> None:
    sent = fields_of(wire.encode_detail(an_example()))
    assert_equal_details(wire.decode_detail(with_fields(sent)), an_example())
    spoil(sent)
    with pytest.raises(wire.WireError):
        wire.decode_detail(with_fields(sent))


def test_a_detail_that_is_too_long_is_not_looked_at() -> None:
    with pytest.raises(wire.WireError, match="bytes are more than"):
        wire.decode_detail(pack_message(msgspec.msgpack.encode(bytes(wire.MAX_DETAIL_BYTES))))


def check(data: bytes) -> None:
    """Bytes decode to something that can be shown, or raise ``WireError``."""
    for decode in (wire.decode_detail, wire.decode_request, wire.decode_reply):
        try:
            value: Any = decode(data)
        except wire.WireError:
            continue
        if isinstance(value, Detail):
            stage = DrivenScreen().press("d")
            stage.detail = value
            stage.frame()


MESSAGES = (
    wire.encode_detail(an_example()),
    wire.encode_request(wire.AskDetail(1, DetailView(bytes(16)))),
    wire.encode_reply(wire.DetailAnswer(1)),
)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    check(data)
    check(pack_message(data))


@given(
    st.sampled_from(MESSAGES),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    st.floats(0, 1),
)
@settings(deadline=None)
def test_damaged_messages_are_a_value_or_an_error(
    message: bytes, changes: list[tuple[float, int]], share: float
) -> None:
    damaged = bytearray(message)
    for place, value in changes:
        damaged[min(int(place * len(damaged)), len(damaged) - 1)] = value
    check(bytes(damaged))
    check(bytes(damaged[: int(share * len(damaged))]))
