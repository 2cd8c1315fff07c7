"""Packets of several interfaces reach the engine in the order of their time."""

from __future__ import annotations

import random

from trtop_core.batch import PacketBatch
from trtop_daemon.processes.reorder import MAX_HELD_BYTES, ReorderBuffer


def batch(*stamps: int) -> PacketBatch:
    """One packet for each time; its bytes say which."""
    return PacketBatch.from_packets((ts, f"<{ts}>".encode()) for ts in stamps)


def stamps(batches: object) -> list[int]:
    """What came out, checked against the packets' own bytes."""
    found = []
    for out in batches:  # type: ignore[attr-defined]
        for entry in out.index:
            start, size = int(entry["offset"]), int(entry["caplen"])
            assert out.data[start : start + size].tobytes() == f"<{entry['ts_ns']}>".encode()
            found.append(int(entry["ts_ns"]))
    return found


def two() -> ReorderBuffer:
    made = ReorderBuffer()
    made.join(0)
    made.join(1)
    return made


def test_a_single_source_passes_in_its_own_order() -> None:
    made = ReorderBuffer()
    given = batch(5, 3, 9)
    assert list(made.add(0, given, 9)) == [given]
    assert not made.is_holding


def test_packets_wait_until_the_other_source_has_come_as_far() -> None:
    made = two()
    assert stamps(made.add(0, batch(10, 30), 30)) == []
    assert made.is_holding
    assert stamps(made.add(1, batch(20, 25), 25)) == [10, 20, 25]
    assert stamps(made.add(1, None, 40)) == [30]
    assert not made.is_holding
    assert made.until_ns == 30


def test_who_has_left_is_not_waited_for() -> None:
    made = two()
    assert stamps(made.add(0, batch(10), 10)) == []
    assert stamps(made.leave(1)) == [10]
    assert stamps(made.add(0, batch(20), 20)) == [20]
    made.join(1)
    assert stamps(made.add(0, batch(30), 30)) == []
    assert stamps(made.flush()) == [30]


def test_a_silent_source_holds_up_a_bounded_number_of_bytes() -> None:
    made = two()
    one = PacketBatch.from_packets((n, bytes(1_000)) for n in range(4_000))
    n_out = 0
    for _ in range(2 * MAX_HELD_BYTES // one.data.nbytes):
        n_out += sum(len(out) for out in made.add(0, one, 4_000))
    assert n_out > 4_000


def test_every_packet_comes_out_once_and_in_order() -> None:
    chance = random.Random(29)
    for _ in range(50):
        made = ReorderBuffer()
        queues = []
        for source in range(3):
            made.join(source)
            times = sorted(chance.sample(range(source, 9_000, 3), chance.randrange(1, 80)))
            queues.append(times)
        expected = sorted(ts for queue in queues for ts in queue)
        out: list[int] = []
        while any(queues):
            source = chance.choice([i for i in range(3) if queues[i]])
            n = chance.randrange(1, 9)
            part, queues[source] = queues[source][:n], queues[source][n:]
            out += stamps(made.add(source, batch(*part), part[-1]))
            if not queues[source]:
                out += stamps(made.leave(source))
        out += stamps(made.flush())
        assert out == expected


def test_a_clock_that_was_set_back_holds_nobody_up() -> None:
    hour = 3_600 * 10**9
    made = two()
    assert stamps(made.add(0, batch(2 * hour), 2 * hour)) == []
    assert stamps(made.add(1, batch(2 * hour - 1), 2 * hour - 1)) == [2 * hour - 1]
    # The first clock goes back: what waits is let go.
    assert stamps(made.add(0, batch(hour), hour)) == [2 * hour, hour]
    # So does the second, and both are in order again.
    assert stamps(made.add(1, batch(hour - 5), hour - 5)) == [hour - 5]
    assert stamps(made.add(0, batch(hour + 10), hour + 10)) == []
    assert stamps(made.add(1, batch(hour + 5), hour + 20)) == [hour + 5, hour + 10]
