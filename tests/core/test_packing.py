"""Connections that rest are packed: not a bit of what anybody reads changes by that."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Packet
from support.builders.packets import ACK, FIN, PSH, RST, SYN, Talk
from support.compare import SEED, batch_of, config_of, plain
from support.traffic import protocols
from support.traffic.generated import Faults, generate

from trtop_core import Engine, EngineConfig, View
from trtop_core._connection import CONNECTION, IS_TIMED, STATE_BITS, packed_and_back
from trtop_core.detail import DetailView
from trtop_core.records import DESTINATION_KEY, NS_PER_S, Window

MS = 10**6
NEVER = 2**32 - 1
CHECK_EVERY = 17
"""Packets between two questions: they run timers, too."""

WINDOWS = tuple(window for window in Window if window is not Window.ALL)

# --- one connection -------------------------------------------------------------------------------

OTHERWISE = ("number", "hash", "side", "_pad")
"""What is known without, or not of a connection that can be packed."""

NOT_OF_SIDES = ("holes", "n_nodes", "_pad")

KEYS = np.zeros(3, DESTINATION_KEY)
KEYS["addr"][1] = [*bytes(10), 255, 255, 198, 51, 100, 7]
KEYS["addr"][2] = [*bytes.fromhex("20010db8"), *bytes(11), 7]

BASE_NS = 1_700_000_000 * NS_PER_S

EXTREMES = {
    "<i8": (0, 1, -1, 2**62 - 1, -(2**62), 2**63 - 1, -(2**63), BASE_NS),
    "<u8": (0, 1, 2**56 - 1, 2**56, 2**63, 2**64 - 1),
    "<u4": (0, 1, 2**31, 2**32 - 1),
    "<u2": (0, 1, 2**15, 2**16 - 1),
    "|u1": (0, 1, 255),
}


def bare(connections: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What packets, timers and views read of connections."""
    read = connections.copy()
    # Made anew of the ends where it is needed.
    read["hash"] = 0
    state = read["state"]
    for name in ("timed_start", "timed_end", "timed_ns"):
        read[name][state & IS_TIMED == 0] = 0
    is_opening = state & (STATE_BITS["attempt"] | STATE_BITS["est"]) == STATE_BITS["attempt"]
    for name in ("synack_ns", "syn_rtt_ns"):
        read[name][~is_opening] = 0
    return read


def packable(connections: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Connections that nothing is kept of elsewhere."""
    for name in OTHERWISE:
        connections[name] = 0
    for side in ("client", "server"):
        for name in NOT_OF_SIDES:
            connections[side][name] = 0
    connections["destination"] %= len(KEYS)
    return connections


def leaves(dtype: np.dtype[Any], *path: str) -> list[tuple[tuple[str, ...], np.dtype[Any]]]:
    """Every field of records within records."""
    found = []
    for name in dtype.names or ():
        field = dtype.fields[name][0]  # type: ignore[index]
        if field.names:
            found += leaves(field, *path, name)
        elif name not in OTHERWISE + NOT_OF_SIDES:
            found.append(((*path, name), field))
    return found


FIELDS = leaves(CONNECTION)


def check_kept(connections: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    unpacked, lengths = packed_and_back(connections, KEYS, BASE_NS)
    before, after = bare(connections), bare(unpacked)
    for path, _ in FIELDS:
        a, b = before, after
        for name in path:
            a, b = a[name], b[name]
        assert (a == b).all(), path
    assert before.tobytes() == after.tobytes()
    return lengths


def usual() -> npt.NDArray[Any]:
    """A connection over IPv4 that sent a request, was answered, and has closed."""
    talk = Talk(client_port=40_000)
    engine = Engine(EngineConfig(), SEED)
    now_ns = BASE_NS + 40 * NS_PER_S
    isns = 0x9000_0000, 0x8000_0000
    for at_ms, from_client, flags, seq, ack, n_bytes in (
        (0, True, SYN, 0, None, 0),
        (1, False, SYN | ACK, 0, 1, 0),
        (2, True, ACK, 1, 1, 0),
        (3, True, ACK | PSH, 1, 1, 300),
        (9, False, ACK | PSH, 1, 301, 1_000),
        (10, False, ACK | PSH, 1_001, 301, 1_000),
        (11, True, ACK, 301, 2_001, 0),
        (12, True, FIN | ACK, 301, 2_001, 0),
        (13, False, FIN | ACK, 2_001, 302, 0),
        (14, True, ACK, 302, 2_002, 0),
    ):
        own, other = isns if from_client else isns[::-1]
        make = talk.out if from_client else talk.back
        acked = 0 if ack is None else other + ack
        frame = make(own + seq, acked, flags, b"x" * n_bytes)
        engine.feed(batch_of([Packet(now_ns + at_ms * MS, 1, frame, len(frame))]))
    (found,) = packable(engine._state.table.part(0, 1))
    one = np.zeros(1, CONNECTION)
    one[0] = found
    one["destination"] = 1
    return one


def test_a_usual_closed_connection_takes_at_most_64_bytes() -> None:
    (length,) = check_kept(usual())
    assert length <= 64


def test_an_attempt_takes_at_most_40_bytes() -> None:
    talk = Talk(client_port=40_000)
    frame = talk.out(0x9000_0000, flags=SYN)
    engine = Engine(EngineConfig(), SEED)
    engine.feed(batch_of([Packet(BASE_NS + 40 * NS_PER_S, 1, frame, len(frame))]))
    attempt = packable(engine._state.table.part(0, 1))
    attempt["destination"] = 1
    (length,) = check_kept(attempt)
    assert length <= 40


@pytest.mark.parametrize(("path", "field"), FIELDS, ids=str)
def test_whatever_one_field_is_it_is_kept(path: tuple[str, ...], field: np.dtype[Any]) -> None:
    values = EXTREMES[field.base.str]
    n_places = int(np.prod(field.shape, dtype=int))
    found = np.repeat(usual(), len(values) * n_places)
    part: Any = found
    for name in path:
        part = part[name]
    for i, value in enumerate(values):
        for place in range(n_places):
            if field.shape:
                part[i * n_places + place, place] = value
            else:
                part[i] = value
    found["destination"] %= len(KEYS)
    check_kept(found)


@pytest.mark.parametrize("shift", [0, 8, 40])
@pytest.mark.parametrize("seed", range(5))
def test_whatever_all_fields_are_they_are_kept(seed: int, shift: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, 500 * CONNECTION.itemsize, np.uint8).view(CONNECTION)
    for path, field in FIELDS:
        if field.base.str == "<i8":
            part: Any = noise
            for name in path:
                part = part[name]
            part >>= shift
    lengths = check_kept(packable(noise))
    assert lengths.max() <= 448


@pytest.mark.parametrize("n_bits", range(65))
def test_numbers_of_any_length_are_kept(n_bits: int) -> None:
    found = np.repeat(usual(), 3)
    found["turn"]["n_bytes"] = [n % 2**64 for n in (2**n_bits - 1, 2**n_bits, 2**n_bits + 1)]
    check_kept(found)


# --- engines --------------------------------------------------------------------------------------


class Pair:
    """Two engines that are fed the same: one packs whatever rests, the other nothing."""

    def __init__(self, config: EngineConfig) -> None:
        self.packs, self.keeps = Engine(config, SEED), Engine(config, SEED)
        self.packs._state.table.set_rest(0, 0, 0)
        self.keeps._state.table.set_rest(0, 0, NEVER)
        self.n_packed = 0

    def feed(self, packets: Sequence[Packet]) -> None:
        """Feed some packets together; then all that rest are packed."""
        for engine in (self.packs, self.keeps):
            engine.feed(batch_of(packets))
        self.rest()

    def rest(self) -> None:
        clock_ns = self.packs.clock_ns
        if clock_ns is not None:
            self.n_packed += self.packs._state.table.pack_resting(clock_ns)

    def check_connections(self) -> None:
        """The tables are the same, record by record."""
        ours, theirs = (engine._state.table for engine in (self.packs, self.keeps))
        assert ours.n_connections == theirs.n_connections
        mine, other = (table.part(0, table.n_numbers) for table in (ours, theirs))
        assert bare(mine).tobytes() == bare(other).tobytes()

    def check(self) -> None:
        """Everything that can be asked is answered the same."""
        self.same(lambda engine: engine.take_connections().tobytes())
        for window in Window:
            self.same(lambda engine, window=window: plain(engine.snapshot(View(window=window))))
        self.same(
            lambda engine: [
                engine.detail(
                    DetailView(bytes(key["addr"]), n_connections=5)
                ).longest_open.tobytes()
                for key in engine.keys[:3]
            ]
        )
        self.rest()

    def same(self, ask: Callable[[Engine], Any]) -> None:
        assert ask(self.packs) == ask(self.keeps)

    def finish(self) -> None:
        for engine in (self.packs, self.keeps):
            engine.finish()
        self.check_connections()
        self.check()
        self.same(lambda engine: [part.tobytes() for part in engine.remaining_connections()])


def check(packets: Sequence[Packet], size: int = 1, **options: Any) -> Pair:
    """Feed an engine that packs and one that does not, and compare them on the way."""
    config = config_of(**options)
    config = EngineConfig(
        **{name: getattr(config, name) for name in config.__slots__}
        | {"windows": WINDOWS, "keeps_connections": True}
    )
    pair = Pair(config)
    for at in range(0, len(packets), size):
        pair.feed(packets[at : at + size])
        pair.check_connections()
        if at % CHECK_EVERY < size:
            pair.check()
    pair.finish()
    return pair


@pytest.mark.parametrize("seed", range(24))
def test_an_engine_that_packs_counts_what_one_counts_that_does_not(seed: int) -> None:
    rng = random.Random(seed)
    faults = Faults(*(rng.choice([0, 0.01, 0.1, 0.3]) for _ in range(4)))
    options: dict[str, Any] = rng.choice(
        [{}, {"max_connections": 1}, {"max_connections": 3}, {"group_by": "addr,port"}]
    )
    check(generate(seed, rng.choice([3, 20]), faults), rng.choice([1, 1, 5, 64]), **options)


def test_engines_of_these_tests_do_pack() -> None:
    packets = generate(1, 20)
    assert check(packets).n_packed > len(packets) // 2


@pytest.mark.parametrize("seed", range(40))
def test_tls_and_http2_count_the_same_when_packed(seed: int) -> None:
    check(protocols.generate(seed))


HOPS_NS = (
    0, 1_000, 500_000, MS, 2 * NS_PER_S, 9 * NS_PER_S, 19 * NS_PER_S, 21 * NS_PER_S,
    61 * NS_PER_S, 301 * NS_PER_S, 3_000 * NS_PER_S, 90_000 * NS_PER_S, -MS, -11 * NS_PER_S,
)  # fmt: skip
FLAGS = (SYN, SYN | ACK, ACK, ACK, ACK, ACK | PSH, FIN | ACK, RST, RST | ACK, 0, FIN, SYN | FIN)

segments = st.tuples(
    st.integers(0, 5),  # which connection
    st.booleans(),  # from the client
    st.sampled_from(FLAGS),
    st.integers(-2, 40),  # seq, from its side's base
    st.integers(-2, 40),  # ack, from the other side's base
    st.integers(0, 30),  # payload
    st.sampled_from((0, 500, 500)),  # window
    st.sampled_from(HOPS_NS),
    st.sampled_from((1, 1, 1, 33)),  # packets: with 33 a clock steps back
)

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"max_connections": 1},
    {"max_connections": 2},
    {"max_connections": 4},
    {"idle_timeout_s": 5},
    {"local": ["192.0.2.1/32"], "direction": "out"},
    {"local": ["192.0.2.1/32"], "direction": "in"},
)


@settings(max_examples=300, deadline=None)
@given(
    story=st.lists(segments, min_size=2, max_size=40),
    bases=st.tuples(*[st.sampled_from((0, 2**32 - 5, 12_345, 2**31))] * 2),
    size=st.sampled_from((1, 1, 2, 64)),
    options=st.sampled_from(OPTIONS),
)
def test_any_segments_count_the_same_when_packed(
    story: list[Any], bases: tuple[int, int], size: int, options: dict[str, Any]
) -> None:
    talks = [
        *(Talk(client_port=40_000 + i, server_port=443) for i in range(4)),
        Talk(client="2001:db8::1", server="2001:db8::7", client_port=40_000, server_port=80),
        Talk(client_port=500, server_port=500),
    ]
    packets = []
    now_ns = BASE_NS
    for number, from_client, flags, seq, ack, n_bytes, window, hop_ns, times in story:
        now_ns += hop_ns
        make = talks[number].out if from_client else talks[number].back
        own, other = bases if from_client else bases[::-1]
        for _ in range(times):
            frame = make(own + seq, other + ack, flags, b"y" * n_bytes, window=window)
            packets.append(Packet(now_ns, 1, frame, len(frame)))
            now_ns += 10_000
    check(packets, size, **options)


# --- memory ---------------------------------------------------------------------------------------


def test_there_are_about_as_many_records_as_busy_connections() -> None:
    # 2,000 attempts a second: those of the last 0.1 s rest not yet.
    n_syns = 6_000
    packets = []
    for i in range(n_syns):
        frame = Talk(client_port=1_024 + i).out(1, flags=SYN)
        packets.append(Packet(BASE_NS + i * NS_PER_S // 2_000, 1, frame, len(frame)))
    engine = Engine(EngineConfig(), SEED)
    table = engine._state.table
    table.set_rest(100 * MS, 500 * MS, 10)
    for at in range(0, n_syns, 500):
        engine.feed(batch_of(packets[at : at + 500]))
    assert table.n_connections == n_syns
    assert 200 <= table.n_records <= 300
    assert table.n_packed >= n_syns - 300
    assert table.packed_bytes <= 40 * n_syns


def test_few_connections_are_never_packed() -> None:
    frame = Talk().out(1, flags=SYN)
    later = Talk(client_port=9).out(1, flags=SYN)
    engine = Engine(EngineConfig(), SEED)
    engine.feed(batch_of([Packet(BASE_NS, 1, frame, len(frame))]))
    engine.feed(batch_of([Packet(BASE_NS + NS_PER_S, 1, later, len(later))]))
    assert (engine._state.table.n_records, engine._state.table.n_packed) == (2, 0)


SLACK_BYTES = 64 * 1024
"""What may lie free however few are packed."""


def test_packed_connections_of_ever_other_lengths_keep_their_bound() -> None:
    max_connections = 2_000
    engine = Engine(EngineConfig(max_connections=max_connections), SEED)
    table = engine._state.table
    table.set_rest(0, 0, 0)
    lengths = []
    now_ns = BASE_NS
    for n_turns in range(12):
        frames = []
        for port in range(max_connections):
            talk = Talk(client="2001:db8::1", server="2001:db8::7", client_port=1_024 + port)
            seq, ack = 1_000 + n_turns * 10**6, 5_000 + n_turns * 10**6
            frames.append(talk.out(seq, flags=SYN))
            seq += 1
            if n_turns:
                frames.append(talk.back(ack, seq, SYN | ACK))
                ack += 1
            for turn in range(n_turns):
                # More bytes, and what every number of another kind adds to the length.
                request, response = b"q" * (turn + 1), b"r" * 50 * (turn + 1)
                frames.append(talk.out(seq, ack, ACK | PSH, request))
                seq += len(request)
                frames.append(talk.back(ack, seq, ACK | PSH, response))
                ack += len(response)
                frames.append(talk.out(seq, ack - (turn if n_turns > 6 else 0), ACK))
        packets = [
            Packet(now_ns + i * 40_001 * (1 << n_turns), 1, frame, len(frame))
            for i, frame in enumerate(frames)
        ]
        engine.feed(batch_of(packets))
        assert table.n_connections == max_connections
        assert table.n_packed + table.n_records >= max_connections
        assert table.n_packed > max_connections // 2
        assert table.packed_bytes <= table.pool_bytes <= 1.5 * table.packed_bytes + SLACK_BYTES
        lengths.append(table.packed_bytes / table.n_packed)
        # Each SYN opens a connection instead of the one before.
        now_ns = packets[-1].ts_ns + 10 * NS_PER_S
    # All lengths that there were would take more.
    assert sum(lengths) * max_connections > 2 * table.pool_bytes
