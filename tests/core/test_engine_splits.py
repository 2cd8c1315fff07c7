"""The same packets give the same numbers, however they come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Packet
from support.builders.savefile import Captured, write_pcap
from support.compare import SEED, batch_of, plain, run
from support.traffic.generated import Faults, generate

from trtop_core import Engine, EngineConfig, PacketBatch, View, merge
from trtop_core.decode import decode
from trtop_core.records import GroupBy, Window
from trtop_core.savefile import CaptureReader

PACKETS = generate(7, 120, Faults(0.03, 0.05, 0.05, 0.05))
WHOLE = plain(run([batch_of(PACKETS)]))


def _split(packets: list[Packet], cuts: list[int]) -> Iterator[PacketBatch]:
    bounds = sorted({0, len(packets), *(cut % (len(packets) + 1) for cut in cuts)})
    for start, end in pairwise(bounds):
        yield batch_of(packets[start:end])


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 10**6), max_size=40))
def test_any_split_into_batches(cuts: list[int]) -> None:
    assert plain(run(_split(PACKETS, cuts))) == WHOLE


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 1000])
def test_any_batch_size(size: int) -> None:
    batches = (batch_of(PACKETS[at : at + size]) for at in range(0, len(PACKETS), size))
    assert plain(run(batches)) == WHOLE


def test_the_seed_changes_nothing() -> None:
    rng = random.Random(3)
    for _ in range(5):
        assert plain(run([batch_of(PACKETS)], seed=rng.randbytes(16))) == WHOLE


def test_snapshots_on_the_way_change_nothing() -> None:
    engine = Engine(EngineConfig(windows=(Window.LAST_10_S,)), SEED)
    for at in range(0, len(PACKETS), 50):
        engine.feed(batch_of(PACKETS[at : at + 50]))
        engine.snapshot(View())
        engine.snapshot(View(window=Window.LAST_10_S))
    engine.finish()
    assert plain(engine.snapshot(View())) == WHOLE


@pytest.mark.parametrize("n_files", [1, 2, 10])
@pytest.mark.parametrize("piece", [1 << 20, 997])
def test_one_file_or_ten(n_files: int, piece: int) -> None:
    engine = Engine(EngineConfig(), SEED)
    bounds = [len(PACKETS) * i // n_files for i in range(n_files + 1)]
    for start, end in pairwise(bounds):
        packets = [Captured(p.ts_ns, p.data, p.wire_len) for p in PACKETS[start:end]]
        content = write_pcap(packets, nanoseconds=True)
        reader = CaptureReader()
        for at in range(0, len(content), piece):
            for batch in reader.feed(content[at : at + piece]):
                engine.feed(batch)
        reader.finish()
    engine.finish()
    assert plain(engine.snapshot(View())) == WHOLE


def _parts(n_parts: int) -> list[list[Packet]]:
    """Packets by connection: all of a 4-tuple are in one part; what holds no TCP is anywhere."""
    segments = decode(batch_of(PACKETS)).columns
    parts: list[list[Packet]] = [[] for _ in range(n_parts)]
    for packet, segment in zip(PACKETS, segments, strict=True):
        ends = sorted(
            (
                (segment["src"].tobytes(), int(segment["src_port"])),
                (segment["dst"].tobytes(), int(segment["dst_port"])),
            )
        )
        parts[hash(tuple(ends)) % n_parts].append(packet)
    return parts


@pytest.mark.parametrize("group_by", list(GroupBy))
@pytest.mark.parametrize("n_parts", [2, 5])
def test_snapshots_of_disjoint_connections_merge(n_parts: int, group_by: GroupBy) -> None:
    config = EngineConfig(group_by=group_by)
    view = View(group_by=group_by)
    last_ns = max(packet.ts_ns for packet in PACKETS)
    snapshots = []
    for part in _parts(n_parts):
        engine = Engine(config, SEED)
        engine.feed(batch_of(part))
        engine.advance(last_ns)
        engine.finish()
        snapshots.append(engine.snapshot(view))
    merged = plain(merge(snapshots, view))
    whole = plain(run([batch_of(PACKETS)], config))
    assert merged == whole


def test_grouping_by_address_later_equals_grouping_at_once() -> None:
    engine = Engine(EngineConfig(group_by=GroupBy.ADDR_PORT), SEED)
    engine.feed(batch_of(PACKETS))
    engine.finish()
    assert plain(engine.snapshot(View(group_by=GroupBy.ADDR))) == WHOLE


def test_a_batch_that_points_outside_its_data_is_refused() -> None:
    batch = batch_of(PACKETS[:3])
    index = batch.index.copy()
    index["caplen"][2] += 1
    engine = Engine(EngineConfig(), SEED)
    with pytest.raises(ValueError, match="outside"):
        engine.feed(PacketBatch(batch.data, index))
    assert engine.snapshot(View()).health.packets == 0


def test_limits_and_order_of_rows() -> None:
    engine = Engine(EngineConfig(), SEED)
    engine.feed(batch_of(PACKETS))
    everything = engine.snapshot(View(sort="bytes_in"))
    amounts = [row.count("bytes_in") for row in everything.rows()]
    assert amounts == sorted(amounts, reverse=True)
    cut = engine.snapshot(View(sort="bytes_in", limit=2))
    assert [row.name for row in cut.rows()] == [row.name for row in everything.rows()][:2]
    assert cut.n_destinations == len(amounts)
    assert plain(cut)["totals"] == plain(everything)["totals"]
