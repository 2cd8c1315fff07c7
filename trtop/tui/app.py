"""``show``: a source on the terminal, until the user quits. What commands call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trtop.table.text import Theme
from trtop.tui.event_loop import EventLoop
from trtop.tui.setup import Setup
from trtop.tui.source import SnapshotSource
from trtop.tui.terminal import Terminal


@dataclass(frozen=True, slots=True)
class DisplayOptions:
    """Options of the terminal, and the clock.

    Attributes:
        color: the user wants colours, if the terminal has them.
        ascii_only: nothing but ASCII.
        monotonic_s: a clock in seconds.
        theme: which colours stand for what.
    """

    color: bool
    ascii_only: bool
    monotonic_s: Callable[[], float]
    theme: Theme = Theme.TERMINAL


def show(
    source: SnapshotSource, setup: Setup, display: DisplayOptions, is_due: Callable[[], bool]
) -> None:
    """Draw what a source gives; the terminal is given back on every way out.

    Args:
        source: gives snapshots.
        setup: what is looked at first, and what there is.
        display: what is known of the terminal and of time.
        is_due: whether something else than the user ends it, such as a signal.

    Raises:
        TrtopError: the terminal cannot be drawn on.
    """
    with Terminal(display.color, display.ascii_only, display.theme) as terminal:
        EventLoop(source, terminal, setup, display.monotonic_s).run(is_due)
