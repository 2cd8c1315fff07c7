import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trtop.escape import display_width, distinct, escape, shorten
from trtop.metrics import format as units


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0"),
        (999, "999ns"),
        (1_000, "1µs"),
        (1_249, "1.25µs"),
        (35_000, "35µs"),
        (999_499, "999µs"),
        (999_500, "1ms"),
        (1_240_000, "1.24ms"),
        (12_449_000, "12.4ms"),
        (999_600_000, "1s"),
        (2_100_000_000, "2.1s"),
        (59_940_000_000, "59.9s"),
        (59_960_000_000, "1m00s"),
        (330_000_000_000, "5m30s"),
        (3_599_400_000_000, "59m59s"),
        (3_600_000_000_000, "1h00m"),
        (97_200_000_000_000, "1d03h"),
        (-1_240_000, "-1.24ms"),
    ],
)
def test_durations_have_three_digits_and_carry_into_the_next_unit(ns: int, text: str) -> None:
    assert units.duration(ns) == text


def test_durations_are_short_at_every_magnitude() -> None:
    for exponent in range(13):
        for lead in (1, 9, 95, 99, 994, 995, 996, 999, 9994, 9995, 9996, 9999):
            assert len(units.duration(lead * 10**exponent)) <= 7


@pytest.mark.parametrize(
    ("n", "forms"),
    [
        (0, ("0",)),
        (999, ("999",)),
        (1_000, ("1,000", "1k", "1k")),
        (12_345, ("12,345", "12.3k", "12k")),
        (999_499, ("999,499", "999k", "999k")),
        (999_999, ("999,999", "1M", "1M")),
        (1_234_567, ("1,234,567", "1.23M", "1.2M")),
        (999_999_999, ("999,999,999", "1G", "1G")),
    ],
)
def test_counts_are_exact_first_and_four_characters_last(n: int, forms: tuple[str, ...]) -> None:
    assert units.count_forms(n) == forms


def test_the_first_form_that_fits_is_shown_and_the_shortest_if_none_does() -> None:
    forms = units.count_forms(12_345)
    assert [units.fitting(forms, width) for width in (6, 5, 4, 1)] == [
        "12,345", "12.3k", "12k", "12k",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 9, "0%"), (1, 1000, "<1%"), (9, 9, "100%"), (999, 1000, "99%"), (12, 9, "133%")],
)
def test_a_percentage_is_0_or_100_only_if_it_is(part: int, whole: int, text: str) -> None:
    assert units.percent(part, whole) == text


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100%"), (0.9999999, "99.99%"), (0.0, "0%"), (1e-9, "0.01%")]
)
def test_a_fine_percentage_does_not_round_to_its_ends(share: float, text: str) -> None:
    assert units.fine_percent(share) == text


@pytest.mark.parametrize(
    ("per_s", "text"),
    [(0, "0"), (0.001, "<.01"), (0.05, "0.05"), (0.5, "0.5"), (0.999, "1"), (23.0, "23"),
     (47.44, "47.4"), (99.97, "100"), (999.7, "1k"), (12_345.6, "12k")],
)  # fmt: skip
def test_rates_are_at_most_five_characters(per_s: float, text: str) -> None:
    assert units.rate(per_s) == text


def test_a_point_in_time_beyond_the_calendar_is_still_text() -> None:
    assert units.point_in_time(1_714_565_000_123_456_789) == "2024-05-01 12:03:20.123"
    assert units.point_in_time(-(1 << 62))
    assert units.point_in_time(1 << 80)


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("db-1.example.com", "db-1.example.com"),
        ("a\nb", r"a\x0ab"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202eabc", r"\u202eabc"),
        ("\u2066x\u200b", r"\u2066x\u200b"),
        ("\U000e0041", r"\U000e0041"),
        ("tab\tdel\x7f", r"tab\x09del\x7f"),
        ("back\\slash", r"back\\slash"),
        ("naïve", "naïve"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_is_not_printable_is_escaped(name: str, escaped: str) -> None:
    assert escape(name) == escaped


def test_ascii_only_escapes_the_rest_too() -> None:
    assert escape("naïve") == "naïve"
    assert escape("naïve", ascii_only=True) == r"na\xefve"


def test_every_character_is_printable_once_escaped() -> None:
    for code in range(0x11_0000):
        assert escape(chr(code)).isprintable()


ADDRESSES = (
    "192.168.100.13",
    "192.168.100.14",
    "192.168.101.13",
    "[2001:db8:85a3:8d3:1319:8a2e:370:7348]",
    "[2001:db8:85a3:8d3:1319:8a2e:371:7348]",
)


@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_shortened_name_fits_at_every_width(ascii_only: bool) -> None:
    names = [
        "2001:db8:85a3:8d3:1319:8a2e:370:7348",
        "[2001:db8:85a3:8d3:1319:8a2e:370:7348]:50443",
        "192.168.100.200:50443",
        "payments-primary.eu-west-1.example.com",
        "日本語のとても長い名前です",
    ]
    for name in names:
        for width in range(1, 50):
            shown = shorten(name, width, ascii_only)
            assert display_width(shown) <= width
            assert width < display_width(name) or shown == name


def test_a_shortened_name_keeps_what_tells_it_apart() -> None:
    assert shorten("2001:db8:85a3:8d3:1319:8a2e:370:7348", 20) == "2001:db8:8…:370:7348"
    assert shorten("payments.eu-west-1.example.com:5432", 20) == "payments.eu-we…:5432"
    assert shorten("[2001:db8:85a3:8d3:1319:8a2e:370:7348]:443", 16).endswith("48]:443")
    assert shorten("192.168.100.13:16379", 18) == "192…8.100.13:16379"


def test_names_that_would_look_alike_keep_where_they_differ() -> None:
    names = [
        *(f"{host}:{port}" for host in ADDRESSES for port in (443, 16379)),
        *(f"web-frontend-eu-{n}.prod.example.com{port}" for n in (1, 2) for port in ("", ":443")),
    ]
    for width in range(18, 45):
        shown = distinct(names, width)
        assert shown.keys() == {name for name in names if len(name) > width}
        assert all(display_width(text) <= width for text in shown.values())
        assert len(set(shown.values())) == len(shown), width
        assert all(text.endswith(name[name.rfind(":") :]) for name, text in shown.items()
                   if name.endswith(("443", "16379")))  # fmt: skip

    assert distinct(["payments.example.com"], 9, ascii_only=True) == {
        "payments.example.com": "payments~"
    }


@pytest.mark.parametrize("ascii_only", [False, True])
@settings(max_examples=200, deadline=None)
@given(
    names=st.lists(st.text("ab1:.日[]", min_size=1, max_size=30), min_size=1, max_size=6),
    width=st.integers(1, 30),
)
def test_distinct_names_fit_whatever_they_are(
    names: list[str], width: int, ascii_only: bool
) -> None:
    for name, text in distinct(names, width, ascii_only).items():
        assert display_width(text) <= width < display_width(name)


def test_a_text_is_as_wide_as_its_characters_together() -> None:
    """Those that need no look at each: Latin letters, dashes, what frames and bars are made of."""
    for first, last in ((0, 0x3FF), (0x1100, 0x1110), (0x2000, 0x27FF), (0x4E00, 0x4E10)):
        for code in range(first, last):
            char = chr(code)
            wide = unicodedata.east_asian_width(char) in "WF"
            width = 0 if unicodedata.category(char) in ("Mn", "Me") else 1 + wide
            assert display_width(f"─{char}█…") == 3 + width, hex(code)


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1KiB"),
        (32_000, "31KiB"),
        (999 << 10, "999KiB"),
        (1000 << 10, "0.98MiB"),
        (1_234_567, "1.2MiB"),
        (64 << 20, "64MiB"),
        (3 << 29, "1.5GiB"),
    ],
)
def test_memory_is_told_in_the_units_in_which_it_is_asked_for(n_bytes: int, text: str) -> None:
    assert units.memory(n_bytes) == text
