"""What a capture subprocess sends comes out as it went in, and nothing else gets in."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtop_core.batch import PacketBatch
from trtop_core.records import PACKET_INDEX
from trtop_daemon.capture.device import index_of
from trtop_daemon.ipc.batch_message import (
    Message,
    MessageError,
    MessageKind,
    Totals,
    pack,
    unpack,
    unwrap,
)

U64 = st.integers(0, 2**64 - 1)
U32 = st.integers(0, 2**32 - 1)


def batch(packets: list[bytes]) -> PacketBatch:
    return PacketBatch.from_packets((1_000 + i, packet) for i, packet in enumerate(packets))


def message(packets: list[bytes]) -> Message:
    return Message(
        MessageKind.PACKETS,
        3,
        5,
        7,
        "eth0",
        1,
        1_700_000_000 * 10**9,
        Totals(11, 13, None, 17, 19),
        batch(packets),
    )


def raw(parts: list[bytes | memoryview]) -> list[bytes]:
    return [bytes(part) for part in parts]


@given(
    st.lists(st.binary(max_size=40), max_size=9),
    st.builds(Totals, st.none() | U64, st.none() | U64, st.none() | U64, U64, U64),
    st.integers(-(2**63), 2**63 - 1),
    st.tuples(U32, U32, U64, U32),
)
def test_a_message_comes_out_as_it_went_in(
    packets: list[bytes], totals: Totals, until_ns: int, numbers: tuple[int, int, int, int]
) -> None:
    child, generation, sequence, link_type = numbers
    sent = Message(
        MessageKind.PACKETS,
        child,
        generation,
        sequence,
        "wlan0",
        link_type,
        until_ns,
        totals,
        batch(packets),
    )
    got = unpack(raw(pack(sent)))
    assert replace(got, batch=None) == replace(sent, batch=None)
    assert got.batch is not None
    assert got.batch.index.tolist() == batch(packets).index.tolist()
    assert got.batch.data.tobytes() == b"".join(packets)


def test_packet_bytes_are_not_copied() -> None:
    sent = message([b"abc" * 100])
    assert sent.batch is not None
    parts = pack(sent)
    assert np.shares_memory(np.frombuffer(parts[2], np.uint8), sent.batch.data)
    assert np.shares_memory(np.frombuffer(parts[1], np.uint8), sent.batch.index)
    got = unpack(parts)
    assert got.batch is not None
    assert np.shares_memory(got.batch.data, sent.batch.data)


def test_the_last_message_has_a_status_and_a_text() -> None:
    sent = Message(MessageKind.END, 1, 2, 3, "a.pcap", text="a.pcap: cut off – at byte 7", code=2)
    assert unpack(raw(pack(sent))) == sent


def test_a_message_without_packets_has_an_empty_batch() -> None:
    got = unpack(raw(pack(Message(MessageKind.PACKETS))))
    assert got.batch is not None
    assert len(got.batch) == 0


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda parts: parts[:1], "1 parts"),
        (lambda parts: parts[:2], "2 parts"),
        (lambda parts: [*parts, b""], "4 parts"),
        (lambda parts: [b"", *parts[1:]], "header of 0 bytes"),
        (lambda parts: [parts[0] + bytes(5_000), *parts[1:]], "header of"),
        (lambda parts: [b"GET " + parts[0][4:], *parts[1:]], "our mark"),
        (lambda parts: [parts[0][:4] + b"\x63\0" + parts[0][6:], *parts[1:]], "version 99"),
        (lambda parts: [parts[0][:6] + b"\x63\0" + parts[0][8:], *parts[1:]], "kind 99"),
        (lambda parts: [parts[0], parts[1][:-1], parts[2]], "index of 47 bytes for 2 packets"),
        (lambda parts: [parts[0], parts[1] + parts[1], parts[2]], "index of 96 bytes"),
        (lambda parts: [parts[0], parts[1], parts[2][:-1]], "outside the batch's data"),
    ],
)
def test_what_contradicts_its_header_is_refused(damage: object, said: str) -> None:
    parts = raw(pack(message([b"abcd", b"efg"])))
    unpack(parts)
    with pytest.raises(MessageError, match=said):
        unpack(damage(parts))  # type: ignore[operator]


def test_any_bytes_are_a_message_or_refused() -> None:
    chance = random.Random(23)
    for _ in range(3_000):
        parts = raw(pack(message([b"abcd", b"efg"])))
        for _ in range(chance.randrange(1, 4)):
            part = chance.randrange(3)
            damaged = bytearray(parts[part])
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            if chance.random() < 0.3:
                del damaged[chance.randrange(len(damaged)) :]
            parts[part] = bytes(damaged)
            if not damaged:
                break
        try:
            got = unpack(parts)
        except MessageError:
            continue
        if got.batch is not None:
            ends = got.batch.index["offset"].astype(int) + got.batch.index["caplen"]
            assert all(end <= len(got.batch.data) for end in ends)


def test_a_32_bit_counter_that_wraps_goes_on_in_64() -> None:
    total = 0
    for counter in (5, 2**32 - 3, 2**32 - 1, 2, 2, 7):
        total = unwrap(total, counter)
    assert total == 2**32 + 7
    assert unwrap(2**40 + 1, 1) == 2**40 + 1


def test_totals_become_increments_and_unknown_stays_unknown() -> None:
    before, now = Totals(100, 7, None, 1, 2), Totals(142, 9, None, 4, 2)
    counters = now.since(before)
    assert (counters.received, counters.kernel_dropped) == (42, 2)
    assert counters.interface_dropped is None
    assert counters.read_lost == 3
    assert Totals(3).since(Totals()).received == 3
    assert Totals(0, 0).since(Totals()).kernel_dropped == 0


def test_the_librarys_index_becomes_ours() -> None:
    given_index = np.array(
        [[1_700_000_000, 999_999, 0, 60], [4_294_967_295, 0, 60, 128]], np.uint32
    )
    index = index_of(given_index.tobytes(), 113, snaplen_bytes=128)
    assert index.dtype == PACKET_INDEX
    assert index.tolist() == [
        (1_700_000_000_999_999_000, 0, 60, 60, 113),
        # Of a packet that fills the snaplen nobody knows how long it was.
        (4_294_967_295_000_000_000, 60, 128, 0, 113),
    ]
