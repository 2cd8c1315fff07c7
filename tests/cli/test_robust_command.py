"""Cut or damaged captures through the whole command: a report, one clear line, 0, 1 or 2.

A short run takes every prefix of two small captures and a seeded choice of all others;
``TRTOP_LONG=1`` (``make test-long``) takes every prefix of all captures up to 4 KiB and many more
of the larger ones.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from support.builders.savefile import Captured, PcapngWriter, write_pcap
from support.paths import CAPTURES, EXAMPLE
from support.traffic.stories import Story, Telling

from trtop.cli.main import main

IS_LONG = os.environ.get("TRTOP_LONG") == "1"
SMALL_BYTES = 4096

SAMPLES = [EXAMPLE, *sorted(path for path in CAPTURES.glob("*--*") if path.is_file())]

Run = Callable[[bytes], tuple[int, int | None, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give the command a file; get its status, the packets that it reports, and its complaint."""
    path = tmp_path / "capture"

    def run_once(content: bytes) -> tuple[int, int | None, str]:
        path.write_bytes(content)
        status = main(["--format", "json", "--max-connections", "1000", str(path)])
        out, err = capsys.readouterr()
        lines = err.splitlines()
        assert all(line.startswith(f"trtop: {path}: ") for line in lines), err
        assert all(line.isprintable() for line in lines)
        assert status in {0, 1, 2}
        assert (status == 0) == (not lines)
        if status == 1:
            assert (out, len(lines)) == ("", 1)
            return status, None, err
        report = json.loads(out)
        assert report["schema"] == 2
        totals, health = report["totals"], report["health"]
        assert totals["responses"] <= totals["requests"]
        assert health["packets"] >= health["not_tcp"] + sum(health["undecoded"].values())
        return status, health["packets"], err

    return run_once


@cache
def _packets() -> list[Captured]:
    packets = Story().syn(0).synack(10).fin_out(20, 1, 1, b"q" * 50).packets(Telling(caplen=60))
    return [Captured(packet.ts_ns, packet.data, packet.wire_len) for packet in packets]


def _small_pcap() -> tuple[bytes, list[int]]:
    """A capture, and where its header and its packets end."""
    ends = [len(write_pcap(_packets()[:n])) for n in range(len(_packets()) + 1)]
    return write_pcap(_packets()), ends


def _small_pcapng() -> tuple[bytes, list[int], list[int]]:
    """A capture, where its blocks end, and where its packets do."""
    writer = PcapngWriter()
    blocks, packets = [], []
    for add in (writer.section, lambda: writer.interface(1, 9), lambda: writer.block(0xBAD, b"x")):
        add()
        blocks.append(len(writer.out))
    for packet in _packets():
        writer.packet(packet.ts_ns, packet.data, wire_len=packet.wire_len)
        blocks.append(len(writer.out))
        packets.append(len(writer.out))
    writer.statistics(0, 10, 2, 3)
    blocks.append(len(writer.out))
    return writer.getvalue(), blocks, packets


def test_every_prefix_of_a_pcap_reports_the_packets_that_are_whole(run: Run) -> None:
    data, ends = _small_pcap()
    for length in range(len(data) + 1):
        status, n_packets, complaint = run(data[:length])
        n_whole = sum(end <= length for end in ends[1:])
        if length < 4:
            assert status == 1, length
        elif length in ends:
            assert (status, n_packets) == (0, n_whole), length
        else:
            at = max((end for end in ends if end <= length), default=0)
            assert (status, n_packets) == (2, n_whole), length
            assert f" at byte {at:,}, after packet {n_whole}\n" in complaint


def test_every_prefix_of_a_pcapng_reports_the_packets_that_are_whole(run: Run) -> None:
    data, blocks, packets = _small_pcapng()
    for length in range(len(data) + 1):
        status, n_packets, complaint = run(data[:length])
        n_whole = sum(end <= length for end in packets)
        if length < 4:
            assert status == 1, length
        elif length in blocks:
            assert (status, n_packets) == (0, n_whole), length
        else:
            at = max((end for end in blocks if end <= length), default=0)
            assert (status, n_packets) == (2, n_whole), length
            assert f" at byte {at:,}, after packet {n_whole}\n" in complaint


def test_every_flipped_byte_of_a_small_capture_ends_in_a_report_or_a_line(run: Run) -> None:
    rng = random.Random(1)
    for data in (_small_pcap()[0], _small_pcapng()[0]):
        for at in range(0, len(data), 1 if IS_LONG else 7):
            flipped = bytearray(data)
            flipped[at] ^= 1 << rng.randrange(8)
            run(bytes(flipped))


def _lengths(data: bytes, rng: random.Random) -> Iterator[int]:
    if IS_LONG and len(data) <= SMALL_BYTES:
        yield from range(len(data) + 1)
        return
    yield from (rng.randrange(len(data) + 1) for _ in range(100 if IS_LONG else 2))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_prefixes_of_real_captures_report_no_more_than_the_whole(path: Path, run: Run) -> None:
    data = path.read_bytes()
    _, n_whole, _ = run(data)
    shortest = 0
    for length in sorted(_lengths(data, random.Random(path.name))):
        status, n_packets, complaint = run(data[:length])
        if n_packets is None:
            assert n_whole is None or length < 4
            continue
        assert n_whole is not None
        # More bytes never give fewer packets.
        assert shortest <= n_packets <= n_whole
        shortest = n_packets
        # The last line tells of the cut; unsupported link types are told beside it.
        cut = [
            line for line in complaint.splitlines() if re.search(r" at byte [\d,]+, after", line)
        ]
        assert len(cut) <= 1
        assert status == (2 if complaint else 0)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_flipped_bytes_of_real_captures_end_in_a_report_or_a_line(path: Path, run: Run) -> None:
    rng = random.Random(path.name)
    data = path.read_bytes()
    for _ in range((60 if IS_LONG else 2) if data else 0):
        flipped = bytearray(data)
        for _ in range(rng.choice((1, 3, 10, 100, max(1, len(data) // 50)))):
            # Near the start or the place before as often as anywhere: there the headers are.
            at = rng.choice((rng.randrange(len(data)), rng.randrange(min(200, len(data)))))
            flipped[at] = rng.randrange(256)
        run(bytes(flipped))
