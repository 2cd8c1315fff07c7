"""From what a user writes to a metric: the columns and thresholds of options and filters.

Takes text, gives the name of a metric, or thresholds by name, or ``ValueError`` with a message that
says what would be right. Knows no option names.
"""

from __future__ import annotations

import re

from trtop.metrics.columns import BY_KEY, Column
from trtop_core.metric_types import Kind, Metric, Side, Thresholds, Unit
from trtop_core.metrics import CLASSIC_THRESHOLDS, METRIC_OF, METRICS, NEVER, SORTABLE
from trtop_core.parse import TIME_UNITS_NS, percentile

DESTINATION_ALIASES = ("name", "dest", "host", "addr", "address")

LOW_FIRST = frozenset({"destination", *(metric.name for metric in METRICS if metric.is_low_first)})
"""What is sorted with the smallest first: names from a on, the least complete first."""

N_SUGGESTIONS = 3


def column(text: str) -> str:
    """The name of a metric, or ``destination``, from its name, its heading or an alias.

    Raises:
        ValueError: there is none; the message has the nearest names.
    """
    name = text.strip().lower()
    names = sortable_names()
    for spelling in (name, name.replace("-", "_")):
        if spelling in names:
            return names[spelling]
    import difflib  # noqa: PLC0415 - only for a slip of the pen

    near = difflib.get_close_matches(name, names, N_SUGGESTIONS, cutoff=0)
    raise ValueError(f"no column {text!r}; did you mean {' or '.join(near)}?")


def sortable_names() -> dict[str, str]:
    """All names that ``column`` knows, in lower case, and what they stand for."""
    headings = {
        heading.lower().partition("(")[0]: metric.name
        for metric in METRICS
        for heading in metric.titles
    }
    aliases = {alias: metric.name for metric in METRICS for alias in metric.aliases}
    destination = dict.fromkeys(DESTINATION_ALIASES, "destination")
    return {**headings, **destination, **aliases, **{name: name for name in SORTABLE}}


PERCENTILE_OF = re.compile(r"(p?[0-9.]+)\s*\((.*)\)")

LEFT_OF_ALL = ("destination", "verdict")
"""Columns that every table has, where they stand; to name them changes nothing."""


def columns(text: str) -> tuple[Column, ...]:
    """Columns in the order of a list with commas: ``syn,rtt,p99(rtt),server``.

    Raises:
        ValueError: one of them does not exist, or is no distribution of which it has a percentile.
    """
    found: dict[str, Column] = {}
    for part in text.split(","):
        match = PERCENTILE_OF.fullmatch(part.strip().lower())
        name = column(match[2] if match else part)
        if name in LEFT_OF_ALL and not match:
            continue
        metric = METRIC_OF.get(name)
        if match and (metric is None or metric.kind is not Kind.DISTRIBUTION):
            raise ValueError(f"{part.strip()!r}: {name} has no percentiles, such as p99(rtt)")
        assert metric is not None
        made = Column(metric, percentile(match[1]) if match else None)
        found[made.name] = made
    if not found:
        always = f"{' and '.join(LEFT_OF_ALL)} are always there"
        raise ValueError(f"{always}: name others, such as syn,rtt,p99(rtt),server")
    return tuple(found.values())


CLASSIC = "classic"
"""Stands for all thresholds of the tool of 2016 where thresholds are given."""


def thresholds(text: str) -> dict[str, Thresholds]:
    """Thresholds by metric, from a list with commas: ``lat=50ms,rst=1%/5%,qos=10``, ``classic``.

    One value is the high grade, two are the notable and the high one. ``classic`` sets every column
    that the table has.

    Raises:
        ValueError: the table has no such column, or a value is no number.
    """
    found: dict[str, Thresholds] = {}
    for part in text.split(","):
        name, _, value_text = part.partition("=")
        if name.strip().lower() == CLASSIC and not value_text:
            found |= {key: CLASSIC_THRESHOLDS.get(key, NEVER) for key in BY_KEY}
            continue
        key = column(name)
        if key not in BY_KEY:
            raise ValueError(f"{name!r} is no column of numbers in the table")
        found[key] = _limits(value_text, METRIC_OF[key])
    return found


def _side(metric: Metric) -> Side:
    """On which side a metric stands out, also one that never does so by itself."""
    if (own := CLASSIC_THRESHOLDS.get(metric.name, metric.thresholds)) is not None:
        return own.side
    return Side.BELOW if metric.is_low_first else Side.ABOVE


def _limits(text: str, metric: Metric) -> Thresholds:
    """``50ms``, ``5%``, ``1%/5%``; a share may go without its sign where the column shows it."""
    parts = [part.strip() for part in text.split("/")]
    limits = [_limit(part, metric) for part in parts]
    if len(parts) > 2:
        raise ValueError(f"{text!r} has more than two grades (such as 1/10)")
    has_percent = bool(metric.share_of) and all(part.endswith("%") for part in parts)
    is_share = metric.as_share or has_percent
    notable = limits[0] if len(limits) == 2 else None
    return Thresholds(_side(metric), notable, limits[-1], is_share)


def _limit(text: str, metric: Metric) -> float:
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(%|ns|us|µs|ms|s)?", text)
    is_time = metric.unit is Unit.NS
    unit = match[2] if match else None
    if match is None or (is_time != (unit in TIME_UNITS_NS)):
        example = "20ms" if is_time else "10"
        raise ValueError(f"{text!r} is no threshold (such as {example})")
    return float(match[1]) * TIME_UNITS_NS.get(unit or "", 1)
