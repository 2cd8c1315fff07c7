"""The syntax tree of a filter, and how it is written. Data only.

Every node is immutable and compares by value; ``text_of`` gives a text that parses to the same
tree. Says nothing of rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trtop_core.parse import Network

KEYWORDS = frozenset({"and", "or", "not", "tcp", "host", "net", "port", "dst", "name", "verdict"})
"""Words that are never a part of a name, unless they stand in quotes."""

OPERATORS = (">=", "<=", "!=", "==", ">", "<", "=")
"""What compares, the longest first."""

MIRRORED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "=": "=", "!=": "!="}
"""What an operator becomes where its sides are exchanged."""


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; two or more, none of them an ``And``."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One part holds at least; two or more, none of them an ``Or``."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Node


@dataclass(frozen=True, slots=True)
class Everything:
    """Every row: ``tcp``."""


@dataclass(frozen=True, slots=True)
class Text:
    """A part of a name or an address.

    Attributes:
        part: in lower case.
        of_name: of the name alone (``name:db``).
    """

    part: str
    of_name: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole name or address, or a shell pattern of it: ``host db-7``, ``*.example.com``.

    Attributes:
        pattern: in lower case; ``*``, ``?`` and ``[…]`` are wildcards if ``is_glob``, and then it
            has no blanks, quotes, brackets or operators.
        is_glob: it has wildcards.
        of_name: of the name alone (``name:db*``).
    """

    pattern: str
    is_glob: bool
    of_name: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that fits somewhere in a name or an address: ``~db-[0-9]``.

    Attributes:
        pattern: as it was typed; upper and lower case are alike.
        of_name: of the name alone (``name:~db``).
    """

    pattern: str
    of_name: bool = False


@dataclass(frozen=True, slots=True)
class Inside:
    """An address in a network: ``10.0.0.0/8``."""

    network: Network


@dataclass(frozen=True, slots=True)
class Port:
    """The port compared with a number: ``:443``, ``port>1024``."""

    operator: str
    number: int


@dataclass(frozen=True, slots=True)
class VerdictIs:
    """The verdict begins so: ``verdict:slow``.

    Attributes:
        prefix: in lower case, with single spaces between words.
    """

    prefix: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number with its unit: ``100ms``, ``5%``, ``10M``."""

    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A number of every row.

    Attributes:
        metric: its name.
        statistic: of a distribution: ``p99``, ``min``, ``max``, ``mean``, ``count``; empty: the
            percentile that is shown.
    """

    metric: str
    statistic: str = ""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One column divided by another: ``server/rtt``."""

    part: Column
    whole: Column


Operand = Number | Column | Ratio


@dataclass(frozen=True, slots=True)
class Compare:
    """Two operands compared; the left one is no number, unless both sides are wrong."""

    left: Column | Ratio
    operator: str
    right: Operand


Node = And | Or | Not | Everything | Text | Whole | Pattern | Inside | Port | VerdictIs | Compare

_BARE = re.compile(r"[a-z_](?:[a-z0-9._~-]*[a-z0-9_~])?")
"""Text that needs no quotes."""


def text_of(node: Node) -> str:
    """A text that parses to the same tree."""
    match node:
        case And(parts):
            return " ".join(_inner(part, (Or,)) for part in parts)
        case Or(parts):
            return " or ".join(_inner(part, ()) for part in parts)
        case Not(part):
            return f"not {_inner(part, (And, Or))}"
        case Everything():
            return "tcp"
        case Text(part, of_name):
            return ("name:" if of_name else "") + _quoted(part)
        case Whole(pattern, is_glob, of_name):
            return _whole_text(pattern, is_glob, of_name)
        case Pattern(pattern, of_name):
            return ("name:" if of_name else "") + "~" + quote(pattern)
        case Inside(network):
            return f"net {network}"
        case Port(operator, number):
            return f"port {number}" if operator == "=" else f"port{operator}{number}"
        case VerdictIs(prefix):
            return f"verdict:{quote(prefix)}"
        case Compare(left, operator, right):
            return f"{operand_text(left)}{operator}{operand_text(right)}"


def operand_text(operand: Operand) -> str:
    """One side of a comparison as text."""
    match operand:
        case Number(value, unit):
            return f"{number_text(value)}{unit}"
        case Column(metric, statistic):
            return f"{statistic}({metric})" if statistic else metric
        case Ratio(part, whole):
            return f"{operand_text(part)}/{operand_text(whole)}"


def number_text(value: float) -> str:
    """A number as short as it can be written without another value."""
    return repr(value).removesuffix(".0")


def quote(text: str) -> str:
    """A text in quotes, those in it and backslashes escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _inner(node: Node, in_brackets: tuple[type, ...]) -> str:
    text = text_of(node)
    return f"({text})" if isinstance(node, in_brackets) else text


def _quoted(text: str) -> str:
    is_bare = _BARE.fullmatch(text) and text not in KEYWORDS
    return text if is_bare else quote(text)


def _whole_text(pattern: str, is_glob: bool, of_name: bool) -> str:
    prefix = "name=" if of_name else "host "
    return prefix + (pattern if is_glob else quote(pattern))
