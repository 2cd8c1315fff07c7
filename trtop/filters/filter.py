"""``Filter``: what a user typed, understood; which rows it shows, and why it shows none.

The one way from a text to rows: the screen, ``--filter``, ``--fail-on`` and Python come here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trtop.filters.masks import mask_of
from trtop.filters.parser import parse
from trtop.filters.rows import Mask, Rows
from trtop.filters.spelling import VERDICTS, column, example
from trtop.filters.tree import (
    And,
    Column,
    Inside,
    Node,
    Not,
    Or,
    Pattern,
    Port,
    Text,
    Whole,
)
from trtop_core.errors import one_line


@dataclass(frozen=True, slots=True)
class Filter:
    """What was typed, understood.

    Attributes:
        text: as it was typed.
        tree: what it means.
    """

    text: str
    tree: Node

    def mask(self, rows: Rows) -> Mask:
        """Which rows are shown, shape (n,)."""
        return mask_of(self.tree, rows)

    def shown(self, rows: Rows) -> tuple[Mask, list[str]]:
        """Which rows are shown, and remarks where some of what it asks for is nowhere."""
        shown = self.mask(rows)
        is_plain = not isinstance(self.tree, (And, Or))
        return shown, [] if is_plain and shown.any() else self.remarks(rows)

    @property
    def needs_ports(self) -> bool:
        """Whether rows must have ports to be told apart by it."""
        return any(isinstance(node, Port) for node in nodes_of(self.tree))

    @property
    def has_numbers(self) -> bool:
        """Whether it asks for more than names, addresses and ports."""
        plain = (Text, Whole, Pattern, Inside, Port, And, Or, Not)
        return any(not isinstance(node, plain) for node in nodes_of(self.tree))

    def remarks(self, rows: Rows) -> list[str]:
        """What words that no row has are said of, one sentence each; negated ones are not asked.

        An empty result without such a word needs no more words than that no row matches.
        """
        return [
            one_line(said)
            for node in wanted_leaves(self.tree)
            if (said := _said_of_nothing(node)) and not mask_of(node, rows).any()
        ]

    def is_mistaken(self, rows: Rows) -> bool:
        """Whether a word that no row has is the name of a column or of a verdict."""
        return any(
            bool(_hint(node.part)) and not mask_of(node, rows).any()
            for node in wanted_leaves(self.tree)
            if isinstance(node, Text)
        )


def parse_filter(text: str) -> Filter | None:
    """Understand what the user typed; nothing is no filter.

    Raises:
        FilterError: it cannot be understood (a ``ValueError``).
    """
    tree = parse(text)
    return None if tree is None else Filter(" ".join(text.split()), tree)


def nodes_of(node: Node) -> Iterator[Node]:
    """A tree's nodes, itself included."""
    yield node
    match node:
        case And(parts) | Or(parts):
            for part in parts:
                yield from nodes_of(part)
        case Not(part):
            yield from nodes_of(part)


def wanted_leaves(node: Node) -> Iterator[Node]:
    """Leaves that are not negated."""
    match node:
        case And(parts) | Or(parts):
            for part in parts:
                yield from wanted_leaves(part)
        case Not():
            return
        case _:
            yield node


def _said_of_nothing(node: Node) -> str:
    """What is said where no row has what a leaf asks for; empty for conditions on numbers."""
    match node:
        case Text(part, of_name):
            return f"{_nobody(of_name)} contains {part!r}{_hint(part)}"
        case Whole(pattern, is_glob, of_name):
            return f"{_nobody(of_name)} {'matches' if is_glob else 'is'} {pattern!r}"
        case Pattern(pattern, of_name):
            return f"{_nobody(of_name)} matches ~{pattern}"
        case Inside(network):
            return f"no address is in {network}"
        case Port("=", number):
            return f"no row has port {number}"
    return ""


def _nobody(of_name: bool) -> str:
    return "no name" if of_name else "no name or address"


def _hint(word: str) -> str:
    """What else a word is, if it is something else."""
    if (metric := column(word)) is not None:
        return f" (a column: {example(Column(metric)).removeprefix('such as ')})"
    if any(verdict.startswith(word) for verdict in VERDICTS):
        return f" (a verdict: verdict:{word})"
    return ""
