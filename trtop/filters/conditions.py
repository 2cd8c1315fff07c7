"""Conditions on numbers: ``rtt>100ms``, ``p99(rtt)>100ms``, ``server/rtt>0.8``, ``rst>5%``.

Takes a scanner at the beginning of a term, gives the comparison there, or nothing where no
comparison stands. What is compared must be numbers of the same thing.
"""

from __future__ import annotations

import math
import re
from typing import NoReturn

from trtop.filters.scanner import QUOTES, WORD, Scanner
from trtop.filters.spelling import (
    Quantity,
    can_be_share,
    column,
    column_form,
    columns,
    example,
    factor,
    is_distribution,
    nearest,
    quantity,
    statistic,
)
from trtop.filters.tree import MIRRORED, Column, Compare, Number, Operand, Ratio
from trtop_core.parse import TIME_UNITS_NS

_FUNCTION = re.compile(r"([a-z][a-z0-9.]*)\(", re.IGNORECASE)

_NUMBER = re.compile(
    r"([0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]*\.?[0-9]+(?:e[+-]?[0-9]{1,3})?)"
    r"([a-zµμ%/]+)?(?![^\s()])",
    re.IGNORECASE,
)

_BEHIND_COLUMN = re.compile(r"\s*(?:/|[<>=]|!=)")

_TIME_UNIT = re.compile(r"\s+(ns|us|µs|μs|ms|s)(?![^\s()])", re.IGNORECASE)

_NUMBER_FIRST = re.compile(r"[0-9.][^\s()<>=!]*\s*(?:>=|<=|!=|==|>|<|=)")


def read_condition(scanner: Scanner) -> Compare | None:
    """Take a comparison; None where none begins.

    Raises:
        FilterError: it begins, and makes no sense.
    """
    start = scanner.at
    if scanner.match(_NUMBER_FIRST):
        return _mirrored(scanner, start)
    left = _columns(scanner)
    if left is None:
        scanner.at = start
        _refuse_unknown(scanner)
        return None
    operator = scanner.take_comparison()
    if not operator:
        scanner.at = start
        return None
    is_shown_as_share = "(%)" in scanner.text[start : scanner.at]
    right_at = scanner.start()
    right = _right_side(scanner, left)
    if is_shown_as_share and not (isinstance(right, Number) and right.unit == "%"):
        scanner.fail(
            f"a column with (%) shows a count and a share; {example(left)}", start, scanner.at
        )
    _check(scanner, left, right, (right_at, scanner.at))
    return Compare(left, operator, right)


def _mirrored(scanner: Scanner, start: int) -> Compare:
    """A comparison that begins with its number: ``100ms<rtt``."""
    text = scanner.word()
    number = _number(text)
    if number is None:
        scanner.fail(f"{text!r} is no number", start, scanner.at)
    operator = scanner.take_comparison()
    right_at = scanner.start()
    right = _columns(scanner, is_last=True)
    if right is None:
        _refuse_unknown(scanner, is_last=True)
        scanner.fail("a column is missing, such as rtt>100ms", right_at)
    _check(scanner, right, number, (start, scanner.at))
    return Compare(right, MIRRORED[operator], number)


def _right_side(scanner: Scanner, left: Column | Ratio) -> Operand:
    """What a column is compared with."""
    start = scanner.at
    if match := scanner.match(_NUMBER):
        scanner.at = match.end()
        number = _number(match[0])
        if number is not None and not number.unit and quantity(left) is Quantity.TIME:
            unit = scanner.match(_TIME_UNIT)
            if unit is not None:
                scanner.at = unit.end()
                return Number(number.value, _unit(unit[1]))
        if number is not None:
            return number
    found = _columns(scanner, is_last=True)
    if found is not None and not scanner.sees_comparison(scanner.at):
        return found
    scanner.at = start
    text = scanner.quoted() or scanner.word()
    if not text:
        scanner.fail(f"a number is missing; {example(left)}", start)
    known = nearest(text, columns()) if text[0].isalpha() else []
    hint = f", and no column; nearest: {', '.join(known)}" if known else ""
    scanner.fail(f"{text!r} is no number{hint}; {example(left)}", start, scanner.at)


def _columns(scanner: Scanner, is_last: bool = False) -> Column | Ratio | None:
    """Take a column, or a ratio of two; None where none stands here.

    Args:
        scanner: where it begins.
        is_last: it stands behind the comparison, so that nothing need follow.
    """
    start = scanner.at
    part = _column(scanner, is_last)
    if part is None:
        return None
    at = scanner.at
    if not scanner.take("/"):
        scanner.at = at
        return part
    scanner.start()
    whole = _column(scanner, is_last)
    if whole is None:
        _refuse_unknown(scanner)
        scanner.at = start
        return None
    ratio = Ratio(part, whole)
    if quantity(ratio) is None:
        above, below = quantity(part), quantity(whole)
        assert above is not None
        assert below is not None
        scanner.fail(f"{above.value} cannot be divided by {below.value}", start, scanner.at)
    return ratio


def _column(scanner: Scanner, is_last: bool) -> Column | None:
    """Take one column, maybe with a statistic or in quotes; None where none stands here."""
    if match := scanner.match(_FUNCTION):
        return _function(scanner, match, is_last)
    if scanner.text[scanner.at : scanner.at + 1] in QUOTES and scanner.at < len(scanner.text):
        return _quoted_column(scanner, is_last)
    match = scanner.match(column_form())
    if match is None:
        return None
    scanner.at = match.end()
    name = column(match[0])
    return None if name is None else Column(name)


def _function(scanner: Scanner, match: re.Match[str], is_last: bool) -> Column | None:
    """``p99(rtt)``, and headings as they are shown: ``Est(%)``."""
    start = scanner.at
    which = statistic(match[1])
    end = scanner.text.find(")", match.end())
    name = scanner.text[match.end() : end].strip().strip(QUOTES) if end >= 0 else ""
    shown = column(match[1])
    if which is None and shown is not None and name in ("%", "/s"):
        scanner.at = end + 1
        return Column(shown)
    behind = _BEHIND_COLUMN.match(scanner.text, end + 1)
    is_condition = end >= 0 and (is_last or behind is not None)
    if which is None:
        if is_condition and shown is None and re.fullmatch(r"[\w /.-]+", name):
            scanner.fail(
                f"no statistic {match[1]!r}; there are p50, p99.9, min, max, mean, count",
                start, end + 1,
            )  # fmt: skip
        return None
    if not is_condition and end >= 0 and (found := column(name)) is not None:
        such = example(Column(found, which))
        text = scanner.text[start : end + 1]
        scanner.fail(f"{text!r} wants a comparison; {such}", start, end + 1)
    if not is_condition:
        return None
    found = column(name)
    if found is None:
        _fail_unknown(scanner, name, match.end(), end)
    if not is_distribution(found):
        scanner.fail(f"{name!r} has no percentiles; it is one number", start, end + 1)
    scanner.at = end + 1
    return Column(found, which)


def _quoted_column(scanner: Scanner, is_last: bool) -> Column | None:
    start = scanner.at
    text = scanner.quoted() or ""
    if not is_last and _BEHIND_COLUMN.match(scanner.text, scanner.at) is None:
        scanner.at = start
        return None
    found = column(text) or column(text.partition("(")[0])
    if found is None:
        _fail_unknown(scanner, text, start, scanner.at)
    return Column(found)


def _refuse_unknown(scanner: Scanner, is_last: bool = False) -> None:
    """Refuse a word before a comparison that is no column.

    Args:
        scanner: where the word begins.
        is_last: it stands behind the comparison instead.
    """
    match = scanner.match(WORD)
    if match is None or not (is_last or scanner.sees_comparison(match.end())):
        return
    text = match[0].lower()
    if text[0] not in "~:!" and text not in ("and", "or", "not"):
        _fail_unknown(scanner, match[0].rpartition("/")[2] or match[0], scanner.at, match.end())


def _fail_unknown(scanner: Scanner, name: str, start: int, end: int) -> NoReturn:
    near = ", ".join(nearest(name, columns()))
    scanner.fail(f"no column {name!r}; nearest: {near}", start, end)


def _number(text: str) -> Number | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    value = float(match[1].replace(",", ""))
    return Number(value, _unit(match[2] or "")) if math.isfinite(value) else None


def _unit(text: str) -> str:
    """A unit as it is written in trees: in lower case, with the sign for micro."""
    unit = text.lower().replace("μ", "µ")
    return "µs" if unit == "us" else unit


def _check(scanner: Scanner, left: Column | Ratio, right: Operand, place: tuple[int, int]) -> None:
    """Refuse what cannot be compared."""
    of = quantity(left)
    assert of is not None
    shown = scanner.text[place[0] : place[1]].strip()
    if not isinstance(right, Number):
        other = quantity(right)
        if other is not of:
            words = "nothing" if other is None else other.value
            scanner.fail(f"{of.value} is compared with {words}: {shown!r}", *place)
        return
    if right.unit == "%":
        if not can_be_share(left):
            scanner.fail(f"{shown!r}: it is no percentage; {example(left)}", *place)
        return
    if of is Quantity.TIME and not right.unit and right.value:
        scanner.fail(f"{shown!r} of what? {example(left)}", *place)
    if of is Quantity.TIME and not right.unit:
        return
    if factor(right.unit, of) is None:
        is_time = right.unit in TIME_UNITS_NS
        why = f"{of.value} has no {right.unit!r}" if not is_time else f"it is {of.value}"
        scanner.fail(f"{shown!r}: {why}; {example(left)}", *place)
