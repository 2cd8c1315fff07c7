"""``FilterError``: a filter that is not understood, with the place of the word that is wrong."""

from __future__ import annotations

from trtop_core.errors import one_line


class FilterError(ValueError):
    """A filter cannot be understood; ``str()`` is one line for the user.

    Attributes:
        start: place in the text where the trouble begins, from 0.
        end: place behind it.
    """

    def __init__(self, message: str, start: int, end: int) -> None:
        self.start, self.end = start, end
        super().__init__(one_line(message))
