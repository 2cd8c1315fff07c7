"""Opening files, pipes and compressed files, and what is said of those that cannot be read."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.builders.savefile import write_pcap, write_pcapng

from trtop_core.batch import PacketBatch
from trtop_core.errors import DamagedCaptureError, NotACaptureError, TrtopError
from trtop_core.sources import IDLE, Source, open_capture
from trtop_core.sources.decompress import HEADROOM, Unpacker, UnpackError, with_headroom
from trtop_core.sources.files import N_PIECES, PIECE_BYTES

T0_NS = 1_700_000_000_000_000_000


def capture(n_packets: int, first: int = 0, length: int = 700) -> bytes:
    """Packets that are numbered by their µs, with bytes that do not compress to nothing."""
    rng = np.random.default_rng(first)
    return write_pcap(
        (T0_NS + number * 1000, rng.bytes(length)) for number in range(first, first + n_packets)
    )


def numbers_of(batches: list[PacketBatch]) -> list[int]:
    times = [ts_ns for batch in batches for ts_ns in batch.index["ts_ns"].tolist()]
    return [(ts_ns - T0_NS) // 1000 for ts_ns in times]


def read_all(source: Source) -> tuple[list[int], TrtopError | None]:
    batches: list[PacketBatch] = []
    try:
        batches.extend(source)
    except TrtopError as error:
        # extend keeps what came before the error
        return numbers_of(batches), error
    return numbers_of(batches), None


def zstd_frames(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": zstd_frames,
    "lz4": lz4.frame.compress,
}


def unpack(pieces: list[bytes]) -> bytes:
    unpacker = Unpacker()
    parts = [part for piece in pieces for part in unpacker.feed(with_headroom(piece))]
    parts.extend(unpacker.finish())
    return b"".join(part[HEADROOM:].tobytes() for part in parts)


def test_a_file_longer_than_many_pieces_is_read_whole_with_its_progress(tmp_path: Path) -> None:
    path = tmp_path / "long.pcap"
    path.write_bytes(capture(9000))
    with open_capture(path) as source:
        assert source.bytes_total == path.stat().st_size
        batches = list(source)
        assert numbers_of(batches) == list(range(9000))
        assert source.n_packets == 9000
        assert source.bytes_read == source.bytes_total
    assert len(batches) == -(-path.stat().st_size // PIECE_BYTES)


def test_several_files_are_one_capture_in_the_given_order(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(capture(3))
    (tmp_path / "a").write_bytes(write_pcapng([(T0_NS + 3000, b"x")]))
    source = open_capture([tmp_path / "b", str(tmp_path / "a")])
    assert read_all(source) == ([0, 1, 2, 3], None)


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_compressed_files_are_known_by_their_magic_bytes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "capture.pcap"
    path.write_bytes(COMPRESSORS[kind](capture(900)))
    source = open_capture(path)
    assert read_all(source) == (list(range(900)), None)
    assert source.bytes_read == source.bytes_total == path.stat().st_size


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_members_one_after_the_other_are_one_stream(tmp_path: Path, kind: str) -> None:
    data = capture(100)
    compress = COMPRESSORS[kind]
    packed = compress(data[:1000]) + compress(b"") + compress(data[1000:30_000])
    path = tmp_path / "members"
    path.write_bytes(packed + compress(data[30_000:]) + bytes(512))
    assert read_all(open_capture(path)) == (list(range(100)), None)


def test_skippable_frames_of_zstd_hold_nothing(tmp_path: Path) -> None:
    path = tmp_path / "pzstd"
    path.write_bytes(b"\x50\x2a\x4d\x18\x04\0\0\0size" + zstd_frames(capture(5)))
    assert read_all(open_capture(path)) == (list(range(5)), None)


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_compressed_data_in_any_pieces_equals_whole(kind: str) -> None:
    data = capture(30)
    packed = COMPRESSORS[kind](data[:9000]) + COMPRESSORS[kind](data[9000:])
    assert unpack([packed]) == data
    assert unpack([bytes([byte]) for byte in packed]) == data


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_cut_off_compressed_data_gives_what_came_before(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "cut"
    path.write_bytes(COMPRESSORS[kind](capture(2000))[:-1000])
    source = open_capture(path)
    numbers, error = read_all(source)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 1600
    assert isinstance(error, DamagedCaptureError)
    assert str(error).startswith(f"{path}: compressed data cut off at byte ")
    assert error.exit_status == 2


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_damage_inside_compressed_data_gives_what_came_before(tmp_path: Path, kind: str) -> None:
    packed = bytearray(COMPRESSORS[kind](capture(3000)))
    middle = len(packed) * 3 // 4
    packed[middle : middle + 400] = bytes(400)
    path = tmp_path / "damaged"
    path.write_bytes(packed)
    numbers, error = read_all(open_capture(path))
    assert isinstance(error, DamagedCaptureError)
    assert len(numbers) >= 1000
    assert error.n_packets == len(numbers)


def zstd_with_window(exponent: int, data: bytes) -> bytes:
    """A frame (RFC 8878 §3.1.1) of one raw block, with a window of 2^exponent bytes."""
    descriptor = (exponent - 10) << 3
    block = ((len(data) << 3) | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd" + bytes([0, descriptor]) + block + data


def xz_with_dictionary(size_code: int, data: bytes) -> bytes:
    """A file whose one block says that its LZMA2 dictionary has the size of that code."""
    packed = bytearray(lzma.compress(data))
    start, end = 12, 12 + (packed[12] + 1) * 4
    packed[start + 4] = size_code
    packed[end - 4 : end] = zlib.crc32(packed[start : end - 4]).to_bytes(4, "little")
    return bytes(packed)


OVER_LIMIT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "zstd": (
        lambda data: zstd_with_window(31, data),
        "over the limit of 128 MiB: its zstd window of 2,048 MiB "
        "(unpack it with zstd -d --long=31)",
    ),
    "xz": (
        lambda data: xz_with_dictionary(40, data),
        "over the limit of 256 MiB: the memory that its xz dictionary takes (unpack it with xz -d)",
    ),
}


@pytest.mark.parametrize("kind", OVER_LIMIT)
def test_what_takes_too_much_memory_is_over_the_limit_and_not_damaged(
    tmp_path: Path, kind: str
) -> None:
    compress, reason = OVER_LIMIT[kind]
    path = tmp_path / "large"
    path.write_bytes(compress(capture(50)))
    numbers, error = read_all(open_capture(path))
    assert numbers == []
    assert str(error) == f"{path}: {reason}"
    assert error is not None
    assert error.exit_status == 1


@pytest.mark.parametrize("kind", OVER_LIMIT)
def test_what_came_before_the_limit_is_given_out(tmp_path: Path, kind: str) -> None:
    compress, reason = OVER_LIMIT[kind]
    path = tmp_path / "large"
    path.write_bytes(COMPRESSORS[kind](capture(9)) + compress(capture(50)))
    numbers, error = read_all(open_capture(path))
    assert numbers == list(range(9))
    assert str(error).startswith(f"{path}: {reason} at byte ")
    assert isinstance(error, DamagedCaptureError)


@pytest.mark.parametrize("exponent", [27, 20])
def test_a_window_within_the_limit_is_unpacked(tmp_path: Path, exponent: int) -> None:
    path = tmp_path / "long"
    path.write_bytes(zstd_with_window(exponent, capture(50)))
    assert read_all(open_capture(path)) == (list(range(50)), None)


def test_a_damaged_frame_with_a_small_window_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(zstd_with_window(20, capture(50))[:8] + b"\xff" * 2000)
    _, error = read_all(open_capture(path))
    assert str(error).startswith(f"{path}: compressed data damaged at byte 0")


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_a_bomb_says_meanwhile_how_much_it_has_become(tmp_path: Path, kind: str) -> None:
    # One block of pcapng that nobody knows, 200 MiB of zeros, between two packets.
    n_zeros = 200 << 20
    length = (12 + n_zeros).to_bytes(4, "little")
    first, last = write_pcapng([(T0_NS, b"x")]), write_pcapng([(T0_NS + 1000, b"x")])
    path = tmp_path / "bomb"
    path.write_bytes(
        COMPRESSORS[kind](first + b"\x99\0\0\0" + length + bytes(n_zeros) + length + last)
    )
    told: list[tuple[int, int]] = []
    numbers: list[int] = []
    with open_capture(path) as source:
        assert source.bytes_unpacked == 0
        for batch in source:
            numbers += numbers_of([batch])
            told.append((len(batch), source.bytes_unpacked))
    assert numbers == [0, 1]
    silent = [n_bytes for n_packets, n_bytes in told if not n_packets]
    assert len(silent) >= 5
    assert silent == sorted(silent)
    assert silent[0] < 64 << 20
    assert source.bytes_unpacked == len(first) + len(last) + n_zeros + 12


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(COMPRESSORS)), st.integers(0, 2**30), st.integers(0, 255))
def test_a_flipped_byte_of_compressed_data_is_damage_at_worst(
    kind: str, at: int, value: int
) -> None:
    packed = bytearray(COMPRESSORS[kind](capture(20)))
    packed[at % len(packed)] = value
    with contextlib.suppress(UnpackError):
        unpack([bytes(packed[:100]), bytes(packed[100:])])


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_a_decompression_bomb_is_unpacked_in_bounded_pieces(kind: str) -> None:
    bomb = COMPRESSORS[kind](bytes(60_000_000))
    unpacker = Unpacker()
    sizes = [len(part) for part in unpacker.feed(with_headroom(bomb))]
    assert sum(sizes) - HEADROOM * len(sizes) == 60_000_000
    assert max(sizes) <= 33 * 1024 * 1024


def test_garbage_behind_compressed_data_is_damage_after_the_packets(tmp_path: Path) -> None:
    path = tmp_path / "trailing"
    path.write_bytes(gzip.compress(capture(5)) + b"trailing garbage")
    numbers, error = read_all(open_capture(path))
    assert numbers == list(range(5))
    assert isinstance(error, DamagedCaptureError)


@pytest.mark.parametrize("data", [b"", b"\x1f", b"text", b"snoop\0\0\0\0\0\0\2"])
def test_what_is_no_capture_is_said_with_the_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    numbers, error = read_all(open_capture(path))
    assert numbers == []
    assert isinstance(error, NotACaptureError)
    assert str(error).startswith(f"{path}: {'empty file' if not data else 'not a pcap'}")
    assert error.exit_status == 1


def test_missing_files_directories_and_forbidden_ones_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tmp_path / "good.pcap"
    good.write_bytes(capture(1))
    with pytest.raises(TrtopError, match="missing: no such file") as caught:
        open_capture([good, tmp_path / "missing"])
    assert caught.value.exit_status == 1
    with pytest.raises(TrtopError, match="is a directory"):
        open_capture(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(TrtopError, match="permission denied"):
        open_capture(good)


def test_no_path_is_a_bad_call() -> None:
    with pytest.raises(ValueError, match="one path"):
        open_capture([])


def test_a_damaged_file_among_others_is_told_after_all_of_them(tmp_path: Path) -> None:
    for name, data in (("a", capture(3)), ("b", capture(3, 3)[:-1]), ("c", capture(2, 6))):
        (tmp_path / name).write_bytes(data)
    source = open_capture([tmp_path / name for name in "abc"])
    numbers, error = read_all(source)
    assert numbers == [0, 1, 2, 3, 4, 6, 7]
    assert error is not None
    assert str(error) == f"{tmp_path / 'b'}: file cut off at byte 1,456, after packet 2"
    assert error.exit_status == 2
    assert len(source.errors) == 1


def test_a_file_that_is_no_capture_among_others_is_told_after_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"some text")
    (tmp_path / "b").write_bytes(capture(2))
    numbers, error = read_all(open_capture([tmp_path / "a", tmp_path / "b"]))
    assert (numbers, error and error.exit_status) == ([0, 1], 2)
    (tmp_path / "b").write_bytes(b"")
    source = open_capture([tmp_path / "a", tmp_path / "b"])
    numbers, error = read_all(source)
    assert (numbers, error and error.exit_status) == ([], 1)
    assert str(error).endswith("(and 1 more)")
    assert len(source.errors) == 2


def test_a_file_that_vanishes_before_its_turn_is_told_after_all_of_them(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(capture(1))
    source = open_capture([tmp_path / "a", tmp_path / "b"])
    (tmp_path / "b").unlink()
    numbers, error = read_all(source)
    assert numbers == [0]
    assert "no such file" in str(error)


def test_closing_early_closes_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(capture(3000))
    before = len(os.listdir("/proc/self/fd"))
    with open_capture(tmp_path / "a") as source:
        next(source)
        assert len(os.listdir("/proc/self/fd")) == before + 1
    assert len(os.listdir("/proc/self/fd")) == before
    assert list(source) == []


def test_a_kept_batch_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(capture(3000))
    source = open_capture(tmp_path / "a")
    first = next(source)
    before = first.data[HEADROOM:].tobytes()
    list(source)
    assert first.data[HEADROOM:].tobytes() == before


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_gives_what_is_there_and_idles(
    monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr("trtop_core.sources.files.STDIN_FD", reading)
    source = open_capture("-", poll_s=0)
    assert source.bytes_total is None
    assert next(source) is IDLE
    data = capture(3, length=30)
    os.write(writing, pack(data[:-3]))
    batch = next(source)
    assert numbers_of([batch]) == [0, 1]
    assert next(source) is IDLE
    os.write(writing, data[-3:] if pack is bytes else pack(data[-3:]))
    assert numbers_of([next(source)]) == [2]
    os.close(writing)
    assert list(source) == []
    source.close()
    os.close(reading)  # it is not the source's to close


def test_a_fifo_is_opened_without_its_writer_and_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with open_capture(path, poll_s=0) as source:
        assert next(source) is IDLE
        with path.open("wb") as writer:
            writer.write(capture(4, length=10))
        assert read_all(source) == ([0, 1, 2, 3], None)


def test_errors_on_standard_input_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr("trtop_core.sources.files.STDIN_FD", reading)
    os.write(writing, capture(1)[:-1])
    os.close(writing)
    _, error = read_all(open_capture("-"))
    os.close(reading)
    assert str(error) == "standard input: file cut off at byte 24, after packet 0"


def test_a_terminal_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    primary, terminal = os.openpty()
    monkeypatch.setattr("trtop_core.sources.files.STDIN_FD", terminal)
    _, error = read_all(open_capture("-"))
    os.close(primary)
    os.close(terminal)
    assert "terminal" in str(error)


def test_batches_that_are_kept_stay_as_they_are_while_reading_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "long.pcap"
    path.write_bytes(capture(12_000))
    assert path.stat().st_size > 6 * PIECE_BYTES
    with open_capture(path) as source:
        kept = list(source)
    assert numbers_of(kept) == list(range(12_000))
    whole = b"".join(
        batch.data[offset : offset + caplen].tobytes()
        for batch in kept
        for _, offset, caplen, *_ in batch.index.tolist()
    )
    with open_capture(path) as source:
        passing = b"".join(
            batch.data[offset : offset + caplen].tobytes()
            for batch in source
            for _, offset, caplen, *_ in batch.index.tolist()
        )
    assert whole == passing


def test_pieces_are_read_into_again_once_nobody_refers_to_them(tmp_path: Path) -> None:
    path = tmp_path / "long.pcap"
    path.write_bytes(capture(12_000))
    with open_capture(path) as source:
        places = {batch.data.__array_interface__["data"][0] // PIECE_BYTES for batch in source}
    assert len(places) <= 2 * N_PIECES
