"""``Setup`` and ``Screen``: what an event loop is told once, and what it needs of a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from trtop.tui.effects import WINDOWS
from trtop.tui.frame import Frame, Size, TerminalCaps
from trtop.tui.state import Grouping, State
from trtop.tui.terminal import Event
from trtop.tui.view_model import Names
from trtop_core.metric_types import Thresholds
from trtop_core.records import Window

REFRESH_S = 1.0


class Screen(Protocol):
    """What the event loop needs of a terminal."""

    caps: TerminalCaps

    @property
    def size(self) -> Size:
        """Columns and lines, as they are now."""

    def show(self, frame: Frame) -> None:
        """Draw a frame."""

    def event(self, timeout_s: float) -> Event | None:
        """The next key or click; None if none comes within the time."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What an event loop is told once, before it starts.

    Attributes:
        state: what is looked at first.
        thresholds: by column key, instead of the columns' own.
        prefix: of the files that ``s`` saves, None to ask for one.
        names: what destinations are called, None for addresses alone.
        windows: the windows that the source keeps.
        groupings: what the source's rows can be grouped by.
        refresh_s: seconds between snapshots.
        writes_as: the user that the process became, who writes what is saved; empty: whoever
            started it.
    """

    state: State = field(default_factory=State)
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    prefix: str | None = None
    names: Names | None = None
    windows: tuple[Window, ...] = WINDOWS
    groupings: tuple[Grouping, ...] = tuple(Grouping)
    refresh_s: float = REFRESH_S
    writes_as: str = ""
