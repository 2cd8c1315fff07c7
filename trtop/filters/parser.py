"""The grammar of filters: a text becomes a syntax tree, or an error of one line.

    either   = both { ("or" | "||" | "|") both }
    both     = single { ["and" | "&&" | "&"] single }
    single   = ("not" | "!") single | "(" either ")" | term
    term     = condition | "~" regex | word | quoted

Words of a term are read by ``terms``, conditions on numbers by ``conditions``. Nothing is ever
evaluated, and nothing here looks at a row.
"""

from __future__ import annotations

from trtop.filters.errors import FilterError
from trtop.filters.scanner import Scanner
from trtop.filters.terms import read_term
from trtop.filters.tree import And, Node, Not, Or

MAX_CHARS = 500
"""Of a filter."""

MAX_DEPTH = 30
"""Brackets and negations within each other."""

AND = ("and", "&&", "&")
OR = ("or", "||", "|")
NOT = ("not", "!")


def parse(text: str) -> Node | None:
    """The tree of a filter; None where nothing but blanks is said.

    Raises:
        FilterError: it cannot be understood.
    """
    if len(text) > MAX_CHARS:
        raise FilterError(f"a filter has at most {MAX_CHARS} characters", MAX_CHARS, len(text))
    for place, char in enumerate(text):
        if not char.isprintable() and not char.isspace():
            raise FilterError(f"{char!r} is no character of a filter", place, place + 1)
    scanner = Scanner(text)
    if scanner.is_over:
        return None
    tree = _either(scanner, 0)
    if not scanner.is_over:
        scanner.fail("')' has no '(' before it", scanner.at, scanner.at + 1)
    return tree


def _either(scanner: Scanner, depth: int) -> Node:
    parts = [_both(scanner, depth)]
    while scanner.take_operator(OR):
        parts.append(_both(scanner, depth))
    return _joined(Or, parts)


def _both(scanner: Scanner, depth: int) -> Node:
    parts = [_single(scanner, depth)]
    while True:
        is_said = scanner.take_operator(AND)
        if not is_said and (scanner.is_over or scanner.sees(")") or scanner.sees_operator(OR)):
            return _joined(And, parts)
        parts.append(_single(scanner, depth))


def _single(scanner: Scanner, depth: int) -> Node:
    if depth > MAX_DEPTH:
        scanner.fail(f"more than {MAX_DEPTH} brackets and negations within each other")
    if scanner.take_operator(NOT):
        return Not(_single(scanner, depth + 1))
    start = scanner.start()
    if not scanner.take("("):
        _refuse_operator(scanner)
        return read_term(scanner)
    if scanner.sees(")"):
        scanner.fail("'()' holds nothing", start, scanner.at + 1)
    tree = _either(scanner, depth + 1)
    if not scanner.take(")"):
        scanner.fail("'(' has no ')' behind it", start, start + 1)
    return tree


def _refuse_operator(scanner: Scanner) -> None:
    """Refuse the end, or an operator, where a condition belongs."""
    if scanner.is_over or scanner.sees(")"):
        word = scanner.last_operator
        if word:
            scanner.fail(f"{word!r} wants a condition behind it", *scanner.place_of_operator)
        scanner.fail("a condition is missing")
    start = scanner.at
    if word := scanner.take_operator(AND + OR):
        hint = f' (a name: "{word}")' if word.isalpha() else ""
        scanner.fail(f"{word!r} stands between two conditions{hint}", start, scanner.at)


def _joined(kind: type[And] | type[Or], parts: list[Node]) -> Node:
    """Parts as one node; those of the same kind are not nested."""
    if len(parts) == 1:
        return parts[0]
    flat: list[Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else [part]
    return kind(tuple(flat))
