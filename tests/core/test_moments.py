"""Moments in capture time as users write them, and the grid that they make."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from trtop_core.errors import TrtopError
from trtop_core.moments import moment, span_ns, time_text
from trtop_core.records import NS_PER_S
from trtop_core.timing import NEVER_NS, Grid, Timing


def at(text: str) -> int:
    """A UTC time in ns."""
    found = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(found.timestamp()) * NS_PER_S + found.microsecond * 1000


FIRST_NS = at("2026-11-24 05:04:47.5")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+90s", "2026-11-24 05:06:17.5"),
        ("+90", "2026-11-24 05:06:17.5"),
        ("+1.5s", "2026-11-24 05:04:49"),
        ("+250ms", "2026-11-24 05:04:47.75"),
        ("+2min", "2026-11-24 05:06:47.5"),
        ("+2m", "2026-11-24 05:06:47.5"),
        ("+1h", "2026-11-24 06:04:47.5"),
        ("05:05", "2026-11-24 05:05:00"),
        ("5:05", "2026-11-24 05:05:00"),
        ("05:00", "2026-11-24 05:00:00"),
        ("04:04", "2026-11-25 04:04:00"),
        ("23:59:59.25", "2026-11-24 23:59:59.25"),
        ("00:10", "2026-11-25 00:10:00"),
        ("2026-11-24T05:05:00Z", "2026-11-24 05:05:00"),
        ("2026-11-24 06:05+01:00", "2026-11-24 05:05:00"),
        ("2026-11-24 03:35:00 -0130", "2026-11-24 05:05:00"),
        ("2026-11-24T05:05:00.125", "2026-11-24 05:05:00.125"),
        ("2026-11-24", "2026-11-24 00:00:00"),
    ],
)
def test_a_moment_is_a_time_of_the_capture(text: str, expected: str) -> None:
    assert moment(text).resolved(FIRST_NS) == at(expected)


def test_a_time_of_day_behind_another_is_the_next_one() -> None:
    start_ns = moment("23:50").resolved(FIRST_NS)
    assert moment("00:10").resolved(FIRST_NS, start_ns) == at("2026-11-25 00:10")
    assert moment("23:50").resolved(FIRST_NS, start_ns) == at("2026-11-25 23:50")
    assert moment("23:51").resolved(FIRST_NS, start_ns) == at("2026-11-24 23:51")


@pytest.mark.parametrize(
    "text",
    ["", "14", "24:00", "14:60", "14:03:60", "+", "+s", "-5s", "90s", "+1d", "14:03 CET", "14:3",
     "2026-13-01", "2026-02-30T00:00", "2026-11-24T25:00Z", "1969-12-31", "9999-01-01",
     "2026-11-24T05:05+99:00", "+9999999999999s", "١٤:٠٣", "14:03\n15:00"],
)  # fmt: skip
def test_what_is_no_time_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|is not within"):
        moment(text)


def test_an_offset_of_many_years_stays_within_64_bits() -> None:
    assert moment("+999999999999h").resolved(FIRST_NS) < 1 << 62


@pytest.mark.parametrize(
    ("text", "ns"),
    [("10s", 10 * NS_PER_S), ("10", 10 * NS_PER_S), ("0.5s", NS_PER_S // 2),
     ("2min", 120 * NS_PER_S),     ("1H", 3600 * NS_PER_S), ("250ms", NS_PER_S // 4)],
)  # fmt: skip
def test_a_span_has_a_unit(text: str, ns: int) -> None:
    assert span_ns(text) == ns


@pytest.mark.parametrize("text", ["0", "0s", "-1s", "1d", "", "s", "99999999999h", "1e3"])
def test_what_is_no_span_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="no span"):
        span_ns(text)


def test_times_are_written_as_people_do() -> None:
    assert time_text(FIRST_NS) == "2026-11-24 05:04:47.5 UTC"
    assert time_text(-(1 << 62)) != ""
    assert time_text((1 << 62) - 1).startswith("2116-")


def grid_of(start: str | None, end: str | None, every: str | None = None) -> Grid:
    texts = (start, end)
    moments = (None if text is None else moment(text) for text in texts)
    grid = Timing(*moments, None if every is None else span_ns(every)).grid()
    grid.begin(FIRST_NS)
    return grid


def test_a_grid_begins_at_its_start_and_ends_at_its_end() -> None:
    grid = grid_of("+1s", "+3.5s", "1s")
    moments = [(n - FIRST_NS) / NS_PER_S for n in grid.up_to(FIRST_NS + 10 * NS_PER_S)]
    assert moments == [1, 2, 3, 3.5]
    assert (grid.is_over, grid.next_ns) == (True, NEVER_NS)


def test_a_start_before_the_capture_still_says_where_the_grid_lies() -> None:
    grid = grid_of("05:04:45", None, "5s")
    assert grid.next_ns == at("2026-11-24 05:04:50")
    assert grid.up_to(at("2026-11-24 05:04:59")) == (
        at("2026-11-24 05:04:50"), at("2026-11-24 05:04:55"),
    )  # fmt: skip
    assert grid.next_ns == at("2026-11-24 05:05:00")


def test_nothing_between_start_and_end_is_an_error_that_says_when() -> None:
    with pytest.raises(TrtopError, match=r"begins at 2026-11-24 05:04:47.5 UTC, not before 05:04 "):
        grid_of(None, "05:04")
    with pytest.raises(TrtopError, match=r"\+3s \(2026.*\) is not after \+5s"):
        grid_of("+5s", "+3s")
    grid = grid_of("06:00", None)
    grid.up_to(at("2026-11-24 05:59"))
    with pytest.raises(TrtopError, match="ends at 2026-11-24 05:59:00 UTC, not after 06:00"):
        grid.check_over(at("2026-11-24 05:59"))
    grid.up_to(at("2026-11-24 06:00"))
    grid.check_over(at("2026-11-24 06:00"))
