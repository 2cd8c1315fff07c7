"""How reading ends: at the end, with what could not be read, or because somebody has had enough."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from trtop_core.batch import CaptureCounters, PacketBatch
from trtop_core.errors import EXIT_INCOMPLETE, EXIT_UNUSABLE, TrtopError
from trtop_core.records import PACKET_INDEX
from trtop_core.sources import IDLE, Batches, ReadResult, read_into


class Counter:
    """Counts the packets that it is fed."""

    def __init__(self) -> None:
        self.fed: list[int] = []

    def feed(self, batch: PacketBatch) -> None:
        self.fed.append(len(batch))


def batch(n_packets: int) -> PacketBatch:
    return PacketBatch(np.zeros(0, np.uint8), np.zeros(n_packets, PACKET_INDEX))


def failing(status: int, *batches: PacketBatch) -> Iterator[PacketBatch]:
    yield from batches
    error = TrtopError("x.pcap: file damaged")
    error.exit_status = status
    raise error


def test_a_source_that_ends_is_over_without_a_failure() -> None:
    counter = Counter()
    assert read_into(counter, iter([batch(2), batch(3)])) == ReadResult(is_over=True)
    assert counter.fed == [2, 3]


@pytest.mark.parametrize(("status", "unusable"), [(EXIT_INCOMPLETE, False), (EXIT_UNUSABLE, True)])
def test_what_could_not_be_read_comes_after_all_that_could(status: int, unusable: bool) -> None:
    counter = Counter()
    result = read_into(counter, failing(status, batch(7)))
    assert counter.fed == [7]
    assert str(result.failure) == "x.pcap: file damaged"
    assert (result.is_over, result.is_unusable) == (True, unusable)


def test_whoever_has_had_enough_can_read_on_later() -> None:
    counter, source = Counter(), failing(EXIT_INCOMPLETE, batch(1), IDLE, batch(2))
    assert read_into(counter, source, lambda given: given is not IDLE) == ReadResult(is_over=False)
    assert counter.fed == [1]
    assert read_into(counter, source).is_over
    assert counter.fed == [1, 2]


def test_a_batch_without_packets_counts_where_its_source_says_something() -> None:
    said = PacketBatch(IDLE.data, IDLE.index, CaptureCounters(received=0))
    untimed = PacketBatch(IDLE.data, IDLE.index, None, 1)
    assert [part.holds_anything for part in (batch(1), said, untimed, IDLE)] == [
        True, True, True, False,
    ]  # fmt: skip
    counter = Counter()
    read_into(counter, iter([said, IDLE, untimed]))
    assert counter.fed == [0, 0]


def test_an_error_of_the_engine_is_no_end_of_the_source() -> None:
    class Broken:
        def feed(self, batch: PacketBatch) -> None:
            raise TrtopError("no memory")

    with pytest.raises(TrtopError, match="no memory"):
        read_into(Broken(), iter([batch(1)]))


def test_batches_say_how_reading_has_gone_so_far() -> None:
    batches = Batches(failing(EXIT_UNUSABLE, batch(1)))
    assert len(next(batches)) == 1
    assert batches.result == ReadResult(is_over=False)
    assert list(batches) == []
    assert batches.result.is_unusable
