"""The options of the command line: names, help, and how each value is read.

Gives a parser whose result is plain values of the core's types. Never says what follows from them.
"""

from __future__ import annotations

import argparse

from trtop._version import __version__
from trtop.options.commands import listing
from trtop.options.parser import (
    add_grouping,
    add_look,
    add_no_sandbox,
    add_period,
    add_showing,
    one_of,
)
from trtop.options.plugin_arguments import add_fail_on, add_filter, add_names, add_parts
from trtop.options.record_arguments import add_records
from trtop.reporters.formats import Format
from trtop_core import parse
from trtop_core.argument_parser import argument, new_parser
from trtop_core.config import DEFAULT_HISTORY_BYTES
from trtop_core.records import Direction

DESCRIPTION = f"""\
Which of the services I call is slow, resetting or refusing me?
One row per remote destination, from captured packets (pcap, pcapng; gz, zst, lz4).

{listing()}

Each has a --help of its own; what follows is that of trtop FILE.
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
then one per destination; csv has a header and one line per destination; parquet and arrow are the
same for programs (pip install 'trtop[records]'). Durations are in ns.
html is one page for a browser, with a timeline and plots: trtop --format html x.pcap > x.html
exit status: 0 all read; 1 nothing measured, wrong options; 2 a part could not be read;
3 rows of --fail-on (1: no packet was seen); 130 interrupted while reading files.
"""

WINDOW_HELP = "all; 10s on the screen while packets arrive"


def make_parser(
    prog: str = "trtop", usage: str = USAGE, description: str = DESCRIPTION, epilog: str = EPILOG
) -> argparse.ArgumentParser:
    """The parser of the command line; it raises ``UsageError`` where argparse would exit.

    Args:
        prog: the command that reads captures.
        usage: how it is called.
        description: what it does.
        epilog: examples.
    """
    parser = new_parser(prog, usage, description, epilog)
    _add_inputs(parser.add_argument_group("what to read"))
    _add_measuring(parser.add_argument_group("what to measure"))
    showing = parser.add_argument_group("what to show")
    add_showing(showing, WINDOW_HELP)
    add_period(showing)
    _add_output(parser.add_argument_group("how to show it"))
    names = parser.add_argument_group("what destinations are called, and which are shown")
    add_names(names)
    add_filter(names)
    add_fail_on(names)
    add_parts(
        parser.add_argument_group(
            "parts of your own",
            "MODULE is a module with build(), a .py file, or a name that is installed",
        )
    )
    return parser


def _jobs(text: str) -> int:
    """How many cores.

    Raises:
        ValueError: it is no number of 1 or more.
    """
    n_jobs = parse.whole(text)
    if not n_jobs:
        raise ValueError("one core at least")
    return n_jobs


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
        "-F",
        "--follow",
        action="store_true",
        help="keep reading files that are still being written",
    )
    add_no_sandbox(group)
    add(
        "-j",
        "--jobs",
        type=argument(_jobs),
        metavar="N",
        help="cores that read and count files; with --window and in pages one counts, others read "
        "ahead (default: those that are free)",
    )
    add("-h", "--help", action="help", help="show this help and exit")
    add("-V", "--version", action="version", version=f"trtop {__version__}",
        help="show the version and exit")  # fmt: skip


def _add_measuring(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--local",
        type=argument(parse.networks),
        action="append",
        default=[],
        metavar="CIDR[,CIDR]",
        help="local networks or addresses; may be repeated "
        "(without it every connection is outgoing)",
    )
    add(
        "--direction",
        type=argument(parse.direction),
        default=Direction.OUT,
        metavar="out|in|both",
        help="outgoing connections by server, incoming ones by client, or both (default: out)",
    )
    add_grouping(group)
    add("--no-decap", action="store_true", help="leave out TCP inside tunnels (GRE, VXLAN, ...)")
    add(
        "--idle-timeout",
        type=argument(parse.seconds),
        metavar="S",
        help="a connection silent for S seconds is no longer active (default: 300)",
    )
    add(
        "--history",
        type=argument(parse.size),
        default=DEFAULT_HISTORY_BYTES,
        metavar="SIZE",
        help="memory for the past that the screen can look at (default: 64MiB)",
    )
    add("--max-connections", type=argument(parse.whole), metavar="N",
        help="connections kept at once (default: 1,000,000; some 100 bytes each)")  # fmt: skip


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--format",
        type=one_of({item.value: item for item in Format}),
        metavar="|".join(item.value for item in Format),
        help="print a report (default: the interactive screen on a terminal, else table)",
    )
    add_records(group)
    add("--bins", action="store_true",
        help="raw sketch bins in json, parquet and arrow, for merging elsewhere")  # fmt: skip
    add(
        "--interval",
        type=argument(parse.seconds),
        metavar="S",
        help="a report every S seconds of real time "
        "(default: 1 for a pipe or --follow on a terminal, else one at the end)",
    )
    add(
        "-o",
        "--out",
        metavar="PREFIX",
        help="write the final report to PREFIX.trtop (table) and PREFIX.json too, "
        "with --format html also to PREFIX.html",
    )
    add_look(group)
    add("--no-progress", action="store_true", help="no progress bar on stderr")  # fmt: skip
