from ipaddress import ip_network

import pytest

from trtop.metrics.columns import COLUMNS
from trtop.options.parser import Color
from trtop.options.report_options import parse
from trtop.reporters.formats import Format
from trtop_core.argument_parser import UsageError
from trtop_core.metric_types import Side, Thresholds
from trtop_core.metrics import SORTABLE
from trtop_core.records import NS_PER_S, Direction, GroupBy, Window


def test_without_options_a_file_is_shown_as_a_table_of_everything() -> None:
    options = parse(["x.pcap"])
    assert options.inputs == ("x.pcap",)
    assert options.report_format is Format.TABLE
    assert options.color is Color.AUTO
    assert options.view.window is Window.ALL
    assert (options.view.sort, options.view.descending) == ("verdict", True)
    assert options.engine.direction is Direction.OUT
    assert options.engine.windows == ()
    assert options.interval_s is None


def test_files_can_be_given_with_and_without_an_option() -> None:
    assert parse(["-i", "a", "--input", "b", "c", "-"]).inputs == ("a", "b", "c", "-")
    assert parse(["--", "--odd-name"]).inputs == ("--odd-name",)


def test_local_networks_do_not_swallow_the_files() -> None:
    options = parse(["--local", "10.0.0.0/8,fe80::/10", "--local", "192.0.2.7", "x.pcap"])
    assert options.inputs == ("x.pcap",)
    assert options.engine.local == (
        ip_network("10.0.0.0/8"),
        ip_network("fe80::/10"),
        ip_network("192.0.2.7/32"),
    )
    assert parse(["--local=2001:db8::1", "x"]).engine.local == (ip_network("2001:db8::1/128"),)
    assert parse(["--local", "10.1.2.3/8", "x"]).engine.local == (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("text", "window"),
    [("10", 10), ("10s", 10), ("60", 60), ("1min", 60), ("5min", 300), ("300", 300), ("ALL", 0)],
)
def test_a_window_is_shown_and_kept(text: str, window: int) -> None:
    options = parse(["--window", text, "x"])
    assert options.view.window == window
    assert options.engine.windows == ((Window(window),) if window else ())


def test_what_makes_a_row_is_what_the_engine_keeps() -> None:
    options = parse(["--group-by", "addr,port", "x"])
    assert options.view.group_by is options.engine.group_by is GroupBy.ADDR_PORT


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Syn/Ack", "synack"), ("lat", "connect_latency"), ("RTT", "response_time"),
        ("qos", "reuse"), ("err", "capture_gaps"), ("out", "requests"), ("in", "responses"),
        ("est rate", "est_rate"), ("Syn", "syn"), ("fin-out", "fin_out"), ("Fin_I", "fin_in"),
        ("refused", "refused"), ("srv", "server_time"), ("name", "destination"),
        ("net", "path_rtt"), ("verdict", "verdict"), ("net-rtt", "net_rtt"),
        ("bytes_in", "bytes_in"),
    ],
)  # fmt: skip
def test_columns_have_the_names_that_users_know(text: str, key: str) -> None:
    assert parse(["--sort", text, "x"]).view.sort == key


def test_every_field_name_can_be_sorted_by() -> None:
    for key in SORTABLE:
        assert parse(["--sort", key, "x"]).view.sort == key


def test_names_and_completeness_sort_the_other_way_round() -> None:
    assert not parse(["--sort", "name", "x"]).view.descending
    assert not parse(["--sort", "completeness", "x"]).view.descending
    assert parse(["--sort", "name", "--reverse", "x"]).view.descending
    assert not parse(["--sort", "rst", "--reverse", "x"]).view.descending


def test_the_other_options_reach_their_place() -> None:
    line = (
        "--format ndjson --bins --direction both --percentile p99.9 --limit 0 --idle-timeout 1.5s "
        "--max-connections 1,000 --no-decap --follow --interval 2 -o /tmp/x --color never "
        "--width 100 --no-progress --high lat=50ms,qos=10 --high rst=5% -"
    )
    options = parse(line.split())
    assert (options.report_format, options.with_bins) == (Format.NDJSON, True)
    assert options.engine.direction is Direction.BOTH
    assert (options.view.percentile, options.view.limit) == (99.9, 0)
    assert options.engine.idle_timeout_ns == 1.5 * NS_PER_S
    assert options.engine.max_connections == 1000
    assert not options.engine.decap
    assert (options.follow, options.interval_s, options.out_prefix) == (True, 2.0, "/tmp/x")
    assert (options.color, options.width) == (Color.NEVER, 100)
    assert not options.with_progress
    assert options.thresholds == {
        "connect_latency": Thresholds(Side.ABOVE, None, 50_000_000),
        "reuse": Thresholds(Side.BELOW, None, 10),
        "rst": Thresholds(Side.ABOVE, None, 5, is_share=True),
    }


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("", "no capture given"),
        ("--sort retrans x", "did you mean"),
        ("--sort zzzzz x", "did you mean "),
        ("--window 7 x", "there are 10s, 60s, 5min and all"),
        ("--percentile 0 x", "no percentile"),
        ("--percentile nan x", "no percentile"),
        ("--percentile 101 x", "no percentile"),
        ("--local 10.0.0.0/33 x", "no address or CIDR"),
        ("--local x.pcap", "no address or CIDR"),
        ("--local", "expected one argument"),
        ("--limit -1 x", "no whole number"),
        ("--limit 1e3 x", "no whole number"),
        ("--max-connections 0 x", "max_connections is within"),
        ("--max-connections 99999999999 x", "max_connections is within"),
        ("--interval 0 x", "seconds above 0"),
        ("--interval inf x", "seconds above 0"),
        ("--idle-timeout -5 x", "seconds above 0"),
        ("--format html --interval 1 x", "leave out --interval"),
        ("--format xml x", "none of: table | json | ndjson | csv | html"),
        ("--direction up x", "none of: out | in | both"),
        ("--group-by port x", "none of: addr | addr,port"),
        ("--color red x", "none of: auto"),
        ("--width 5 x", "at least 20"),
        ("--bins x", "--bins goes with"),
        ("--high host=4 x", "no column of numbers"),
        ("--high server=4 x", "no threshold (such as 20ms)"),
        ("--limit 99999999999999999999 x", "18 digits at most"),
        ("--high lat=4 x", "no threshold (such as 20ms)"),
        ("--high qos=4ms x", "no threshold (such as 10)"),
        ("--frobnicate x", "unrecognized arguments: --frobnicate"),
        ("- -", "only once"),
    ],
)
def test_a_wrong_option_is_told_in_one_line_that_helps(argv: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(argv.split())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 1


def test_any_column_can_be_told_when_to_stand_out() -> None:
    given = parse(["--high", "server=2s,timeouts=0,complete=99.9%", "x"]).thresholds
    assert given == {
        "server_time": Thresholds(Side.ABOVE, None, 2_000_000_000),
        "timeouts": Thresholds(Side.ABOVE, None, 0),
        "completeness": Thresholds(Side.BELOW, None, 99.9),
    }


def test_a_column_can_have_two_grades_and_a_share_may_be_told() -> None:
    given = parse(["--high", "rst=1/10,refused=1%/5%,retr_o=3,lat=20ms/80ms", "x"]).thresholds
    assert given == {
        "rst": Thresholds(Side.ABOVE, 1, 10, is_share=True),
        "refused": Thresholds(Side.ABOVE, 1, 5, is_share=True),
        "retrans_out": Thresholds(Side.ABOVE, None, 3),
        "connect_latency": Thresholds(Side.ABOVE, 20_000_000, 80_000_000),
    }
    with pytest.raises(UsageError, match="more than two grades"):
        parse(["--high", "rst=1/2/3", "x"])


def test_classic_thresholds_are_those_of_2016_and_no_others() -> None:
    given = parse(["--high", "classic,lat=1s", "x"]).thresholds
    assert set(given) == {column.key for column in COLUMNS}
    stand_out = {key for key, limits in given.items() if limits.high is not None}
    assert stand_out == {
        "synack", "est", "rst", "connect_latency", "response_time", "capture_gaps", "reuse",
    }  # fmt: skip
    assert given["connect_latency"].high == NS_PER_S
    assert given["response_time"] == Thresholds(Side.ABOVE, None, 100_000_000)


def test_a_column_like_no_other_is_answered_with_three_not_with_all() -> None:
    with pytest.raises(UsageError) as raised:
        parse(["--sort", "zzzzz", "x"])
    assert str(raised.value).count(" or ") == 2
    assert len(str(raised.value)) < 120


def test_a_format_and_a_reporter_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="--format goes without --reporter"):
        parse(["--format", "json", "-rm", "curses", "x"])
    assert parse(["-rm", "curses", "x"]).parts.reporter == "curses"


@pytest.mark.parametrize(
    ("argument", "meant"),
    [
        ("--form", "--format"),
        ("--percentil", "--percentile"),
        ("--limits=5", "--limit"),
        ("--colour", "--color"),
        ("--group_by", "--group-by"),
    ],
)
def test_an_unknown_option_is_answered_with_the_one_that_was_meant(
    argument: str, meant: str
) -> None:
    with pytest.raises(UsageError) as refused:
        parse([argument, "x.pcap"])
    said = f"unrecognized arguments: {argument}; did you mean {meant}? (see trtop --help)"
    assert str(refused.value) == said


def test_what_is_like_no_option_is_answered_plainly() -> None:
    for argument in ("--zzzz", "-Q"):
        with pytest.raises(UsageError, match=f"^unrecognized arguments: {argument} "):
            parse([argument, "x.pcap"])
