"""Measure one refresh of the screen: asking the engine, making the snapshot, drawing, the terminal.

    python benchmarks/screen.py [--destinations N] [--rounds N] [--json FILE]

An engine that keeps all windows holds N destinations (default 10,000), each with connections and
latencies, and gets more packets between refreshes, as live traffic brings. The screen is 132 x 50
on a pseudo-terminal that nobody else reads. CPU time decides, since other work on the
machine disturbs it least; at one refresh a second it is the share of a core as well.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import pty
import random
import statistics
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from trtop.filters.engines import Labels, filtered_of_engine
from trtop.filters.filter import Filter, parse_filter
from trtop.tui.draw import draw
from trtop.tui.effects import WINDOWS
from trtop.tui.scene import Scene
from trtop.tui.selection import selecting
from trtop.tui.source import Status
from trtop.tui.state import Grouping, Mode, State
from trtop.tui.strip import n_bars
from trtop.tui.terminal import Terminal
from trtop.tui.trend_question import TrendQuestion
from trtop.tui.view_model import ask, make_view_model
from trtop_core import Engine, EngineConfig, PacketBatch
from trtop_core.records import GroupBy, Window
from trtop_core.snapshot import Snapshot
from trtop_core.timeline import TimelineView
from trtop_core.view import Period, View
from trtop_core.wire.questions import Question, QuestionReply, answered

COLUMNS, LINES = 132, 50

SEED = 20_161_104
FIRST_NS = 1_714_565_000 * 10**9
SPAN_S = 30
N_CONNECTIONS = 3
N_REQUESTS = 4

ROWS_WANTED = 2 * LINES

HISTORY_BYTES = 64 << 20

MOVE_LIMIT_MS = 100.0
"""What a step in time may take: too short to be waited for."""

IN_PAST = "in the past"
"""Begins the names of cases that are steps in time."""

LIMIT_MS = 50.0
"""What a refresh of the rows may take: 5 % of a core at one a second."""

SYN, ACK = 2, 16

PARTS = ("engine", "snapshot", "asked", "draw", "terminal")
"""``asked``: trends of the rows, or the drill-down."""

CASES: dict[str, State] = {
    "last 10 s, by Syn": State(window=Window.LAST_10_S, sort="syn"),
    "last 10 s, by verdict": State(window=Window.LAST_10_S),
    "last 10 s, by Rtt": State(window=Window.LAST_10_S, sort="response_time"),
    "all, by Syn": State(sort="syn"),
    "all, by verdict": State(),
    "all, by Rtt": State(sort="response_time"),
    "all, by address:port": State(grouping=Grouping.ADDR_PORT, sort="syn"),
    "all, filter rtt>100ms": State(filter=parse_filter("rtt>100ms"), sort="syn"),
    f"{IN_PAST}, 10 s": State(period=Period(FIRST_NS + 10 * 10**9, FIRST_NS + 20 * 10**9)),
    f"{IN_PAST}, 10 s, by Rtt": State(
        period=Period(FIRST_NS + 10 * 10**9, FIRST_NS + 20 * 10**9), sort="response_time"
    ),
    f"{IN_PAST}, all there is": State(period=Period(FIRST_NS, FIRST_NS + 3600 * 10**9)),
    "drill-down, last 10 s": State(window=Window.LAST_10_S, mode=Mode.DETAIL),
}


def segment(server: int, port: int, flags: int, numbers: tuple[int, int], data: bytes) -> bytes:
    """A segment of 192.0.2.1 to a server, or of the server if the flags are negative."""
    ends = [(bytes([192, 0, 2, 1]), port), (struct.pack("!I", 0x0A000000 + server), 443)]
    (src, src_port), (dst, dst_port) = ends if flags > 0 else ends[::-1]
    tcp = struct.pack("!HHIIBBHHH", src_port, dst_port, *numbers, 0x50, abs(flags), 65_000, 0, 0)
    total = 20 + len(tcp) + len(data)
    ident = (numbers[0] * 31 + numbers[1]) & 0xFFFF
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, total, ident, 0, 64, 6, 0, src, dst)
    return bytes(12) + b"\x08\x00" + header + tcp + data


def conversation(rng: random.Random, server: int, port: int, at_ns: int) -> list[Any]:
    """One connection with its requests."""
    latency_ns = rng.randrange(100_000, 30_000_000)
    packets = [
        (at_ns, segment(server, port, SYN, (100, 0), b"")),
        (at_ns + latency_ns, segment(server, port, -(SYN | ACK), (500, 101), b"")),
        (at_ns + latency_ns + 1000, segment(server, port, ACK, (101, 501), b"")),
    ]
    at_ns += latency_ns + 2000
    for turn in range(N_REQUESTS):
        out, back = 101 + 3 * turn, 501 + 3 * turn
        packets.append((at_ns, segment(server, port, ACK, (out, back), b"GET")))
        at_ns += rng.randrange(200_000, 200_000_000)
        packets.append((at_ns, segment(server, port, -ACK, (back, out + 3), b"200")))
        at_ns += 1_000_000
    return packets


def traffic(n_destinations: int, seed: int, first_ns: int, span_s: float) -> PacketBatch:
    """Connections to every destination, spread over some seconds."""
    rng = random.Random(seed)
    packets: list[Any] = []
    for server in range(n_destinations):
        for i in range(N_CONNECTIONS if span_s > 1 else 1):
            if span_s <= 1 and rng.random() > 0.1:
                continue
            at_ns = first_ns + rng.randrange(int(span_s * 10**9))
            packets += conversation(rng, server, 20_000 + (seed * 7 + i) % 40_000, at_ns)
    packets.sort(key=lambda packet: packet[0])
    return PacketBatch.from_packets(packets)


class Answering:
    """A source that is asked once, as that of a file is."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def step(self, budget_s: float) -> bool:
        """There is nothing to read."""
        return False

    def poll(self, view: View) -> Snapshot:
        """What the engine knows."""
        return self._engine.snapshot(view)

    def poll_chosen(self, view: View, chosen: Filter, labels: Labels) -> Snapshot:
        """What it knows of the rows of a filter."""
        return filtered_of_engine(self._engine, view, chosen, labels)

    def answer(self, question: Question) -> QuestionReply:
        """What it knows of something else."""
        return answered([self._engine], question)

    def status(self) -> Status:
        """Nothing is read."""
        return Status("benchmark", is_live=True)


def refresh(engine: Engine, state: State, terminal: Terminal) -> dict[str, float]:
    """One refresh, part by part; ms of wall time, and of CPU in all."""
    cpu_s = time.process_time()
    times = [time.perf_counter()]
    answer = ask(Answering(engine), state, ROWS_WANTED, False, None)
    assert answer is not None
    times.append(time.perf_counter())
    shown = make_view_model(answer, state, ROWS_WANTED, None, None)
    chosen = selecting(replace(state, selected=1, mode=Mode.LIST), shown)
    state = replace(chosen, mode=state.mode)
    times.append(time.perf_counter())
    view = state.detail_view() if state.mode is Mode.DETAIL else None
    detail = engine.detail(view) if view is not None else None
    trends = TrendQuestion(Answering(engine), WINDOWS)
    trends.ask(state, shown, range(LINES))
    # Pages have no strip, and ask for none.
    is_list = state.mode is Mode.LIST
    timeline = engine.timeline(TimelineView(n_bars(COLUMNS - 2))) if is_list else None
    times.append(time.perf_counter())
    status = Status("benchmark", is_live=True)
    scene = Scene(state, shown, status, detail, {}, trends.answer, timeline)
    frame = draw(scene, terminal.size, terminal.caps)
    times.append(time.perf_counter())
    terminal.show(frame)
    times.append(time.perf_counter())
    names = PARTS
    parts = {name: 1000 * (b - a) for name, a, b in zip(names, times, times[1:], strict=False)}
    parts["wall"] = 1000 * (times[-1] - times[0])
    parts["cpu"] = 1000 * (time.process_time() - cpu_s)
    return parts


def measure(n_destinations: int, n_rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """All cases on one engine."""
    config = EngineConfig(
        windows=WINDOWS[:-1],
        group_by=GroupBy.ADDR_PORT,
        history_bytes=HISTORY_BYTES,
        is_paced=True,
    )
    engine = Engine(config, bytes(16))
    say(f"generating traffic to {n_destinations:,} destinations")
    engine.feed(traffic(n_destinations, SEED, FIRST_NS, SPAN_S))
    found: dict[str, Any] = {name: [] for name in CASES}
    with Terminal(color=True, ascii_only=False) as terminal:
        for turn in range(n_rounds):
            more = traffic(n_destinations, turn + 1, FIRST_NS + (SPAN_S + turn) * 10**9, 1)
            engine.feed(more)
            for name, state in CASES.items():
                engine.advance(engine.clock_ns or 0)  # nothing is left of the case before
                found[name].append(refresh(engine, state, terminal))
    return found


def on_terminal(work: Callable[[], None]) -> None:
    """Do something with a terminal on standard input and output."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    kept = os.dup(0), os.dup(1)
    is_done = threading.Event()

    def drain() -> None:
        while not is_done.is_set():
            os.read(master, 1 << 16)

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    sys.stdout.flush()
    os.dup2(slave, 0)
    os.dup2(slave, 1)
    os.environ.setdefault("TERM", "xterm-256color")
    if os.environ["TERM"] == "dumb":
        os.environ["TERM"] = "xterm-256color"
    try:
        work()
    finally:
        sys.stdout.flush()
        is_done.set()
        os.write(slave, b"\n")
        os.dup2(kept[0], 0)
        os.dup2(kept[1], 1)
        reader.join(5)


def main() -> int:
    """Measure, and show; 1 where a bounded case takes too long."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--destinations", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    found: dict[str, Any] = {}

    def work() -> None:
        found.update(measure(given.destinations, given.rounds, lambda text: None))

    print(f"{given.destinations:,} destinations, {COLUMNS} x {LINES}, {given.rounds} refreshes of "
          f"each; median ms of CPU, of wall (least)")  # fmt: skip
    on_terminal(work)
    worst, slowest_move = 0.0, 0.0
    for name, rounds in found.items():
        parts = {
            part: statistics.median(one[part] for one in rounds) for part in (*PARTS, "wall", "cpu")
        }
        least = min(one["wall"] for one in rounds)
        if name.startswith(IN_PAST):
            slowest_move = max(slowest_move, parts["cpu"])
        else:
            worst = max(worst, parts["cpu"])
        print(
            f"  {name:<24} {parts['cpu']:6.1f}  {parts['wall']:6.1f} ({least:.1f})   "
            + "  ".join(f"{part} {parts[part]:.1f}" for part in PARTS)
        )
    if given.json:
        document = {"machine": platform.platform(), "cases": found}
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if worst > LIMIT_MS:
        print(f"a refresh took {worst:.1f} ms, more than {LIMIT_MS:g}")
        return 1
    if slowest_move > MOVE_LIMIT_MS:
        print(f"a step in time took {slowest_move:.1f} ms, more than {MOVE_LIMIT_MS:g}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
