"""``State``: what the user looks at, and how. Immutable; every key makes a new one.

Data only: which mode, which view, which row, what is being typed. Knows no numbers, no terminal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar

from trtop.filters.filter import Filter
from trtop.metrics.columns import COLUMNS, Column
from trtop_core.detail import DetailView
from trtop_core.records import GroupBy, Window
from trtop_core.view import DEFAULT_PERCENTILE, Period, View


@dataclass(frozen=True, slots=True)
class Mode:
    """What fills the screen: the rows, or a page; each page has one of its own."""

    name: str

    LIST: ClassVar[Mode]
    DETAIL: ClassVar[Mode]
    COLUMNS: ClassVar[Mode]
    EXPLAIN: ClassVar[Mode]
    HELP: ClassVar[Mode]


Mode.LIST = Mode("list")
Mode.DETAIL = Mode("detail")
Mode.COLUMNS = Mode("columns")
Mode.EXPLAIN = Mode("explain")
Mode.HELP = Mode("help")


class Grouping(Enum):
    """What makes a row; the value is its name on the screen."""

    ADDR = "address"
    ADDR_PORT = "address:port"
    NAME = "name"

    @property
    def group_by(self) -> GroupBy:
        """What the engine is asked for."""
        return GroupBy.ADDR_PORT if self is Grouping.ADDR_PORT else GroupBy.ADDR


class Purpose(Enum):
    """What is being typed; the value stands before it."""

    FILTER = "filter: "
    COMMAND = ": "
    SAVE = "save as (.trtop .json .html): "
    OVERWRITE = "is there: Enter overwrites; or another: "


@dataclass(frozen=True, slots=True)
class Prompt:
    """A line that is being typed.

    Attributes:
        purpose: what for.
        text: so far.
        at: characters before the cursor.
        error: why it was not taken, or would not be.
        error_place: the part of the text that is wrong.
        is_refused: the user has asked for it to be taken.
        note: what else there is to say, such as what a word may become.
        back: how far back in the history the text is from; 0: it is new.
        draft: what was typed before going back.
        is_tried: rows are shown by ``tried`` already.
        tried: the filter that is typed, None for none.
        confirmed: what the user was told is there already; the same text again overwrites it.
    """

    purpose: Purpose
    text: str = ""
    at: int = 0
    error: str = ""
    error_place: tuple[int, int] = (0, 0)
    is_refused: bool = False
    note: str = ""
    back: int = 0
    draft: str = ""
    is_tried: bool = False
    tried: Filter | None = None
    confirmed: str | None = None


@dataclass(frozen=True, slots=True)
class RowKey:
    """Which destination a row stands for: the fields of ``records.DESTINATION_KEY``."""

    addr: bytes
    port: int
    kind: int


@dataclass(frozen=True, slots=True)
class State:
    """What the user looks at.

    Attributes:
        mode: what fills the screen.
        window: the span that numbers cover.
        grouping: what makes a row.
        sort: key of a column.
        is_descending: largest first.
        percentile: what latencies show.
        filter: which rows are shown, None for all.
        filters: filters that were taken so far, the last one last.
        columns: all that there are, in the order of the screen.
        hidden: names of those that the user does not want.
        pinned: names of those that stay the longest where there is little room, in that order.
        with_names: names instead of addresses, where they are known.
        names_by_port: a name depends on the port.
        with_trends: small charts beside the rows, where there is room.
        is_paused: the snapshot stands still.
        period: the span of the past that numbers cover, instead of the window; None: now.
        selected: place of the selected row among all rows, from 0.
        selected_key: which destination that is; None: whichever comes first.
        offset: rows above the first one shown.
        scroll: lines above the first one shown, in the other modes.
        chosen: place of the line that is chosen, on a page to choose from.
        prompt: what is being typed, None for nothing.
        message: one sentence until the next key.
    """

    mode: Mode = Mode.LIST
    window: Window = Window.ALL
    grouping: Grouping = Grouping.ADDR
    sort: str = "verdict"
    is_descending: bool = True
    percentile: float = DEFAULT_PERCENTILE
    filter: Filter | None = None
    filters: tuple[str, ...] = ()
    columns: tuple[Column, ...] = COLUMNS
    hidden: frozenset[str] = frozenset()
    pinned: tuple[str, ...] = ()
    with_names: bool = True
    names_by_port: bool = False
    with_trends: bool = True
    is_paused: bool = False
    period: Period | None = None
    selected: int = 0
    selected_key: RowKey | None = None
    offset: int = 0
    scroll: int = 0
    chosen: int = 0
    prompt: Prompt | None = None
    message: str = ""

    @property
    def shown_filter(self) -> Filter | None:
        """Which rows are shown: the filter that is being typed goes before the one taken."""
        prompt = self.prompt
        return prompt.tried if prompt is not None and prompt.is_tried else self.filter

    @property
    def shown_grouping(self) -> Grouping:
        """What makes a row: a filter that asks for ports has them told apart as long as it is."""
        chosen = self.shown_filter
        needs_ports = chosen is not None and chosen.needs_ports
        return Grouping.ADDR_PORT if needs_ports else self.grouping

    @property
    def shown_columns(self) -> list[Column]:
        """Columns that the user wants."""
        return [column for column in self.columns if column.name not in self.hidden]

    @property
    def pinned_columns(self) -> list[Column]:
        """Columns that stay the longest, the first the very longest."""
        by_name = {column.name: column for column in self.shown_columns}
        return [by_name[name] for name in self.pinned if name in by_name]

    def with_columns(self, chosen: tuple[Column, ...]) -> State:
        """This state with some columns alone, in their order; none: all."""
        if not chosen:
            return self
        names = {column.name for column in chosen}
        others = [column for column in COLUMNS if column.name not in names]
        return replace(
            self,
            columns=(*chosen, *others),
            hidden=frozenset(column.name for column in others),
            pinned=tuple(column.name for column in chosen),
        )

    def view(self, limit: int | None) -> View:
        """The question to a source.

        Args:
            limit: rows, None for all.
        """
        grouping = self.shown_grouping
        by_port = self.names_by_port and grouping is Grouping.NAME
        return View(
            window=self.window,
            group_by=GroupBy.ADDR_PORT if by_port else grouping.group_by,
            sort=self.sort,
            descending=self.is_descending,
            limit=limit,
            percentile=self.percentile,
            period=self.period,
        )

    def detail_view(self) -> DetailView | None:
        """The question about the selected destination; None before one is selected."""
        key = self.selected_key
        if key is None:
            return None
        return DetailView(
            key.addr,
            key.port,
            key.kind,
            group_by=self.shown_grouping.group_by,
            window=self.window,
            period=self.period,
        )

    @property
    def covers_all(self) -> bool:
        """Numbers cover all the time there was."""
        return self.window is Window.ALL and self.period is None

    def saying(self, message: str) -> State:
        """This state with a message for the user."""
        return replace(self, message=message)
