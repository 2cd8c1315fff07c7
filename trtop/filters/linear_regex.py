r"""Regular expressions that take time in proportion to the text, whatever the pattern.

Names come from the network, and Python's own ``re`` can take hours for one of 255 characters. Here
a pattern becomes an automaton that reads each character once (Thompson 1968), its states made
when they are first reached. Takes what filters need: literals, ``.``, classes, groups, ``|``,
``* + ? {m,n}``, ``^ $``, ``\d \w \s \b`` and their opposites; upper and lower case are alike.
What cannot be told so (back references, look-around) is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

MAX_STATES = 1000
"""Of an automaton: a pattern with large repeats has more, and is refused."""

MAX_REPEAT = 255
"""Of a counted repeat: names have no more characters."""

MAX_KEPT = 20_000
"""Moves and answers that are kept, of each; beyond that they are made anew."""

Test = Callable[[str], bool]

_CLASSES: dict[str, Test] = {
    "d": str.isdecimal,
    "s": str.isspace,
    "w": lambda char: char.isalnum() or char == "_",
}


@dataclass(slots=True)
class _State:
    """One place in an automaton.

    Attributes:
        test: which character leads on; None: none is read.
        after: the states behind it.
        edge: what must hold at this place: ``^``, ``$``, ``b``, ``B``; empty: nothing.
    """

    test: Test | None = None
    after: list[int] = field(default_factory=list)
    edge: str = ""


class LinearRegex:
    """A pattern that is looked for anywhere in a text.

    Args:
        pattern: the regular expression.

    Raises:
        ValueError: it is none, or too large; the message is a part of a sentence.
    """

    def __init__(self, pattern: str) -> None:
        self._states: list[_State] = []
        self._final = self._state()
        self._first = _Reader(pattern, self._state, self._states).read(self._final)
        self._moves: dict[tuple[frozenset[int], str, str], frozenset[int]] = {}
        self._answers: dict[str, bool] = {}

    def search(self, text: str) -> bool:
        """Whether it fits somewhere; the same names are asked about at every refresh."""
        answer = self._answers.get(text)
        if answer is None:
            if len(self._answers) >= MAX_KEPT:
                self._answers.clear()
            answer = self._answers[text] = self._search(text)
        return answer

    def _search(self, text: str) -> bool:
        before, reached = "", frozenset[int]()
        for char in (*text, ""):
            key = reached, before, char
            after = self._moves.get(key)
            if after is None:
                if len(self._moves) >= MAX_KEPT:
                    self._moves.clear()
                after = self._moves[key] = self._moved(reached, before, char)
            if self._final in after:
                return True
            before, reached = char, after
        return False

    def _moved(self, reached: frozenset[int], before: str, char: str) -> frozenset[int]:
        """The states after a character; the final one alone where the pattern has fitted by then.

        Args:
            reached: states before it, but for the first, from which a match may begin anywhere.
            before: the character in front; empty at the beginning.
            char: the character; empty at the end.
        """
        here = self._closed({*reached, self._first}, before, char)
        if self._final in here:
            return frozenset({self._final})
        return frozenset(
            after
            for number in here
            if (test := self._states[number].test) is not None and char and test(char)
            for after in self._states[number].after
        )

    def _closed(self, reached: set[int], before: str, char: str) -> set[int]:
        """States that can be reached without reading."""
        waiting = list(reached)
        while waiting:
            state = self._states[waiting.pop()]
            if state.test is not None or not _holds(state.edge, before, char):
                continue
            new = [number for number in state.after if number not in reached]
            reached.update(new)
            waiting += new
        return reached

    def _state(self, test: Test | None = None, after: tuple[int, ...] = (), edge: str = "") -> int:
        if len(self._states) >= MAX_STATES:
            raise ValueError("is too large")
        self._states.append(_State(test, list(after), edge))
        return len(self._states) - 1


def _holds(edge: str, before: str, char: str) -> bool:
    if edge in ("", "^", "$"):
        return not {"": "", "^": before, "$": char}[edge]
    is_word = _CLASSES["w"]
    is_edge = (bool(before) and is_word(before)) != (bool(char) and is_word(char))
    return is_edge == (edge == "b")


_Piece = Callable[[int], int]
"""Makes the states of a part of a pattern in front of a state; gives the first of them."""


class _Reader:
    """Reads a pattern from the left, and makes its states from the right."""

    def __init__(self, pattern: str, state: Callable[..., int], states: list[_State]) -> None:
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
        if not all(part.isascii() and part.isdigit() for part in (low, high or low)):
            return None
        self._at = end + 1
        least = int(low)
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
        if char in "*+?":
            self._fail(f"has nothing in front of {char}")
        return self._reading(_same(char))

    def _reading(self, test: Test) -> _Piece:
        return lambda after: self._state(test, (after,))

    def _escaped(self, char: str) -> Test:
        test = _CLASSES.get(char.lower())
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
            if first.lower() in _CLASSES or first.isalnum():
                return self._escaped(first)
        rest = self._pattern[self._at : self._at + 2]
        if len(rest) < 2 or rest[0] != "-" or rest[1] == "]":
            return _same(first)
        self._at += 1
        last = self._next()
        last = self._next() if last == "\\" else last
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
