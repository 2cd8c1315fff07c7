"""Any cut of a stream into pieces reads the same, whole, cut off, or damaged."""

from __future__ import annotations

import random
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.packets.savefile import CAPTURES, NO_CAPTURES, read_pieces, twin_read
from support.builders.savefile import Captured, PcapngWriter, write_pcap

SHARED = sorted(path for path in CAPTURES.glob("*--*") if path.suffix in {".pcap", ".pcapng"})
BYTEWISE_BYTES = 70_000
"""Longer files are fed byte by byte at their start and end only, and in random pieces whole."""


@cache
def small_captures() -> tuple[bytes, ...]:
    """A few hundred bytes of every variant."""
    packets = [
        Captured(1_700_000_000_000_000_000 + number, bytes([number]) * number, 60)
        for number in range(6)
    ]
    files = [
        write_pcap(packets, 1, order, nanoseconds, modified)
        for order in "<>"
        for nanoseconds, modified in ((False, False), (True, False), (False, True))
    ]
    for order in "<>":
        writer = PcapngWriter(order).section().interface(1, 9).packet(1, b"abc")
        writer.block(0x0BAD, bytes(40)).interface(113, 0x80 | 20, -5).packet(2**33, b"", 1)
        writer.block(4, b"").simple_packet(b"abcd").old_packet(77, b"q", 1)
        writer.statistics(0, 10, 2, 3).statistics(0, 12, None, 4).block(4, b"names")
        writer.section("<" if order == ">" else ">").interface(101).packet(7, b"last")
        files.append(writer.getvalue())
    return tuple(files)


def cut(data: bytes, seed: int, longest: int = 3000) -> list[bytes]:
    """Random pieces, short ones often."""
    rng = random.Random(seed)
    pieces = []
    at = 0
    while at < len(data):
        step = rng.choice((1, 7, 16, 100, longest))
        step = rng.randint(0, step)
        pieces.append(data[at : at + step])
        at += step
    return pieces


@pytest.mark.parametrize("number", range(8))
def test_every_variant_byte_by_byte_equals_whole_and_the_twin(number: int) -> None:
    data = small_captures()[number]
    whole = read_pieces([data])
    assert whole == twin_read(data)
    assert whole.error is None
    assert read_pieces(bytes([byte]) for byte in data) == whole


@pytest.mark.parametrize("number", range(8))
def test_every_prefix_gives_its_packets_and_where_it_broke(number: int) -> None:
    data = small_captures()[number]
    for length in range(len(data)):
        prefix = data[:length]
        expected = twin_read(prefix)
        assert read_pieces([prefix]) == expected
        assert read_pieces([prefix[: length // 2], prefix[length // 2 :]], 64) == expected


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_split_of_any_variant_equals_whole(data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from(small_captures()))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    headroom = data.draw(st.sampled_from((0, 3, 20, 64)))
    assert read_pieces(pieces, headroom) == read_pieces([stream])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_flipped_bytes_read_as_the_twin_does_however_they_are_split(data: st.DataObject) -> None:
    stream = bytearray(data.draw(st.sampled_from(small_captures())))
    flips = st.tuples(st.integers(0, len(stream) - 1), st.integers(0, 255))
    for at, value in data.draw(st.lists(flips, min_size=1, max_size=6)):
        stream[at] = value
    expected = twin_read(bytes(stream))
    assert read_pieces([bytes(stream)]) == expected
    seed = data.draw(st.integers(0, 2**32))
    assert read_pieces(cut(bytes(stream), seed, 200), 32) == expected


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"", *(data[:24] for data in small_captures())]), st.binary(max_size=300))
def test_arbitrary_bytes_read_as_the_twin_does(head: bytes, rest: bytes) -> None:
    assert read_pieces([head + rest]) == twin_read(head + rest)


@pytest.mark.skipif(not SHARED, reason=NO_CAPTURES)
@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.name)
def test_real_captures_in_any_pieces_equal_whole_and_the_twin(path: Path) -> None:
    data = path.read_bytes()
    whole = read_pieces([data])
    assert whole == twin_read(data)
    random_pieces = cut(data, 5, 40_000)
    assert read_pieces(random_pieces) == whole
    assert read_pieces(random_pieces, 2048) == whole
    middle = data[BYTEWISE_BYTES:-BYTEWISE_BYTES]
    singles = [data] if not middle else [data[:BYTEWISE_BYTES], data[-BYTEWISE_BYTES:]]
    pieces = [bytes([byte]) for byte in singles[0]]
    if middle:
        pieces += [middle, *(bytes([byte]) for byte in singles[1])]
    assert read_pieces(pieces) == whole
