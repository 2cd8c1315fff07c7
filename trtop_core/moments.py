"""``Moment``: a point in capture time as a user writes it: ``14:03``, ``+90s``, an ISO time.

Takes text; gives a value that becomes a time in ns once the capture's first packet is known. All
times without a zone are UTC, as everything that is shown. Knows no option names.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple

from trtop_core.records import NS_PER_MS, NS_PER_S, TS_LIMIT_NS

NS_PER_MIN = 60 * NS_PER_S
NS_PER_HOUR = 3600 * NS_PER_S
NS_PER_DAY = 24 * NS_PER_HOUR

EARLIER_NS = NS_PER_HOUR
"""A time of day so much before the capture's first packet is still of that day, else of the next:
``--from 05:00`` is before a capture that begins at 05:04, ``00:10`` after one that begins at 23:50.
"""

UNITS_NS = {"ms": NS_PER_MS, "s": NS_PER_S, "": NS_PER_S, "m": NS_PER_MIN, "min": NS_PER_MIN,
            "h": NS_PER_HOUR}  # fmt: skip

MAX_OFFSET_NS = 1_000_000_000 * NS_PER_S
"""31 years; far from the bounds of 64 bits."""

EXAMPLES = "14:03, 14:03:05.2, +90s or 2026-11-24T14:03:00Z"

_NUMBER = r"([0-9]{1,12})(?:\.([0-9]{1,9}))?"
_OFFSET = rf"\+{_NUMBER} ?(ms|s|min|m|h|)"
_SPAN = rf"{_NUMBER} ?(ms|s|min|m|h|)"
_TIME_OF_DAY = r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
_DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_ZONE = r"(Z|z|[+-][0-9]{2}:?[0-9]{2})?"
_ISO = rf"{_DATE}(?:[Tt ]{_TIME_OF_DAY})? ?{_ZONE}"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Since(Enum):
    """What a moment is counted from."""

    FIRST_PACKET = auto()
    MIDNIGHT = auto()
    EPOCH = auto()


class Moment(NamedTuple):
    """A point in capture time.

    Attributes:
        since: what it is counted from.
        ns: so long after that.
        text: as the user wrote it.
    """

    since: Since
    ns: int
    text: str

    def resolved(self, first_ns: int, not_before_ns: int | None = None) -> int:
        """Capture time in ns.

        Args:
            first_ns: of the capture's first packet.
            not_before_ns: a time of day is the first one after this; None: that of the day on
                which the capture begins, or of the next (``EARLIER_NS``).
        """
        if self.since is Since.EPOCH:
            return self.ns
        if self.since is Since.FIRST_PACKET:
            return min(first_ns + self.ns, TS_LIMIT_NS)
        least_ns = first_ns - EARLIER_NS if not_before_ns is None else not_before_ns + 1
        day_ns = least_ns // NS_PER_DAY * NS_PER_DAY
        found_ns = day_ns + self.ns
        return found_ns if found_ns >= least_ns else found_ns + NS_PER_DAY

    def latest(self, first_ns: int, clock_ns: int) -> int:
        """Capture time in ns, of a capture that goes on: a time of day is the last that was."""
        if self.since is not Since.MIDNIGHT:
            return self.resolved(first_ns)
        found_ns = clock_ns // NS_PER_DAY * NS_PER_DAY + self.ns
        return found_ns if found_ns <= clock_ns else found_ns - NS_PER_DAY


def moment(text: str) -> Moment:
    """A moment from what a user wrote.

    Raises:
        ValueError: it is none.
    """
    written = text.strip()
    if match := re.fullmatch(_OFFSET, written):
        return Moment(Since.FIRST_PACKET, _span_ns(match), written)
    if match := re.fullmatch(_TIME_OF_DAY, written):
        return Moment(Since.MIDNIGHT, _clock_ns(match.groups(), text), written)
    if match := re.fullmatch(_ISO, written):
        return Moment(Since.EPOCH, _iso_ns(match, text), written)
    raise ValueError(f"{text!r} is no time, such as {EXAMPLES}")


def span_ns(text: str) -> int:
    """A span of capture time above 0: ``10s``, ``0.5``, ``2min``, ``1h``, ``250ms``.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(_SPAN, text.strip().lower())
    found_ns = _span_ns(match) if match else 0
    if not 0 < found_ns <= MAX_OFFSET_NS:
        raise ValueError(f"{text!r} is no span of time above 0, such as 10s, 2min, 1h")
    return found_ns


def _span_ns(match: re.Match[str]) -> int:
    whole, fraction, unit = match.groups()
    unit_ns = UNITS_NS[unit]
    billionths = int((fraction or "0").ljust(9, "0"))
    return min(int(whole) * unit_ns + billionths * unit_ns // NS_PER_S, TS_LIMIT_NS)


def _clock_ns(groups: tuple[str | None, ...], text: str) -> int:
    hour, minute, second = (int(part or 0) for part in groups[:3])
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{text!r} is no time of day")
    fraction_ns = int((groups[3] or "0").ljust(9, "0"))
    return hour * NS_PER_HOUR + minute * NS_PER_MIN + second * NS_PER_S + fraction_ns


def _iso_ns(match: re.Match[str], text: str) -> int:
    year, month, day, *clock, zone = match.groups()
    try:
        found = date(int(year), int(month), int(day))
    except ValueError:
        raise ValueError(f"{text!r} is no date") from None
    n_days = (found - _EPOCH.date()) // timedelta(days=1)
    ns = n_days * NS_PER_DAY + _clock_ns(tuple(clock), text) - _zone_ns(zone, text)
    if not 0 <= ns <= TS_LIMIT_NS:
        raise ValueError(f"{text!r} is not within the years 1970 … 2116")
    return ns


def _zone_ns(zone: str | None, text: str) -> int:
    """How far a zone is ahead of UTC."""
    if zone is None or zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(f"{text!r} is no time: its zone is none")
    ahead_ns = hours * NS_PER_HOUR + minutes * NS_PER_MIN
    return ahead_ns if zone[0] == "+" else -ahead_ns


def time_text(time_ns: int) -> str:
    """A time as people write it: ``2026-11-24 14:03:00.25 UTC``."""
    seconds, rest_ns = divmod(time_ns, NS_PER_S)
    try:
        found = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return f"{time_ns} ns"
    fraction = f".{rest_ns:09}".rstrip("0") if rest_ns else ""
    return f"{found:%Y-%m-%d %H:%M:%S}{fraction} UTC"
