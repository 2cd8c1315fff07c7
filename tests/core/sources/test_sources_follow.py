"""A file that another program still writes. Waiting is where that program gets its turns."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from support.builders.savefile import write_pcap
from test_sources_files import capture, numbers_of

from trtop_core.errors import (
    EXIT_INCOMPLETE,
    EXIT_UNUSABLE,
    DamagedCaptureError,
    NotACaptureError,
    TrtopError,
)
from trtop_core.sources import IDLE, Source, open_capture


class Writer:
    """Does one thing at each wait; closes the source when nothing is left to do."""

    def __init__(self, deeds: Iterable[Callable[[], object]]) -> None:
        self.deeds = list(deeds)
        self.waits_s: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits_s.append(seconds)
        if self.deeds:
            self.deeds.pop(0)()


def follow(path: Path, *deeds: Callable[[], object]) -> tuple[list[int], Source]:
    """Packets that a follower gets while these deeds are done, and one idle turn after them."""
    writer = Writer(deeds)
    batches = []
    with open_capture(path, follow=True, poll_s=0.25, wait=writer.wait) as source:
        for batch in source:
            batches.append(batch)
            if batch is IDLE and not writer.deeds and len(writer.waits_s) > len(deeds):
                break
    assert set(writer.waits_s) <= {0.25}
    assert sum(batch is IDLE for batch in batches) == len(writer.waits_s)
    return numbers_of(batches), source


def append(path: Path, data: bytes) -> Callable[[], object]:
    def deed() -> None:
        with path.open("ab") as file:
            file.write(data)

    return deed


def test_a_growing_file_is_read_however_slowly_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.touch()
    data = capture(4, length=20)
    numbers, source = follow(path, *(append(path, bytes([byte])) for byte in data))
    assert numbers == [0, 1, 2, 3]
    assert source.errors == []
    assert source.bytes_total is None
    assert source.bytes_read == len(data)


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "later"
    numbers, _ = follow(path, lambda: None, append(path, capture(2)))
    assert numbers == [0, 1]


def test_only_the_last_file_may_be_missing_and_it_alone_is_followed(tmp_path: Path) -> None:
    first, last = tmp_path / "first", tmp_path / "last"
    with pytest.raises(TrtopError, match="no such file"):
        open_capture([first, last], follow=True)
    first.write_bytes(capture(2))
    deeds = Writer([append(first, capture(9)), append(last, capture(1, 2))])
    with open_capture([first, last], follow=True, wait=deeds.wait) as source:
        batches = [next(source) for _ in range(4)]
    assert numbers_of(batches) == [0, 1, 2]


def test_half_a_record_at_the_end_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "half"
    data = capture(3)
    path.write_bytes(data[:-100])
    numbers, source = follow(path, lambda: None, append(path, data[-100:]))
    assert numbers == [0, 1, 2]
    assert source.errors == []


def test_a_truncated_file_is_read_anew_from_its_new_header(tmp_path: Path) -> None:
    path = tmp_path / "truncated"
    path.write_bytes(capture(5))
    numbers, source = follow(
        path,
        lambda: os.truncate(path, 0),
        append(path, write_pcap([], order=">")),
        append(path, write_pcap([(1_700_000_000_000_009_000, b"x")], order=">")[24:]),
    )
    assert numbers == [0, 1, 2, 3, 4, 9]
    assert source.errors == []


def test_a_rotated_file_is_read_to_its_end_before_the_new_one(tmp_path: Path) -> None:
    path, old = tmp_path / "capture", tmp_path / "capture.1"
    path.write_bytes(capture(2))

    def rotate() -> None:
        append(path, capture(3)[len(capture(2)) :])()
        path.rename(old)
        append(path, capture(2, 3))()

    numbers, source = follow(path, rotate, append(path, capture(3, 3)[len(capture(2, 3)) :]))
    assert numbers == [0, 1, 2, 3, 4, 5]
    assert source.errors == []


def test_the_old_file_is_followed_until_the_new_one_is_there(tmp_path: Path) -> None:
    path, old = tmp_path / "capture", tmp_path / "capture.1"
    path.write_bytes(capture(1))
    numbers, _ = follow(
        path,
        lambda: path.rename(old),
        append(old, capture(2)[len(capture(1)) :]),
        append(path, capture(1, 2)),
    )
    assert numbers == [0, 1, 2]


def test_a_rotated_file_that_was_cut_off_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(capture(2)[:-1])

    def rotate() -> None:
        path.unlink()
        append(path, capture(1, 2))()

    numbers, source = follow(path, rotate)
    assert numbers == [0, 2]
    assert [type(error) for error in source.errors] == [DamagedCaptureError]


def test_a_file_that_rotates_while_it_is_empty_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.touch()

    def rotate() -> None:
        path.rename(tmp_path / "capture.1")
        append(path, capture(1))()

    numbers, source = follow(path, rotate)
    assert numbers == [0]
    assert source.errors == []


def test_a_compressed_file_is_followed_too(tmp_path: Path) -> None:
    path = tmp_path / "capture.gz"
    data = capture(4)
    path.write_bytes(gzip.compress(data[:1000]))
    numbers, source = follow(path, append(path, gzip.compress(data[1000:])))
    assert numbers == [0, 1, 2, 3]
    assert source.errors == []


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (capture(1) + b"\xff" * 100, DamagedCaptureError),
        (b"some text", NotACaptureError),
    ],
)
def test_damage_ends_the_following(tmp_path: Path, data: bytes, kind: type[TrtopError]) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(data)
    with open_capture(path, follow=True, wait=lambda seconds: None) as source:
        with pytest.raises(kind, match="damaged"):
            for _ in range(9):
                next(source)
        assert len(source.errors) == 1


@pytest.mark.parametrize(("n_packets", "status"), [(2, EXIT_INCOMPLETE), (0, EXIT_UNUSABLE)])
def test_what_was_read_before_another_thing_took_the_name_is_reported(
    tmp_path: Path, n_packets: int, status: int
) -> None:
    path = tmp_path / "capture"
    path.write_bytes(capture(n_packets))

    def replace() -> None:
        path.unlink()
        path.symlink_to("/dev/zero")

    with open_capture(path, follow=True, poll_s=0, wait=lambda seconds: replace()) as source:
        with pytest.raises(NotACaptureError) as caught:
            for _ in range(9):
                next(source)
        assert source.n_packets == n_packets
    assert caught.value.exit_status == status


def test_a_fifo_ends_although_it_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with open_capture(path, follow=True, poll_s=0) as source:
        assert next(source) is IDLE
        with path.open("wb") as writer:
            writer.write(capture(2, length=10))
        assert numbers_of(list(source)) == [0, 1]
