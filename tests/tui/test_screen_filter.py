import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders.snapshot import MS, destination, other, table

from trtop.tui.filters import MAX_FILTER_CHARS, Rows, parse_filter
from trtop_core.records import NS_PER_S
from trtop_core.table import destination_names

ROWS = [
    destination("10.0.0.1", 443, syn=100, est=89, synack=90, rst=10, midstream=10,
                response_time=[MS * i for i in range(1, 101)], acked_bytes=1000, gap_bytes=1),
    destination("10.0.0.2", 80, syn=7, est=7, bytes_in=20_000_000, reuse=[5], active=3),
    destination("10.1.0.1", 443, midstream=3, rst=1, response_time=[200 * MS]),
    destination("2001:db8::7", 443, syn=23, est=23, acked_bytes=10),
    other(syn=1),
]  # fmt: skip

NAMES = ["db-7.internal", "cache", "web", "web-v6", "(other)"]


def shown(text: str, percentile: float = 95, span_ns: int = 10 * NS_PER_S) -> str:
    """Which rows pass: their numbers."""
    made = table(ROWS)
    addresses = destination_names(made.keys)
    names = [f"{name} {address}" for name, address in zip(NAMES, addresses, strict=True)]
    chosen = parse_filter(text)
    if chosen is None:
        return "01234"
    mask = chosen.mask(Rows(made, lambda: names, span_ns, percentile))
    return "".join(str(i) for i in range(len(ROWS)) if mask[i])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", "01234"),
        ("   ", "01234"),
        # names and addresses
        ("db-7", "0"),
        ("DB-7", "0"),
        ("web", "23"),
        ("10.0.0", "01"),
        ("10.0.0.1", "0"),
        ("10.0.0.1/32", "0"),
        ("10.0.0.0/8", "012"),
        ("10.0.0.9/24", "01"),
        ("0.0.0.0/0", "012"),
        ("2001:db8::/32", "3"),
        ("2001:db8::7", "3"),
        ("::/0", "0123"),
        ("other", "4"),
        # ports
        (":443", "023"),
        ("443", "023"),
        ("port=80", "1"),
        ("port!=443", "14"),
        ("port = 80", "1"),
        # counts
        ("rst>0", "02"),
        ("rst >0", "02"),
        ("rst > 0", "02"),
        ("rst>=10", "0"),
        ("rst=1", "2"),
        ("rst==1", "2"),
        ("rst!=0", "02"),
        ("syn<8", "124"),
        ("syn<=7", "124"),
        ("bytes_in>19.9M", "1"),
        ("bytes_in>20M", ""),
        ("active>2", "1"),
        ("qos>=5", "1"),
        # shares: of syn, and of syn + midstream
        ("est<90%", "04"),
        ("est<=89%", "04"),
        ("est<89%", "4"),
        ("synack<90%", "134"),
        ("rst>9%", "02"),
        ("rst>9.09%", "02"),
        ("rst>9.1%", "2"),
        ("completeness<99.95%", "0"),
        ("completeness<99.95", "0"),
        # latencies, at the percentile shown
        ("rtt>94ms", "02"),
        ("rtt>100ms", "2"),
        ("rtt<100ms", "0"),
        ("rtt>0.1s", "2"),
        ("rtt>100000us", "2"),
        ("response_time>100ms", "2"),
        # rates
        ("syn_rate>2", "03"),
        ("est_rate>2.2/s", "03"),
        # together, and not
        ("10.0.0.0/8 rst>0", "02"),
        ("10.0.0.0/8 rst>0 :443 rtt<100ms", "0"),
        ("!10.0.0.0/8", "34"),
        ("!rst>0", "134"),
        ("!rtt>100ms", "0134"),
        ("!web", "014"),
        ("nothing-like-it", ""),
    ],
)
def test_a_filter_shows_what_it_says(text: str, rows: str) -> None:
    assert shown(text) == rows


def test_latencies_are_compared_at_the_percentile_shown() -> None:
    assert shown("rtt<52ms", percentile=50) == "0"
    assert shown("rtt<52ms", percentile=99) == ""


def test_a_rate_without_time_compares_with_nothing() -> None:
    assert shown("syn_rate>=0", span_ns=0) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rtt>100", "of what.*100ms"),
        ("rtt>fast", "no number"),
        ("rtt>", "no condition"),
        (">5", "no condition"),
        ("rtt>>5ms", "no number|no condition"),
        ("bogus>5", "no column 'bogus'"),
        ("rts>0", "did you mean .*rst"),
        ("10.0.0.0/33", "no network"),
        ("fe80::/200", "no network"),
        (":70000", "no port"),
        ("99999999", "no port"),
        ("port=x", "no port"),
        ("bytes_in>5%", "no percentage"),
        ("rst>5ms", "no number"),
        ("rst>5/s", "no number"),
        ("host=x", "part of their name"),
        ("x" * (MAX_FILTER_CHARS + 1), "at most"),
    ],
)
def test_a_bad_filter_is_told_in_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as told:
        parse_filter(text)
    assert "\n" not in str(told.value)


def test_a_filter_knows_whether_it_needs_ports() -> None:
    for text, needs in ((":443", True), ("!:443", True), ("port=1", True), ("rst>0 x", False)):
        chosen = parse_filter(text)
        assert chosen is not None
        assert chosen.needs_ports is needs


@given(st.text(max_size=40) | st.from_regex(r"[a-z_]{1,8}[<>=!]{1,2}[0-9.]{1,6}[a-z%/]{0,3}"))
def test_any_text_is_a_filter_or_a_message(text: str) -> None:
    message = "none"
    try:
        shown(text)
    except ValueError as error:
        message = str(error)
    assert message
