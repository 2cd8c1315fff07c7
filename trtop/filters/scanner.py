"""``Scanner``: the text of a filter, read from the left.

Gives words, quoted texts and what matches a form at the place where it stands, and errors with
that place. Knows characters and keywords, no grammar.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

from trtop.filters.errors import FilterError

WORD = re.compile(r"""(?:[^\s()"'<>=!|&]|!(?!=))+""")
"""A word: up to a blank, a bracket, a quote or an operator."""

_COMPARISON = re.compile(r"\s*(>=|<=|!=|==|>|<|=)")

QUOTES = "\"'"


class Scanner:
    """A place in a text, which moves on as things are taken.

    Args:
        text: the whole filter.

    Attributes:
        text: as given.
        at: place of the next character.
        last_operator: of ``and``, ``or``, ``not``, what was taken last; empty once a term is.
        place_of_operator: where that stands.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.last_operator = ""
        self.place_of_operator = (0, 0)

    @property
    def is_over(self) -> bool:
        """Nothing but blanks is left."""
        return self.start() >= len(self.text)

    def start(self) -> int:
        """Step over blanks; gives the place behind them."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at

    def sees(self, sign: str) -> bool:
        """Whether a sign comes next, after blanks."""
        return self.text.startswith(sign, self.start())

    def take(self, sign: str) -> bool:
        """Take a sign, if it comes next."""
        is_next = self.sees(sign)
        if is_next:
            self.at += len(sign)
        return is_next

    def match(self, form: re.Pattern[str]) -> re.Match[str] | None:
        """What a form finds here, not taken."""
        return form.match(self.text, self.at)

    def sees_operator(self, spellings: Sequence[str]) -> bool:
        """Whether one of some operators comes next; a word only as a whole one."""
        return self._operator(spellings) != ""

    def take_operator(self, spellings: Sequence[str]) -> str:
        """Take one of some operators; gives what was taken, empty for nothing."""
        found = self._operator(spellings)
        if found:
            self.place_of_operator = self.at, self.at + len(found)
            self.at += len(found)
            self.last_operator = found
        return found

    def _operator(self, spellings: Sequence[str]) -> str:
        self.start()
        word = self.match(WORD)
        for spelling in spellings:
            if spelling.isalpha():
                if (
                    word is not None
                    and word[0].lower() == spelling
                    and not self.sees_comparison(word.end())
                ):
                    return word[0]
            elif self.text.startswith(spelling, self.at) and not (
                spelling == "!" and self.text.startswith("!=", self.at)  # which compares
            ):
                return spelling
        return ""

    def sees_comparison(self, at: int) -> str:
        """The comparison that stands at a place, after blanks; empty: none."""
        match = _COMPARISON.match(self.text, at)
        return match[1] if match else ""

    def take_comparison(self) -> str:
        """Take the comparison that comes next; empty: there is none."""
        match = _COMPARISON.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[1].replace("==", "=")

    def word(self) -> str:
        """Take a word; empty where none stands here."""
        match = WORD.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def quoted(self) -> str | None:
        """Take a text in quotes, without them; None where none begins here.

        Raises:
            FilterError: it does not end, or holds nothing.
        """
        mark = self.text[self.at : self.at + 1]
        if not mark or mark not in QUOTES:
            return None
        start, found = self.at, ""
        self.at += 1
        while not self.text.startswith(mark, self.at):
            self.at += self.text.startswith("\\", self.at)
            if self.at >= len(self.text):
                self.fail(f"{mark} is not closed", start, len(self.text))
            found += self.text[self.at]
            self.at += 1
        self.at += 1
        if not found:
            self.fail("a text in quotes holds nothing", start, self.at)
        return found

    def fail(self, message: str, start: int | None = None, end: int | None = None) -> NoReturn:
        """Raise an error about a part of the text, or about the place where this stands."""
        first = self.at if start is None else start
        raise FilterError(message, first, max(first + 1, end or first))
