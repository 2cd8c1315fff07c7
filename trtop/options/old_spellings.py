"""Letters that meant something else before, taken as they were meant where that is clear.

``-f`` was ``--follow`` of ``trtop FILE``, and the capture's filter of ``trtop live``; it is
``--filter`` now. Takes a command line, gives the one that says the same today, and a line for the
user. Looks whether files exist, and opens none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

SUFFIXES = (".pcap", ".pcapng", ".cap", ".gz", ".zst", ".lz4", ".xz")
"""Of captures, so that no filter ends in one but by its author's wish."""

BPF_ONLY = (
    r"\b(?:src|vlan|udp|icmp6?|ip6?|arp|ether|greater|less|portrange|proto|mpls|pppoes)\b|\w\s*\["
)
"""What tcpdump's language has and that of rows has not."""

FOLLOW_SAID = "-f is --filter now: taken as -F (--follow) this time"
CAPTURE_SAID = "--filter is about rows now: taken as --bpf-filter (what is captured) this time"

Respelled = tuple[list[str], list[str]]
"""The command line as it is written now, and what is said of it."""


def respell_follow(
    argv: Sequence[str], exists: Callable[[str], bool] = os.path.exists
) -> Respelled:
    """``-f`` before a capture, or before nothing that could be a filter, is ``--follow``."""
    args = list(argv)
    end = args.index("--") if "--" in args else len(args)
    for at, text in enumerate(args[:end]):
        if text == "-f" and _is_follow(args, at, exists):
            args[at] = "--follow"
            return args, [FOLLOW_SAID]
    return args, []


def _is_follow(args: Sequence[str], at: int, exists: Callable[[str], bool]) -> bool:
    value = args[at + 1] if at + 1 < len(args) else ""
    if not value or value.startswith("-") or value.endswith(SUFFIXES):
        return True
    others = [text for i, text in enumerate(args) if i not in (at, at + 1)]
    return exists(value) and not any(text == "-" or exists(text) for text in others)


def respell_capture_filter(argv: Sequence[str]) -> Respelled:
    """A ``--filter`` that only tcpdump understands is ``--bpf-filter``."""
    args = list(argv)
    for at, text in enumerate(args):
        flag, equals, value = text.partition("=")
        if flag not in ("-f", "--filter"):
            continue
        value = value if equals else "".join(args[at + 1 : at + 2])
        if re.search(BPF_ONLY, re.sub(r"\"[^\"]*\"|'[^']*'", "", value), re.IGNORECASE):
            args[at] = f"--bpf-filter{equals}{value if equals else ''}"
            return args, [CAPTURE_SAID]
    return args, []
