"""A source read and decoded ahead in threads gives what it gives without them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders.savefile import Captured, write_pcap
from support.compare import SEED, batch_of, plain, run
from support.traffic.generated import Faults, generate

from trtop_core import Engine, EngineConfig, PacketBatch, View
from trtop_core.errors import EXIT_INCOMPLETE, TrtopError
from trtop_core.sources import IDLE, ReadResult, open_capture
from trtop_core.sources.ahead import MAX_AHEAD, Ahead, read_ahead_into

PACKETS = generate(11, 100, Faults(0.03, 0.05, 0.05, 0.05))
WHOLE = plain(run([batch_of(PACKETS)]))

pytestmark = pytest.mark.timeout(60)


def always(batch: PacketBatch) -> bool:
    return True


def n_threads() -> int:
    return sum(thread.name == "trtop-ahead" for thread in threading.enumerate())


def parts(cuts: list[int]) -> Iterator[PacketBatch]:
    bounds = sorted({0, len(PACKETS), *(cut % (len(PACKETS) + 1) for cut in cuts)})
    for start, end in pairwise(bounds):
        yield batch_of(PACKETS[start:end])


@pytest.mark.parametrize("n_jobs", [2, 3])
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 10**6), max_size=30))
def test_any_split_gives_the_same_numbers(n_jobs: int, cuts: list[int]) -> None:
    engine = Engine(EngineConfig(), SEED)
    assert read_ahead_into(engine, parts(cuts), always, n_jobs) == ReadResult(is_over=True)
    engine.finish()
    assert plain(engine.snapshot(View())) == WHOLE
    assert n_threads() == 0


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_a_file_whose_buffers_are_read_into_again(n_jobs: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    rounds = 400  # of 10 s each: some dozens of pieces of a file
    shifted = [
        Captured(p.ts_ns + i * 10**10, p.data, p.wire_len) for i in range(rounds) for p in PACKETS
    ]
    path.write_bytes(write_pcap(shifted, nanoseconds=True))
    expected = Engine(EngineConfig(), SEED)
    with open_capture(path) as source:
        for batch in source:
            expected.feed(batch)
    engine = Engine(EngineConfig(), SEED)
    with open_capture(path) as source:
        read_ahead_into(engine, source, always, n_jobs)
    assert source.n_packets == len(shifted)
    for one in (engine, expected):
        one.finish()
    assert plain(engine.snapshot(View())) == plain(expected.snapshot(View()))


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_what_could_not_be_read_comes_after_all_that_could(n_jobs: int) -> None:
    def damaged() -> Iterator[PacketBatch]:
        yield from parts([10, 20, 30])
        error = TrtopError("x.pcap: file damaged")
        error.exit_status = EXIT_INCOMPLETE
        raise error

    engine = Engine(EngineConfig(), SEED)
    result = read_ahead_into(engine, damaged(), always, n_jobs)
    assert str(result.failure) == "x.pcap: file damaged"
    engine.finish()
    assert plain(engine.snapshot(View())) == WHOLE


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_whoever_has_had_enough_leaves_no_thread_behind(n_jobs: int) -> None:
    def endless() -> Iterator[PacketBatch]:
        while True:
            yield IDLE

    seen = []

    def between(batch: PacketBatch) -> bool:
        seen.append(batch)
        return len(seen) < 5

    engine = Engine(EngineConfig(), SEED)
    assert read_ahead_into(engine, endless(), between, n_jobs) == ReadResult(is_over=False)
    assert len(seen) == 5
    assert n_threads() == 0


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_an_error_while_counting_ends_the_threads(n_jobs: int) -> None:
    def between(batch: PacketBatch) -> bool:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        read_ahead_into(Engine(EngineConfig(), SEED), parts([5, 9]), between, n_jobs)
    assert n_threads() == 0


def test_an_unforeseen_error_of_the_source_is_raised_where_it_is_read() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise RuntimeError("lost")

    with Ahead(broken()) as items:
        assert next(items) == 1
        for _ in range(2):
            with pytest.raises(RuntimeError, match="lost"):
                next(items)


def test_no_more_is_fetched_ahead_than_is_allowed() -> None:
    fetched = []

    def items() -> Iterator[int]:
        for i in range(1000):
            fetched.append(i)
            yield i

    with Ahead(items()) as ahead:
        assert next(ahead) == 0
        deadline_s = time.monotonic() + 100
        while len(fetched) < 1 + MAX_AHEAD + 1 and time.monotonic() < deadline_s:
            time.sleep(0.001)
        time.sleep(0.05)
        # One taken, those that wait, and the one in the thread's hands.
        assert len(fetched) == 1 + MAX_AHEAD + 1
        assert list(ahead) == list(range(1, 1000))


def test_an_engine_refuses_what_another_prepared() -> None:
    batch = batch_of(PACKETS)
    one, other = Engine(EngineConfig(), SEED), Engine(EngineConfig(), SEED)
    with pytest.raises(ValueError, match="another engine"):
        one.feed(batch, other.prepare(batch))
    one.feed(batch, one.prepare(batch))
    one.finish()
    assert plain(one.snapshot(View())) == WHOLE
