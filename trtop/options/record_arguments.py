"""The options of records: what a row stands for, and what its fields are called."""

from __future__ import annotations

import argparse
from collections.abc import Container

from trtop.options.parser import one_of
from trtop.reporters.formats import Format, Per, Schema
from trtop_core.argument_parser import UsageError

OF_CONNECTIONS = (Format.NDJSON, Format.CSV, Format.PARQUET, Format.ARROW)

OF_DESTINATIONS = {
    "filter": "--filter",
    "fail_on": "--fail-on",
    "columns": "--columns",
    "bins": "--bins",
    "names": "--names",
    "allow": "--allow",
    "deny": "--deny",
    "limit": "--limit",
    "window": "--window",
    "out": "--out",
    "interval": "--interval",
    "start": "--from",
    "end": "--to",
    "every": "--every",
    "resolver": "--resolver",
    "whitelist": "--whitelist",
    "analyzer": "--analyzer",
    "collector": "--collector",
    "reporter": "--reporter",
    "interface": "--interface",
    "mode": "--mode",
}
"""What only rows of destinations have, by the name of its value."""


def add_records(group: argparse._ArgumentGroup) -> None:
    """``--per`` and ``--schema``."""
    add = group.add_argument
    add(
        "--per",
        type=one_of({item.value: item for item in Per}),
        default=Per.DESTINATION,
        metavar="|".join(item.value for item in Per),
        help="what a row is (default: destination); a connection is written once nothing can count "
        "in it any more",
    )
    add(
        "--schema",
        type=one_of({item.value: item for item in Schema}),
        metavar="|".join(item.value for item in Schema),
        help="whose names the fields of connections have (default: trtop)",
    )


def check_connections(given: argparse.Namespace, allowed: Container[str] = ()) -> None:
    """Refuse what rows of connections do not have.

    Args:
        given: what a parser with ``add_records`` found.
        allowed: what they have here all the same, by the name of its value.

    Raises:
        UsageError: options contradict each other.
    """
    if given.per is Per.DESTINATION:
        if given.schema is not None:
            raise UsageError("--schema goes with --per connection")
        return
    if given.format not in OF_CONNECTIONS:
        formats = ", ".join(item.value for item in OF_CONNECTIONS)
        raise UsageError(f"--per connection goes with --format {formats}")
    for name, option in OF_DESTINATIONS.items():
        if name not in allowed and getattr(given, name, None) not in (None, False, [], ()):
            raise UsageError(f"{option} goes with rows of destinations, not with --per connection")
