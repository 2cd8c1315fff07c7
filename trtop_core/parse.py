"""What a user writes after an option or in a file, read: numbers, sizes, networks, windows.

Takes the text of one value, gives a value of the core's types or ``ValueError`` with a message
that says what would be right. Knows no option names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from trtop_core.records import NS_PER_MS, NS_PER_S, NS_PER_US, Direction, GroupBy, Window

if TYPE_CHECKING:  # loading it takes a while, and few values need it
    from ipaddress import IPv4Network, IPv6Network

Network: TypeAlias = "IPv4Network | IPv6Network"

DIRECTIONS = {direction.name.lower(): direction for direction in Direction}
GROUPINGS = {"addr": GroupBy.ADDR, "addr,port": GroupBy.ADDR_PORT}

WINDOWS = {
    "all": Window.ALL,
    "10": Window.LAST_10_S,
    "10s": Window.LAST_10_S,
    "60": Window.LAST_60_S,
    "60s": Window.LAST_60_S,
    "1m": Window.LAST_60_S,
    "1min": Window.LAST_60_S,
    "300": Window.LAST_300_S,
    "300s": Window.LAST_300_S,
    "5m": Window.LAST_300_S,
    "5min": Window.LAST_300_S,
}

TIME_UNITS_NS = {"ns": 1, "us": NS_PER_US, "µs": NS_PER_US, "ms": NS_PER_MS, "s": NS_PER_S}
SIZE_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

SIZE_FORM = r"([0-9]+)\s*([kmg]?)(?:i?b)?"

MAX_DIGITS = 18
"""Most digits of a whole number: so many fit in 64 bits."""

MAX_SECONDS = 1e9
"""31 years; in ns it is far from the bounds of 64 bits."""

MAX_SPEED = 1e6

AS_FAST_AS_IT_GOES = math.inf

T = TypeVar("T")


def some_text(text: str) -> str:
    """Any text but an empty one.

    Raises:
        ValueError: it is empty, or holds a zero byte.
    """
    if not text or "\0" in text:
        raise ValueError("must not be empty")
    return text


def whole(text: str) -> int:
    """A whole number, 0 or more; ``1,000`` and ``1_000`` are 1000.

    Raises:
        ValueError: it is none.
    """
    number = _digits(text)
    if number is None:
        raise ValueError(f"{text!r} is no whole number of 0 or more, {MAX_DIGITS} digits at most")
    return number


def positive(text: str) -> int:
    """A whole number above 0; ``1,000`` and ``1_000`` are 1000.

    Raises:
        ValueError: it is none.
    """
    number = _digits(text)
    if not number:
        raise ValueError(f"{text!r} is no whole number above 0")
    return number


def size(text: str) -> int:
    """A number of bytes above 0: ``8388608``, ``8192k``, ``8MiB``, units of 1,024.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(SIZE_FORM, text.strip(), re.IGNORECASE)
    if match is None or len(match[1]) > MAX_DIGITS or not int(match[1]):
        raise ValueError(f"{text!r} is no size, such as 8MiB")
    return int(match[1]) * SIZE_UNITS[match[2].lower()]


def seconds(text: str) -> float:
    """A span of time above 0 in seconds, with or without an ``s``; at most ``MAX_SECONDS``.

    Raises:
        ValueError: it is none.
    """
    value = _number(text.lower().removesuffix("s"))
    if value is None or value <= 0:
        raise ValueError(f"{text!r} is no number of seconds above 0")
    if value > MAX_SECONDS:
        raise ValueError(f"{text!r} is more than {MAX_SECONDS:,.0f} s")
    return value


def percentile(text: str) -> float:
    """A percentile above 0 and at most 100: ``95``, ``p99.9``, ``50%``.

    Raises:
        ValueError: it is none.
    """
    value = _number(text.lower().removeprefix("p").removesuffix("%"))
    if value is None or not 0 < value <= 100:
        raise ValueError(f"{text!r} is no percentile (above 0, at most 100: 95, 99.9)")
    return value


def speed(text: str) -> float:
    """How fast a capture is replayed: a multiple of its own pace, or ``max``.

    Raises:
        ValueError: it is none.
    """
    if text.lower() == "max":
        return AS_FAST_AS_IT_GOES
    value = _number(text.lower().removesuffix("x"))
    if value is None or not 0 < value <= MAX_SPEED:
        raise ValueError(f"{text!r} is no speed, such as 1, 10 or max")
    return value


def networks(text: str) -> tuple[Network, ...]:
    """Networks separated by commas; a bare address is a network of its own.

    Raises:
        ValueError: one of them is no network.
    """
    from ipaddress import ip_network  # noqa: PLC0415 - see above

    found = []
    for part in text.split(","):
        try:
            found.append(ip_network(part.strip(), strict=False))
        except ValueError:
            raise ValueError(f"{part!r} is no address or CIDR network (10.0.0.0/8)") from None
    return tuple(found)


def window(text: str) -> Window:
    """A window: ``10``, ``10s``, ``60s``, ``5min``, ``all``.

    Raises:
        ValueError: there is no such window.
    """
    try:
        return WINDOWS[text.lower()]
    except KeyError:
        raise ValueError(f"no window {text!r}; there are 10s, 60s, 5min and all") from None


def direction(text: str) -> Direction:
    """``out``, ``in`` or ``both``.

    Raises:
        ValueError: it is none of them.
    """
    return one_of(DIRECTIONS, text)


def grouping(text: str) -> GroupBy:
    """``addr`` or ``addr,port``.

    Raises:
        ValueError: it is neither.
    """
    return one_of(GROUPINGS, text)


def one_of(choices: Mapping[str, T], text: str) -> T:
    """What a text stands for, whatever its case and its blanks.

    Raises:
        ValueError: it is none of the choices.
    """
    try:
        return choices[text.replace(" ", "").lower()]
    except KeyError:
        raise ValueError(f"{text!r} is none of: {' | '.join(choices)}") from None


def _digits(text: str) -> int | None:
    plain = text.replace(",", "").replace("_", "")
    if not (plain.isascii() and plain.isdigit()) or len(plain) > MAX_DIGITS:
        return None
    return int(plain)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
