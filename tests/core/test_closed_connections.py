"""A bounded log of records of connections: every reader gets each once, or is told how many not."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.traffic.busy import SEED, busy

from trtop.remote.closed import ClosedReader
from trtop_core import wire
from trtop_core._connection import PROTOCOL_BITS, STATE_BITS
from trtop_core.batch import PacketBatch
from trtop_core.closed_connections import MAX_PER_ANSWER, Closed, ClosedLog, ClosedView
from trtop_core.config import EngineConfig
from trtop_core.connection_records import CONNECTION_RECORD
from trtop_core.engine import Engine
from trtop_core.wire.closed import MAX_CLOSED_BYTES, decode_closed, encode_closed
from trtop_core.wire.envelope import pack_message


def numbered(first: int, end: int) -> np.ndarray:
    records = np.zeros(end - first, CONNECTION_RECORD)
    records["began_ns"] = np.arange(first, end)
    return records


def numbers(records: np.ndarray) -> list[int]:
    return records["began_ns"].tolist()


@dataclass
class Asked:
    """A client of a log here: answers at once."""

    log: ClosedLog
    answer: Closed | None = None
    n_question_answers: int = 0
    questions: list[ClosedView] = field(default_factory=list)

    def ask_question(self, view: ClosedView, now_s: float) -> None:
        self.questions.append(view)
        self.answer = decode_closed(encode_closed(self.log.answer(view)))
        self.n_question_answers += 1


def reading(log: ClosedLog) -> tuple[ClosedReader, Asked]:
    client = Asked(log)
    return ClosedReader(client, 1.0), client  # type: ignore[arg-type]


def read(reader: ClosedReader, now_s: float) -> list[int]:
    """What there is to read at a moment."""
    found: list[int] = []
    while True:
        records = reader.poll(now_s)
        if records is None:  # it has asked
            records = reader.poll(now_s)
        if records is None:
            return found
        found += numbers(records)
        if reader.has_caught_up:
            return found


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=20), st.integers(1, 40))
@settings(deadline=None)
def test_a_reader_gets_each_record_once_or_knows_that_it_is_lost(
    steps: list[tuple[int, bool]], capacity: int
) -> None:
    log = ClosedLog(capacity, 7)
    reader, _ = reading(log)
    got, n_made, now_s = read(reader, 0.0), 0, 0.0
    for n_new, is_read in steps:
        log.add(numbered(n_made, n_made + n_new))
        n_made += n_new
        if is_read:
            now_s += 1
            got += read(reader, now_s)
    got += read(reader, now_s + 1)
    assert got == sorted(set(got))
    assert len(got) + reader.n_lost == n_made
    assert got[-capacity:] == list(range(max(0, n_made - capacity), n_made))[-len(got) :]


def test_readers_do_not_take_records_from_each_other() -> None:
    log = ClosedLog(100, 7)
    (one, _), (other, _) = reading(log), reading(log)
    log.add(numbered(0, 10))
    assert read(one, 0.0) == list(range(10))
    log.add(numbered(10, 20))
    assert read(other, 0.0) == list(range(20))
    assert read(one, 1.0) == list(range(10, 20))
    assert (one.n_lost, other.n_lost) == (0, 0)


def test_what_was_gone_before_a_reader_came_is_not_lost_to_it() -> None:
    log = ClosedLog(5, 7)
    log.add(numbered(0, 50))
    reader, _ = reading(log)
    assert read(reader, 0.0) == list(range(45, 50))
    assert reader.n_lost == 0


def test_records_for_which_there_was_no_memory_are_lost() -> None:
    log = ClosedLog(50, 7)
    reader, _ = reading(log)
    log.n_unkept = 3  # before it came
    log.add(numbered(0, 2))
    read(reader, 0.0)
    log.n_unkept = 5
    read(reader, 1.0)
    assert reader.n_lost == 2


def test_a_daemon_that_starts_anew_is_read_from_the_beginning() -> None:
    first, second = ClosedLog(100, 7), ClosedLog(100, 8)
    first.add(numbered(0, 10))
    second.add(numbered(100, 120))
    reader, client = reading(first)
    assert read(reader, 0.0) == list(range(10))
    client.log = second
    assert read(reader, 1.0) == list(range(100, 120))
    assert reader.n_lost == 0


def test_a_full_answer_is_followed_by_the_next_question_at_once() -> None:
    log = ClosedLog(3 * MAX_PER_ANSWER, 7)
    log.add(numbered(0, 2 * MAX_PER_ANSWER + 5))
    reader, client = reading(log)
    assert len(read(reader, 0.0)) == 2 * MAX_PER_ANSWER + 5
    assert len(client.questions) == 3
    assert reader.poll(0.5) is None
    assert len(client.questions) == 3


def test_the_next_question_is_asked_before_an_answer_is_given_out() -> None:
    log = ClosedLog(3 * MAX_PER_ANSWER, 7)
    log.add(numbered(0, 2 * MAX_PER_ANSWER))
    reader, client = reading(log)
    assert reader.poll(0.0) is None
    assert reader.poll(0.0) is not None
    assert [view.after for view in client.questions] == [0, MAX_PER_ANSWER]


def test_the_end_is_told_behind_the_last_record() -> None:
    log = ClosedLog(3 * MAX_PER_ANSWER, 7)
    log.add(numbered(0, MAX_PER_ANSWER + 1))
    log.finish(iter([]), is_over=True)
    whole = log.answer(ClosedView())
    assert not whole.is_over
    assert log.answer(ClosedView(7, MAX_PER_ANSWER)).is_over


@given(
    st.lists(st.integers(0, 3 * MAX_PER_ANSWER), max_size=4),
    st.integers(1, 2 * MAX_PER_ANSWER),
    st.integers(0, 40),
)
@settings(deadline=None, max_examples=20)
def test_the_last_records_wait_for_the_foremost_reader(
    sizes: list[int], capacity: int, n_before: int
) -> None:
    log = ClosedLog(capacity, 7)
    log.add(numbered(0, n_before))
    ends = list(accumulate(sizes, initial=n_before))
    log.finish((numbered(first, end) for first, end in pairwise(ends)), is_over=True)
    reader, _ = reading(log)
    assert read(reader, 0.0) == list(range(max(0, n_before - capacity), ends[-1]))
    assert (reader.n_lost, reader.is_over) == (0, True)
    late, _ = reading(log)
    assert read(late, 0.0) == list(range(ends[-1]))[-capacity:]
    assert late.is_over


def test_who_asks_for_what_is_not_there_yet_takes_nothing_from_others() -> None:
    log = ClosedLog(5, 7)
    log.finish((numbered(first, first + 100) for first in range(0, 100_000, 100)), is_over=True)
    answer = log.answer(ClosedView(7, 90_000, 10))
    assert (answer.first, numbers(answer.records)) == (0, list(range(10)))
    assert numbers(log.answer(ClosedView(7, 10, 1)).records) == [10]


def real() -> Iterator[np.ndarray]:
    engine = Engine(EngineConfig(keeps_connections=True), SEED)
    engine.feed(PacketBatch.from_packets(busy(7, 200)))
    engine.finish()
    yield engine.take_connections()
    yield from engine.remaining_connections()


def test_records_are_equal_after_the_journey_but_for_bits_without_a_name() -> None:
    records = np.concatenate(list(real()))
    log = ClosedLog(1000, 7)
    log.add(records)
    found = decode_closed(encode_closed(log.answer(ClosedView()))).records
    records["state"] &= np.uint32(sum(STATE_BITS.values()))
    records["protocol"] &= np.uint32(sum(PROTOCOL_BITS.values()))
    records["destination"] = 0  # a row of the engine alone
    assert len(found) > 50
    assert found.tobytes() == records.tobytes()


def fields_of(data: bytes) -> Any:
    return msgspec.msgpack.decode(data[6:])


def with_fields(data: bytes, **fields: Any) -> bytes:
    return pack_message(msgspec.msgpack.encode({**fields_of(data), **fields}))


def some() -> bytes:
    log = ClosedLog(1000, 7)
    log.add(np.concatenate(list(real())))
    return encode_closed(log.answer(ClosedView(7, 0, 200)))


def test_what_only_one_side_counts_is_left_out_or_0() -> None:
    data = some()
    columns = dict(fields_of(data)["columns"])
    columns["of tomorrow"] = columns.pop("syn")
    found = decode_closed(with_fields(data, columns=columns)).records["tally"]["counters"]
    assert not found["syn"].any()
    assert found["est"].any()


def test_bits_are_known_by_their_names() -> None:
    data = some()
    turned = {name: bit << 8 for name, bit in fields_of(data)["state_bits"].items()}
    plain = decode_closed(data).records["state"]
    code, raw = fields_of(data)["columns"]["state"]
    moved = ["<u4", (np.frombuffer(raw, code).astype("<u4") << 8).astype("<u4").tobytes()]
    columns = {**fields_of(data)["columns"], "state": moved}
    found = decode_closed(with_fields(data, columns=columns, state_bits=turned))
    is_high_enough = all(bit < 1 << 32 for bit in turned.values())
    assert is_high_enough
    assert found.records["state"].tolist() == plain.tolist()


@pytest.mark.parametrize(
    "fields",
    [
        {"n_records": 201},
        {"n_records": 3},
        {"client_addr": b"x"},
        {"log_id": 0},
        {"first": -1},
        {"columns": {"last_ns": ["<i8", np.full(200, 2**63 - 1).tobytes()]}},
        {"columns": {"is_evicted": ["<u1", b"\x02" * 200]}},
        {"columns": {"floor_ns": ["<i8", np.full(200, -2).tobytes()]}},
        {"columns": {"client_port": ["<u4", np.full(200, 2**17, "<u4").tobytes()]}},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_records_that_contradict_themselves_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(wire.WireError):
        decode_closed(with_fields(some(), **fields))


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_changed_bytes_are_records_or_an_error(data: st.DataObject) -> None:
    good = bytearray(some())
    good[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_closed(bytes(good))
    except wire.WireError:
        return
    assert len(found.records) <= MAX_PER_ANSWER


def test_the_largest_answer_fits() -> None:
    records = np.frombuffer(b"\x7f" * (MAX_PER_ANSWER * CONNECTION_RECORD.itemsize), "u1").copy()
    full = records.view(CONNECTION_RECORD)
    closed = Closed(ClosedView(), 1, 0, 0, False, full)
    assert len(encode_closed(closed)) <= MAX_CLOSED_BYTES
