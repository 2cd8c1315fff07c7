import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtop.filters.errors import FilterError
from trtop.filters.filter import parse_filter
from trtop.filters.linear_regex import LinearRegex
from trtop.filters.parser import MAX_CHARS, MAX_DEPTH, parse
from trtop.filters.spelling import VERDICTS, can_be_share, quantity
from trtop.filters.tree import (
    And,
    Column,
    Compare,
    Everything,
    Inside,
    Node,
    Not,
    Number,
    Or,
    Pattern,
    Port,
    Ratio,
    Text,
    VerdictIs,
    Whole,
    text_of,
)
from trtop_core.metrics import METRICS, SKETCHES

A, B, C = Text("a"), Text("b"), Text("c")
RST = Compare(Column("rst"), ">", Number(0))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", None),
        (" \t ", None),
        ("a", A),
        ("A", A),
        ("a b", And((A, B))),
        ("a and b", And((A, B))),
        ("a AND b c", And((A, B, C))),
        ("a && b & c", And((A, B, C))),
        ("a or b", Or((A, B))),
        ("a || b|c", Or((A, B, C))),
        ("a or b c", Or((A, And((B, C))))),
        ("a b or c", Or((And((A, B)), C))),
        ("(a or b) c", And((Or((A, B)), C))),
        ("(a or b)c", And((Or((A, B)), C))),
        ("a (b c)", And((A, B, C))),
        ("((a))", A),
        ("not a b", And((Not(A), B))),
        ("!a !b", And((Not(A), Not(B)))),
        ("not (a or b)", Not(Or((A, B)))),
        ("not not a", Not(Not(A))),
        ("! a", Not(A)),
        ('"and"', Text("and")),
        ("'or' or 'not'", Or((Text("or"), Text("not")))),
        (r'"a \"b\" \\"', Text('a "b" \\')),
        ("android", Text("android")),
        ("notes", Text("notes")),
        ("portal", Text("portal")),
        ("network", Text("network")),
        ("rtt", Text("rtt")),
        ("evil.example~", Text("evil.example~")),
        ("rst>0", RST),
        ("rst > 0", RST),
        ("0<rst", RST),
        ("!rst>0", Not(RST)),
        ("a rst>0 b", And((A, RST, B))),
        ("rst==0", Compare(Column("rst"), "=", Number(0))),
        ("rst>1,000.5", Compare(Column("rst"), ">", Number(1000.5))),
        ("rtt>1.5MS", Compare(Column("response_time"), ">", Number(1.5, "ms"))),
        ("rtt>3us", Compare(Column("response_time"), ">", Number(3, "µs"))),
        ("rtt>3µs", Compare(Column("response_time"), ">", Number(3, "µs"))),
        ("rtt>3 s", Compare(Column("response_time"), ">", Number(3, "s"))),
        ("rtt>3s s", And((Compare(Column("response_time"), ">", Number(3, "s")), Text("s")))),
        ("p99.9(Rtt)>=1s", Compare(Column("response_time", "p99.9"), ">=", Number(1, "s"))),
        ("P50(last byte)<1s", Compare(Column("response_duration", "p50"), "<", Number(1, "s"))),
        ("avg(lat)<1s", Compare(Column("connect_latency", "mean"), "<", Number(1, "s"))),
        (
            "server/rtt>0.8",
            Compare(Ratio(Column("server_time"), Column("response_time")), ">", Number(0.8)),
        ),
        (
            "p50(server) / p99(rtt) > 80%",
            Compare(
                Ratio(Column("server_time", "p50"), Column("response_time", "p99")),
                ">",
                Number(80, "%"),
            ),
        ),
        ("rtt>net", Compare(Column("response_time"), ">", Column("path_rtt"))),
        (
            "p99(rtt)>p50(rtt)",
            Compare(Column("response_time", "p99"), ">", Column("response_time", "p50")),
        ),
        (
            '"Bytes In"<"Bytes Out" a',
            And((Compare(Column("bytes_in"), "<", Column("bytes_out")), A)),
        ),
        ("in<out", Compare(Column("responses"), "<", Column("requests"))),
        ("TLS Fail>0", Compare(Column("tls_failed"), ">", Number(0))),
        ("tls  fail > 0", Compare(Column("tls_failed"), ">", Number(0))),
        ("Syn RTT>1ms", Compare(Column("syn_rtt"), ">", Number(1, "ms"))),
        ("a TLS Fail>0", And((A, Compare(Column("tls_failed"), ">", Number(0))))),
        ("tls and fail", And((Text("tls"), Text("fail")))),
        ("~a.*b", Pattern("a.*b")),
        ("(~(a|b)c)", Pattern("(a|b)c")),
        ("(a or ~b)", Or((A, Pattern("b")))),
        ("~[)] a", And((Pattern("[)]"), A))),
        (r"~a\) b", And((Pattern(r"a\)"), B))),
        ('~"a b"', Pattern("a b")),
        ("name:~x", Pattern("x", of_name=True)),
        ("name:x", Text("x", of_name=True)),
        ("name: x", Text("x", of_name=True)),
        ("name:X*", Whole("x*", True, of_name=True)),
        ("name=x", Whole("x", False, of_name=True)),
        ("host a-b", Whole("a-b", False)),
        ("host *.b", Whole("*.b", True)),
        ("host 2001:DB8:0::1", Whole("2001:db8::1", False)),
        ("host a:80", And((Whole("a", False), Port("=", 80)))),
        ("*.b", Whole("*.b", True)),
        ("192.0.2.1", Text("192.0.2.1")),
        ("192.0.2.1:80", And((Whole("192.0.2.1", False), Port("=", 80)))),
        ("2001:db8::1", Text("2001:db8::1")),
        ("[2001:db8::1]:80", And((Whole("2001:db8::1", False), Port("=", 80)))),
        ("web:80", And((Text("web"), Port("=", 80)))),
        ("10/8", Inside(ipaddress.ip_network("10.0.0.0/8"))),
        ("net 192.168/16", Inside(ipaddress.ip_network("192.168.0.0/16"))),
        ("net ::1", Inside(ipaddress.ip_network("::1/128"))),
        (":443", Port("=", 443)),
        ("port 443", Port("=", 443)),
        ("port  =  443", Port("=", 443)),
        ("port!=443", Not(Port("=", 443))),
        ("tcp port 443", And((Everything(), Port("=", 443)))),
        ("tcp and dst port 443", And((Everything(), Port("=", 443)))),
        ("verdict:slow", VerdictIs("slow")),
        ("verdict: SLOW server", VerdictIs("slow server")),
        ("verdict:slow-server", VerdictIs("slow server")),
        ("verdict:slow_s", VerdictIs("slow s")),
        ('verdict:"no reuse"', VerdictIs("no reuse")),
        ("verdict:slow a", And((VerdictIs("slow"), A))),
        ("verdict:slow and server", And((VerdictIs("slow"), Text("server")))),
        ("verdict!=ok", Not(VerdictIs("ok"))),
        ("verdict:!ok", Not(VerdictIs("ok"))),
        ("verdict:-", VerdictIs("-")),
    ],
)
def test_a_text_means_what_it_says(text: str, tree: Node | None) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("rtt>100", "'100' of what?", "100"),
        ("rtt>fast", "'fast' is no number", "fast"),
        ("rtt>", "a number is missing; such as response_time>100ms", ""),
        ("rtt>>5ms", "a number is missing", ">"),
        (">5", "'>' wants a column before it", ">"),
        ("bogus>5", "no column 'bogus'; nearest: ", "bogus"),
        ("rts>0", "no column 'rts'; nearest: rst, rtt, ", "rts"),
        ("a rts>0 b", "no column 'rts'", "rts"),
        ("5ms<rts", "no column 'rts'", "rts"),
        ("5ms<", "a column is missing", ""),
        ("p99(rts)>1s", "no column 'rts'", "rts"),
        ("p99(rst)>1", "'rst' has no percentiles", "p99(rst)"),
        ("p101(rtt)>1s", "no statistic 'p101'", "p101(rtt)"),
        ("median(rtt)>1s", "no statistic 'median'; there are p50", "median(rtt)"),
        ("server/bogus>1", "no column 'bogus'", "bogus"),
        ("bytes_in/rtt>1", "bytes cannot be divided by a time", "bytes_in/rtt"),
        ("rtt>rst", "a time is compared with a count", "rst"),
        ("10.0.0.0/33", "is no network", "10.0.0.0/33"),
        ("fe80::/200", "is no network", "fe80::/200"),
        ("net bogus", "'net' wants a network", "bogus"),
        (":70000", "'70000' is no port", ":70000"),
        (":0", "'0' is no port", ":0"),
        ("99999999", "is no port", "99999999"),
        ("port=x", "'x' is no port", "x"),
        ("port", "'port' wants a number", ""),
        ("port and a", "'and' is no port", "and"),
        ("bytes_in>5%", "it is no percentage", "5%"),
        ("rst>5ms", "it is a count", "5ms"),
        ("rst>5/s", "a count has no '/s'", "5/s"),
        ("Est(%)<90", "shows a count and a share; such as est>10, est<90%", "Est(%)<90"),
        ('"Rst(%)">5', "shows a count and a share", '"Rst(%)">5'),
        ("rtt>5%", "it is no percentage", "5%"),
        ("rtt>5k", "a time has no 'k'", "5k"),
        ("rst>5MB", "a count has no 'mb'", "5MB"),
        ("name", "'name' wants more", "name"),
        ("verdict", "'verdict' wants more", "verdict"),
        ("name:", "'name' wants a name behind it", ""),
        ("host", "'host' wants a host behind it", ""),
        ("verdict:fast", "no verdict begins with 'fast'; nearest: ", "fast"),
        ("verdict:slwo", "nearest: slow ", "slwo"),
        ("and", "'and' stands between two conditions", "and"),
        ("a and", "'and' wants a condition behind it", "and"),
        ("a or or b", "'or' stands between", "or"),
        ("or a", "'or' stands between", "or"),
        ("not", "'not' wants a condition behind it", "not"),
        ("(not)", "'not' wants a condition behind it", "not"),
        ("(a", "'(' has no ')'", "("),
        ("a)", "')' has no '('", ")"),
        ("()", "'()' holds nothing", "()"),
        ('"a', "is not closed", '"a'),
        ('""', "holds nothing", '""'),
        ("~", "is empty", "~"),
        ("~(a", "has a ( without a )", "~(a"),
        ("~a{1000}", "repeats more than", "~a{1000}"),
        (r"~(a)\1", "is not known here", r"~(a)\1"),
        ("a\x1b[2J", r"'\x1b' is no character", "\x1b"),
        ("x" * (MAX_CHARS + 1), "at most 500", "x"),
        ("(" * (MAX_DEPTH + 2) + "a", "within each other", None),
    ],
)
def test_a_bad_filter_is_told_in_one_line_with_its_place(
    text: str, message: str, place: str | None
) -> None:
    with pytest.raises(FilterError) as told:
        parse_filter(text)
    assert message in str(told.value)
    assert "\n" not in str(told.value)
    assert told.value.start <= len(text)
    if place is not None:
        assert text[told.value.start : told.value.end] == place


def _compiles(pattern: str) -> bool:
    try:
        LinearRegex(pattern)
    except ValueError:
        return False
    return True


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1).map(
    str.lower
)
WORDS = st.from_regex(r"[a-z0-9._*?\[\]-]{1,8}", fullmatch=True)
GLOBS = WORDS.filter(lambda text: re.search(r"[*?]", text) is not None)
PATTERNS = st.from_regex(r"[a-z.*+?|()\\ \[\]^$\"0-9-]{1,8}", fullmatch=True).filter(_compiles)
COLUMNS = st.sampled_from([metric.name for metric in METRICS]).map(Column) | st.builds(
    Column,
    st.sampled_from(SKETCHES),
    st.sampled_from(["p50", "p99.9", "min", "max", "mean", "count", "p100", "p0.1"]),
)
RATIOS = st.builds(Ratio, COLUMNS, COLUMNS).filter(lambda ratio: quantity(ratio) is not None)
VALUES = st.floats(0, 1e15, allow_nan=False) | st.integers(0, 10**6).map(float)
PORTS = st.builds(Port, st.sampled_from([">", "<", ">=", "<=", "="]), st.integers(1, 65535))
NETWORKS = st.ip_addresses().flatmap(
    lambda address: st.integers(0, address.max_prefixlen).map(
        lambda length: Inside(ipaddress.ip_network(f"{address}/{length}", strict=False))
    )
)


@st.composite
def conditions(draw: st.DrawFn) -> Compare:
    left = draw(COLUMNS | RATIOS)
    operator = draw(st.sampled_from([">", "<", ">=", "<=", "=", "!="]))
    of = quantity(left)
    assert of is not None
    if draw(st.booleans()) and can_be_share(left):
        return Compare(left, operator, Number(draw(VALUES), "%"))
    if draw(st.booleans()):
        others = (COLUMNS | RATIOS).filter(lambda other: quantity(other) is of)
        return Compare(left, operator, draw(others))
    units = {
        "TIME": ["ns", "µs", "ms", "s"], "BYTES": ["", "k", "mib", "b"], "RATE": ["", "/s", "k/s"],
        "BYTE_RATE": ["", "mb/s"], "SHARE": ["", "%"],
    }.get(of.name, ["", "k", "g"])  # fmt: skip
    return Compare(left, operator, Number(draw(VALUES), draw(st.sampled_from(units))))


LEAVES = st.one_of(
    st.just(Everything()),
    st.builds(Text, NAMES, st.booleans()),
    st.builds(Whole, WORDS, st.just(value=False), st.booleans()).filter(
        lambda whole: not re.search(r"[:\[\]]", whole.pattern)
    ),
    st.builds(Whole, GLOBS, st.just(value=True), st.booleans()),
    st.builds(Pattern, PATTERNS, st.booleans()),
    NETWORKS,
    PORTS,
    st.sampled_from(VERDICTS).flatmap(
        lambda word: st.integers(1, len(word)).map(lambda n: VerdictIs(word[:n].strip()))
    ),
    conditions(),
)


def _joined(kind: type[And] | type[Or], nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    parts = nodes.filter(lambda node: not isinstance(node, kind))
    return st.lists(parts, min_size=2, max_size=3).map(lambda found: kind(tuple(found)))


TREES: st.SearchStrategy[Node] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(_joined(And, inner), _joined(Or, inner), st.builds(Not, inner)),
    max_leaves=6,
)


@given(TREES)
def test_a_tree_printed_and_parsed_is_the_same_tree(tree: Node) -> None:
    text = text_of(tree)
    if len(text) <= MAX_CHARS:
        assert parse(text) == tree


@given(
    st.text(max_size=40)
    | st.text("()!~<>=\"':/%&|*[]{}\\. andort159msp", max_size=40)
    | st.lists(
        st.sampled_from(
            ["and", "or", "not", "(", ")", "rtt", "TLS Fail", ">", "<", "=", "!", "100ms", "5%",
             "p99(", "/", "port", "net", "host", "name:", "verdict:", "slow", "~", "a*", '"', "80"]
        ),
        max_size=12,
    ).map(" ".join)
)  # fmt: skip
def test_any_text_is_a_tree_or_a_line(text: str) -> None:
    told: FilterError | None = None
    tree = None
    try:
        tree = parse(text)
    except FilterError as error:
        told = error
    if told is not None:
        assert str(told)
        assert "\n" not in str(told)
        assert 0 <= told.start < told.end
    if tree is not None:
        printed = text_of(tree)
        if len(printed) <= MAX_CHARS:
            assert parse(printed) == tree
