"""A capture that is replayed through the subprocess gives what reading it gives."""

from __future__ import annotations

import contextlib
import gzip
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.builders.packets import ACK, PSH, SYN, Talk
from support.builders.savefile import write_pcap
from support.compare import SEED, plain
from support.feeding import drive, feeding, whole
from support.paths import CAPTURES, EXAMPLE

from trtop_core import Engine, EngineConfig, Snapshot, TrtopError, View
from trtop_core.errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_UNUSABLE
from trtop_core.records import NS_PER_S, Window
from trtop_core.sources import open_capture
from trtop_daemon.capture.replay import ReplayConfig
from trtop_daemon.ipc.feed import CaptureConfig

FILES = (
    sorted(p for p in CAPTURES.iterdir() if p.suffix in (".pcap", ".pcapng", ".snoop"))
    if (CAPTURES.is_dir())
    else []
)


FIRST_NS = 1_714_565_000 * NS_PER_S


def read_offline(
    paths: Sequence[str], config: EngineConfig | None = None
) -> tuple[Snapshot, list[str], int]:
    """What ``trtop FILE`` shows, its errors, and its exit status."""
    engine = Engine(config or EngineConfig(), SEED)
    status = EXIT_OK
    with open_capture(paths) as source:
        try:
            for batch in source:
                engine.feed(batch)
        except TrtopError as error:
            status = error.exit_status
    engine.finish()
    if engine.unsupported_link_types and not status:
        status = EXIT_INCOMPLETE
    return engine.snapshot(View()), [str(error) for error in source.errors], status


def replay(
    paths: Sequence[str], speed: float | None = None, config: EngineConfig | None = None
) -> tuple[Snapshot, list[str], int]:
    """What a replay through subprocess and socket shows, its errors, and its exit status."""
    told = CaptureConfig(
        source=ReplayConfig(tuple(paths), speed), engine=config or EngineConfig(), user="root"
    )
    with feeding(told) as feed:
        drive(feed, lambda: feed.is_finished)
        snapshot = whole(feed)
        texts = [notice.text for notice in feed.notices if "link type" not in notice.text]
        return snapshot, texts, feed.exit_status


def same(ours: Snapshot, theirs: Snapshot) -> bool:
    """Equal counter for counter and bin for bin."""
    shown: list[dict[str, Any]] = [plain(snapshot) for snapshot in (ours, theirs)]
    return shown[0] == shown[1]


@pytest.mark.skipif(not FILES, reason=f"no shared captures in {CAPTURES}")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_shared_capture_replays_to_the_same_numbers(path: Path) -> None:
    ours, our_errors, our_status = replay([str(path)])
    theirs, their_errors, their_status = read_offline([str(path)])
    assert plain(ours) == plain(theirs)
    assert our_errors == their_errors
    assert our_status == their_status


def test_a_rotated_set_is_one_capture(tmp_path: Path) -> None:
    parts = []
    packets = conversation(Talk())
    for number in range(3):
        part = tmp_path / f"cap{number}"
        part.write_bytes(write_pcap(packets[number::3]))
        parts.append(str(part))
    ours, errors, status = replay(parts)
    assert (errors, status) == ([], EXIT_OK)
    assert same(ours, read_offline(parts)[0])
    assert ours.health.packets == len(packets)


def test_a_compressed_capture_is_unpacked_by_the_subprocess(tmp_path: Path) -> None:
    packed = tmp_path / "services.pcap.gz"
    packed.write_bytes(gzip.compress(EXAMPLE.read_bytes()))
    assert same(replay([str(packed)])[0], read_offline([str(EXAMPLE)])[0])


def test_what_is_missing_is_said_at_once() -> None:
    with pytest.raises(TrtopError, match=r"^/nowhere\.pcap: no such file or directory$"):
        replay(["/nowhere.pcap"])


def test_what_is_no_capture_is_said_and_nothing_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Dear capture, " * 10)
    snapshot, errors, status = replay([str(path)])
    assert snapshot.health.packets == 0
    assert (len(errors), status) == (1, EXIT_UNUSABLE)
    assert errors == read_offline([str(path)])[1]


def conversation(talk: Talk, n_requests: int = 5, step_ns: int = 100_000_000) -> list[Any]:
    """A handshake, then a request and a response every other step."""
    frames = [
        talk.out(100, flags=SYN),
        talk.back(500, 101, flags=SYN | ACK),
        talk.out(101, 501),
    ]
    for i in range(n_requests):
        frames.append(talk.out(101 + 3 * i, 501 + 3 * i, flags=ACK | PSH, payload=b"GET"))
        frames.append(talk.back(501 + 3 * i, 104 + 3 * i, flags=ACK | PSH, payload=b"200"))
    return [(FIRST_NS + i * step_ns, frame) for i, frame in enumerate(frames)]


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_a_replay_is_not_over_before_its_speed_says(tmp_path: Path, speed: float) -> None:
    path = tmp_path / "slow.pcap"
    packets = conversation(Talk())
    span_s = (packets[-1][0] - packets[0][0]) / NS_PER_S
    path.write_bytes(write_pcap(packets))
    told = CaptureConfig(source=ReplayConfig((str(path),), speed))
    began_s = time.monotonic()
    with feeding(told) as feed:
        drive(feed, lambda: feed.is_finished)
        took_s = time.monotonic() - began_s
        snapshot = whole(feed)
    assert took_s >= span_s / speed
    assert same(snapshot, read_offline([str(path)])[0])


def test_windows_of_a_replay_follow_its_own_clock(tmp_path: Path) -> None:
    path = tmp_path / "two.pcap"
    early, late = Talk(), Talk(client_port=40_001)
    packets = conversation(early) + [(ts + 15 * NS_PER_S, f) for ts, f in conversation(late)]
    path.write_bytes(write_pcap(packets))
    windows = EngineConfig(windows=(Window.LAST_10_S,))
    told = CaptureConfig(source=ReplayConfig((str(path),), None), engine=windows)
    with feeding(told) as feed:
        drive(feed, lambda: feed.is_finished)
        assert feed.snapshot(View(window=Window.LAST_10_S)).totals.count("syn") == 1
        assert whole(feed).totals.count("syn") == 2


def test_a_pipe_that_pauses_is_replayed_whole(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    raw = EXAMPLE.read_bytes()
    keeper = os.open(fifo, os.O_RDWR)
    told = CaptureConfig(source=ReplayConfig((str(fifo),), None), user="root")
    with contextlib.ExitStack() as stack:
        feed = stack.enter_context(feeding(told))
        writer = os.open(fifo, os.O_WRONLY)
        os.write(writer, raw[:5_000])
        drive(feed, lambda: whole(feed).health.packets > 10)
        assert not feed.is_finished
        for at in range(5_000, len(raw), 50_000):
            os.write(writer, raw[at : at + 50_000])
            drive(feed, lambda: True)
        os.close(writer)
        os.close(keeper)
        drive(feed, lambda: feed.is_finished)
        assert same(whole(feed), read_offline([str(EXAMPLE)])[0])


def test_a_replay_whose_subprocess_is_killed_ends_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "slow.pcap"
    path.write_bytes(write_pcap(conversation(Talk(), step_ns=10 * NS_PER_S)))
    with feeding(CaptureConfig(source=ReplayConfig((str(path),), 1.0))) as feed:
        child = feed.slots[0].child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        drive(feed, lambda: feed.is_finished)
        assert feed.exit_status == EXIT_INCOMPLETE
        assert [notice.text for notice in feed.notices] == ["the replay broke off (signal 9)"]
