"""Trends as bytes: equal when they come back, and safe whatever comes."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders.screen import DrivenScreen, trends_of
from support.builders.snapshot import destination, table
from test_wire import fields_of, with_fields

from trtop_core import wire
from trtop_core.records import DESTINATION_KEY, TS_LIMIT_NS, DestinationKind, GroupBy, Window
from trtop_core.trends import MAX_TREND_ROWS, Trends, TrendView
from trtop_core.wire.envelope import pack_message
from trtop_core.wire.trends import MAX_SLOTS, MAX_TRENDS_BYTES, decode_trends, encode_trends

KINDS = st.sampled_from([int(kind) for kind in DestinationKind])
keys = st.tuples(st.binary(min_size=16, max_size=16).map(list), st.integers(0, 65_535), KINDS)
views = st.builds(
    TrendView,
    st.lists(keys, max_size=4).map(
        lambda given_: np.array([(*key, 0) for key in given_], DESTINATION_KEY).tobytes()
    ),
    st.sampled_from(GroupBy),
    st.sampled_from([window for window in Window if window is not Window.ALL]),
)


@st.composite
def trends(draw: st.DrawFn) -> Trends:
    view = draw(views)
    n_slots = draw(st.integers(0, 12))
    shape = (len(view.rows), n_slots)

    def numbers(least: int, size: int) -> np.ndarray:
        some = st.lists(st.integers(least, 2**62), min_size=size, max_size=size)
        return np.array(draw(some), np.int64)

    times = st.integers(-TS_LIMIT_NS - 1, TS_LIMIT_NS)
    starts = sorted(draw(st.lists(times, min_size=n_slots, max_size=n_slots)))
    return Trends(
        view,
        np.array(starts, np.int64),
        numbers(0, n_slots),
        numbers(0, shape[0] * shape[1]).reshape(shape),
        numbers(-1, shape[0] * shape[1]).reshape(shape),
    )


def assert_equal(found: Trends, expected: Trends) -> None:
    assert found.view == expected.view
    for name in ("starts_ns", "spans_ns", "errors", "response_time_ns"):
        a, b = getattr(found, name), getattr(expected, name)
        assert a.shape == b.shape
        assert a.tolist() == b.tolist()


@given(trends())
@settings(deadline=None)
def test_any_trends_are_equal_after_the_journey(given_: Trends) -> None:
    assert_equal(decode_trends(encode_trends(given_)), given_)


def test_the_largest_question_and_answer_fit() -> None:
    view = TrendView(np.zeros(MAX_TREND_ROWS, DESTINATION_KEY).tobytes())
    assert len(wire.encode_request(wire.AskTrends(2**62, view))) <= wire.MAX_REQUEST_BYTES
    rows = np.full((MAX_TREND_ROWS, MAX_SLOTS), 2**62, np.int64)
    slots = np.arange(MAX_SLOTS, dtype=np.int64)
    data = encode_trends(Trends(view, slots, slots, rows, rows))
    assert len(data) <= MAX_TRENDS_BYTES
    assert decode_trends(data).errors.tolist() == rows.tolist()


@given(st.integers(0, 2**62), views)
def test_a_question_about_rows_comes_back_as_it_was(number: int, view: TrendView) -> None:
    ask = wire.AskTrends(number, view)
    assert wire.decode_request(wire.encode_request(ask)) == ask
    head = wire.TrendsAnswer(number)
    assert wire.decode_reply(wire.encode_reply(head)) == head


def key_bytes(**fields: int) -> bytes:
    key = table([destination("10.0.0.1")]).keys.copy()
    for name, value in fields.items():
        key[name] = value
    return bytes(key.tobytes())


@pytest.mark.parametrize(
    "wrong",
    [
        {"keys": b"short"},
        {"keys": bytes(DESTINATION_KEY.itemsize * (MAX_TREND_ROWS + 1))},
        {"keys": key_bytes(kind=9)},
        {"keys": key_bytes(_pad=1)},
        {"window": 0},
        {"window": 7},
        {"group_by": 5},
    ],
)
def test_a_question_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    ask = wire.AskTrends(1, TrendView(key_bytes()))
    asked = fields_of(wire.encode_request(ask))
    assert wire.decode_request(with_fields(asked)) == ask
    asked["view"].update(wrong)
    with pytest.raises(wire.WireError):
        wire.decode_request(with_fields(asked))


def an_example() -> Trends:
    return trends_of(DrivenScreen().model, 3)


def _fewer_slots(sent: Any) -> None:
    sent["n_slots"] -= 1


def _too_many_slots(sent: Any) -> None:
    sent["n_slots"] = MAX_SLOTS + 1


def _a_row_too_few(sent: Any) -> None:
    sent["view"]["keys"] = sent["view"]["keys"][: DESTINATION_KEY.itemsize]


def _half_a_number(sent: Any) -> None:
    sent["errors"] = sent["errors"][:-1]


def _spoiled(name: str, value: int) -> Any:
    def spoil(sent: Any) -> None:
        numbers = np.frombuffer(sent[name], "<i8").copy()
        numbers[0] = value
        sent[name] = numbers.tobytes()

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        _fewer_slots,
        _too_many_slots,
        _a_row_too_few,
        _half_a_number,
        _spoiled("errors", -1),
        _spoiled("response_time_ns", -2),
        _spoiled("spans_ns", -1),
        _spoiled("starts_ns", TS_LIMIT_NS + 1),
        _spoiled("starts_ns", -(1 << 63)),
        _spoiled("starts_ns", TS_LIMIT_NS),
    ],
)
def test_trends_that_contradict_themselves_are_refused(spoil: Any) -> None:
    sent = fields_of(encode_trends(an_example()))
    assert_equal(decode_trends(with_fields(sent)), an_example())
    spoil(sent)
    with pytest.raises(wire.WireError):
        decode_trends(with_fields(sent))


def test_trends_that_are_too_long_are_not_looked_at() -> None:
    with pytest.raises(wire.WireError, match="bytes are more than"):
        decode_trends(pack_message(msgspec.msgpack.encode(bytes(MAX_TRENDS_BYTES))))


def check(data: bytes) -> None:
    """Bytes decode to something that can be shown, or raise ``WireError``."""
    try:
        found = decode_trends(data)
    except wire.WireError:
        return
    stage = DrivenScreen()
    stage.size = replace(stage.size, width=132)
    stage.trends = found
    stage.frame()


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
@settings(deadline=None)
def test_damaged_trends_are_a_value_or_an_error(
    changes: list[tuple[float, int]], share: float
) -> None:
    damaged = bytearray(encode_trends(an_example()))
    for place, value in changes:
        damaged[min(int(place * len(damaged)), len(damaged) - 1)] = value
    check(bytes(damaged))
    check(bytes(damaged[: int(share * len(damaged))]))
