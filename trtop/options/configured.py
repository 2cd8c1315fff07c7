"""What a configuration file may say, and how a command line takes it.

Takes the values of a file and a parser, gives what the user asked for: options win over the file,
the file over what is built in. Reports that programs read (json, ndjson, csv) do not change by it.
Opens nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from trtop.reporters.formats import Format
from trtop_core.errors import TrtopError


class Key(NamedTuple):
    """One value that a file may have; its option is ``--NAME``.

    Attributes:
        name: in the file.
        default: what holds without it, as the file would say it.
        help: a few words.
    """

    name: str
    default: Any
    help: str


KEYS = (
    Key("columns", [], "in this order: syn, p99(rtt); none: all"),
    Key("sort", "verdict", "by which column"),
    Key("reverse", False, "the other way round"),
    Key("window", "all", "10s, 60s, 5min, all; 10s while packets arrive"),
    Key("percentile", 95, "what latencies show"),
    Key("high", [], "thresholds: lat=50ms, rst=1/5; classic"),
    Key("theme", "terminal", "dark, light, mono, terminal"),
)
"""In the order in which ``trtop config`` shows them."""

KEY_OF = {key.name: key for key in KEYS}

FOR_PROGRAMS = tuple(item for item in Format if item is not Format.TABLE)


class ConfigError(TrtopError):
    """A configuration file makes no sense."""


@dataclass(frozen=True, slots=True)
class Configured:
    """The values of a file.

    Attributes:
        path: of the file.
        values: by name, as TOML has them.
    """

    path: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


NOTHING_CONFIGURED = Configured()


def parse_args(
    parser: argparse.ArgumentParser, argv: Sequence[str], configured: Configured
) -> argparse.Namespace:
    """The command line, and what a file says where it says nothing.

    Raises:
        ConfigError: a value of the file is none of that option.
        UsageError: the command line makes no sense.
    """
    given = parser.parse_args(argv)
    if not configured.values or given.format in FOR_PROGRAMS:
        return given
    parser.set_defaults(**readings(parser, configured))
    return parser.parse_args(argv)


def readings(parser: argparse.ArgumentParser, configured: Configured) -> dict[str, Any]:
    """The file's values as options have them, by the names of their results.

    Raises:
        ConfigError: a key is unknown, or a value is none of that option.
    """
    actions = {text: action for action in parser._actions for text in action.option_strings}
    found = {}
    for name, value in configured.values.items():
        action = actions.get(f"--{name}") if name in KEY_OF else None
        if action is None:
            raise ConfigError(f"{configured.path}: no key {name!r}; {', '.join(KEY_OF)}")
        try:
            found[action.dest] = _reading(action, value)
        except (argparse.ArgumentTypeError, ValueError) as error:
            raise ConfigError(f"{configured.path}: {name}: {error}") from None
    return found


def _reading(action: argparse.Action, value: Any) -> Any:
    """A value as an option takes it.

    Raises:
        ValueError: it is none.
    """
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ValueError("is true or false")
        return value
    items = value if isinstance(value, list) else [value]
    if not items or not all(type(item) in (str, int, float) for item in items):
        raise ValueError(f"{value!r} is no text, number, or list of these")
    read: Any = action.type or str
    taken = read(",".join(map(str, items)))
    return [taken] if isinstance(action, argparse._AppendAction) else taken
