"""What the screen is told before it opens: the terminal, what is looked at first, who knows names.

Takes options and the environment; gives what ``trtop.tui.app.show`` takes. One way for files, for
daemons and for scripts. Never draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from trtop.filters.filter import Filter
from trtop.metrics.columns import Column
from trtop.names.namer import Namer
from trtop.options.parser import Color
from trtop.options.report_options import Options
from trtop.runtime.environment import Environment
from trtop.table.text import Theme
from trtop.tui.app import DisplayOptions
from trtop.tui.setup import REFRESH_S, Setup
from trtop.tui.state import Grouping, State
from trtop.tui.terminal import has_keyboard
from trtop_core.metric_types import Thresholds
from trtop_core.records import GroupBy, Window
from trtop_core.view import View

HEAD_START_S = 0.25
"""How long is read before the screen opens: what is no capture is told without opening it."""


class ScreenOptions(Protocol):
    """Options that say what the screen shows first, and how."""

    @property
    def view(self) -> View:
        """Window, grouping, order and percentile."""

    @property
    def is_window_given(self) -> bool:
        """The window is the user's choice."""

    @property
    def thresholds(self) -> Mapping[str, Thresholds]:
        """By column key, instead of the columns' own."""

    @property
    def theme(self) -> Theme:
        """Which colours stand for what."""

    @property
    def filter(self) -> Filter | None:
        """Which rows are shown; None: all."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Which ones, in their order; empty: all, as far as there is room."""

    @property
    def interval_s(self) -> float | None:
        """Seconds between refreshes; None: the default."""

    @property
    def color(self) -> Color:
        """When to use colour."""


def has_screen(env: Environment) -> bool:
    """Whether there is a terminal to draw on, and a keyboard."""
    if not env.can_redraw():
        return False
    try:
        return has_keyboard(env.stdout.fileno())
    except (OSError, ValueError):
        return False


def can_open_screen(options: Options, env: Environment) -> bool:
    """Whether the screen is wanted, and can be opened."""
    return options.wants_screen and has_screen(env)


def make_display_options(options: ScreenOptions, env: Environment) -> DisplayOptions:
    """The options of the display that the terminal allows."""
    color = env.has_color(options.color) and options.theme is not Theme.MONO
    return DisplayOptions(color, env.is_ascii(), env.monotonic_s, options.theme)


def make_setup(
    options: ScreenOptions, live: bool, namer: Namer, prefix: str | None = None
) -> Setup:
    """The setup of the screen, from the options of a command line.

    Args:
        options: what the user asked for.
        live: packets arrive as time goes by.
        namer: who knows names.
        prefix: what the names of saved reports begin with.
    """
    view = options.view
    window = view.window
    if live and not options.is_window_given:
        window = Window.LAST_10_S
    grouping = Grouping.ADDR_PORT
    if view.group_by is GroupBy.ADDR:
        grouping = Grouping.NAME if namer.has_names else Grouping.ADDR
    state = State(
        window=window,
        grouping=grouping,
        sort=view.sort,
        is_descending=view.descending,
        percentile=view.percentile,
        names_by_port=namer.names_by_port,
        filter=options.filter,
        filters=() if options.filter is None else (options.filter.text,),
    ).with_columns(options.columns)
    return Setup(
        state=state,
        names=namer.name if namer.has_names else None,
        thresholds=options.thresholds,
        prefix=prefix,
        refresh_s=options.interval_s or REFRESH_S,
    )
