"""Options for names, whitelists, and parts of one's own, with the classic tool's spellings.

Adds arguments to groups of a parser. Never says what follows from them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

from trtop_core import parse
from trtop_core.argument_parser import argument
from trtop_core.errors import TrtopError

if TYPE_CHECKING:
    from trtop.filters.filter import Filter

SNAPSHOT_MINUTES = 2.0
"""How long a snapshot lasts unless it is said."""

SOURCES = "capture (DNS, TLS and HTTP in it), hosts[:FILE]"
"""Sources of names that the help tells of, beside DNS and those that are installed."""

CLASSIC_SPELLINGS = ("-if", "-bpf", "-am", "-cm", "-rm", "-wm", "-tm")
"""Long options of the classic tool behind one dash."""


class RunMode(Enum):
    """When a run ends; the value is what ``--mode`` takes."""

    CONTINUOUS = "continuous"
    SNAPSHOT = "snapshot"


def check_spelling(argv: Sequence[str]) -> None:
    """Refuse the beginnings of classic options, which argparse takes for the whole.

    ``trtop -r x.pcap`` would otherwise look for a reporter of that name.

    Raises:
        TrtopError: one of the arguments is such a beginning.
    """
    shortened = {text[:n] for text in CLASSIC_SPELLINGS for n in range(2, len(text))}
    shortened -= {"-i"}
    for text in argv:
        if text == "--":
            return
        if text in shortened:
            hint = " (to read a capture: trtop FILE)" if text == "-r" else ""
            raise TrtopError(f"no option {text}{hint} (see trtop --help)")


def add_names(group: argparse._ArgumentGroup, sources: str = SOURCES) -> None:
    """Names and whitelists.

    Args:
        group: takes them.
        sources: who knows names.
    """
    add = group.add_argument
    add(
        "--names",
        type=_listed,
        action="append",
        default=[],
        metavar="SOURCE[,SOURCE]",
        help=f"names for addresses: {sources}, "
        "dns[:SERVER] (asks name servers), an installed one; the first that knows one wins",
    )
    add(
        "--allow",
        action="append",
        default=[],
        metavar="RULE",
        help="count only these: 10.0.0.0/8, 192.0.2.7:443, :443, '*.example.com' or any filter "
        "without numbers; may be repeated",
    )
    add(
        "--deny",
        action="append",
        default=[],
        metavar="RULE",
        help="leave these out; wins over --allow; may be repeated",
    )


def add_filter(group: argparse._ArgumentGroup) -> None:
    """``--filter``."""
    group.add_argument(
        "-f",
        "--filter",
        type=argument(_filter),
        metavar="FILTER",
        help="show only these rows: 'rtt>100ms or rst>5%%', db-7, 10.0.0.0/8, verdict:slow "
        "(docs/filter.md); the total is of all",
    )


def add_fail_on(group: argparse._ArgumentGroup) -> None:
    """``--fail-on``."""
    group.add_argument(
        "--fail-on",
        type=argument(_check),
        metavar="FILTER",
        help="end with status 3 if there are such rows, and name them on stderr; "
        "with 1 if nothing was checked",
    )


def add_parts(group: argparse._ArgumentGroup) -> None:
    """Modules, and the classic options."""
    add = group.add_argument
    add("-if", "--interface", metavar="IF", help="capture from a network interface")
    add("-bpf", "--bpf-filter", metavar="FILTER", help="which packets, in tcpdump's language")
    _add_alias(group, "--bpf_filter", "bpf_filter")
    for short, kind, what in (
        ("-am", "analyzer", "who takes the packets"),
        ("-cm", "collector", "where packets come from"),
        ("-rm", "reporter", "who shows the numbers: curses, events"),
        ("-wm", "whitelist", "which destinations are shown"),
        ("-tm", "resolver", "what destinations are called"),
    ):
        add(short, f"--{kind}", metavar="MODULE", help=what)
        _add_alias(group, f"--{kind}_module", kind)
    add(
        "-m",
        "--mode",
        type=_mode,
        metavar="continuous|snapshot",
        help="until you end it, or for some minutes and then a report",
    )
    add("--minutes", type=_minutes, metavar="N",
        help=f"how long a snapshot lasts (default: {SNAPSHOT_MINUTES:g})")  # fmt: skip


def _add_alias(group: argparse._ArgumentGroup, spelling: str, dest: str) -> None:
    """A classic spelling that help does not show."""
    group.add_argument(spelling, dest=dest, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _listed(text: str) -> tuple[str, ...]:
    """Names with commas between them; ``dns:A,B`` is one with two servers."""
    parts: list[str] = []
    for part in text.split(","):
        is_server = parts and parts[-1].startswith("dns:") and part.strip()[:1].isdigit()
        if is_server:
            parts[-1] += f",{part.strip()}"
        elif part.strip():
            parts.append(part.strip())
    if not parts:
        raise argparse.ArgumentTypeError("no source of names: capture, hosts, dns")
    return tuple(parts)


def _filter(text: str) -> Filter | None:
    from trtop.filters.filter import parse_filter  # noqa: PLC0415 - seldom used

    return parse_filter(text)


def _check(text: str) -> Filter:
    """A filter that is not empty: a check of nothing would always pass.

    Raises:
        ValueError: it is empty, or no filter.
    """
    chosen = _filter(text)
    if chosen is None:
        raise ValueError("the filter is empty: such as 'rst>5% or verdict:refused'")
    return chosen


def _mode(text: str) -> RunMode:
    try:
        return RunMode(text.lower())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is none of: continuous | snapshot") from None


def _minutes(text: str) -> float:
    try:
        return parse.seconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes above 0") from None
