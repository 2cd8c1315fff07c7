"""What was when, as bytes: equal when it comes back, and safe whatever comes."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.traffic.busy import SEED, busy
from test_wire import fields_of, with_fields

from trtop_core import wire
from trtop_core.activity import (
    CELL,
    MAX_ACTIVITY_COLUMNS,
    MAX_ACTIVITY_ROWS,
    MAX_NUMBERS,
    MAX_SLOW,
    SERIES,
    Activity,
    ActivityView,
)
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.detail import CONNECTION
from trtop_core.engine import Engine
from trtop_core.records import DESTINATION_KEY, GroupBy, Window
from trtop_core.view import Period
from trtop_core.wire.activity import MAX_ACTIVITY_BYTES, decode_activity, encode_activity
from trtop_core.wire.envelope import pack_message


def activity() -> Activity:
    engine = Engine(EngineConfig(windows=tuple(Window), history_bytes=1 << 24), SEED)
    engine.feed(PacketBatch.from_packets(busy(3, 30)))
    return engine.activity(ActivityView(engine.keys.tobytes(), n_slow=3))


def changed(data: bytes, **fields: Any) -> bytes:
    return with_fields({**fields_of(data), **fields})


def assert_equal(found: Activity, expected: Activity) -> None:
    for name in ("view", "first_ns", "length_ns", "factor"):
        assert getattr(found, name) == getattr(expected, name)
    for name in ("totals", "response_time_ns", "cells", "slow_rows", "slow"):
        a, b = getattr(found, name), getattr(expected, name)
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


def test_an_activity_is_equal_after_the_journey() -> None:
    assert_equal(decode_activity(encode_activity(activity())), activity())
    nothing = Engine(EngineConfig(), SEED).activity(ActivityView(b""))
    assert_equal(decode_activity(encode_activity(nothing)), nothing)


def test_the_largest_question_and_answer_fit() -> None:
    keys = np.zeros(MAX_ACTIVITY_ROWS, DESTINATION_KEY).tobytes()
    view = ActivityView(keys, GroupBy.ADDR_PORT, period=Period(-(2**40), 2**60), n_slow=MAX_SLOW)
    assert len(wire.encode_request(wire.AskActivity(2**62, view))) <= wire.MAX_REQUEST_BYTES
    cells = np.zeros(MAX_NUMBERS, CELL)
    cells["row"] = np.arange(MAX_NUMBERS) // MAX_ACTIVITY_COLUMNS
    cells["column"] = np.arange(MAX_NUMBERS) % MAX_ACTIVITY_COLUMNS
    slow_rows = np.repeat(np.arange(MAX_ACTIVITY_ROWS), MAX_SLOW)
    slow = np.zeros(len(slow_rows), CONNECTION)
    totals = np.full((MAX_ACTIVITY_COLUMNS, len(SERIES)), 2**62)
    largest = Activity(view, 0, 1, totals, totals[:, 0], 1, cells, slow_rows, slow)
    data = encode_activity(largest)
    assert len(data) <= MAX_ACTIVITY_BYTES
    assert_equal(decode_activity(data), largest)


def test_counters_that_only_one_side_knows_are_left_out_or_0() -> None:
    told = activity()
    data = encode_activity(told)
    names = list(SERIES)
    names[0], names[1] = "of tomorrow", names[0]
    found = decode_activity(changed(data, series=names))
    assert found.totals[:, 0].tolist() == told.totals[:, 1].tolist()
    assert not found.totals[:, 1].any()
    assert found.totals[:, 2:].tolist() == told.totals[:, 2:].tolist()


def damaged(name: str, data: bytes) -> Any:
    """A field that contradicts the others."""
    raw = bytearray(fields_of(data)[name]) if name not in ("n_columns", "factor", "view") else b""
    if name in ("n_columns", "factor"):
        return 10**6
    if name == "view":
        return {**fields_of(data)["view"], "keys": b"x"}
    if name in ("rows", "columns", "slow_rows"):
        return b"\xff\xff" + bytes(raw[2:])
    return bytes(raw[:-1])


FIELDS = ("totals", "response_time_ns", "rows", "columns", "counters", "times_ns", "slow_rows",
          "slow", "n_columns", "factor", "view")  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_an_activity_that_contradicts_itself_is_refused(name: str) -> None:
    data = encode_activity(activity())
    with pytest.raises(wire.WireError):
        decode_activity(changed(data, **{name: damaged(name, data)}))


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_whatever_bytes_come_they_are_an_activity_or_an_error(data: bytes) -> None:
    for given_ in (data, pack_message(data)):
        with pytest.raises(wire.WireError):
            decode_activity(given_)


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_an_activity_with_a_changed_byte_is_one_or_an_error(data: st.DataObject) -> None:
    good = bytearray(encode_activity(activity()))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_activity(bytes(good))
    except wire.WireError:
        return
    assert len(found.cells) == 0 or found.cells["row"].max() < len(found.view.rows)


def test_a_question_about_a_row_of_no_known_kind_is_refused() -> None:
    keys = np.zeros(1, DESTINATION_KEY)
    keys["kind"] = 77
    view = replace(ActivityView(b""), keys=keys.tobytes())
    with pytest.raises(ValueError, match="no known kind"):
        wire.AskActivity(1, view)
    assert msgspec.msgpack.encode(ActivityView(b""))
