"""The commands of ``trtop``: what each does, and an example. Data only."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One way to call the program.

    Attributes:
        name: its first argument; empty for captures, which have none.
        summary: what it does.
        example: a whole command line.
    """

    name: str
    summary: str
    example: str


COMMANDS = (
    Command("", "what a capture holds, on the screen or printed", "trtop incident.pcap"),
    Command("live", "capture here, and look", "sudo trtop live -i eth0"),
    Command("attach", "look at what daemons (trtopd) see", "trtop attach --once --format json"),
    Command("explain", "what is wrong with the worst, in words", "trtop explain incident.pcap"),
    Command("batch", "captures of many hosts, on all cores", "trtop batch /captures"),
    Command("config", "where your settings are, and what holds", "trtop config"),
    Command("mcp", "captures for assistants, by tools", "trtop mcp /var/captures"),
    Command("keygen", "keys for daemons on other hosts", "trtop keygen alice"),
)

NAMES = frozenset(command.name for command in COMMANDS if command.name)
"""First arguments that are no capture: a file of that name is read as ``./attach``."""


def listing() -> str:
    """All of them as lines: how each is called, what it does, an example."""
    lines = ["commands:"]
    for command in COMMANDS:
        called = f"trtop {command.name or 'FILE...'}"
        lines.append(f"  {called:<15} {command.summary:<48} {command.example}")
    return "\n".join(lines)
