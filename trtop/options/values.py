"""What a user writes after an option, read: networks, windows, columns, thresholds.

Takes the text of one argument, gives a value of the core's types or ``ValueError`` with a message
that says what would be right. Knows no option names.
"""

from __future__ import annotations

import ipaddress
import math
import re

from trtop.metrics.columns import BY_KEY, COLUMNS, Side, Threshold
from trtop_core.records import NS_PER_MS, NS_PER_S, NS_PER_US, SKETCHES, Window
from trtop_core.view import SORTABLE

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

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

ALIASES = {
    "name": "destination",
    "dest": "destination",
    "host": "destination",
    "addr": "destination",
    "address": "destination",
    "latency": "connect_latency",
    "connect": "connect_latency",
    "response": "response_time",
    "server": "server_time",
    "err": "capture_gaps",
    "gaps": "capture_gaps",
    "retr": "retrans_out",
    "complete": "completeness",
    "tls": "tls_latency",
}
"""Further names of columns; the headings of the table are names too."""

ASCENDING = frozenset({"destination", "completeness"})
"""Columns whose smallest values are looked for first: names from a on, the least complete first."""

TIME_UNITS_NS = {"ns": 1, "us": NS_PER_US, "µs": NS_PER_US, "ms": NS_PER_MS, "s": NS_PER_S}

N_SUGGESTIONS = 3

MAX_DIGITS = 18
"""Digits of a whole number that 64 bits hold."""


def networks(text: str) -> tuple[Network, ...]:
    """Networks separated by commas; a bare address is a network of its own.

    Raises:
        ValueError: one of them is no network.
    """
    found = []
    for part in text.split(","):
        try:
            found.append(ipaddress.ip_network(part.strip(), strict=False))
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


def percentile(text: str) -> float:
    """A percentile above 0 and at most 100: ``95``, ``p99.9``, ``50%``.

    Raises:
        ValueError: it is none.
    """
    value = _number(text.lower().removeprefix("p").removesuffix("%"))
    if value is None or not 0 < value <= 100:
        raise ValueError(f"{text!r} is no percentile (above 0, at most 100: 95, 99.9)")
    return value


def seconds(text: str) -> float:
    """A span of time above 0 in seconds, with or without an ``s``.

    Raises:
        ValueError: it is none.
    """
    value = _number(text.lower().removesuffix("s"))
    if value is None or not 0 < value <= 10**9:
        raise ValueError(f"{text!r} is no number of seconds above 0")
    return value


def whole(text: str) -> int:
    """A whole number, 0 or more; ``1,000`` and ``1_000`` are 1000.

    Raises:
        ValueError: it is none.
    """
    plain = text.replace(",", "").replace("_", "")
    if not (plain.isascii() and plain.isdigit()) or len(plain) > MAX_DIGITS:
        raise ValueError(f"{text!r} is no whole number of 0 or more, {MAX_DIGITS} digits at most")
    return int(plain)


def column(text: str) -> str:
    """The key of a column, from its field name, its heading or an alias.

    Raises:
        ValueError: there is none; the message has the nearest names.
    """
    name = text.strip().lower()
    names = sortable_names()
    for spelling in (name, name.replace("-", "_")):
        if spelling in names:
            return names[spelling]
    import difflib  # noqa: PLC0415 - only for a slip of the pen

    near = difflib.get_close_matches(name, names, N_SUGGESTIONS)
    hint = f"did you mean {' or '.join(near)}?" if near else f"one of: {', '.join(SORTABLE)}"
    raise ValueError(f"no column {text!r}; {hint}")


def sortable_names() -> dict[str, str]:
    """All names of columns in lower case, and the keys they stand for."""
    headings = {
        heading.lower().partition("(")[0]: column.key
        for column in COLUMNS
        for heading in column.headings
    }
    return {**headings, **ALIASES, **{key: key for key in SORTABLE}}


def thresholds(text: str) -> dict[str, Threshold]:
    """Thresholds separated by commas: ``lat=50ms,rst=5%,qos=10``.

    Raises:
        ValueError: the table has no such column, or a value is no number.
    """
    found = {}
    for part in text.split(","):
        name, _, value_text = part.partition("=")
        key = column(name)
        if key not in BY_KEY:
            raise ValueError(f"{name!r} is no column of numbers in the table")
        default = BY_KEY[key].threshold or _implied_threshold(key)
        found[key] = Threshold(default.side, _limit(value_text, default))
    return found


def _implied_threshold(key: str) -> Threshold:
    """On which side, and in which unit, a column that never stands out by itself could do so."""
    if key == "completeness":
        return Threshold(Side.BELOW, 100)
    return Threshold(Side.ABOVE, NS_PER_MS if key in SKETCHES else 0)


def _limit(text: str, default: Threshold) -> float:
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(%|ns|us|µs|ms|s)?", text.strip())
    is_time = default.limit >= NS_PER_MS
    unit = match[2] if match else None
    if match is None or (is_time != (unit in TIME_UNITS_NS)):
        example = "20ms" if is_time else "10"
        raise ValueError(f"{text!r} is no threshold (such as {example})")
    return float(match[1]) * TIME_UNITS_NS.get(unit or "", 1)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
