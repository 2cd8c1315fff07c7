"""``--filter`` and ``--fail-on`` of the real command, in every format."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.builders.savefile import write_pcap
from support.paths import EXAMPLE
from support.terminals import environment

import trtop as api
from trtop.options.attach_options import parse as parse_attach
from trtop.options.old_spellings import (
    CAPTURE_SAID,
    FOLLOW_SAID,
    respell_capture_filter,
    respell_follow,
)
from trtop.options.report_options import parse
from trtop_core.argument_parser import UsageError
from trtop_core.records import NS_PER_S, GroupBy
from trtop_daemon.config.arguments import parse as parse_daemon

TIMEOUT_S = 60
ALL = 10


def trtop(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trtop", *map(str, args)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=TIMEOUT_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def listed(report_format: str, text: str) -> list[str]:
    """The rows of a report."""
    if report_format == "json":
        return [row["destination"] for row in json.loads(text)["destinations"]]
    if report_format == "ndjson":
        lines = [json.loads(line) for line in text.splitlines()]
        return [line["destination"] for line in lines if line["type"] == "destination"]
    if report_format == "csv":
        return [row["destination"] for row in csv.DictReader(io.StringIO(text))]
    return [line.split()[0] for line in text.splitlines() if line.startswith((" 192.", " 2001:"))]


@pytest.mark.parametrize("report_format", ["table", "json", "ndjson", "csv"])
@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("rtt>100ms", ["192.0.2.16", "192.0.2.17", "192.0.2.12", "2001:db8::11"]),
        ("verdict:slow or verdict:refused", ["192.0.2.13", "192.0.2.16", "192.0.2.12"]),
        (
            "!verdict:ok not (rst>5% or 192.0.2.1[34] or db8)",
            [f"192.0.2.{i}" for i in (19, 18, 16, 17, 12, 15)],
        ),
        ("2001:db8::/32", ["2001:db8::11"]),
        ("port 443 syn>3", ["192.0.2.17:443", "192.0.2.15:443"]),
    ],
)
def test_every_format_shows_the_rows_of_the_filter(
    report_format: str, text: str, rows: list[str]
) -> None:
    done = trtop(EXAMPLE, "--format", report_format, "-f", text)
    assert (done.returncode, done.stderr) == (0, "")
    assert listed(report_format, done.stdout) == rows


def test_a_filter_leaves_the_totals_and_says_how_many_rows_there_are() -> None:
    plain = json.loads(trtop(EXAMPLE, "--format", "json").stdout)
    found = json.loads(trtop(EXAMPLE, "--format", "json", "--filter", "rst>0").stdout)
    assert found["totals"] == plain["totals"]
    assert (found["n_destinations"], found["n_unfiltered"], found["filter"]) == (2, ALL, "rst>0")
    assert "filter" not in plain
    limited = json.loads(trtop(EXAMPLE, "--format=json", "-f", "syn>2", "--limit=1").stdout)
    assert (limited["n_destinations"], len(limited["destinations"])) == (8, 1)
    table = trtop(EXAMPLE, "--format", "table", "--filter", "rst>0").stdout
    assert " total of all " in table
    assert " filter rst>0: 2 of 10 rows\n" in table


def test_what_no_row_has_is_said_and_is_no_silent_emptiness() -> None:
    said = "trtop: --filter: no name or address contains 'foo' (10 rows without it)\n"
    for report_format in ("json", "ndjson", "csv"):
        done = trtop(EXAMPLE, "--format", report_format, "--filter", "foo")
        assert (done.returncode, done.stderr) == (0, said)
    assert trtop(EXAMPLE, "--format", "csv", "--filter", "foo or rst>0").stderr == said
    assert trtop(EXAMPLE, "--format", "csv", "--filter", "rst>999").stderr == (
        "trtop: --filter: no row matches 'rst>999' (10 rows without it)\n"
    )
    table = trtop(EXAMPLE, "--format", "table", "--filter", "foo")
    assert table.stderr == ""
    assert " filter foo: 0 of 10 rows\n no name or address contains 'foo'\n" in table.stdout
    explained = trtop("explain", "--filter", "foo", EXAMPLE)
    assert explained.stdout == "no destination matches the filter (of 10)\n"
    assert explained.stderr == said


def test_a_filter_that_is_not_understood_is_one_line() -> None:
    for command in ([], ["live"], ["attach", "--once"], ["explain"]):
        done = trtop(*command, "--filter", "rts>0", *([EXAMPLE] if command != ["live"] else []))
        assert (done.returncode, done.stdout) == (1, "")
        assert "no column 'rts'; nearest: rst, rtt, tls" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("report_format", ["table", "json", "ndjson", "csv"])
def test_fail_on_ends_with_3_and_names_the_rows(report_format: str) -> None:
    show = ("--format", report_format, "--limit", "1")
    done = trtop(EXAMPLE, *show, "--fail-on", "rst>5%")
    assert done.returncode == 3
    first, second = done.stderr.splitlines()
    assert first.startswith("trtop: --fail-on rst>5%: 192.0.2.13: 13 of 13 attempts refused")
    assert second.startswith("trtop: --fail-on rst>5%: 192.0.2.14: 11 of 11 connections reset")
    assert done.stdout == trtop(EXAMPLE, *show).stdout  # the report is what it is without
    fine = trtop(EXAMPLE, *show, "--fail-on", "rst>5% and rtt>1s")
    assert (fine.returncode, fine.stderr) == (0, "")


def test_fail_on_looks_at_the_rows_of_the_filter_and_by_port_where_it_asks_for_one() -> None:
    show = ("--format", "csv")
    assert trtop(EXAMPLE, *show, "-f", "verdict:ok", "--fail-on", "rst>5%").returncode == 0
    assert trtop(EXAMPLE, *show, "-f", "192.0.2.14", "--fail-on", "rst>5%").returncode == 3
    by_port = trtop(EXAMPLE, *show, "--fail-on", "port 80 rst>5%")
    assert by_port.returncode == 3
    assert "192.0.2.13:80: 13 of 13" in by_port.stderr
    assert trtop("explain", "--fail-on", "rst>5%", EXAMPLE).returncode == 3
    unknown = trtop(EXAMPLE, *show, "--fail-on", "foo")
    assert unknown.returncode == 0
    assert unknown.stderr == "trtop: --fail-on foo: no name or address contains 'foo'\n"
    for word, meant in (("refused", "a column: refused>"), ("silent", "verdict:silent")):
        mistaken = trtop(EXAMPLE, *show, "--fail-on", f"{word} port 80")
        assert mistaken.returncode == 1
        assert meant in mistaken.stderr
    assert trtop(EXAMPLE, *show, "--fail-on", "not refused port 80").returncode == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rtt>8ms and 192.0.2.11", "response_time 8.81ms; its verdict is ok"),
        ("est>99% 192.0.2.11", "est 7 (100%); its verdict is ok"),
        ("server/rtt>0.1 192.0.2.11", "its verdict is ok"),
        ("rtt>net 192.0.2.11", "response_time 8.81ms, path_rtt "),
        ("192.0.2.11", "matches; its verdict is ok"),
        ("est_rate>0 192.0.2.11", "est_rate 0.33; its verdict is ok"),
    ],
)
def test_a_row_with_which_nothing_else_is_wrong_says_why_it_is_named(text: str, said: str) -> None:
    done = trtop(EXAMPLE, "--format", "csv", "--fail-on", text)
    assert done.returncode == 3
    assert said in done.stderr.removeprefix(f"trtop: --fail-on {text}: ")
    assert ": ok\n" not in done.stderr


def test_many_rows_are_counted_rather_than_named(tmp_path: Path) -> None:
    done = trtop(EXAMPLE, "--format", "csv", "--fail-on", "tcp")
    assert done.stderr.count("\n") == ALL
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(Path(EXAMPLE).read_bytes()[:-7])
    damaged = trtop(cut, "--format", "csv", "--fail-on", "rst>5%")
    assert damaged.returncode == 3
    assert "cut.pcap" in damaged.stderr


def test_a_check_of_nothing_does_not_pass(tmp_path: Path) -> None:
    """What CI runs on a capture that was never written to must not be green."""
    empty, other = tmp_path / "empty.pcap", tmp_path / "other.pcap"
    empty.write_bytes(write_pcap([]))
    other.write_bytes(write_pcap([(NS_PER_S, bytes(60))]))
    nothing = "trtop: --fail-on rst>5%: nothing was checked: no packet was seen\n"
    for command in ((), ("explain",), ("batch",)):
        show = () if command == ("explain",) else ("--format", "csv")
        done = trtop(*command, str(empty), *show, "--fail-on", "rst>5%")
        assert (done.returncode, done.stderr) == (1, nothing)
    done = trtop(str(other), "--format", "csv", "--fail-on", "rst>5%")
    assert done.returncode == 0
    assert done.stderr == "trtop: --fail-on rst>5%: no row was checked: no connection in 1 packet\n"


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_check_is_refused(text: str) -> None:
    done = trtop(EXAMPLE, "--format", "csv", "--fail-on", text)
    assert (done.returncode, done.stdout) == (1, "")
    assert "argument --fail-on: the filter is empty" in done.stderr
    assert done.stderr.count("\n") == 1


def test_fail_on_goes_with_what_ends() -> None:
    with pytest.raises(UsageError, match="--once"):
        parse_attach(["--fail-on", "rst>0"])
    assert parse_attach(["--once", "--fail-on", ":80"]).view.group_by is GroupBy.ADDR_PORT
    with pytest.raises(UsageError, match="parts of your own"):
        parse(["--fail-on", "rst>0", "-if", "eth0"])


def test_names_are_asked_for_and_filtered_by(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.15 web.example\n192.0.2.16 web.example\n")
    names = ("--names", f"hosts:{hosts}", "--format", "csv")
    by_name = trtop(EXAMPLE, *names, "--filter", "name:web*")
    assert listed("csv", by_name.stdout) == ["web.example"]
    # A row of two addresses is found by each of them.
    for text in ("host 192.0.2.15", "net 192.0.2.16/32", "192.0.2.16"):
        done = trtop(EXAMPLE, *names, "--filter", text)
        assert listed("csv", done.stdout) == ["web.example"], text


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["-f", "x.pcap"], ["--follow", "x.pcap"]),
        (["-f", "-", "--format", "json"], ["--follow", "-", "--format", "json"]),
        (["x.pcap", "-f"], ["x.pcap", "--follow"]),
        (["-f", "there"], ["--follow", "there"]),
        (["-f", "later.pcap.gz"], ["--follow", "later.pcap.gz"]),
        (["-f", "rst>0", "there"], None),
        (["-f", "there", "there"], None),
        (["-f", "db-7", "x.pcap"], None),
        (["--", "-f", "x.pcap"], None),
        (["-F", "x.pcap"], None),
    ],
)
def test_the_old_letter_follows_where_that_is_clear(
    argv: list[str], expected: list[str] | None
) -> None:
    found = respell_follow(argv, lambda path: path == "there")
    assert found == ((argv, []) if expected is None else (expected, [FOLLOW_SAID]))


def test_options_know_the_new_letters() -> None:
    options = parse(["-f", "rst>0 :80", "-F", "x.pcap"])
    assert options.follow
    assert options.filter is not None
    assert options.filter.text == "rst>0 :80"
    assert options.wants_screen
    old = parse(["-f", "x.pcap"])
    assert (old.follow, old.filter, old.notes) == (True, None, (FOLLOW_SAID,))
    assert not parse(["--fail-on", "rst>0", "x.pcap"]).wants_screen
    assert parse(["--filter", " ", "x.pcap"]).filter is None


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["-f", "src port 80"], ["--bpf-filter", "src port 80"]),
        (["--filter=tcp[13] & 2 != 0"], ["--bpf-filter=tcp[13] & 2 != 0"]),
        (["-f", "vlan and tcp"], ["--bpf-filter", "vlan and tcp"]),
        (["-f", "tcp port 443"], None),
        (["-f", "rst>0 or '[ip]'"], None),
        (["-i", "vlan"], None),
    ],
)
def test_what_only_tcpdump_understands_says_what_is_captured(
    argv: list[str], expected: list[str] | None
) -> None:
    found = respell_capture_filter(argv)
    assert found == ((argv, []) if expected is None else (expected, [CAPTURE_SAID]))


@pytest.mark.parametrize("argv", [["-f", "tcp port 443"], ["--filter=tcp port 443"]])
def test_the_daemon_takes_the_old_spelling_and_says_so(argv: list[str]) -> None:
    command = parse_daemon(argv)
    assert command.given == {"bpf_filter": "tcp port 443"}
    assert "--bpf-filter now" in command.notes[0]
    assert parse_daemon(["--bpf-filter", "tcp port 443"]).notes == ()


def test_a_result_of_python_is_filtered() -> None:
    result = api.analyze(EXAMPLE, sort="verdict")
    found = result.filter("verdict:slow or rst>5%")
    names = found.destinations["destination"].tolist()
    assert names == ["192.0.2.13", "192.0.2.14", "192.0.2.16", "192.0.2.12"]
    assert found.totals["syn"] == result.totals["syn"]
    assert result.filter("") is result
    assert "no name or address contains 'foo'" in result.filter("foo").errors
    with pytest.raises(ValueError, match="no column 'rts'; nearest: rst"):
        result.filter("rts>0")
    with pytest.raises(ValueError, match="they have no ports"):
        result.filter(":443")
    with pytest.raises(ValueError, match="wants a comparison; such as p99"):
        result.filter("p99(rtt)")
    by_port = api.analyze(EXAMPLE, group_by="addr,port").filter(":443 syn>3")
    assert by_port.destinations["destination"].tolist() == ["192.0.2.15:443", "192.0.2.17:443"]


def test_a_stream_of_python_is_filtered() -> None:
    plain = list(api.stream(EXAMPLE, every_s=5))
    shown = list(api.stream(EXAMPLE, every_s=5, filter="rst>5%"))
    assert [snapshot.clock_ns for snapshot in shown] == [snapshot.clock_ns for snapshot in plain]
    for few, all_of_them in zip(shown, plain, strict=True):
        assert few.total.counters == all_of_them.total.counters
        reset = [row.name for row in all_of_them.rows() if 20 * row.count("rst") > row.count("syn")]
        assert sorted(row.name for row in few.rows()) == sorted(reset)
    assert {row.name for row in shown[-1].rows()} == {"192.0.2.13", "192.0.2.14"}
    *_, by_port = api.stream(EXAMPLE, filter=":443")
    assert {row.name for row in by_port.rows()} == {"192.0.2.15:443", "192.0.2.17:443"}
    with pytest.raises(ValueError, match="no column 'rts'"):
        api.stream(EXAMPLE, filter="rts>0")
