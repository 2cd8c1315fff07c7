"""Parsers of command lines that say what is wrong in one line.

Gives an ``argparse`` parser, still without options, that raises ``UsageError`` where argparse would
print a page of usage and exit with 2; and readers of values whose message reaches the user. Knows
no option.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn, TypeVar

from trtop_core.errors import TrtopError

HELP_COLUMN = 28
"""Where the help of an option begins, unless its name is too long."""

HELP_WIDTH = 98

UNRECOGNIZED = "unrecognized arguments: "
"""What argparse says in front of options that there are not."""

LIKENESS = 0.7
"""Of an option and one that it may have been meant for."""

T = TypeVar("T")


class UsageError(TrtopError):
    """The command line makes no sense."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        meant = self._meant(message.removeprefix(UNRECOGNIZED)) if UNRECOGNIZED in message else ""
        raise UsageError(f"{message}{meant} (see {self.prog} --help)")

    def _meant(self, arguments: str) -> str:
        """The option that the first unknown one may have been meant for; else nothing."""
        import difflib  # noqa: PLC0415 - only for a slip of the pen

        word = arguments.partition(" ")[0].partition("=")[0]
        options = [text for text in self._option_string_actions if text.startswith("--")]
        begun = [text for text in options if text.startswith(word) and len(word) > len("--")]
        near = difflib.get_close_matches(word, options, 1, LIKENESS)
        return f"; did you mean {(begun or near)[0]}?" if begun or near else ""


def new_parser(
    prog: str, usage: str, description: str, epilog: str, help_column: int = HELP_COLUMN
) -> argparse.ArgumentParser:
    """A parser of one command, still without options; it raises ``UsageError``."""
    return _Parser(
        prog=prog,
        usage=usage,
        description=description,
        epilog=epilog,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=help_column, width=HELP_WIDTH
        ),
        allow_abbrev=False,
        add_help=False,
    )


def argument(read: Callable[[str], T]) -> Callable[[str], T]:
    """A reader of values as argparse wants it: its message reaches the user."""

    def read_argument(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read_argument
