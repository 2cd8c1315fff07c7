"""Which key does what: data, which the help, the bottom line and ``update`` share.

Keys have names as ``terminal`` gives them: a printable key is itself, others are words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from trtop.metrics.columns import COLUMNS


class Action(Enum):
    """What a key asks for; ``PAGE``: to open the page that has the key in its own file."""

    UP = auto()
    DOWN = auto()
    PAGE_UP = auto()
    PAGE_DOWN = auto()
    FIRST = auto()
    LAST = auto()
    SORT_LEFT = auto()
    SORT_RIGHT = auto()
    REVERSE = auto()
    FILTER = auto()
    GROUP = auto()
    WINDOW = auto()
    EARLIER = auto()
    LATER = auto()
    SHORTER = auto()
    LONGER = auto()
    LIVE = auto()
    PERCENTILE = auto()
    COLUMNS = auto()
    DETAIL = auto()
    EXPLAIN = auto()
    NAMES = auto()
    TRENDS = auto()
    PAUSE = auto()
    RESET = auto()
    FORGET_RESET = auto()
    SAVE = auto()
    COMMAND = auto()
    HELP = auto()
    BACK = auto()
    QUIT = auto()
    PAGE = auto()


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the table of keys.

    Attributes:
        action: what it does.
        keys: any of these.
        shown: how help writes them.
        label: on the bottom line, empty where it is not there.
        meaning: for the help.
    """

    action: Action
    keys: tuple[str, ...]
    shown: str
    label: str
    meaning: str


KEYS: tuple[Key, ...] = (
    Key(Action.HELP, ("?", "f1", "h"), "?", "Help", "this help (F1, h too)"),
    Key(Action.QUIT, ("q", "f10"), "q", "Quit", "quit (Ctrl-C too)"),
    Key(Action.FILTER, ("/",), "/", "Filter", "show some rows only; empty: all again"),
    Key(Action.DETAIL, ("d", "enter"), "d", "Detail", "all about the selected row (Enter too)"),
    Key(Action.EXPLAIN, ("e",), "e", "Explain", "why the selected row has its verdict, what next"),
    Key(Action.SORT_LEFT, ("<", ","), "<", "", "sort by the column to the left"),
    Key(Action.SORT_RIGHT, (">", "."), ">", "Sort", "sort by the column to the right"),
    Key(Action.REVERSE, ("v",), "v", "Reverse", "reverse the order"),
    Key(Action.WINDOW, ("w",), "w", "Window", "last 10 s, 60 s, 5 min, all"),
    Key(Action.EARLIER, ("[",), "[ ]", "Time", "go back in time; ] forward, at the end: now"),
    Key(Action.LATER, ("]",), "", "", ""),
    Key(Action.SHORTER, ("{",), "{ }", "", "look at a shorter, a longer span of time"),
    Key(Action.LONGER, ("}",), "", "", ""),
    Key(Action.LIVE, ("=",), "L", "", "back from the past to now (else it sorts by Lat)"),
    Key(Action.GROUP, ("g",), "g", "Group", "rows by address, address:port, name"),
    Key(Action.PERCENTILE, ("p",), "p", "Pctile", "latencies at p50, p90, p95, p99, p99.9"),
    Key(Action.COLUMNS, ("c",), "c", "Columns", "choose columns, see their letters"),
    Key(Action.PAUSE, (" ",), "Space", "Pause", "hold the picture; once more: go on"),
    Key(Action.NAMES, ("n",), "n", "Names", "names or addresses"),
    Key(Action.TRENDS, ("t",), "t", "", "trends of Rtt and errors beside the rows, or none"),
    Key(Action.RESET, ("r",), "r", "Reset", "count from now on"),
    Key(Action.FORGET_RESET, ("u",), "u", "", "undo that: count from the beginning"),
    Key(Action.COMMAND, (":",), ":", "", "any action by its name; Tab completes it"),
    Key(Action.SAVE, ("s",), "s", "Save", "save the rows as text, JSON and HTML"),
    Key(Action.UP, ("up", "k"), "Up Down", "", "select a row (k, j too)"),
    Key(Action.DOWN, ("down", "j"), "", "", ""),
    Key(Action.PAGE_UP, ("pgup",), "PgUp PgDn", "", "a page at a time"),
    Key(Action.PAGE_DOWN, ("pgdn",), "", "", ""),
    Key(
        Action.FIRST,
        ("home",),
        "Home End",
        "",
        "the first row (in the past, again: the start), the last",
    ),
    Key(Action.LAST, ("end",), "", "", ""),
    Key(Action.BACK, ("esc", "backspace", "left"), "Esc", "", "back to the rows"),
)

KEY_OF = {key.action: key for key in KEYS}

ACTION_OF = {name: key.action for key in KEYS for name in key.keys}

_WORDS = {"Esc": "esc", "Space": " ", "Enter": "enter"}


def name_of_shown(shown: str) -> str | None:
    """The key behind what a line shows of it; None for several keys."""
    return shown if len(shown) == 1 else _WORDS.get(shown)


LETTER_OF_DESTINATION = "H"

LETTER_OF_VERDICT = "!"

_SPARE_LETTERS = "123456789JZ0%#"


def _letters() -> dict[str, str]:
    """A key for every column: the letters of their metrics, and spare ones in order for others."""
    chosen = {column.metric.letter for column in COLUMNS}
    spare = iter(letter for letter in _SPARE_LETTERS if letter not in chosen)
    found = {column.key: column.metric.letter or next(spare, "") for column in COLUMNS}
    known = {key: letter for key, letter in found.items() if letter}
    return {"destination": LETTER_OF_DESTINATION, "verdict": LETTER_OF_VERDICT, **known}


LETTER_OF = _letters()
"""Letters that sort, by the key of the column."""

COLUMN_OF = {letter: key for key, letter in LETTER_OF.items()}
