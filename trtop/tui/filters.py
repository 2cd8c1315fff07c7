"""The filter language of ``/``: which rows are shown.

Takes what the user typed, gives a ``Filter`` that answers for a whole table at once, or
``ValueError`` with a message that says what would be right. Words must all hold:

    db-7            a part of a name or address
    10.0.0.0/8      an address in a network; a whole address alone is that address
    :443            the port
    rtt>100ms       a column beyond a value: counts, rates, shares (est<90%), latencies
    !refused>0      a word that must not hold
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from trtop.metrics import lookup
from trtop_core.metric_types import Kind, Metric, Unit, ratio
from trtop_core.metrics import METRIC_OF
from trtop_core.parse import TIME_UNITS_NS, Network
from trtop_core.records import DestinationKind
from trtop_core.table import Table

MAX_FILTER_CHARS = 200

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}

RATES = (Unit.PER_SECOND, Unit.BYTES_PER_SECOND)

MULTIPLES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}

_CONDITION = re.compile(r"([a-z][a-z0-9_/-]*)(>=|<=|!=|==|>|<|=)(.+)")
_AROUND_COMPARISON = re.compile(r"\s*(>=|<=|!=|==|>|<|=)\s*")
_NUMBER = re.compile(r"([0-9]*\.?[0-9]+)\s*([a-zµ%/]*)")

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """The rows that a filter is asked about.

    Attributes:
        table: their numbers.
        name_list: gives what each is called, shape (n,); asked only if a word needs it.
        span_ns: capture time that the counters cover.
        percentile: what latencies are compared by.
    """

    table: Table
    name_list: Callable[[], Sequence[str]]
    span_ns: int
    percentile: float

    @cached_property
    def lower_names(self) -> list[str]:
        """Names and addresses in lower case."""
        return [name.lower() for name in self.name_list()]


class Word(Protocol):
    """One word of a filter."""

    def mask(self, rows: Rows) -> Mask:
        """Which rows it holds for, shape (n,)."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What was typed, understood.

    Attributes:
        text: as it was typed.
        words: all must hold.
    """

    text: str
    words: tuple[Word, ...]

    def mask(self, rows: Rows) -> Mask:
        """Which rows are shown, shape (n,)."""
        shown = np.ones(len(rows.table), bool)
        for word in self.words:
            shown &= word.mask(rows)
        return shown

    @property
    def needs_ports(self) -> bool:
        """Whether rows must have ports to be told apart by it."""
        plain = (word.word if isinstance(word, _Not) else word for word in self.words)
        return any(isinstance(word, _Port) for word in plain)


def parse_filter(text: str) -> Filter | None:
    """Understand what the user typed; nothing is no filter.

    Raises:
        ValueError: it cannot be understood; the message is one line for the user.
    """
    if len(text) > MAX_FILTER_CHARS:
        raise ValueError(f"a filter has at most {MAX_FILTER_CHARS} characters")
    joined = _AROUND_COMPARISON.sub(r"\1", text.strip())
    words = tuple(_word(word) for word in joined.split())
    return Filter(text.strip(), words) if words else None


@dataclass(frozen=True, slots=True)
class _Text:
    part: str

    def mask(self, rows: Rows) -> Mask:
        return np.array([self.part in name for name in rows.lower_names], bool)


@dataclass(frozen=True, slots=True)
class _InNetwork:
    network: Network

    def mask(self, rows: Rows) -> Mask:
        address = self.network.network_address.packed
        mask = self.network.netmask.packed
        if self.network.version == 4:
            address = bytes(10) + b"\xff\xff" + address
            mask = b"\xff" * 12 + mask
        masked = rows.table.keys["addr"] & np.frombuffer(mask, np.uint8)
        is_inside = (masked == np.frombuffer(address, np.uint8)).all(axis=1)
        is_address = rows.table.keys["kind"] != DestinationKind.OTHER
        return np.asarray(is_inside & is_address)


@dataclass(frozen=True, slots=True)
class _Port:
    port: int

    def mask(self, rows: Rows) -> Mask:
        return np.asarray(rows.table.keys["port"] == self.port)


@dataclass(frozen=True, slots=True)
class _Not:
    word: Word

    def mask(self, rows: Rows) -> Mask:
        return ~self.word.mask(rows)


@dataclass(frozen=True, slots=True)
class _Condition:
    metric: Metric
    compare: Callable[[Any, Any], Any]
    limit: float
    is_share: bool

    def mask(self, rows: Rows) -> Mask:
        found = _values(self.metric, self.is_share, rows)
        # What does not exist is neither above nor below anything.
        return np.asarray(self.compare(found, self.limit) & ~np.isnan(found))


def _word(word: str) -> Word:
    if word.startswith("!") and len(word) > 1:
        return _Not(_word(word[1:]))
    lowered = word.lower()
    condition = _CONDITION.fullmatch(lowered)
    if condition is not None:
        return _condition(*condition.groups())
    if re.search("[<>=]", word):
        raise ValueError(f"{word!r} is no condition; such as rtt>100ms, rst>0, est<90%")
    if re.fullmatch(r":?[0-9]+", word):
        return _port(word.removeprefix(":"))
    try:
        return _InNetwork(ipaddress.ip_network(word, strict=False))
    except ValueError:
        if "/" in word:
            raise ValueError(f"{word!r} is no network; such as 10.0.0.0/8, 2001:db8::/32") from None
    return _Text(lowered)


def _port(text: str) -> _Port:
    if len(text) > 5 or int(text) > 0xFFFF:
        raise ValueError(f"{text!r} is no port (0 to 65535)")
    return _Port(int(text))


def _condition(name: str, comparison: str, value: str) -> Word:
    if name == "port" and comparison in ("=", "==", "!="):
        if not value.isdigit():
            raise ValueError(f"{value!r} is no port (0 to 65535)")
        return _Not(_port(value)) if comparison == "!=" else _port(value)
    key = lookup.column(name)
    if key == "destination":
        raise ValueError("rows are found by a part of their name: just type it")
    metric = METRIC_OF[key]
    match = _NUMBER.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is no number; {_example(metric)}")
    number, unit = float(match[1]), match[2]
    if unit == "%":
        if metric.unit is not Unit.SHARE and not metric.share_of:
            raise ValueError(f"{key} is no percentage; {_example(metric)}")
    elif metric.is_latency:
        if unit not in TIME_UNITS_NS:
            raise ValueError(f"{value} of what? {_example(metric)}")
        number *= TIME_UNITS_NS[unit]
    elif unit.removesuffix("/s") in MULTIPLES and (metric.unit in RATES or "/" not in unit):
        number *= MULTIPLES[unit.removesuffix("/s")]
    else:
        raise ValueError(f"{value!r} is no number; {_example(metric)}")
    return _Condition(metric, COMPARISONS[comparison], number, unit == "%")


def _example(metric: Metric) -> str:
    name = metric.name
    if metric.is_latency:
        return f"such as {name}>100ms"
    if metric.unit is Unit.SHARE:
        return f"such as {name}<99.9%"
    return f"such as {name}>10" + (f", {name}<90%" if metric.share_of else "")


def _values(metric: Metric, is_share: bool, rows: Rows) -> npt.NDArray[np.float64]:
    """A column as numbers, NaN where there is none, shares in percent; shape (n,)."""
    counters = rows.table.counters
    if metric.kind is Kind.DISTRIBUTION:
        found = rows.table.sketches[metric.name].quantiles(rows.percentile).astype(np.float64)
        return np.where(found < 0, np.nan, found)
    if metric.derive is not None:
        computed = metric.derive(counters, rows.span_ns)
        return 100 * computed if metric.unit is Unit.SHARE else computed
    found = counters[metric.name].astype(np.float64)
    if not is_share:
        return found
    whole = np.sum([counters[name] for name in metric.share_of], axis=0)
    return 100 * ratio(found, whole)
