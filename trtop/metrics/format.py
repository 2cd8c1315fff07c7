"""Numbers as a person reads them: durations, counts, rates, shares, points in time.

Takes integers (ns, bytes, counts), gives short text, mostly as *forms*: the same number from the
most exact to the shortest, so that a column shows the first that fits. Never looks at a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from trtop_core.metric_types import Unit
from trtop_core.records import NS_PER_MS, NS_PER_S, NS_PER_US

Forms = tuple[str, ...]
"""One number, from its most exact text to its shortest."""

NO_SAMPLE = "-"
NO_COUNT = "*"
"""Stands for a distribution of counts (QoS) without a sample: no connection has closed yet."""

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86400

COUNT_UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
"""Decimal, as rates and network sizes are."""


def duration(ns: int, micro: str = "µ") -> str:
    """A duration with three significant digits: ``35µs``, ``1.24ms``, ``2.1s``, ``5m30s``.

    Args:
        ns: the duration; negative ones get a sign.
        micro: what stands for micro (``u`` where the stream cannot print ``µ``).
    """
    if ns < 0:
        return "-" + duration(-ns, micro)
    if ns < NS_PER_US:
        return f"{ns}ns" if ns else "0"
    for unit_ns, name in ((NS_PER_US, f"{micro}s"), (NS_PER_MS, "ms"), (NS_PER_S, "s")):
        text = _three_digits(ns / unit_ns)
        if float(text) < (MINUTE_S if unit_ns == NS_PER_S else 1000):
            return text + name
    seconds = round(ns / NS_PER_S)
    if seconds < HOUR_S:
        return f"{seconds // MINUTE_S}m{seconds % MINUTE_S:02}s"
    if seconds < DAY_S:
        return f"{seconds // HOUR_S}h{seconds % HOUR_S // MINUTE_S:02}m"
    return f"{seconds // DAY_S}d{seconds % DAY_S // HOUR_S:02}h"


def count_forms(n: int) -> Forms:
    """A count: ``1,234,567``, ``1.23M``, ``1.2M``."""
    if n < 1000:
        return (str(n),)
    return (f"{n:,}", _scaled(n, 3), _scaled(n, 2))


def bytes_forms(n: int) -> Forms:
    """A number of bytes in decimal units: ``12.3M``, ``12M``; exact below 1,000."""
    return (str(n),) if n < 1000 else (_scaled(n, 3), _scaled(n, 2))


def memory(n_bytes: int) -> str:
    """Memory in the units in which it is asked for, of 1,024: ``780B``, ``1.2MiB``, ``64MiB``."""
    if n_bytes < 1 << 10:
        return f"{n_bytes}B"
    unit, bits = next(
        ((unit, bits) for unit, bits in (("KiB", 10), ("MiB", 20)) if n_bytes < 1000 << bits),
        ("GiB", 30),
    )
    value = n_bytes / (1 << bits)
    return f"{value:.2g}{unit}" if value < 9.95 else f"{round(value)}{unit}"


def rate(per_s: float) -> str:
    """Events per second: ``0.03``, ``1.7``, ``23``, ``1.2k``."""
    if per_s == 0:
        return "0"
    if per_s < 0.01:
        return "<.01"
    if per_s < 0.995:
        return f"{per_s:.2f}".rstrip("0")
    if per_s < 99.95:
        return f"{per_s:.1f}".removesuffix(".0")
    return str(round(per_s)) if per_s < 999.5 else _scaled(round(per_s), 2)


def percent(part: float, whole: float) -> str:
    """A whole percentage that claims 0 or 100 only when it is: ``<1%``, ``99%``."""
    if part <= 0:
        return "0%"
    if part >= whole:
        return f"{round(100 * part / whole)}%"
    value = 100 * part / whole
    return "<1%" if value < 0.5 else f"{min(99, round(value))}%"


def fine_percent(share: float) -> str:
    """A share (0 … 1) near 0 or 1 with the digits that matter: ``99.98%``, ``0.31%``, ``100%``."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    value = min(max(100 * share, 0.01), 99.99)
    return f"{value:.2f}%"


def throughput_forms(per_s: float) -> Forms:
    """Bytes per second: ``3MB/s``, ``3M``."""
    texts = bytes_forms(round(per_s))
    return (f"{texts[0]}B/s", *texts)


def forms_of(unit: Unit, value: float, micro: str = "µ") -> Forms:
    """A number in its unit, from its most exact text to its shortest.

    Args:
        unit: of ``value``; whole numbers for counts, bytes and ns.
        value: the number.
        micro: as for ``duration``.
    """
    return _FORMS[unit](value, micro)


def point_in_time(ns: int) -> str:
    """Capture time as UTC: ``2024-05-01 12:00:01.123``; outside years 1 … 9999: seconds."""
    try:
        moment = datetime.fromtimestamp(ns // NS_PER_S, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{ns // NS_PER_S}s"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{ns % NS_PER_S // NS_PER_MS:03}"


def fitting(forms: Forms, width: int) -> str:
    """The most exact form within ``width`` characters, else the shortest."""
    return next((form for form in forms if len(form) <= width), forms[-1])


def _three_digits(value: float) -> str:
    if value < 9.995:
        text = f"{value:.2f}"
    elif value < 99.95:
        text = f"{value:.1f}"
    else:
        return f"{value:.0f}"
    return text.rstrip("0").rstrip(".")


def _scaled(n: int, digits: int) -> str:
    """``n`` with ``digits`` significant digits (2 or 3) and a decimal unit."""
    for i, (size, unit) in enumerate(COUNT_UNITS):
        if n < size:
            continue
        value = n / size
        text = _three_digits(value) if digits == 3 else _two_digits(value)
        if float(text) < 1000 or i == 0:
            return text + unit
        return "1" + COUNT_UNITS[i - 1][1]
    return str(n)


def _two_digits(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"


_FORMS: dict[Unit, Callable[[Any, str], Forms]] = {
    Unit.COUNT: lambda n, micro: count_forms(n),
    Unit.BYTES: lambda n, micro: bytes_forms(n),
    Unit.NS: lambda ns, micro: (duration(ns, micro),),
    Unit.PER_SECOND: lambda per_s, micro: (rate(per_s),),
    Unit.BYTES_PER_SECOND: lambda per_s, micro: throughput_forms(per_s),
    Unit.SHARE: lambda share, micro: (fine_percent(share),),
}
