"""The screen without a terminal: scenes from hand-made snapshots, frames as pyte shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyte

from support.builders.snapshot import FIRST_NS, MS, incident
from trtop.table.text import painted
from trtop.tui.draw import draw
from trtop.tui.effects import Context, Effect
from trtop.tui.frame import Frame, Size, TerminalCaps
from trtop.tui.prompt import tried
from trtop.tui.scene import Scene
from trtop.tui.selection import selecting
from trtop.tui.source import Status
from trtop.tui.state import RowKey, State
from trtop.tui.update import update
from trtop.tui.view_model import Names, ViewModel, make_view_model
from trtop_core.detail import CONNECTION, HISTORY, ConnectionState, Detail, DetailView
from trtop_core.metric_types import Thresholds
from trtop_core.records import NS_PER_S
from trtop_core.snapshot import Snapshot
from trtop_core.timeline import TIMELINE, Timeline, TimelineView
from trtop_core.trends import Trends, TrendView

SIZES = ((60, 15), (80, 24), (132, 30), (220, 50))


def pictured(snapshot: Snapshot, state: State, names: Names | None = None) -> ViewModel:
    """All rows of a snapshot, as the state wants them."""
    return make_view_model(snapshot, state, 10_000, None, names)


def key_of(picture_: ViewModel, name: str) -> RowKey:
    key = picture_.key(picture_.names.index(name))
    assert key is not None
    return key


@dataclass
class DrivenScreen:
    """A screen that is driven by keys."""

    snapshot: Snapshot = field(default_factory=incident)
    state: State = field(default_factory=State)
    size: Size = field(default_factory=lambda: Size(80, 24))
    caps: TerminalCaps = field(default_factory=TerminalCaps)
    status: Status = field(default_factory=lambda: Status("busy.pcap", is_over=True))
    detail: Detail | None = None
    names: Names | None = None
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    prefix: str | None = None
    trends: Trends | None = None
    timeline: Timeline | None = None
    effects: list[Effect] = field(default_factory=list)

    @property
    def model(self) -> ViewModel:
        return pictured(self.snapshot, self.state, self.names)

    def press(self, *keys: str) -> DrivenScreen:
        for key in keys:
            shown = self.model
            self.state = selecting(self.state, shown)
            context = Context(
                shown,
                page=self.frame().page,
                has_names=self.names is not None,
                prefix=self.prefix,
                timeline=self.timeline,
            )
            updated = update(self.state, key, context)
            self.state = updated.state
            self.state = selecting(self.state, self.model)
            self.effects.append(updated.effect)
        return self

    def still(self) -> DrivenScreen:
        """The keys are still for a moment: rows are shown by what is being typed."""
        self.state = tried(self.state, Context(self.model))
        self.state = selecting(self.state, self.model)
        return self

    def frame(self) -> Frame:
        return draw(self.scene, self.size, self.caps)

    @property
    def scene(self) -> Scene:
        return Scene(
            self.state,
            self.model,
            self.status,
            self.detail,
            self.thresholds,
            self.trends,
            self.timeline,
        )

    def shown(self) -> pyte.Screen:
        """The frame on a terminal of its size."""
        screen = pyte.Screen(self.size.width, self.size.height)
        stream = pyte.Stream(screen)
        for y, line in enumerate(self.frame().lines):
            stream.feed(f"\x1b[{y + 1};1H" + painted(line, color=True))
        return screen

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.shown().display) + "\n"


def history(n_slots: int, slot_s: int) -> np.ndarray:
    """Busy, then quiet, then resets."""
    made = np.zeros(n_slots, HISTORY)
    made["start_ns"] = FIRST_NS + np.arange(n_slots) * slot_s * NS_PER_S
    made["span_ns"] = slot_s * NS_PER_S
    made["syn"] = [(i * 7) % 11 for i in range(n_slots)]
    made["requests"] = [100 * ((i * 5) % 7) for i in range(n_slots)]
    made["rst"] = [0] * (n_slots - 2) + [3, 1]
    made["response_time_ns"] = [MS * (10 + 3 * i) if i % 4 else -1 for i in range(n_slots)]
    return made


def trends_of(picture_: ViewModel, n_rows: int, n_slots: int = 12) -> Trends:
    """How the first rows went: some rise, some pause, each third has errors of late."""
    rows = picture_.snapshot.table.keys[:n_rows]
    times = np.array(
        [
            [MS * (5 + i * j) if (i + j) % 5 else -1 for j in range(n_slots)]
            for i in range(len(rows))
        ]
    )
    errors = np.zeros((len(rows), n_slots), np.int64)
    errors[::3, -2:] = (1, 7)
    starts_ns = FIRST_NS + np.arange(n_slots) * 5 * NS_PER_S
    spans_ns = np.full(n_slots, 5 * NS_PER_S)
    return Trends(TrendView(rows.tobytes()), starts_ns, spans_ns, errors, times)


def timeline(n_columns: int = 90, length_s: int = 10) -> Timeline:
    """Busy, a silence, and errors near its end."""
    made = np.zeros(n_columns, TIMELINE)
    made["start_ns"] = FIRST_NS // NS_PER_S * NS_PER_S + np.arange(n_columns) * length_s * NS_PER_S
    made["end_ns"] = made["start_ns"] + length_s * NS_PER_S
    made["requests"] = [40 + 13 * ((i * 7) % 11) for i in range(n_columns)]
    made["errors"] = [(i % 5) * (i > n_columns - 20) for i in range(n_columns)]
    made["response_time_ns"] = [MS * (10 + (i * 3) % 17) for i in range(n_columns)]
    is_kept = (np.arange(n_columns) < 40) | (np.arange(n_columns) > 50)
    return Timeline(
        TimelineView(n_columns), length_s * NS_PER_S, made[is_kept], NS_PER_S, 1_234_567, 64 << 20
    )


def connections(n: int) -> np.ndarray:
    """Some connections, each in another state."""
    made = np.zeros(n, CONNECTION)
    for i in range(n):
        one = made[i]
        one["client_addr"] = np.frombuffer(bytes(10) + b"\xff\xff" + bytes([10, 0, 0, i]), np.uint8)
        one["client_port"], one["server_port"] = 40_000 + i, 443
        one["state"] = list(ConnectionState)[i % len(ConnectionState)]
        one["is_midstream"] = i % 3 == 2
        one["opened_ns"] = -1 if i % 3 == 2 else FIRST_NS + i * NS_PER_S
        one["last_ns"] = FIRST_NS + (20 + i) * NS_PER_S
        one["response_ns"] = -1 if i % 4 == 3 else (1 + i) * 17 * MS
        one["responses"] = 1000 * i
    return made


def detailed(picture_: ViewModel, name: str, n_connections: int = 5) -> Detail:
    """A detail of one row of a snapshot."""
    key = key_of(picture_, name)
    place = picture_.names.index(name)
    return Detail(
        view=DetailView(key.addr, key.port, key.kind),
        clock_ns=picture_.snapshot.clock_ns,
        span_ns=picture_.snapshot.span_ns,
        table=picture_.snapshot.table.take(np.array([place])),
        minutes=history(10, 30),
        minute=history(12, 5),
        longest_open=connections(n_connections),
        slowest=connections(n_connections),
        n_connections=23,
        oldest_wait_ns=-1,
    )
