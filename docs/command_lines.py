"""``Program`` and ``Option``: what pages and completions are written from, out of the parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from trtop.plugins import BUILT_IN, PartKind
from trtop_core.metrics import SORTABLE

FILES = "FILES"
"""Completed by the shell: paths."""

INTERFACES = "INTERFACES"
"""Completed from /sys/class/net."""


@dataclass(frozen=True)
class Option:
    """One option, or the positional argument.

    Attributes:
        flags: its spellings; none for the positional argument.
        metavar: what its value is called; None: it takes none.
        help: what it does.
        values: what a shell offers for its value.
    """

    flags: tuple[str, ...]
    metavar: str | None
    help: str
    values: tuple[str, ...]


def options_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, list[Option]]]:
    """Groups of options with their titles, those that help hides left out."""
    for group in parser._action_groups:
        shown = [
            Option(
                tuple(action.option_strings),
                None if action.nargs == 0 else str(action.metavar or action.dest),
                (action.help or "").replace("%%", "%"),
                _values(action),
            )
            for action in group._group_actions
            if action.help != argparse.SUPPRESS
        ]
        if shown:
            yield group.title or "", shown


@dataclass(frozen=True)
class Program:
    """A program with a page and completions of its own.

    Attributes:
        name: what is typed.
        section: of the manual.
        summary: one line.
        synopsis: what follows the name, by command; "" is the program without one.
        parsers: by command.
    """

    name: str
    section: int
    summary: str
    synopsis: dict[str, str]
    parsers: dict[str, argparse.ArgumentParser]

    @property
    def function(self) -> str:
        """What its completion function is called."""
        return f"_{self.name}"


def _values(action: argparse.Action) -> tuple[str, ...]:
    metavar = str(action.metavar or "")
    if metavar == "MODULE":
        return (*BUILT_IN[PartKind(action.dest)], FILES)
    if metavar in OFFERED:
        return OFFERED[metavar]
    if "|" in metavar:
        return tuple(metavar.split("|"))
    return ()


OFFERED: dict[str, tuple[str, ...]] = {
    "FILE": (FILES,),
    "PREFIX": (FILES,),
    "IF": (INTERFACES,),
    "COLUMN": SORTABLE,
    "COLUMN=VALUE": ("lat=", "rtt=", "qos=", "rst=", "est=", "synack=", "err="),
    "SOURCE[,SOURCE]": ("capture", "hosts", "dns", "none"),
    "P": ("50", "90", "95", "99", "99.9"),
}
"""What a shell offers, by the name of the value."""
