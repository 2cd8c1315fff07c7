"""``Context`` and ``Updated``: what a key is read in, and what follows from it. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from trtop.tui.saving_place import Proposal
from trtop.tui.state import Grouping, State
from trtop.tui.view_model import ViewModel
from trtop_core.records import Window
from trtop_core.timeline import Timeline

WINDOWS = (Window.LAST_10_S, Window.LAST_60_S, Window.LAST_300_S, Window.ALL)
"""Windows in the order in which a key goes through them."""


class Effect(Enum):
    """What the event loop does after a key, besides drawing."""

    NONE = auto()
    QUIT = auto()
    RESET = auto()
    FORGET_RESET = auto()
    SAVE = auto()


NOTHING_PROPOSED = Proposal()


@dataclass(frozen=True, slots=True)
class Context:
    """What keys depend on besides the state.

    Attributes:
        model: the rows at hand, None before the first.
        page: rows or lines on one screen.
        windows: the windows that can be asked for.
        groupings: what rows can be grouped by.
        has_names: there is somebody who knows names.
        prefix: of the files to save, None to ask for one.
        is_over: nothing more comes, so that counting from now on makes no sense.
        timeline: of the history; None where there is none (yet).
        proposed: where files can be saved, if one is asked for a prefix.
    """

    model: ViewModel | None = None
    page: int = 1
    windows: tuple[Window, ...] = WINDOWS
    groupings: tuple[Grouping, ...] = tuple(Grouping)
    has_names: bool = False
    prefix: str | None = None
    is_over: bool = False
    timeline: Timeline | None = None
    proposed: Proposal = NOTHING_PROPOSED

    @property
    def n_rows(self) -> int:
        """Rows there are."""
        return self.model.n_rows if self.model else 0


@dataclass(frozen=True, slots=True)
class Updated:
    """The state after a key, and the effect that the event loop carries out.

    Attributes:
        state: the next one.
        effect: what else to do.
        prefix: of the files to save.
        may_overwrite: the user has said so.
        command: that the user typed, to be carried out.
    """

    state: State
    effect: Effect = Effect.NONE
    prefix: str = ""
    may_overwrite: bool = False
    command: str = ""
