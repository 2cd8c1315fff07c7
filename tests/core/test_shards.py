"""What several threads count is what one engine counts, number for number."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Packet
from support.builders import layers
from support.builders.packets import NS_PER_MS, SYN, Talk, ethernet
from support.builders.savefile import Captured, write_pcap
from support.compare import SEED, batch_of
from support.paths import CAPTURES
from support.traffic import protocols
from support.traffic.generated import Faults, generate

import trtop_core._state
import trtop_core.engine
from trtop_core import Engine, EngineConfig, PacketBatch, View, shards
from trtop_core.batch import CaptureCounters
from trtop_core.detail import DetailView
from trtop_core.records import NS_PER_S, Direction, GroupBy, Window
from trtop_core.shards import ShardedFlows
from trtop_core.sources import open_capture, read_into

pytestmark = pytest.mark.timeout(120)

JOBS = (2, 3, 5)

SLOWNESS = 10 if "libtsan" in os.environ.get("LD_PRELOAD", "") else 1
"""Of kernels that are watched for races: fewer examples then."""

START_NS = 1_700_000_000 * NS_PER_S

LOCAL = (ip_network("192.0.2.0/24"), ip_network("2001:db8::1/128"))

NOISE = (
    layers.icmp_error(layers.v4()),
    layers.outer(layers.udp(53, b"?"), 17),
    ethernet(layers.v4(layers.SEGMENT[:9])),
    ethernet(layers.v4(layers.SEGMENT[8:], fragment=3)),
    bytes(9),
)
"""Packets without a segment: not TCP, quoted, cut off, a later fragment, too short."""

STEPS_NS = (
    30 * NS_PER_S, 3_600 * NS_PER_S, 90_000 * NS_PER_S, 400 * 86_400 * NS_PER_S, -15 * NS_PER_S,
    -3_600 * NS_PER_S, -2 * NS_PER_S,
)  # fmt: skip


@dataclass(frozen=True)
class Course:
    """A capture, how it is cut, and what is asked on the way.

    Attributes:
        batches: its packets.
        asked: after which of these a snapshot is taken, or a period begins.
    """

    batches: tuple[PacketBatch, ...]
    asked: frozenset[int] = frozenset()


def traffic(rng: random.Random) -> list[Packet]:
    """Connections of all kinds side by side, with doubtful times, tunnels and what is no TCP."""
    faults = Faults(0.03, 0.05, 0.05, 0.05)
    packets = generate(rng.randrange(10**6), rng.choice([5, 30, 60]), faults)
    for _ in range(rng.choice([0, 1, 3])):
        packets += protocols.generate(rng.randrange(10**6))
    packets.sort(key=lambda packet: packet.ts_ns)
    if rng.random() < 0.5:
        packets = [_wrapped(packet) if rng.random() < 0.3 else packet for packet in packets]
    for _ in range(rng.choice([0, 5, 40])):
        at = rng.randrange(len(packets))
        data = rng.choice(NOISE)
        link_type = rng.choice([1, 1, 1, 147])
        packets.insert(at, Packet(packets[at].ts_ns, link_type, data, len(data)))
    for _ in range(rng.choice([0, 0, 1, 3])):
        n_packets = rng.choice([1, 2, 31, 10**9])
        _step(packets, rng.randrange(len(packets)), rng.choice(STEPS_NS), n_packets)
    return packets


def _wrapped(packet: Packet) -> Packet:
    data = layers.outer(layers.vxlan(packet.data), 17)
    return Packet(packet.ts_ns, 1, data, len(data))


def _step(packets: list[Packet], at: int, by_ns: int, n_packets: int) -> None:
    """Give some packets another time: one is stray, many are a step of the clock."""
    for i, packet in enumerate(packets[at : at + n_packets], at):
        packets[i] = Packet(packet.ts_ns + by_ns, packet.link_type, packet.data, packet.wire_len)


def course(rng: random.Random) -> Course:
    packets = traffic(rng)
    sizes = rng.choice([(1,), (1, 2, 7, 64), (63, 64, 65), (500,), (10**6,)])
    batches, at = [], 0
    while at < len(packets):
        n = rng.choice(sizes)
        batch = batch_of(packets[at : at + n])
        if rng.random() < 0.1:
            batch = PacketBatch(batch.data, batch.index, CaptureCounters(len(batch), 1, 0), 2)
        batches.append(batch)
        at += n
    asked = frozenset(i for i in range(len(batches)) if rng.random() < rng.choice([0, 0.05]))
    return Course(tuple(batches), asked)


def config(rng: random.Random) -> EngineConfig:
    return EngineConfig(
        local=rng.choice([(), LOCAL]),
        direction=rng.choice(list(Direction)),
        group_by=rng.choice(list(GroupBy)),
        idle_timeout_ns=rng.choice([300, 7, 40]) * NS_PER_S,
        max_connections=rng.choice([10**4, 10**4, 100, 17, 3, 1]),
        max_destinations=rng.choice([1_000, 1_000, 5, 2, 1]),
        decap=rng.random() < 0.9,
        keeps_connections=rng.random() < 0.5,
    )


def told(course: Course, config: EngineConfig, n_jobs: int) -> dict[str, Any]:
    """Everything that an engine tells of a capture."""
    engine = Engine(config, SEED, n_jobs)
    assert engine.is_sharded is (n_jobs > 1)
    view = View(group_by=config.group_by)
    told: dict[str, Any] = {"on the way": []}
    records = []
    for i, batch in enumerate(course.batches):
        engine.feed(batch)
        if i in course.asked:
            told["on the way"].append(engine.snapshot(view).record(True))
            records.append(engine.take_connections())
            if i % 3 == 0:
                engine.start_period()
            if i % 3 == 1 and engine.clock_ns is not None:
                engine.advance(engine.clock_ns + 5 * NS_PER_S)
    engine.finish()
    told["at the end"] = engine.snapshot(view).record(True)
    told["link types"] = engine.unsupported_link_types
    told["clock"] = engine.clock_ns
    if config.keeps_connections:
        records += [engine.take_connections(), *engine.remaining_connections()]
        told["connections"] = _named(np.concatenate(records), engine.keys)
    return told


def _named(records: npt.NDArray[Any], keys: npt.NDArray[Any]) -> list[tuple[bytes, bytes]]:
    """Records, each with its destination itself in place of the number of that."""
    owners = [keys[row].tobytes() for row in records["destination"]]
    records["destination"] = 0
    return list(zip(owners, [record.tobytes() for record in records], strict=True))


# --- any traffic, any cut, any number of threads --------------------------------------------------


@settings(max_examples=150 // SLOWNESS, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_any_number_of_jobs_tells_the_same(seed: int) -> None:
    rng = random.Random(seed)
    capture, asked_for = course(rng), config(rng)
    expected = told(capture, asked_for, 1)
    for n_jobs in JOBS:
        assert told(capture, asked_for, n_jobs) == expected


@settings(max_examples=60 // SLOWNESS, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_small_pools_that_all_share_are_as_full_as_one_engine_s(
    seed: int, small_pools: None
) -> None:
    rng = random.Random(seed)
    capture = course(rng)
    asked_for = replace(config(rng), max_connections=rng.choice([40, 5, 3]))
    expected = told(capture, asked_for, 1)
    for n_jobs in JOBS:
        assert told(capture, asked_for, n_jobs) == expected


@pytest.fixture(scope="module")
def small_pools() -> Iterator[None]:
    """Room for hardly any holes, connections of HTTP/2, and streams of these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trtop_core.engine, "MIN_HOLES", 1)
        patch.setattr(trtop_core._state, "MIN_HTTP2", 1)
        patch.setattr(trtop_core._state, "MIN_STREAMS", 1)
        yield


@settings(max_examples=40 // SLOWNESS, deadline=None)
@given(seed=st.integers(0, 10**9), n_pages=st.sampled_from([5, 20, 60]))
def test_as_many_samples_find_no_bin(seed: int, n_pages: int) -> None:
    rng = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trtop_core.engine, "MAX_SKETCH_PAGES", n_pages)
        capture, asked_for = course(rng), config(rng)
        expected = told(capture, asked_for, 1)
        for n_jobs in JOBS:
            assert told(capture, asked_for, n_jobs) == expected


# --- bounds, one by one ---------------------------------------------------------------------------


def _opened(n: int, server: Callable[[int], str] = lambda i: "198.51.100.7") -> list[Packet]:
    """The SYNs of so many connections, a ms apart."""
    packets = []
    for i in range(n):
        data = Talk(client_port=20_000 + i, server=server(i)).out(7, flags=SYN)
        packets.append(Packet(START_NS + i * NS_PER_MS, 1, data, len(data)))
    return packets


def _counted(packets: list[Packet], size: int, n_jobs: int, **fields: Any) -> Engine:
    engine = Engine(EngineConfig(**fields), SEED, n_jobs)
    for at in range(0, len(packets), size):
        engine.feed(batch_of(packets[at : at + size]))
    return engine


@pytest.mark.parametrize("n_jobs", JOBS)
def test_the_table_is_full_when_that_of_one_engine_is(n_jobs: int) -> None:
    # 23 connections where 23 find room, then where 22 do: as exact as the bound.
    for bound, n_evicted in ((23, 0), (22, 1)):
        engine = _counted(_opened(23), 1, n_jobs, max_connections=bound)
        assert engine.health().evicted == n_evicted
        assert engine.snapshot(View()).totals.count("active") == bound


@pytest.mark.parametrize("n_jobs", JOBS)
def test_the_longest_idle_goes_whosever_shard_it_is_in(n_jobs: int) -> None:
    packets = _opened(40)
    engine = _counted(packets, 7, n_jobs, max_connections=20, keeps_connections=True)
    engine.finish()
    evicted = engine.take_connections()
    assert evicted["client_port"].tolist() == list(range(20_000, 20_020))
    assert evicted["is_evicted"].all()
    left = np.concatenate(list(engine.remaining_connections()))
    assert left["client_port"].tolist() == list(range(20_020, 20_040))


@pytest.mark.parametrize("n_jobs", JOBS)
def test_the_first_destinations_have_rows_and_the_others_share_one(n_jobs: int) -> None:
    packets = _opened(30, lambda i: f"198.51.100.{i % 15}") * 2
    for size in (1, 4, 60):
        engine = _counted(packets, size, n_jobs, max_destinations=9)
        rows = {row.name: row.count("syn") for row in engine.snapshot(View()).rows()}
        assert rows == {**{f"198.51.100.{i}": 2 for i in range(9)}, "(other)": 12}


def test_where_nothing_is_near_a_bound_shards_count_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_turn = []
    count_in_turn = ShardedFlows._count_in_turn

    def noted(self: ShardedFlows, piece: Any) -> None:
        in_turn.append(len(piece.index))
        count_in_turn(self, piece)

    monkeypatch.setattr(ShardedFlows, "_count_in_turn", noted)
    _counted(_opened(900), 100, 3).finish()
    assert not in_turn
    # Ten packets may open ten connections, and so may those in front of them.
    _counted(_opened(900), 10, 3, max_connections=910).finish()
    assert not in_turn
    _counted(_opened(900), 10, 3, max_connections=899).finish()
    assert in_turn


# --- what a capture holds -------------------------------------------------------------------------


REAL = sorted([*Path(__file__).parents[1].glob("captures/*.pcap"), *CAPTURES.glob("*.pcap")])


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_captures_tell_the_same(path: Path) -> None:
    def read(n_jobs: int) -> tuple[Any, ...]:
        engine = Engine(EngineConfig(keeps_connections=True), SEED, n_jobs)
        with open_capture(path) as source:
            result = read_into(engine, source)
        engine.finish()
        records = np.concatenate([engine.take_connections(), *engine.remaining_connections()])
        named = _named(records, engine.keys)
        return str(result.failure), engine.snapshot(View()).record(True), named

    expected = read(1)
    for n_jobs in (2, 4):
        assert read(n_jobs) == expected


def test_a_long_capture_of_many_batches_grows_all_tables(tmp_path: Path) -> None:
    packets = _opened(30_000, lambda i: f"10.{i % 200}.{i % 250}.{i % 7}")
    path = tmp_path / "x.pcap"
    captured = [Captured(p.ts_ns, p.data, p.wire_len) for p in packets]
    path.write_bytes(write_pcap(captured, nanoseconds=True))
    told = []
    for n_jobs in (1, 4):
        engine = Engine(EngineConfig(), SEED, n_jobs)
        with open_capture(path) as source:
            read_into(engine, source)
        engine.finish()
        told.append(engine.snapshot(View()).record(True))
    assert told[0] == told[1]
    assert told[0]["n_destinations"] == 7_000


# --- threads --------------------------------------------------------------------------------------


def n_threads() -> int:
    return sum(thread.name == "trtop-shard" for thread in threading.enumerate())


def test_threads_that_have_nothing_to_do_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "IDLE_S", 0.01)
    engine = _counted(_opened(50), 10, 3)
    assert engine.snapshot(View()).totals.count("syn") == 50
    waited = threading.Event()
    while n_threads():
        waited.wait(0.01)
    monkeypatch.setattr(shards, "IDLE_S", 60)
    # And are there again when there is something.
    engine.feed(batch_of(_opened(60)[50:]))
    assert engine.snapshot(View()).totals.count("syn") == 60
    assert n_threads() == 2
    engine.finish()
    while n_threads():
        waited.wait(0.01)


def test_a_batch_that_points_outside_its_data_is_refused_at_once() -> None:
    engine = Engine(EngineConfig(), SEED, 2)
    batch = batch_of(_opened(3))
    index = batch.index.copy()
    index["caplen"][2] += 1
    with pytest.raises(ValueError, match="outside"):
        engine.feed(PacketBatch(batch.data, index))
    assert engine.snapshot(View()).health.packets == 0


def test_what_a_thread_raises_is_raised_by_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: ShardedFlows, job: Any) -> None:
        raise MemoryError("no room")

    engine = Engine(EngineConfig(), SEED, 3)
    monkeypatch.setattr(ShardedFlows, "_carry_out", fail)
    with pytest.raises(MemoryError, match="no room"):
        for _ in range(100):
            engine.feed(batch_of(_opened(5)))
    # What is missing stays missing: no numbers are told without it.
    monkeypatch.undo()
    with pytest.raises(MemoryError, match="no room"):
        engine.snapshot(View())


def test_windows_are_kept_by_one_thread() -> None:
    assert not Engine(EngineConfig(windows=(Window.LAST_10_S,)), SEED, 4).is_sharded
    assert Engine(EngineConfig(windows=(Window.ALL,)), SEED, 4).is_sharded


def test_where_there_is_no_memory_for_shards_one_thread_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    def state(*arguments: Any) -> Any:
        made.append(arguments)
        if len(made) == 2:
            raise MemoryError
        return new_state(*arguments)

    new_state = trtop_core.engine.State
    monkeypatch.setattr(trtop_core.engine, "State", state)
    engine = Engine(EngineConfig(), SEED, 2)
    assert not engine.is_sharded
    engine.feed(batch_of(_opened(3)))
    assert engine.snapshot(View()).totals.count("syn") == 3
    assert len(made) == 3


def test_an_engine_of_several_jobs_answers_snapshots_only() -> None:
    engine = _counted(_opened(3), 3, 2)
    with pytest.raises(ValueError, match="snapshots only"):
        engine.prepare(batch_of(_opened(1)))
    with pytest.raises(ValueError, match="snapshots only"):
        engine.detail(DetailView(bytes(16)))
