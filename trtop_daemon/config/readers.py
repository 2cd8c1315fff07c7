"""What a user writes for the daemon, on its command line or in its file, read.

Takes the text of one value, gives a value of the core's types or ``ValueError`` with a message
that says what would be right. Knows no option names.
"""

from __future__ import annotations

import ipaddress
import math
import re
from typing import TypeVar

from trtop_core.records import Direction, GroupBy

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DIRECTIONS = {direction.name.lower(): direction for direction in Direction}
GROUPINGS = {"addr": GroupBy.ADDR, "addr,port": GroupBy.ADDR_PORT}
SIZE_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

SIZE_FORM = re.compile(r"([0-9]+)\s*([kmg]?)(?:i?b)?", re.IGNORECASE)

T = TypeVar("T")

MAX_DIGITS = 18
"""Digits of a whole number that 64 bits hold."""

MAX_SECONDS = 86_400.0
MAX_SPEED = 1e6

AS_FAST_AS_IT_GOES = math.inf


def text(given: str) -> str:
    """Any text but an empty one.

    Raises:
        ValueError: it is empty, or holds a zero byte.
    """
    if not given or "\0" in given:
        raise ValueError("must not be empty")
    return given


def whole(given: str) -> int:
    """A whole number above 0; ``1,000`` and ``1_000`` are 1000.

    Raises:
        ValueError: it is none.
    """
    plain = given.replace(",", "").replace("_", "")
    if not (plain.isascii() and plain.isdigit()) or len(plain) > MAX_DIGITS or not int(plain):
        raise ValueError(f"{given!r} is no whole number above 0")
    return int(plain)


def size(given: str) -> int:
    """A number of bytes above 0: ``8388608``, ``8192k``, ``8MiB``, units of 1,024.

    Raises:
        ValueError: it is none.
    """
    match = SIZE_FORM.fullmatch(given.strip())
    if match is None or len(match[1]) > MAX_DIGITS or not int(match[1]):
        raise ValueError(f"{given!r} is no size, such as 8MiB")
    return int(match[1]) * SIZE_UNITS[match[2].lower()]


def seconds(given: str) -> float:
    """A span of time above 0 in seconds, with or without an ``s``.

    Raises:
        ValueError: it is none.
    """
    value = _number(given.lower().removesuffix("s"))
    if value is None or not 0 < value <= MAX_SECONDS:
        raise ValueError(f"{given!r} is no number of seconds above 0")
    return value


def speed(given: str) -> float:
    """How fast a capture is replayed: a multiple of its own pace, or ``max``.

    Raises:
        ValueError: it is none.
    """
    if given.lower() == "max":
        return AS_FAST_AS_IT_GOES
    value = _number(given.lower().removesuffix("x"))
    if value is None or not 0 < value <= MAX_SPEED:
        raise ValueError(f"{given!r} is no speed, such as 1, 10 or max")
    return value


def networks(given: str) -> tuple[Network, ...]:
    """Networks separated by commas; a bare address is a network of its own.

    Raises:
        ValueError: one of them is no network.
    """
    found = []
    for part in given.split(","):
        try:
            found.append(ipaddress.ip_network(part.strip(), strict=False))
        except ValueError:
            raise ValueError(f"{part!r} is no address or CIDR network (10.0.0.0/8)") from None
    return tuple(found)


def direction(given: str) -> Direction:
    """``out``, ``in`` or ``both``.

    Raises:
        ValueError: it is none of them.
    """
    return _one_of(DIRECTIONS, given)


def grouping(given: str) -> GroupBy:
    """``addr`` or ``addr,port``.

    Raises:
        ValueError: it is neither.
    """
    return _one_of(GROUPINGS, given)


def _one_of(choices: dict[str, T], given: str) -> T:
    try:
        return choices[given.replace(" ", "").lower()]
    except KeyError:
        raise ValueError(f"{given!r} is none of: {' | '.join(choices)}") from None


def _number(given: str) -> float | None:
    try:
        value = float(given)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
