"""Regular expressions read into the states of an automaton; ``linear_regex`` moves through them.

Takes a pattern, gives states; what an automaton cannot tell is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

MAX_STATES = 1000
"""Of an automaton: a pattern with large repeats has more, and is refused."""

MAX_REPEAT = 255
"""Of a counted repeat: names have no more characters."""

Test = Callable[[str], bool]

CLASSES: dict[str, Test] = {
    "d": str.isdecimal,
    "s": str.isspace,
    "w": lambda char: char.isalnum() or char == "_",
}


@dataclass(slots=True)
class State:
    """One place in an automaton.

    Attributes:
        test: which character leads on; None: none is read.
        after: the states behind it.
        edge: what must hold at this place: ``^``, ``$``, ``b``, ``B``; empty: nothing.
    """

    test: Test | None = None
    after: list[int] = field(default_factory=list)
    edge: str = ""


_Piece = Callable[[int], int]
"""Makes the states of a part of a pattern in front of a state; gives the first of them."""


class PatternReader:
    """Reads a pattern from the left, and makes its states from the right."""

    def __init__(self, pattern: str, state: Callable[..., int], states: list[State]) -> None:
        self._pattern = pattern
        self._at = 0
        self._n_repeats = 0
        self._state = state
        self._states = states

    def read(self, final: int) -> int:
        """The first state of the whole pattern."""
        if not self._pattern:
            self._fail("is empty")
        piece = self._either()
        if self._at < len(self._pattern):
            self._fail("has a ) without a (")
        return piece(final)

    def _either(self) -> _Piece:
        pieces = [self._sequence()]
        while self._take("|"):
            pieces.append(self._sequence())
        if len(pieces) == 1:
            return pieces[0]
        return lambda after: self._state(None, tuple(piece(after) for piece in pieces))

    def _sequence(self) -> _Piece:
        pieces: list[_Piece] = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            pieces.append(self._repeated())

        def build(after: int) -> int:
            for piece in reversed(pieces):
                after = piece(after)
            return after

        return build

    def _repeated(self) -> _Piece:
        start = self._at
        piece = self._one()
        bounds = self._bounds()
        if bounds is None:
            return piece
        if self._pattern[start : self._at].startswith(("^", "$", "\\b", "\\B")):
            self._fail("repeats a place between characters")
        self._take("?")  # lazy or not, it fits or does not
        if self._bounds() is not None:
            self._fail("repeats a repeat")
        return self._times(piece, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        """How often: at least, at most; None: it is no repeat."""
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        end = self._pattern.find("}", self._at)
        if self._at >= len(self._pattern) or self._pattern[self._at] != "{" or end < 0:
            return None
        low, comma, high = self._pattern[self._at + 1 : end].partition(",")
        if not low and not comma:
            return None
        if not all(not part or (part.isascii() and part.isdigit()) for part in (low, high)):
            return None
        self._at = end + 1
        least = int(low or 0)
        most = (int(high) if high else None) if comma else least
        if max(least, most or 0) > MAX_REPEAT or (most is not None and most < least):
            self._fail(f"repeats more than {MAX_REPEAT} times, or from more to less")
        return least, most

    def _times(self, piece: _Piece, least: int, most: int | None) -> _Piece:
        def build(after: int) -> int:
            self._n_repeats += least + (most or 0)
            if self._n_repeats > MAX_STATES:  # also of what makes no states, as ((){255}){255}
                self._fail("is too large")
            if most is None:
                loop = self._state(None, (after,))
                self._states[loop].after.insert(0, piece(loop))
                after = loop
            else:
                end = after
                for _ in range(most - least):
                    after = self._state(None, (piece(after), end))
            for _ in range(least):
                after = piece(after)
            return after

        return build

    def _one(self) -> _Piece:
        char = self._next()
        if char == "(":
            if self._take("?") and not self._take(":"):
                self._fail("has (?…), which is not known here")
            piece = self._either()
            if not self._take(")"):
                self._fail("has a ( without a )")
            return piece
        if char in "^$":
            return lambda after: self._state(None, (after,), char)
        if char == "[":
            return self._reading(self._class())
        if char == ".":
            return self._reading(lambda other: other != "\n")
        if char == "\\":
            escaped = self._next()
            if escaped in "bB":
                return lambda after: self._state(None, (after,), escaped)
            return self._reading(self._escaped(escaped))
        self._at -= 1
        if self._bounds() is not None:
            self._fail(f"has nothing in front of {char}")
        self._at += 1
        return self._reading(_same(char))

    def _reading(self, test: Test) -> _Piece:
        return lambda after: self._state(test, (after,))

    def _escaped(self, char: str) -> Test:
        test = CLASSES.get(char.lower())
        if test is None:
            if char.isalnum():
                self._fail(f"has \\{char}, which is not known here")
            return _same(char)
        return test if char.islower() else lambda other: not test(other)

    def _class(self) -> Test:
        is_not = self._take("^")
        tests: list[Test] = []
        while not (tests and self._take("]")):
            tests.append(self._class_item())
        return lambda char: any(test(char) for test in tests) != is_not

    def _class_item(self) -> Test:
        first = self._next()
        if first == "\\":
            first = self._next()
            if first.lower() in CLASSES or first.isalnum():
                return self._escaped(first)
        rest = self._pattern[self._at : self._at + 2]
        if len(rest) < 2 or rest[0] != "-" or rest[1] == "]":
            return _same(first)
        self._at += 1
        last = self._next()
        if last == "\\":
            last = self._next()
            if last.isalnum():
                self._fail(f"has {first}-\\{last}, which is not known here")
        if last < first:
            self._fail(f"has {first}-{last}, from more to less")
        return lambda char: any(first <= form <= last for form in _forms(char))

    def _next(self) -> str:
        if self._at >= len(self._pattern):
            self._fail("ends too early")
        self._at += 1
        return self._pattern[self._at - 1]

    def _take(self, char: str) -> bool:
        is_next = self._pattern.startswith(char, self._at)
        self._at += is_next
        return is_next

    def _fail(self, why: str) -> NoReturn:
        raise ValueError(why)


def _forms(char: str) -> Iterator[str]:
    """A character, and what it is in lower and upper case."""
    yield char
    yield char.lower()
    yield char.upper()


def _same(char: str) -> Test:
    forms = frozenset(_forms(char))
    return lambda other: not forms.isdisjoint(_forms(other))
