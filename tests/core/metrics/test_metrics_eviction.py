"""Who leaves a full table: what nobody has proven, then closed, idle, and all other connections."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Packet, Twin
from support.builders.packets import ACK, FIN, RST, SYN, Talk
from support.compare import SEED, batch_of, config_of, differences
from support.traffic.stories import Story, Telling, counted_by_kernels, counted_by_twin, tell

from trtop_core import Engine, EngineConfig, PacketBatch, View
from trtop_core.records import PACKET_INDEX

N_QUIET = 17
N_FLOOD_BATCH = 100_000
SERVERS = {name: f"198.51.100.{n}" for n, name in enumerate(("attempt", "closed", "idle", "rest"))}


def _residents() -> dict[str, Story]:
    """One connection of each rank, the longest idle last; idle closes after 5 s."""
    rest = Story(server=SERVERS["rest"]).handshake()
    idle = Story(server=SERVERS["idle"])
    idle.syn(1_000).synack(1_010).out(1_011, 1, 1)
    rest.out(2_000, 1, 1, b"x").out(6_500, 2, 1, b"x")
    closed = Story(server=SERVERS["closed"])
    closed.syn(7_000).synack(7_010).out(7_011, 1, 1).fin_out(7_020, 1, 1).fin_back(7_030, 1, 2)
    attempt = Story(server=SERVERS["attempt"]).syn(9_000)
    return {"attempt": attempt, "closed": closed, "idle": idle, "rest": rest}


def _is_known(name: str, newcomers: Sequence[Story]) -> bool:
    """Whether a resident of a table of four is still there when the newcomers have come."""
    stories = _residents()
    stories[name].back(10_900, 1, 2, b"late")
    options = {"max_connections": 4, "idle_timeout_s": 5}
    packets = tell([*stories.values(), *newcomers], Telling())
    counted = counted_by_kernels(packets, None, False, False, options)
    assert counted == counted_by_twin(packets, None, False, options)
    return "midstream" not in counted[0][SERVERS[name]]


@pytest.mark.parametrize("n_newcomers", range(5))
def test_a_full_table_forgets_attempts_then_closed_then_idle_then_the_rest(
    n_newcomers: int,
) -> None:
    newcomers = []
    for n in range(n_newcomers):
        story = Story(client_port=50_000 + n, server="203.0.113.1")
        at_ms = 10_000 + 100 * n
        newcomers.append(story.syn(at_ms).synack(at_ms + 10).out(at_ms + 11, 1, 1))
    known = {name for name in SERVERS if _is_known(name, newcomers)}
    assert known == set(("attempt", "closed", "idle", "rest")[n_newcomers:])


def test_a_newer_attempt_goes_before_an_older_connection() -> None:
    # Each takes the place of the one before, the first that of the resident.
    newcomers = [
        Story(client_port=50_000 + n, server="203.0.113.1").syn(10_000 + n) for n in range(23)
    ]
    assert {name for name in SERVERS if _is_known(name, newcomers)} == {"closed", "idle", "rest"}


def test_single_segments_of_mid_stream_go_like_attempts() -> None:
    newcomers = [
        Story(client_port=50_000 + n, server="203.0.113.1").out(10_000 + n, 100, 100)
        for n in range(23)
    ]
    assert {name for name in SERVERS if _is_known(name, newcomers)} == {"closed", "idle", "rest"}


def _flood(n_syns: int, first_ns: int, flags: int) -> PacketBatch:
    frame = np.frombuffer(Talk().out(1, 1, flags), np.uint8)
    rng = np.random.default_rng(first_ns)
    data = np.tile(frame, (n_syns, 1))
    data[:, 26:38] = rng.integers(0, 256, (n_syns, 12), np.uint8)  # addresses and ports
    index = np.zeros(n_syns, PACKET_INDEX)
    index["ts_ns"] = first_ns + np.arange(n_syns) * 1_000
    index["offset"] = np.arange(n_syns) * len(frame)
    index["caplen"] = index["wire_len"] = len(frame)
    index["link_type"] = 1
    return PacketBatch(data.reshape(-1), index)


@pytest.mark.parametrize(("flags", "n_packets"), [(SYN, 5_000_000), (ACK, 1_000_000)])
def test_quiet_connections_survive_a_flood_of_random_ends(flags: int, n_packets: int) -> None:
    quiet = [Story(client_port=40_000 + n).handshake() for n in range(N_QUIET)]
    engine = Engine(EngineConfig(max_connections=1_000), SEED)
    engine.feed(batch_of(tell(quiet, Telling())))
    flood_ns = tell(quiet, Telling())[-1].ts_ns + 10**9
    for n in range(n_packets // N_FLOOD_BATCH):
        engine.feed(_flood(N_FLOOD_BATCH, flood_ns + n * N_FLOOD_BATCH * 1_000, flags))
    after_ms = 1_000 + n_packets / 1_000 + 100
    late = [
        Story(client_port=40_000 + n)
        .out(after_ms, 1, 1, b"ask")
        .back(after_ms + 7, 1, 4, b"answer")
        for n in range(N_QUIET)
    ]
    engine.feed(batch_of(tell(late, Telling())))
    shown = engine.snapshot(View(sort="responses", limit=1))
    assert shown.health.evicted == n_packets - (1_000 - N_QUIET)
    row = next(iter(shown.rows()))
    counted = {name: row.count(name) for name in ("est", "midstream", "responses", "active")}
    assert counted == {"est": N_QUIET, "midstream": 0, "responses": N_QUIET, "active": N_QUIET}


@pytest.mark.parametrize(("after_ms", "n_floors"), [(9_999, 0), (10_000, 1), (10_001, 1)])
def test_a_slot_that_ends_as_its_connection_is_evicted_is_sampled(
    after_ms: int, n_floors: int
) -> None:
    # Idle closes it after 5 s, so that its last closing is not its first and samples no floor.
    old = Story().syn(0).synack(7_000)
    new = Story(client_port=41_000, server="203.0.113.1").syn(after_ms)
    options = {"max_connections": 1, "idle_timeout_s": 5}
    packets = tell([old, new], Telling())
    counted = counted_by_kernels(packets, None, False, False, options)
    assert counted == counted_by_twin(packets, None, False, options)
    assert counted[0]["198.51.100.7"].get("path_rtt", {"count": 0})["count"] == n_floors


# --- the twin, which looks at all connections each time -------------------------------------------

HOPS_NS = (1, 1_000_000, 400_000_000, 3_000_000_000, 7_000_000_000, 70_000_000_000)
FLAGS = (SYN, SYN | ACK, ACK, ACK, ACK, FIN | ACK, RST)

actions = st.tuples(
    st.integers(0, 11),  # which connection
    st.booleans(),  # from the client
    st.sampled_from(FLAGS),
    st.sampled_from((b"", b"", b"data")),
    st.sampled_from(HOPS_NS),
)


@settings(max_examples=100, deadline=None)
@given(
    story=st.lists(actions, min_size=20, max_size=80),
    size=st.integers(1, 8),
    cuts=st.lists(st.integers(0, 150), max_size=5),
)
def test_any_connections_leave_in_the_order_of_the_twin(
    story: list[tuple[int, bool, int, bytes, int]], size: int, cuts: list[int]
) -> None:
    talks = [Talk(client_port=40_000 + n) for n in range(12)]
    positions = {(n, side): 100 for n in range(12) for side in (False, True)}
    packets, now_ns = [], 10**18
    for n, from_client, flags, payload, hop_ns in story:
        now_ns += hop_ns
        seq, ack = positions[n, from_client], positions[n, not from_client]
        make = talks[n].out if from_client else talks[n].back
        frame = make(seq, ack, flags, payload)
        positions[n, from_client] += len(payload) + bool(flags & (SYN | FIN))
        packets.append(Packet(now_ns, 1, frame, len(frame)))
    options = {"max_connections": size, "idle_timeout_s": 5}
    twin = Twin(**options)
    for packet in packets:
        twin.feed(packet)
    engine = Engine(config_of(**options), SEED)
    bounds = sorted({0, len(packets), *(cut % len(packets) for cut in cuts)})
    for start, end in pairwise(bounds):
        engine.feed(batch_of(packets[start:end]))
        engine.snapshot(View())
    engine.finish()
    assert differences(engine.snapshot(View()), twin.ended()) == []


def test_a_crowd_leaves_in_the_order_of_the_twin() -> None:
    # 300 ends and a table of 100: many more changes of rank than the order of eviction holds.
    rng = random.Random(5)
    talks = [Talk(client_port=40_000 + n) for n in range(300)]
    packets, now_ns = [], 10**18
    for _ in range(12_000):
        now_ns += rng.choice((1, 10**6, 10**8))
        talk = talks[int(rng.triangular(0, 300, 0))]
        make = rng.choice((talk.out, talk.back))
        frame = make(rng.randrange(100), rng.randrange(100), rng.choice(FLAGS))
        packets.append(Packet(now_ns, 1, frame, len(frame)))
    options = {"max_connections": 100, "idle_timeout_s": 5}
    twin = Twin(**options)
    for packet in packets:
        twin.feed(packet)
    engine = Engine(config_of(**options), SEED)
    engine.feed(batch_of(packets))
    engine.finish()
    ended = twin.ended()
    assert ended.report(final=False)["evicted"] > 1_000
    assert differences(engine.snapshot(View()), ended) == []
