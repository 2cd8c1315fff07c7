"""Records of connections: they add up to their destinations, whatever was counted."""

import base64
import hashlib
import ipaddress
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders.packets import ACK, FIN, RST, SYN, Talk
from support.paths import CAPTURES
from support.traffic.busy import FIRST_NS, MS, SEED, WINDOWS, Packet, asked, busy, mapped, opened

from trtop_core._community_id import community_ids
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.metrics import COUNTERS, SKETCHES
from trtop_core.records import NS_PER_S, Direction, GroupBy
from trtop_core.sources import open_capture, read_into
from trtop_core.view import View

HOUR_NS = 3_600 * NS_PER_S

TESTS = Path(__file__).parents[1]

REAL = sorted([*Path(__file__).parents[1].glob("captures/*.pcap"), *CAPTURES.glob("*.pcap")])
"""Those of the repository, and of the folder of captures where there is one."""


def everything(engine: Engine) -> npt.NDArray[np.void]:
    """All records that an engine still has to give, at the end."""
    engine.finish()
    return np.concatenate([engine.take_connections(), *engine.remaining_connections()])


def recorded(packets: list[Packet], **config: object) -> tuple[Engine, npt.NDArray[np.void]]:
    engine = Engine(EngineConfig(keeps_connections=True, **config), SEED)  # type: ignore[arg-type]
    engine.feed(PacketBatch.from_packets(packets))
    return engine, everything(engine)


def check_sums(engine: Engine, records: npt.NDArray[np.void], group_by: GroupBy) -> None:
    """Each destination is the sum of its connections."""
    table = engine.snapshot(View(group_by=group_by)).table
    addrs = [bytes(addr) for addr in records["server_addr"]]
    assert bool(len(table)) == bool(len(records))
    for i, key in enumerate(table.keys):
        ports = records["server_port"] == key["port"]
        mine = records[
            [addr == bytes(key["addr"]) for addr in addrs] & (ports | (group_by is GroupBy.ADDR))
        ]["tally"]
        for name in COUNTERS:
            assert mine["counters"][name].sum() == table.counters[name][i], name
        for name in SKETCHES:
            stats, samples = table.sketches[name].stats[i], mine["samples"][name]
            assert samples["count"].sum() == stats["count"], name
            assert samples["sum"].sum() == stats["sum_lo"], name
            if stats["count"]:
                assert samples["max"].max() == stats["max"], name


@pytest.mark.parametrize("windows", [(), WINDOWS])
@pytest.mark.parametrize("group_by", list(GroupBy))
def test_records_add_up_to_their_destinations(
    group_by: GroupBy, windows: tuple[object, ...]
) -> None:
    engine, records = recorded(busy(5, 400), group_by=group_by, windows=windows)
    assert len(records) == 1200
    assert 0 < np.count_nonzero(records["is_remembered"]) < len(records)
    check_sums(engine, records, group_by)


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_records_of_real_captures_add_up(path: Path) -> None:
    engine = Engine(EngineConfig(keeps_connections=True, group_by=GroupBy.ADDR_PORT), SEED)
    with open_capture((str(path),)) as source:
        read_into(engine, source)
    check_sums(engine, everything(engine), GroupBy.ADDR_PORT)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 8))
def test_records_add_up_where_connections_are_evicted(seed: int, room: int) -> None:
    engine, records = recorded(busy(seed, 30), max_connections=room)
    assert len(records) >= 90
    evicted = np.count_nonzero(records["is_evicted"])
    assert evicted == engine.health().evicted > 0
    check_sums(engine, records, GroupBy.ADDR)


def test_records_do_not_depend_on_how_packets_are_cut() -> None:
    packets = busy(3, 300)
    _, whole = recorded(packets)
    engine = Engine(EngineConfig(keeps_connections=True), SEED)
    parts = []
    for at in range(0, len(packets), 7):
        engine.feed(PacketBatch.from_packets(packets[at : at + 7]))
        parts.append(engine.take_connections())
    assert (np.concatenate([*parts, everything(engine)]) == whole).all()


def test_a_closed_connection_is_given_once_nothing_can_count_in_it_any_more() -> None:
    talk = Talk(server="198.51.100.7", server_port=443, client_port=40_000)
    end_ns = FIRST_NS + 10 * MS
    packets = [
        *opened(talk, FIRST_NS),
        (end_ns, talk.out(101, 501, flags=FIN | ACK)),
        (end_ns, talk.back(501, 102, flags=FIN | ACK)),
    ]
    engine = Engine(EngineConfig(keeps_connections=True), SEED)
    engine.feed(PacketBatch.from_packets(packets))
    engine.advance(end_ns + 59 * NS_PER_S)
    assert len(engine.take_connections()) == 0
    engine.advance(end_ns + 61 * NS_PER_S)
    (record,) = engine.take_connections()
    assert bytes(record["client_addr"]) == mapped(talk.client)
    assert (record["client_port"], record["server_port"]) == (40_000, 443)
    assert (record["began_ns"], record["last_ns"]) == (FIRST_NS, end_ns)
    assert record["floor_ns"] == MS
    assert (record["tally"]["packets_out"], record["tally"]["packets_in"]) == (3, 2)
    assert not record["is_remembered"]
    assert len(engine.take_connections()) == 0


def test_a_syn_that_takes_a_tuple_gives_the_connection_that_had_it() -> None:
    talk = Talk(server="198.51.100.7", server_port=443, client_port=40_000)
    again = [(FIRST_NS + 5 * NS_PER_S, talk.out(90_000, flags=SYN))]
    reset = [(FIRST_NS + NS_PER_S, talk.back(501, flags=RST))]
    engine, records = recorded(opened(talk, FIRST_NS) + asked(talk, FIRST_NS + MS, 0, MS)
                               + reset + again)  # fmt: skip
    old, new = records
    assert old["tally"]["counters"]["requests"] == old["tally"]["counters"]["rst_in"] == 1
    assert new["tally"]["counters"]["syn"] == 1
    assert new["tally"]["counters"]["requests"] == 0
    check_sums(engine, records, GroupBy.ADDR)


def test_nothing_is_recorded_of_a_direction_that_nobody_asked_for() -> None:
    networks = (ipaddress.ip_network("198.51.100.0/24"),)
    _, records = recorded(busy(1, 20), local=networks, direction=Direction.OUT)
    assert len(records) == 0


def test_a_leap_of_the_clock_gives_all_that_were_forgotten_at_once() -> None:
    packets = busy(2, 2_000)
    engine = Engine(EngineConfig(keeps_connections=True), SEED)
    engine.feed(PacketBatch.from_packets(packets))
    engine.take_connections()
    engine.advance(packets[-1][0] + HOUR_NS)
    forgotten = engine.take_connections()
    assert len(forgotten)
    assert not forgotten["is_remembered"].any()
    assert engine.n_lost_connections == 0


@contextmanager
def memory_for(n_bytes: int) -> Iterator[None]:
    """No more than so much can be allocated anew."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    n_pages = int(Path("/proc/self/statm").read_text().split()[0])
    used = n_pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="others do not keep to the limit")
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="needs memory of its own")
def lose_some() -> None:
    """Have an engine keep more records than there is memory for."""
    # Each SYN supersedes the one before. Beyond 65,536 records the log asks for 98 MB at once.
    n, talk = 70_000, Talk()
    packets = [(FIRST_NS + i, talk.out(100 + i, flags=SYN)) for i in range(n + 1)]
    engine = Engine(EngineConfig(keeps_connections=True), SEED)
    batch = PacketBatch.from_packets(packets)
    with memory_for(n_bytes=24 << 20):
        engine.feed(batch)
    kept = engine.take_connections()
    assert engine.n_lost_connections > 0
    assert len(kept) + engine.n_lost_connections == n
    assert kept["began_ns"].tolist() == list(range(FIRST_NS, FIRST_NS + len(kept)))


def test_connections_for_whose_records_there_is_no_memory_are_counted() -> None:
    # In a process of its own: what earlier tests have freed is memory too.
    folders = [str(TESTS), str(TESTS / "core")]
    code = (
        f"import sys; sys.path[:0] = {folders}; import test_connection_records as t; t.lose_some()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_engine_that_keeps_none_gives_none() -> None:
    engine = Engine(EngineConfig(), SEED)
    engine.feed(PacketBatch.from_packets(busy(1, 20)))
    assert len(everything(engine)) == 0


# From the tests of the specification, https://github.com/corelight/community-id-spec.
PUBLISHED = [
    ("128.232.110.120", 34855, "66.35.250.204", 80, 0, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    ("66.35.250.204", 80, "128.232.110.120", 34855, 0, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    ("128.232.110.120", 34855, "66.35.250.204", 80, 1, "1:3V71V58M3Ksw/yuFALMcW0LAHvc="),
    (
        "2001:470:e5bf:dead:4957:2174:e82c:4887", 63943, "2607:f8b0:400c:c03::1a", 25, 0,
        "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("addr", "port", "peer", "peer_port", "seed", "expected"), PUBLISHED)
def test_community_ids_are_those_that_the_specification_publishes(
    addr: str, port: int, peer: str, peer_port: int, seed: int, expected: str
) -> None:
    (made,) = _ids([(addr, port, peer, peer_port)], seed)
    assert made == expected


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
PORTS = st.integers(0, 0xFFFF)


@settings(deadline=None)
@given(st.lists(st.tuples(ADDRESSES, PORTS, ADDRESSES, PORTS), max_size=5), PORTS)
def test_community_ids_are_what_the_text_of_the_specification_says(
    ends: list[tuple[str, int, str, int]], seed: int
) -> None:
    assert list(_ids(ends, seed)) == [_by_the_text(*end, seed) for end in ends]


def _ids(ends: list[tuple[str, int, str, int]], seed: int) -> Iterator[str]:
    def addrs(at: int) -> npt.NDArray[np.uint8]:
        raw = b"".join(mapped(str(end[at])) for end in ends)
        return np.frombuffer(raw, np.uint8).reshape(-1, 16)

    def ports(at: int) -> npt.NDArray[np.uint16]:
        return np.array([end[at] for end in ends], np.uint16)

    for text in community_ids(addrs(0), addrs(2), ports(1), ports(3), seed):
        yield text.decode()


def _by_the_text(addr: str, port: int, peer: str, peer_port: int, seed: int) -> str:
    raws = [mapped(addr), mapped(peer)]
    if all(raw.startswith(bytes(10) + b"\xff\xff") for raw in raws):
        raws = [raw[12:] for raw in raws]
    ends = sorted(zip(raws, (port, peer_port), strict=True))
    data = struct.pack("!H", seed) + ends[0][0] + ends[1][0] + b"\x06\x00"
    data += struct.pack("!HH", ends[0][1], ends[1][1])
    return "1:" + base64.b64encode(hashlib.sha1(data).digest()).decode()
