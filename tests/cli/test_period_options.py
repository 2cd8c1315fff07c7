"""``--from``, ``--to`` and ``--every`` of the real command, in every format, and in Python."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.paths import EXAMPLE
from support.terminals import environment

import trtop as api
from trtop.options.report_options import parse
from trtop_core.argument_parser import UsageError
from trtop_core.records import NS_PER_S

TIMEOUT_S = 60

FIRST_NS = 1795709080964842000
"""Of the example's first packet: 2026-11-26 16:04:40.964842 UTC."""

NAMES = {"table", "json", "ndjson", "csv"}


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


def requests_of(report_format: str, text: str) -> list[int]:
    """The requests of the 192.0.2.11, report by report."""
    name = "192.0.2.11"
    if report_format == "json":
        decoder, found, at = json.JSONDecoder(), [], 0
        while at < len(text.rstrip()):
            document, at = decoder.raw_decode(text, at)
            at += len(text) - len(text[at:].lstrip()) - at
            found += [document["destinations"]]
        return [row["requests"] for rows in found for row in rows if row["destination"] == name]
    if report_format == "ndjson":
        lines = [json.loads(line) for line in text.splitlines()]
        return [line["requests"] for line in lines if line.get("destination") == name]
    if report_format == "csv":
        rows = csv.DictReader(io.StringIO(text))
        return [int(row["requests"]) for row in rows if row["destination"] == name]
    lines = [line.split() for line in text.splitlines()]
    return [int(line[2]) for line in lines if line and line[0] == name]


@pytest.mark.parametrize("report_format", sorted(NAMES))
def test_every_format_counts_between_two_moments(report_format: str) -> None:
    table = ("--columns", "out") if report_format in ("table", "csv") else ()
    asked = ("--format", report_format, *table, EXAMPLE)
    parts = [("--to", "+1s"), ("--from", "+1s", "--to", "16:04:43"), ("--from", "16:04:43")]
    counted = []
    for part in parts:
        done = trtop(*part, *asked)
        assert (done.returncode, done.stderr) == (0, "")
        counted += requests_of(report_format, done.stdout) or [0]
    whole = requests_of(report_format, trtop(*asked).stdout)
    assert whole == [101]
    assert sum(counted) == whole[0]
    assert sum(n > 0 for n in counted) > 1


@pytest.mark.parametrize("report_format", sorted(NAMES))
def test_every_format_has_a_report_for_each_span(report_format: str) -> None:
    table = ("--columns", "out") if report_format in ("table", "csv") else ()
    done = trtop("--format", report_format, "--every", "1s", *table, EXAMPLE)
    assert (done.returncode, done.stderr) == (0, "")
    counted = requests_of(report_format, done.stdout)
    assert sum(counted) == 101
    first = requests_of(
        report_format, trtop("--format", report_format, "--to", "+1s", *table, EXAMPLE).stdout
    )
    assert counted[0] == first[0] > 0


def test_the_grid_is_even_and_each_report_covers_what_lies_between() -> None:
    done = trtop("--format", "ndjson", "--every", "5s", EXAMPLE)
    heads = [json.loads(line) for line in done.stdout.splitlines() if '"capture"' in line]
    at = [(head["clock_ns"] - FIRST_NS) / NS_PER_S for head in heads]
    assert at[:-1] == [5, 10, 15, 20]
    assert 21.4 < at[-1] < 21.5
    assert [head["span_ns"] for head in heads][:-1] == [5 * NS_PER_S] * 4
    assert [head["window"] for head in heads] == ["all"] + 4 * ["period"]
    assert sum(head["totals"]["syn"] for head in heads) == 82
    assert sum(head["health"]["packets"] for head in heads) == 1559


def test_with_a_window_each_report_is_of_the_window() -> None:
    done = trtop("--format", "ndjson", "--every", "5s", "--window", "all", EXAMPLE)
    heads = [json.loads(line) for line in done.stdout.splitlines() if '"capture"' in line]
    counted = [head["totals"]["syn"] for head in heads]
    assert counted == sorted(counted)
    assert counted[-1] == 82
    assert {head["window"] for head in heads} == {"all"}


def test_reports_end_where_the_period_does() -> None:
    done = trtop("--format=ndjson", "--every=2s", "--from=+3s", "--to", "+8s", EXAMPLE)
    heads = [json.loads(line) for line in done.stdout.splitlines() if '"capture"' in line]
    at = [(head["clock_ns"] - FIRST_NS) / NS_PER_S for head in heads]
    assert at == [5, 7, 8]
    assert [(head["first_ns"] - FIRST_NS) / NS_PER_S for head in heads] == [3, 5, 7]


def test_explain_is_of_the_period() -> None:
    assert "RESET" in trtop("explain", EXAMPLE, "192.0.2.14").stdout
    done = trtop("explain", "--from", "+3s", "--to", "+8s", EXAMPLE)
    assert "FAR" in done.stdout
    assert "RESET" not in done.stdout
    done = trtop("explain", "--every", "1s", EXAMPLE)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--every goes with trtop FILE" in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ("--from", "17:00"),
            "the capture ends at 2026-11-26 16:05:02.435572 UTC, not after 17:00",
        ),
        (("--to", "16:04"), "the capture begins at 2026-11-26 16:04:40.964842 UTC, not before"),
        (("--from", "+5s", "--to", "+3s"), "--to +3s is not after --from +5s"),
        (("--from", "five"), "--from: 'five' is no time, such as 14:03"),
        (("--every", "0s"), "--every: '0s' is no span of time above 0"),
        (("--every", "1s", "--interval", "1"), "either --every (capture time) or --interval"),
    ],
)
def test_what_makes_no_sense_is_one_line(args: tuple[str, ...], said: str) -> None:
    for command in ((), ("explain",)):
        done = trtop(*command, *args, *(() if command else ("--format", "json")), EXAMPLE)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [(), ("explain",), ("attach", "--once")])
@pytest.mark.parametrize(
    ("start", "end"), [("+10s", "+5s"), ("2026-11-26T16:05:00Z", "2026-11-26T16:04:00Z")]
)
def test_an_end_before_the_start_is_refused_before_anything_is_read(
    command: tuple[str, ...], start: str, end: str
) -> None:
    source = () if "attach" in command else ("/nowhere.pcap",)
    done = trtop(*command, "--from", start, "--to", end, *source)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"trtop: --to {end} is not after --from {start}\n"


def test_a_time_of_day_before_the_start_is_of_the_next_day_or_an_error() -> None:
    """It had counted everything to the end, and said nothing."""
    done = trtop(EXAMPLE, "--format", "csv", "--from", "16:04:55", "--to", "16:04:50")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "trtop: 16:04:50 is not after 16:04:55, and of the next day nothing was captured: "
        "the capture ends at 2026-11-26 16:05:02.435572 UTC\n"
    )
    assert trtop(EXAMPLE, "--format", "csv", "--from", "16:04:55", "--to", "17:00").returncode == 0


def test_a_damaged_capture_counts_up_to_the_end_that_was_asked_for(tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(EXAMPLE.read_bytes()[:-5])
    assert trtop("--to", "+10s", "--format", "json", cut).returncode == 0
    done = trtop("--from", "+10s", "--format", "json", cut)
    assert done.returncode == 2
    assert json.loads(done.stdout)["window"] == "period"
    done = trtop("--from", "+90s", "--format", "json", cut)
    assert done.returncode == 1
    assert [("ends at" in line) for line in done.stderr.splitlines()] == [False, True]


def test_fail_on_looks_at_the_period_alone() -> None:
    asked = ("--format", "json", "--fail-on", "rst>10%", EXAMPLE)
    assert trtop(*asked).returncode == 3
    assert trtop("--from", "+12s", *asked).returncode == 0


def test_options_of_time_do_not_go_with_parts_of_ones_own() -> None:
    with pytest.raises(UsageError, match="go with captures"):
        parse(["--from", "+1s", "-rm", "curses", "x.pcap"])


def test_python_counts_between_the_same_moments() -> None:
    result = api.analyze(EXAMPLE, start="+1s", end="16:04:43")
    printed = trtop("--format", "json", "--sort=syn", "--from", "+1s", "--to", "16:04:43", EXAMPLE)
    assert result.snapshot.record() == json.loads(printed.stdout)
    found = list(api.stream(EXAMPLE, every_s=5, window="between"))
    printed = trtop("--format", "ndjson", "--sort=syn", "--every", "5s", EXAMPLE)
    heads = [json.loads(line) for line in printed.stdout.splitlines() if '"capture"' in line]
    assert [item.record()["totals"] for item in found] == [head["totals"] for head in heads]
    *_, last = api.stream(EXAMPLE, every_s=5, start="+3s", end="+9s")
    assert (last.clock_ns or 0) - FIRST_NS == 9 * NS_PER_S
    assert last.record() == api.analyze(EXAMPLE, start="+3s", end="+9s").snapshot.record()
    with pytest.raises(ValueError, match="no time"):
        api.analyze(EXAMPLE, start="soon")


@pytest.mark.parametrize("report_format", ["parquet", "arrow"])
def test_every_interval_is_rows_of_one_columnar_file(report_format: str, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    with path.open("wb") as stream:
        command = [sys.executable, "-m", "trtop", "--format", report_format, "--bins"]
        done = subprocess.run(
            [*command, "--every", "5s", str(EXAMPLE)],
            stdout=stream,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=TIMEOUT_S,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    read = pq.read_table if report_format == "parquet" else _streamed
    rows = read(path).to_pylist()
    reports = list(dict.fromkeys((row["clock_ns"], row["span_ns"]) for row in rows))
    assert len(reports) == 5
    assert sum(span_ns for _, span_ns in reports) == reports[-1][0] - FIRST_NS
    documents = json.loads(trtop("--format", "json", "--bins", EXAMPLE).stdout)
    for whole in documents["destinations"]:
        mine = [row for row in rows if row["destination"] == whole["destination"]]
        for name in ("syn", "est", "requests", "responses", "refused", "bytes_in"):
            assert sum(row[name] for row in mine) == whole[name]
        bins: dict[int, int] = {}
        for row in mine:
            for number, samples in row["response_time_bins"]:
                bins[number] = bins.get(number, 0) + samples
        found = whole["response_time"]["bins"] if whole["response_time"] else []
        assert sorted(bins.items()) == [(number, samples) for number, samples in found]


def _streamed(path: Path) -> pa.Table:
    return pa.ipc.open_stream(path.read_bytes()).read_all()
