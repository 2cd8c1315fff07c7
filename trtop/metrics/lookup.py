"""From what a user writes to a metric: the columns and thresholds of options and filters.

Takes text, gives the name of a metric, or thresholds by name, or ``ValueError`` with a message that
says what would be right. Knows no option names.
"""

from __future__ import annotations

import re

from trtop.metrics.columns import BY_KEY
from trtop_core.metric_types import Metric, Side, Threshold, Unit
from trtop_core.metrics import METRIC_OF, METRICS, SORTABLE
from trtop_core.parse import TIME_UNITS_NS

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

    near = difflib.get_close_matches(name, names, N_SUGGESTIONS)
    hint = f"did you mean {' or '.join(near)}?" if near else f"one of: {', '.join(SORTABLE)}"
    raise ValueError(f"no column {text!r}; {hint}")


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
        metric = METRIC_OF[key]
        found[key] = Threshold(_side(metric), _limit(value_text, metric))
    return found


def _side(metric: Metric) -> Side:
    """On which side a metric stands out, also one that never does so by itself."""
    if metric.threshold is not None:
        return metric.threshold.side
    return Side.BELOW if metric.is_low_first else Side.ABOVE


def _limit(text: str, metric: Metric) -> float:
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(%|ns|us|µs|ms|s)?", text.strip())
    is_time = metric.unit is Unit.NS
    unit = match[2] if match else None
    if match is None or (is_time != (unit in TIME_UNITS_NS)):
        example = "20ms" if is_time else "10"
        raise ValueError(f"{text!r} is no threshold (such as {example})")
    return float(match[1]) * TIME_UNITS_NS.get(unit or "", 1)
