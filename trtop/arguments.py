"""The options of the command line: names, help, and how each value is read.

Gives a parser whose result is plain values of the core's types. Never says what follows from them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from enum import Enum
from typing import NoReturn, TypeVar

from trtop import __version__, values
from trtop.part_arguments import add_names, add_parts
from trtop.reporters import Format
from trtop_core.errors import TrtopError
from trtop_core.records import Direction, GroupBy
from trtop_core.view import DEFAULT_PERCENTILE

DESCRIPTION = """\
Which of the services I call is slow, resetting or refusing me?
One row per remote destination, from captured packets (pcap, pcapng; gz, zst, lz4).
"""

USAGE = "trtop [OPTION...] FILE...       (- reads standard input)"

EPILOG = """\
examples:
  trtop incident.pcap                             the screen: what happened, by destination
  trtop --format table incident.pcap              the same, printed
  trtop --sort rtt --percentile 99 day-*.pcapng   the slowest first
  trtop --local 10.0.0.0/8 --group-by addr,port mirror.pcap.zst
  tcpdump -i eth0 -U -s 128 -w - tcp | trtop -    as packets arrive
  trtop --format ndjson x.pcap | jq 'select(.type == "destination" and .rst > 0)'

formats: json is one document per report; ndjson is one line for the capture ("type": "capture"),
then one per destination; csv has a header and one line per destination. Durations are in ns.
exit status: 0 all read; 1 nothing measured, wrong options; 2 a part could not be read;
130 interrupted while reading files.
"""

GROUPINGS = {"addr": GroupBy.ADDR, "addr,port": GroupBy.ADDR_PORT}

DIRECTIONS = {direction.name.lower(): direction for direction in Direction}


class UsageError(TrtopError):
    """The command line makes no sense."""


class Color(Enum):
    """When to use colour; the value is what ``--color`` takes."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line; it raises ``UsageError`` where argparse would exit."""
    parser = _Parser(
        prog="trtop",
        usage=USAGE,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=28, width=98
        ),
        allow_abbrev=False,
        add_help=False,
    )
    _add_inputs(parser.add_argument_group("what to read"))
    _add_measuring(parser.add_argument_group("what to measure"))
    _add_showing(parser.add_argument_group("what to show"))
    _add_output(parser.add_argument_group("how to show it"))
    add_names(parser.add_argument_group("what destinations are called, and which are shown"))
    add_parts(
        parser.add_argument_group(
            "parts of your own",
            "MODULE is a module with build(), a .py file, or a name that is installed",
        )
    )
    return parser


class _Parser(argparse.ArgumentParser):
    """One line instead of a page of usage, and our exit status instead of argparse's 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


T = TypeVar("T")


def _argument(read: Callable[[str], T]) -> Callable[[str], T]:
    """A reader of values as argparse wants it: its message reaches the user."""

    def read_argument(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read_argument


def _one_of(choices: dict[str, T]) -> Callable[[str], T]:
    def read(text: str) -> T:
        try:
            return choices[text.replace(" ", "").lower()]
        except KeyError:
            raise ValueError(f"{text!r} is none of: {' | '.join(choices)}") from None

    return _argument(read)


def _add_inputs(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("inputs", nargs="*", metavar="FILE", help="captures, read one after the other")
    add(
        "-i",
        "--input",
        dest="more_inputs",
        action="append",
        default=[],
        metavar="FILE",
        help="the same; may be repeated",
    )
    add(
        "-f",
        "--follow",
        action="store_true",
        help="keep reading files that are still being written",
    )
    add("-h", "--help", action="help", help="show this help and exit")
    add("-V", "--version", action="version", version=f"trtop {__version__}",
        help="show the version and exit")  # fmt: skip


def _add_measuring(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--local",
        type=_argument(values.networks),
        action="append",
        default=[],
        metavar="CIDR[,CIDR]",
        help="local networks or addresses; may be repeated "
        "(without it every connection is outgoing)",
    )
    add(
        "--direction",
        type=_one_of(DIRECTIONS),
        default=Direction.OUT,
        metavar="out|in|both",
        help="outgoing connections by server, incoming ones by client, or both (default: out)",
    )
    add(
        "--group-by",
        type=_one_of(GROUPINGS),
        default=GroupBy.ADDR,
        metavar="addr|addr,port",
        help="what makes a row (default: addr)",
    )
    add("--no-decap", action="store_true", help="leave out TCP inside tunnels (GRE, VXLAN, ...)")
    add(
        "--idle-timeout",
        type=_argument(values.seconds),
        metavar="S",
        help="a connection silent for S seconds is no longer active (default: 300)",
    )
    add("--max-connections", type=_argument(values.whole), metavar="N",
        help="connections kept at once (default: 1,000,000; about 550 bytes each)")  # fmt: skip


def _add_showing(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--window",
        type=_argument(values.window),
        metavar="10s|60s|5min|all",
        help="only the last seconds of capture time (default: all; "
        "10s on the screen while packets arrive)",
    )
    add(
        "--percentile",
        type=_argument(values.percentile),
        default=DEFAULT_PERCENTILE,
        metavar="P",
        help="what latency columns show (default: 95)",
    )
    add(
        "--sort",
        type=_argument(values.column),
        default="syn",
        metavar="COLUMN",
        help="a heading or a field name, such as rtt, lat, qos, rst, bytes_in (default: syn)",
    )
    add("--reverse", action="store_true", help="the other way round")
    add(
        "--limit",
        type=_argument(values.whole),
        metavar="N",
        help="only the first N rows, 0 for the total alone",
    )
    add("--high", type=_argument(values.thresholds), action="append", default=[],
        metavar="COLUMN=VALUE", help="what stands out, such as lat=50ms,qos=10")  # fmt: skip


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--format",
        type=_one_of({item.value: item for item in Format}),
        metavar="|".join(item.value for item in Format),
        help="print a report (default: the interactive screen on a terminal, else table)",
    )
    add("--bins", action="store_true", help="raw sketch bins in json, for merging elsewhere")
    add(
        "--interval",
        type=_argument(values.seconds),
        metavar="S",
        help="a report every S seconds "
        "(default: 1 for a pipe or --follow on a terminal, else one at the end)",
    )
    add(
        "-o",
        "--out",
        metavar="PREFIX",
        help="write the final report to PREFIX.trtop (table) and PREFIX.json too",
    )
    add(
        "--color",
        type=_one_of({item.value: item for item in Color}),
        default=Color.AUTO,
        metavar="auto|always|never",
        help="(default: auto; NO_COLOR is respected)",
    )
    add(
        "--width",
        type=_argument(values.whole),
        metavar="N",
        help="columns of the table (default: those of the terminal)",
    )
    add("--no-progress", action="store_true", help="no progress bar on stderr")  # fmt: skip
