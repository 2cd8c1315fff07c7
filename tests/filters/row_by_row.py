"""The twin of filters: one row at a time, from the definitions, without numpy.

Takes a tree and a row of a snapshot; says whether it holds. Written to be read, not to be fast.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from dataclasses import dataclass

from trtop.filters.tree import (
    And,
    Column,
    Compare,
    Everything,
    Inside,
    Node,
    Not,
    Number,
    Operand,
    Or,
    Pattern,
    Port,
    Ratio,
    Text,
    VerdictIs,
    Whole,
)
from trtop_core.metric_types import Kind, Unit
from trtop_core.metrics import METRIC_OF
from trtop_core.snapshot import Row

SIZES = {"k": 1e3, "m": 1e6, "g": 1e9, "ki": 2.0**10, "mi": 2.0**20, "gi": 2.0**30, "": 1.0}
TIMES = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9, "": 1.0}


@dataclass(frozen=True)
class OneRow:
    """A row as the twin sees it: its numbers, and what it is called in plain words."""

    row: Row
    address: str
    port: int | None
    name: str | None
    percentile: float

    def texts(self, of_name: bool) -> list[str]:
        found = [] if self.name is None else [self.name.lower()]
        return found if of_name else [*found, self.address]


def holds(node: Node, one: OneRow) -> bool:
    match node:
        case And(parts):
            return all(holds(part, one) for part in parts)
        case Or(parts):
            return any(holds(part, one) for part in parts)
        case Not(part):
            return not holds(part, one)
        case Everything():
            return True
        case Text(part, of_name):
            return any(part in text for text in one.texts(of_name))
        case Whole(pattern, is_glob, of_name):
            if is_glob:
                return any(fnmatch.fnmatchcase(text, pattern) for text in one.texts(of_name))
            return pattern in one.texts(of_name)
        case Pattern(pattern, of_name):
            return any(re.search(pattern, text, re.I | re.A) for text in one.texts(of_name))
        case Inside(network):
            return ipaddress.ip_address(one.address) in network
        case Port(operator, number):
            return one.port is not None and compared(one.port, operator, number)
        case VerdictIs(prefix):
            return one.row.judged()[0].lower().startswith(prefix)
        case Compare(left, operator, right):
            return condition(left, operator, right, one)


def compared(left: float, operator: str, right: float) -> bool:
    return {
        ">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right,
        "=": left == right, "!=": left != right,
    }[operator]  # fmt: skip


def condition(left: Column | Ratio, operator: str, right: Operand, one: OneRow) -> bool:
    if not isinstance(right, Number):
        values = value(left, one), value(right, one)
        return None not in values and compared(values[0], operator, values[1])  # type: ignore[arg-type]
    if isinstance(left, Ratio):
        part, whole = value(left.part, one), value(left.whole, one)
        if part is None or whole is None or whole <= 0:
            return False
        if right.unit == "%":
            return compared(100 * part, operator, right.value * whole)
        return compared(part, operator, in_base_unit(right) * whole)
    metric = METRIC_OF[left.metric]
    if right.unit == "%" and metric.share_of:
        whole = one.row.whole(metric.name)
        part = one.row.count(metric.name)
        return whole > 0 and compared(100 * part, operator, right.value * whole)
    found = value(left, one)
    if found is None:
        return False
    if metric.unit is Unit.SHARE:
        found *= 100
    return compared(found, operator, in_base_unit(right))


def in_base_unit(number: Number) -> float:
    unit = number.unit.removesuffix("/s").removesuffix("b")
    if number.unit in TIMES:
        return number.value * TIMES[number.unit]
    return number.value if unit == "%" else number.value * SIZES[unit]


def value(operand: Operand, one: OneRow) -> float | None:
    if isinstance(operand, Number):
        return in_base_unit(operand)
    if isinstance(operand, Ratio):
        part, whole = value(operand.part, one), value(operand.whole, one)
        return None if part is None or whole is None or whole <= 0 else part / whole
    metric = METRIC_OF[operand.metric]
    if metric.kind is Kind.DERIVED:
        return one.row.derived(metric.name)
    if metric.kind is not Kind.DISTRIBUTION:
        return float(one.row.count(metric.name))
    record = one.row.sketch_record(metric.name)
    unit = metric.unit.suffix
    if operand.statistic == "count":
        return float(record["count"])
    if not record["count"]:
        return None
    if operand.statistic == "mean":
        return record[f"sum{unit}"] / record["count"]
    if operand.statistic in ("min", "max"):
        return float(record[f"{operand.statistic}{unit}"])
    percentile = float(operand.statistic[1:]) if operand.statistic else one.percentile
    found = one.row.quantile(metric.name, percentile)
    return None if found is None else float(found)
