import csv
import errno
import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest
from support.builders.snapshot import destination, incident, snapshot
from support.paths import EXAMPLE
from support.scripts import run_python

from trtop.reporters.files import write_files
from trtop.reporters.formats import TEXTS, Format, Reporter, make_reporter
from trtop.table import rows
from trtop.table.rows import quick_rows, quick_totals
from trtop.table.style import TableStyle
from trtop_core.errors import TrtopError
from trtop_core.metrics import COUNTERS, GAUGES, METRIC_OF, SKETCHES
from trtop_core.records import NS_PER_S
from trtop_core.snapshot import Snapshot
from trtop_core.table import RowName


def written(kind: Format, *pictures: Snapshot, with_bins: bool = False) -> str:
    stream = io.StringIO()
    reporter: Reporter = make_reporter(kind, stream, lambda: TableStyle(width=80), with_bins)
    for picture in pictures:
        reporter.report(picture)
    return stream.getvalue()


def named(name: str) -> Snapshot:
    plain = snapshot([destination("10.0.0.1", syn=1)])
    return replace(plain, table=replace(plain.table, names=(RowName(name, name),)))


@pytest.mark.parametrize("with_bins", [False, True])
def test_the_json_document_is_the_record_of_the_snapshot(with_bins: bool) -> None:
    text = written(Format.JSON, incident(), with_bins=with_bins)
    record = incident().record(with_bins)
    assert json.loads(text) == json.loads(json.dumps(record))
    assert list(json.loads(text)) == list(record)


@pytest.mark.parametrize("rows_per_block", [1, 2, 5, 6, 7])
def test_rows_are_the_same_however_they_are_cut_into_blocks(
    rows_per_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ROWS_PER_BLOCK", rows_per_block)
    picture = incident()
    assert [row.record(True) for row in quick_rows(picture)] == [
        row.record(True) for row in picture.rows()
    ]
    assert quick_totals(picture).record(True) == picture.totals.record(True)


def test_random_rows_answer_as_the_cores_rows_do() -> None:
    rng = np.random.default_rng(7)
    made = []
    for i in range(50):
        counters = {name: int(rng.integers(0, 2**40)) for name in COUNTERS + GAUGES}
        samples = {
            name: rng.integers(1, 10**10, int(rng.integers(0, 30))).tolist() for name in SKETCHES
        }
        made.append(destination(f"10.0.0.{i}", **counters, **samples))
    picture = snapshot(made)
    for quick, plain in zip(quick_rows(picture), picture.rows(), strict=True):
        assert quick.record(True) == plain.record(True)
        assert quick.samples("net_rtt") == plain.samples("net_rtt")
        assert quick.quantile("reuse", 37.5) == plain.quantile("reuse", 37.5)


def test_every_metric_is_a_field() -> None:
    fields = {"syn": 23, "stream_bytes": 3 << 20, "stream_ns": 2 * NS_PER_S}
    picture = snapshot([destination("10.0.0.1", **fields)])
    (row,) = json.loads(written(Format.JSON, picture))["destinations"]
    assert set(METRIC_OF) <= set(row)
    assert row["goodput"] == 1.5 * (1 << 20)
    (line,) = csv.DictReader(io.StringIO(written(Format.CSV, picture)))
    assert set(METRIC_OF) <= set(line) | set(SKETCHES)
    assert float(line["goodput"]) == row["goodput"]


def test_a_document_without_destinations_is_a_document() -> None:
    document = json.loads(written(Format.JSON, snapshot([])))
    assert document["destinations"] == []
    assert document["clock_ns"] is None
    assert document["totals"]["syn"] == 0


def test_successive_json_reports_are_successive_documents() -> None:
    text = written(Format.JSON, snapshot([]), incident())
    decoder = json.JSONDecoder()
    first, end = decoder.raw_decode(text)
    second, _ = decoder.raw_decode(text, end + 1)
    assert (first["n_destinations"], second["n_destinations"]) == (0, 6)


def test_json_holds_one_destination_per_line() -> None:
    lines = written(Format.JSON, incident()).splitlines()
    assert sum(line.startswith('{"destination":') for line in lines) == 6


def test_ndjson_has_a_line_for_the_capture_and_one_per_destination() -> None:
    lines = [json.loads(line) for line in written(Format.NDJSON, incident()).splitlines()]
    head, *destinations = lines
    record = json.loads(json.dumps(incident().record()))
    assert head.pop("type") == "capture"
    assert [line.pop("type") for line in destinations] == ["destination"] * 6
    assert {line.pop("clock_ns") for line in destinations} == {record["clock_ns"]}
    assert destinations == record.pop("destinations")
    assert head == record


def test_csv_has_one_header_and_one_line_per_destination_and_no_totals() -> None:
    text = written(Format.CSV, incident())
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["destination"] for line in lines] == [row.name for row in incident().rows()]
    for line, row in zip(lines, incident().rows(), strict=True):
        assert int(line["syn"]) == row.count("syn")
        assert line["suspect"] == ("true" if row.suspect else "false")
        latency = row.quantile("connect_latency", 99.9)
        assert line["connect_latency_p999_ns"] == ("" if latency is None else str(latency))
        assert line["reuse_count"] == str(row.samples("reuse"))
        assert line["clock_ns"] == str(incident().clock_ns)


def test_csv_says_everything_that_json_says_of_a_destination() -> None:
    header = written(Format.CSV, snapshot([])).splitlines()[0].split(",")
    expected = ["clock_ns"]
    for name, value in snapshot([]).totals.record().items():
        expected += [f"{name}_{inner}" for inner in value] if isinstance(value, dict) else [name]
    assert header == expected


@pytest.mark.parametrize(
    ("first", "shown"),
    [
        *((char, f"'{char}") for char in "=+-@＝＋－＠"),
        ("\t=", "\\x09="),
        ("\r", "\\x0d"),
        ("a=", "a="),
    ],
)
def test_a_name_is_no_formula_in_a_spreadsheet(first: str, shown: str) -> None:
    rest = "cmd|'/C calc'!A0"
    (line,) = csv.DictReader(io.StringIO(written(Format.CSV, named(first + rest))))
    assert line["destination"] == shown + rest


def test_a_hyphen_alone_is_no_formula() -> None:
    (line,) = csv.DictReader(io.StringIO(written(Format.CSV, named("-"))))
    assert line["destination"] == "-"


def test_successive_csv_reports_share_one_header() -> None:
    lines = written(Format.CSV, incident(), incident()).splitlines()
    assert len(lines) == 1 + 6 + 6
    assert sum(line.startswith("clock_ns,") for line in lines) == 1


def test_successive_tables_have_a_blank_line_between_them() -> None:
    one = written(Format.TABLE, incident())
    assert written(Format.TABLE, incident(), incident()) == f"{one}\n{one}"


@pytest.mark.parametrize("kind", TEXTS)
def test_no_format_lets_a_name_through_to_the_terminal(kind: Format) -> None:
    hostile = 'a,"b"\x1b[2J\r\n\u202e;'
    text = written(kind, named(hostile))
    assert set(text).isdisjoint("\x1b\r\u202e")


@pytest.mark.parametrize("kind", [Format.JSON, Format.NDJSON])
def test_json_names_survive_unchanged(kind: Format) -> None:
    hostile = 'a,"b"\x1b[2J\r\n\u202e;é'
    text = written(kind, named(hostile))
    last = json.loads(text.splitlines()[-1] if kind is Format.NDJSON else text)
    row = last if kind is Format.NDJSON else last["destinations"][0]
    assert row["destination"] == hostile
    assert text.isascii()


def csv_text(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


@pytest.mark.parametrize("rows_per_block", [1, 4, 2048])
def test_csv_is_what_a_writer_of_csv_makes_of_the_records(
    rows_per_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ROWS_PER_BLOCK", rows_per_block)
    plain = incident()
    names = ("plain", 'a,"b"', "two words", "", "'quoted'", "x;y")
    picture = replace(plain, table=replace(plain.table, names=tuple(map(RowName, names, names))))
    expected = io.StringIO()
    writer = csv.writer(expected, lineterminator="\n")
    for i, row in enumerate(picture.rows()):
        line: dict[str, object] = {"clock_ns": picture.clock_ns}
        for name, value in row.record().items():
            inner = value.items() if isinstance(value, dict) else ()
            line |= {f"{name}_{key}": number for key, number in inner} or {name: value}
        if i == 0:
            writer.writerow(line)
        writer.writerow(map(csv_text, line.values()))
    assert written(Format.CSV, picture) == expected.getvalue()


def test_sums_beyond_64_bits_are_written_in_full() -> None:
    huge = [2**62] * 5
    picture = snapshot([destination("10.0.0.1", syn=1, path_rtt=huge), destination("10.0.0.2")])
    (line, _) = csv.DictReader(io.StringIO(written(Format.CSV, picture)))
    assert line["path_rtt_sum_ns"] == str(5 * 2**62)
    row = json.loads(written(Format.JSON, picture))["destinations"][0]
    assert row["path_rtt"]["sum_ns"] == 5 * 2**62


@pytest.mark.parametrize("with_bins", [False, True])
def test_lines_of_json_are_their_records(with_bins: bool) -> None:
    _, *lines = written(Format.NDJSON, incident(), with_bins=with_bins).splitlines()
    stamp = {"type": "destination", "clock_ns": incident().clock_ns}
    expected = [{**stamp, **row.record(with_bins)} for row in incident().rows()]
    assert [list(json.loads(line)) for line in lines] == [list(record) for record in expected]
    assert [json.loads(line) for line in lines] == json.loads(json.dumps(expected))


def test_a_full_disk_leaves_no_half_file_and_no_old_one_is_lost(tmp_path: Path) -> None:
    def fill(stream: TextIO) -> None:
        stream.write("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "x.trtop").write_text("old")
    prefix = str(tmp_path / "x")
    said = f"{prefix}.json: cannot be written: No space left on device; nothing was written"
    with pytest.raises(TrtopError, match=f"^{re.escape(said)}$"):
        write_files(prefix, {".trtop": lambda stream: None, ".json": fill, ".html": fill})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.trtop", "old")]


def test_what_was_written_before_an_error_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    prefix = str(tmp_path / "x")
    suffixes = (".trtop", ".json", ".html")
    writers: dict[str, Callable[[TextIO], None]] = dict.fromkeys(suffixes, lambda stream: None)
    with pytest.raises(TrtopError, match=re.escape(f"; written: {prefix}.trtop") + "$"):
        write_files(prefix, writers)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.json", "x.trtop"]


def test_a_report_is_shown_though_its_copy_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    done = run_python(tmp_path, ("-m", "trtop", EXAMPLE, "--format", "csv", "--out", "x"))
    assert done.returncode == 1
    assert "192.0.2.13" in done.stdout
    assert "cannot be written" in done.stderr
