"""The connections of the drill-down: the longest open ones, and those that answer slowest. Pure."""

from __future__ import annotations

import ipaddress
from typing import Any

from trtop.escape import shorten
from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.pages.detail_format import MIN_WIDE, DetailFormat, title_line
from trtop_core.detail import ConnectionState, Detail

STATE_NAMES = {
    ConnectionState.PENDING: "pending",
    ConnectionState.TIMED_OUT: "timed out",
    ConnectionState.OPENING: "opening",
    ConnectionState.OPEN: "open",
    ConnectionState.WAITING: "waiting",
    ConnectionState.CLOSING: "closing",
    ConnectionState.CLOSED: "closed",
    ConnectionState.RESET: "reset",
    ConnectionState.IDLE: "idle",
}


def connection_lines(detail: Detail, fmt: DetailFormat) -> list[Line]:
    """The longest open connections, and the slowest."""
    lines: list[Line] = []
    clock_ns = detail.clock_ns or 0
    oldest = ""
    if detail.oldest_wait_ns >= 0:
        oldest = f", the oldest waits {fmt.duration(detail.oldest_wait_ns)}"
    for title, part, more in (
        ("Longest open", detail.longest_open, ""),
        ("Slowest latest request", detail.slowest, oldest),
    ):
        n_shown = f"  {len(part):,} of {detail.n_connections:,}"
        # How long the oldest waits is worth more than the word.
        noun = " connections"
        if len(f" {title}{n_shown}{noun}{more}") > fmt.width:
            noun = ""
        lines += [(), title_line(title, f"{n_shown}{noun}{more}")]
        if not len(part):
            lines.append(line_of("  none"))
            continue
        wide = fmt.width >= MIN_WIDE
        client_width = max(15, min(47, fmt.width - (54 if wide else 45)))
        silent = f" {'silent':>8}" if wide else ""
        heading = (
            f" {'client':<{client_width}} {'port':>5} {'state':<9} {'age':>8}{silent} "
            f"{'answers':>7} {'latest':>8}"
        )
        lines.append(line_of(Span(heading, Role.BOLD)))
        lines += [_connection(item, clock_ns, client_width, fmt) for item in part]
    return lines


def _connection(item: Any, clock_ns: int, client_width: int, fmt: DetailFormat) -> Line:
    client = address_of(item["client_addr"], int(item["client_port"]))
    client = shorten(client, client_width, fmt.caps.ascii_only)
    opened_ns = int(item["opened_ns"])
    age = "unknown" if item["is_midstream"] else fmt.duration(max(0, clock_ns - opened_ns))
    silent = fmt.duration(max(0, clock_ns - int(item["last_ns"])))
    state = ConnectionState(int(item["state"]))
    waits = state is ConnectionState.WAITING
    return line_of(
        f" {client:<{client_width}} {int(item['server_port']):>5} ",
        Span(f"{STATE_NAMES[state]:<9}", Role.BOLD if waits else Role.PLAIN),
        f" {age:>8}" + (f" {silent:>8}" if fmt.width >= MIN_WIDE else ""),
        f" {int(item['responses']):>7,} ",
        f"{fmt.duration(int(item['response_ns'])) + ('+' if waits else ''):>8}",
    )


def address_of(raw: Any, port: int) -> str:
    """An address with its port, if it has one."""
    address = ipaddress.IPv6Address(bytes(raw))
    if address.ipv4_mapped is not None:
        return f"{address.ipv4_mapped}:{port}" if port else str(address.ipv4_mapped)
    return f"[{address}]:{port}" if port else str(address)
