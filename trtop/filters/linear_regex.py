r"""Regular expressions that take time in proportion to the text, whatever the pattern.

Names come from the network, and Python's own ``re`` can take hours for one of 255 characters. Here
a pattern becomes an automaton that reads each character once (Thompson 1968), its states made
when they are first reached. Takes what filters need: literals, ``.``, classes, groups, ``|``,
``* + ? {m,n}``, ``^ $``, ``\d \w \s \b`` and their opposites; upper and lower case are alike.
What cannot be told so (back references, look-around) is refused.
"""

from __future__ import annotations

from trtop.filters.pattern_reader import CLASSES, MAX_STATES, PatternReader, State, Test

MAX_KEPT = 20_000
"""Moves and answers that are kept, of each; beyond that they are made anew."""


class LinearRegex:
    """A pattern that is looked for anywhere in a text.

    Args:
        pattern: the regular expression.

    Raises:
        ValueError: it is none, or too large; the message is a part of a sentence.
    """

    def __init__(self, pattern: str) -> None:
        self._states: list[State] = []
        self._final = self._state()
        self._first = PatternReader(pattern, self._state, self._states).read(self._final)
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
        self._states.append(State(test, list(after), edge))
        return len(self._states) - 1


def _holds(edge: str, before: str, char: str) -> bool:
    if edge in ("", "^", "$"):
        return not {"": "", "^": before, "$": char}[edge]
    is_word = CLASSES["w"]
    is_edge = (bool(before) and is_word(before)) != (bool(char) and is_word(char))
    return is_edge == (edge == "b")
