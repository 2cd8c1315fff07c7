"""Timelines as bytes: equal when they come back, and safe whatever comes; and several as one."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders.screen import timeline

from trtop_core import wire
from trtop_core.merging.timelines import merge_timelines
from trtop_core.records import NS_PER_S
from trtop_core.timeline import MAX_COLUMNS, TIMELINE, Timeline, TimelineView
from trtop_core.view import Period, View
from trtop_core.wire.envelope import pack_message
from trtop_core.wire.messages import Ask, AskTimeline, TimelineAnswer
from trtop_core.wire.questions import ask_of, decode_answer, encode_answer, head_of

TIMES = timeline(50)


def assert_equal(ours: Timeline, theirs: Timeline) -> None:
    assert np.array_equal(ours.columns, theirs.columns)
    assert ours.columns.dtype == theirs.columns.dtype
    assert replace(ours, columns=TIMES.columns) == replace(theirs, columns=TIMES.columns)


def test_a_timeline_comes_back_as_it_was() -> None:
    question = TimelineView(50)
    ask = ask_of(7, question)
    assert wire.decode_request(wire.encode_request(ask)) == ask == AskTimeline(7, question)
    head = wire.decode_reply(wire.encode_reply(head_of(ask)))
    assert head == TimelineAnswer(7)
    found = decode_answer(TimelineAnswer(7), [encode_answer(TIMES)])
    assert isinstance(found, Timeline)
    assert_equal(found, TIMES)


def test_a_question_for_a_period_comes_back_as_it_was() -> None:
    ask = Ask(3, View(period=Period(5, 17)))
    assert wire.decode_request(wire.encode_request(ask)) == ask
    for start, end in ((5, 5), (6, 5), (0, 1 << 63)):
        sent = msgspec.msgpack.decode(wire.encode_request(ask)[6:])
        sent["view"]["period"] = {"start_ns": start, "end_ns": end}
        with pytest.raises(wire.WireError):
            wire.decode_request(pack_message(msgspec.msgpack.encode(sent)))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_timeline_or_an_error(data: bytes) -> None:
    for sent in (data, pack_message(data)):
        with pytest.raises(wire.WireError):
            decode_answer(TimelineAnswer(1), [sent])


def broken(name: str, value: object) -> bytes:
    sent = msgspec.msgpack.decode(encode_answer(TIMES)[6:])
    sent[name] = value
    return pack_message(msgspec.msgpack.encode(sent))


def columns_with(**fields: int) -> bytes:
    columns = TIMES.columns.copy()
    for name, value in fields.items():
        columns[name][3] = value
    return columns.tobytes()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("columns", b"123", "inside a column"),
        ("columns", np.zeros(MAX_COLUMNS + 1, TIMELINE).tobytes(), "more than 1,000"),
        ("columns", columns_with(start_ns=-(1 << 63)), "out of range"),
        ("columns", columns_with(end_ns=0), "out of range"),
        ("columns", columns_with(response_time_ns=-2), "out of range"),
        ("columns", columns_with(start_ns=0), "ascend"),
        ("length_ns", 1, "shorter than they are apart"),
        ("length_ns", 0, "cannot be read"),
        ("view", {"n_columns": 0}, "cannot be read"),
    ],
)
def test_what_contradicts_itself_is_refused(name: str, value: object, said: str) -> None:
    with pytest.raises(wire.WireError, match=said):
        decode_answer(TimelineAnswer(1), [broken(name, value)])


def test_timelines_of_parts_add_up() -> None:
    other = replace(
        timeline(20, 30), length_ns=30 * NS_PER_S, grain_ns=10 * NS_PER_S, n_bytes=1, max_bytes=2
    )
    view = TimelineView(60)
    merged = merge_timelines([TIMES, other], view)
    for name in ("requests", "errors"):
        total = TIMES.columns[name].sum() + other.columns[name].sum()
        assert merged.columns[name].sum() == total
    assert (np.diff(merged.columns["start_ns"]) > 0).all()
    assert merged.columns["response_time_ns"].max() == max(
        part.columns["response_time_ns"].max() for part in (TIMES, other)
    )
    assert (merged.length_ns, merged.grain_ns) == (30 * NS_PER_S, 10 * NS_PER_S)
    assert merged.max_bytes == (64 << 20) + 2
    assert merged.view == view
    with pytest.raises(ValueError, match="nothing"):
        merge_timelines([], view)
