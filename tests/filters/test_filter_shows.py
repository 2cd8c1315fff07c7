import pytest
from support.builders.snapshot import MS, destination, other, table

from trtop.filters.filter import parse_filter
from trtop.filters.rows import Rows
from trtop_core.records import NS_PER_S

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
    names = [f"{name}:{row.port}" if row.port else name
             for name, row in zip(NAMES, ROWS, strict=True)]  # fmt: skip
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
        ("::/0", "3"),
        ("other", "4"),
        ("0.0.1", "0"),
        ("0.1", "02"),
        ("*.internal", "0"),
        ("web*", "23"),
        ("*web", "2"),
        ("we?", "2"),
        ("[cw]*", "123"),
        ("10.0.*", "01"),
        ("~^(db|web)-", "03"),
        ("~0\\.[12]$", "012"),
        ("~'^WEB'", "23"),
        ("name:web", "23"),
        ("name:web*", "23"),
        ("name:10.0", ""),
        ("name:~^.{3}$", "2"),
        ("name=web", "2"),
        ("name!=web", "0134"),
        ("host web", "2"),
        ("host 10.0.0.1", "0"),
        ("host 2001:DB8:0::7", "3"),
        ("host=10.0.0.1", "0"),
        ("net 10/8", "012"),
        ("10.0/16", "01"),
        ("dst net 10/8", "012"),
        ('"web"', "23"),
        ('"we*"', ""),
        ("'db-7'", "0"),
        # ports
        ("port 443", "023"),
        ("tcp port 443", "023"),
        ("dst port 443", "023"),
        ("tcp", "01234"),
        ("port>80", "023"),
        ("not port 443", "14"),
        ("10.0.0.1:443", "0"),
        ("10.0.0.1:80", ""),
        ("[2001:db8::7]:443", "3"),
        ("web:443", "23"),
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
        # other percentiles, statistics, ratios, two columns
        ("p50(rtt)<52ms", "0"),
        ("p99(rtt)>100ms", "2"),
        ("max(rtt)=100ms", "0"),
        ("min(rtt)=1ms", "0"),
        ("mean(rtt)=50.5ms", "0"),
        ("count(rtt)>1", "0"),
        ("count(rtt)>=0", "01234"),
        ("est/syn<0.9", "04"),
        ("est/syn<=89%", "04"),
        ("synack>est", "0"),
        ("rst<midstream", "2"),
        ("100ms<rtt", "2"),
        ("7>=syn", "124"),
        ("rtt>100 ms", "2"),
        ("syn>=100", "0"),
        ("bytes_in>=20MB", "1"),
        ("bytes_in>=19MiB", "1"),
        ("bytes_in>=20MiB", ""),
        ("bytes_in/syn>2M", "1"),
        # headings with blanks, as they are shown
        ("Bytes In>1M", "1"),
        ('"Bytes In">1M', "1"),
        ('"TLS Fail">0', ""),
        ("Est Rate>2", "03"),
        ("Est(%)<90%", "04"),
        ('"Syn/Ack(%)"<90%', "134"),
        ("Syn/Ack<90%", "134"),
        ("syn-rate>2", "03"),
        # verdicts
        ("verdict:ok", "02"),
        ("verdict:-", "4"),
        ("verdict=ok", "02"),
        ("verdict!=ok", "134"),
        ("verdict:cap", "13"),
        ("verdict:reset or verdict:capture", "13"),
        # together, and not
        ("10.0.0.0/8 and rst>0", "02"),
        ("10.0.0.0/8 && !rst>0", "1"),
        ("web or rst>0", "023"),
        ("web or rst>0 :443 web", "23"),
        ("(web or rst>0) syn>50", "0"),
        ("not (web or rst>0)", "14"),
        ("!!web", "23"),
        ("WEB OR NOT PORT 443", "1234"),
        ("cache | web & web-v6", "13"),
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


def test_a_filter_knows_whether_it_needs_ports() -> None:
    for text, needs in ((":443", True), ("!:443", True), ("port=1", True), ("rst>0 x", False)):
        chosen = parse_filter(text)
        assert chosen is not None
        assert chosen.needs_ports is needs
