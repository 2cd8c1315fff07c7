"""Rows of connections as the command writes them, under four schemas in four formats."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.builders.packets import ACK, FIN, RST, SYN, Talk
from support.builders.savefile import write_pcap
from support.builders.snapshot import incident, snapshot
from support.traffic.busy import FIRST_NS, MS, SEED, Packet, asked, busy, opened

import trtop as trtop_api
from trtop.reporters import arrow_batches, connection_writer
from trtop.reporters.connection_writer import MAX_LINES, ConnectionWriter
from trtop.reporters.destination_batches import BatchReporter
from trtop.reporters.formats import Format, Schema
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.errors import TrtopError
from trtop_core.metrics import COUNTERS, SKETCHES
from trtop_core.records import NS_PER_S
from trtop_core.view import View

SERVER = "198.51.100.7"


def trtop(*args: str | Path, **kept: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "trtop", *map(str, args)]
    return subprocess.run(command, capture_output=True, check=False, **kept)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "busy.pcap"
    path.write_bytes(write_pcap(busy(7, 200)))
    return path


def records_of(packets: list[Packet]) -> Any:
    engine = Engine(EngineConfig(keeps_connections=True), SEED)
    engine.feed(PacketBatch.from_packets(packets))
    engine.finish()
    return np.concatenate([engine.take_connections(), *engine.remaining_connections()])


class Bytes(io.TextIOWrapper):
    """Text over bytes that can be looked at when all is written."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")

    @property
    def written(self) -> bytes:
        self.flush()
        return self.buffer.getvalue()  # type: ignore[attr-defined, no-any-return]


def written(packets: list[Packet], kind: Format, schema: Schema) -> bytes:
    stream = Bytes()
    writer = ConnectionWriter(stream, kind, schema)
    writer.add(records_of(packets))
    writer.close()
    return stream.written


def lines_of(packets: list[Packet], schema: Schema) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written(packets, Format.NDJSON, schema).splitlines()]


def flat(record: dict[str, Any], separator: str, before: str = "") -> dict[str, Any]:
    """A nested record under joined names."""
    made = {}
    for name, value in record.items():
        if isinstance(value, dict):
            made.update(flat(value, separator, f"{before}{name}{separator}"))
        else:
            made[before + name] = value
    return made


@pytest.mark.parametrize("schema", list(Schema))
def test_all_formats_say_the_same(schema: Schema) -> None:
    packets = busy(3, 60)
    lines = [flat(line, schema.separator) for line in lines_of(packets, schema)]
    assert len(lines) == 180
    table = pq.read_table(io.BytesIO(written(packets, Format.PARQUET, schema)))
    assert [flat(row, schema.separator) for row in table.to_pylist()] == lines
    stream = pa.ipc.open_stream(written(packets, Format.ARROW, schema))
    assert stream.read_all().to_pylist() == table.to_pylist()
    rows = list(csv.DictReader(io.StringIO(written(packets, Format.CSV, schema).decode())))
    assert [list(row) for row in rows] == [list(line) for line in lines]
    for row, line in zip(rows, lines, strict=True):
        for name, value in line.items():
            text = "" if value is None else json.dumps(value).strip('"')
            assert row[name] == text or float(row[name]) == value, name


@pytest.mark.parametrize("seed", [3, 7])
def test_requests_that_wait_add_up_to_those_of_the_destinations(seed: int) -> None:
    packets = busy(seed, 60)
    n_waiting = 0
    for end in range(20, len(packets), len(packets) // 12):
        made = Engine(EngineConfig(), SEED)
        made.feed(PacketBatch.from_packets(packets[:end]))
        made.finish()
        lines = lines_of(packets[:end], Schema.TRTOP)
        waiting = sum(line["waiting"] for line in lines)
        assert waiting == made.snapshot(View()).totals.count("waiting")
        n_waiting += waiting
        assert all(line["verdict"] != "ok" for line in lines if line["waiting"])
    assert n_waiting > 0


def test_a_connection_of_which_something_waits_is_not_ok() -> None:
    talk = Talk(client_port=1000)
    waits = [*opened(talk, FIRST_NS), *asked(talk, FIRST_NS + NS_PER_S, 0, None)]
    answered = [*waits[:3], *asked(talk, FIRST_NS + NS_PER_S, 0, NS_PER_S)]
    for packets, waiting, verdict in (
        (waits[:1], 0, "waiting"),
        (waits, 1, "waiting"),
        (answered, 0, "ok"),
        ([*waits, (FIRST_NS + 2 * NS_PER_S, talk.back(501, flags=RST))], 0, "RESET"),
    ):
        (line,) = lines_of(packets, Schema.TRTOP)
        assert (line["waiting"], line["verdict"]) == (waiting, verdict)


def test_the_command_writes_connections_whose_sums_are_the_destinations(capture: Path) -> None:
    done = trtop("--per", "connection", "--format", "ndjson", capture)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 600
    totals = json.loads(trtop("--format", "json", capture).stdout)["totals"]
    for name in COUNTERS:
        assert sum(line[name] for line in lines) == totals[name], name
    for name in SKETCHES:
        assert sum(line[name]["count"] for line in lines) == totals[name]["count"], name


def test_a_connection_still_open_says_so() -> None:
    closing = Talk(server=SERVER, server_port=443, client_port=40_001)
    packets = opened(Talk(server=SERVER, server_port=443, client_port=40_000), FIRST_NS)
    packets += opened(closing, FIRST_NS)
    packets += [
        (FIRST_NS + NS_PER_S, closing.out(101, 501, flags=FIN | ACK)),
        (FIRST_NS + NS_PER_S, closing.back(501, 102, flags=FIN | ACK)),
    ]
    packets.append((FIRST_NS + NS_PER_S, Talk(server=SERVER, client_port=40_002).out(1, flags=SYN)))
    found = {line["client_port"]: line for line in lines_of(packets, Schema.TRTOP)}
    assert [(found[port]["state"], found[port]["is_over"]) for port in sorted(found)] == [
        ("open", False),
        ("closed", True),
        ("pending", False),
    ]
    assert found[40_001]["duration_ns"] == NS_PER_S
    assert found[40_001]["connect_latency"] == {"count": 1, "sum_ns": MS, "max_ns": MS}


def talk(port: int) -> Talk:
    return Talk(server=SERVER, server_port=443, client_port=port)


def _refused(t: Talk) -> list[Packet]:
    return [(FIRST_NS, t.out(100, flags=SYN)), (FIRST_NS + MS, t.back(0, 101, flags=RST | ACK))]


def _finished(t: Talk) -> list[Packet]:
    end_ns = FIRST_NS + NS_PER_S
    return [
        *opened(t, FIRST_NS),
        (end_ns, t.out(101, 501, flags=FIN | ACK)),
        (end_ns, t.back(501, 102, flags=FIN | ACK)),
    ]


def _reset(t: Talk) -> list[Packet]:
    return [*opened(t, FIRST_NS), (FIRST_NS + NS_PER_S, t.back(501, flags=RST))]


def _aborted(t: Talk) -> list[Packet]:
    return [*opened(t, FIRST_NS), (FIRST_NS + NS_PER_S, t.out(101, flags=RST))]


def _midstream(t: Talk) -> list[Packet]:
    return asked(t, FIRST_NS, 0, MS)


@pytest.mark.parametrize(
    ("make", "conn_state", "activity", "verdict"),
    [
        (_refused, "REJ", 5, "REFUSED"),
        (_finished, "SF", 2, "ok"),
        (_reset, "RSTR", 3, "RESET"),
        (_aborted, "RSTO", 3, "ok"),
        (_midstream, "OTH", 6, "ok"),
        (lambda t: opened(t, FIRST_NS), "S1", 6, "ok"),
        (lambda t: [*_finished(t)[:-1]], "S2", 6, "ok"),
        (lambda t: [(FIRST_NS, t.out(100, flags=SYN))], "S0", 6, "waiting"),
    ],
)
def test_schemas_name_how_a_connection_went(
    make: Any, conn_state: str, activity: int, verdict: str
) -> None:
    packets = make(talk(40_000))
    (zeek,) = lines_of(packets, Schema.ZEEK)
    assert zeek["conn_state"] == conn_state
    assert zeek["ts"] == FIRST_NS // 1000 / 1e6
    (ocsf,) = lines_of(packets, Schema.OCSF)
    assert (ocsf["class_uid"], ocsf["activity_id"]) == (4001, activity)
    assert ocsf["type_uid"] == 400_100 + activity
    (ecs,) = lines_of(packets, Schema.ECS)
    assert ecs["trtop"]["verdict"] == verdict
    assert ecs["event"]["start"] == "2024-05-01T12:03:23.123456Z"
    assert ecs["network"]["transport"] == ocsf["connection_info"]["protocol_name"] == "tcp"
    assert ecs["network"]["community_id"] == zeek["community_id"]
    assert ocsf["connection_info"]["community_uid"] == zeek["community_id"]


def test_records_are_held_back_for_no_more_than_a_block() -> None:
    stream, records = Bytes(), records_of(busy(1, 20))
    writer = ConnectionWriter(stream, Format.NDJSON, Schema.ZEEK)
    writer.add(records)
    assert stream.written == b""
    writer.flush()
    assert stream.written.count(b"\n") == len(records)
    many = np.concatenate([records] * (MAX_LINES // len(records) + 1))
    writer.add(many)
    assert stream.written.count(b"\n") == len(records) + MAX_LINES
    writer.flush()
    assert stream.written.count(b"\n") == len(records) + len(many)


@pytest.mark.parametrize("kind", [Format.NDJSON, Format.CSV, Format.PARQUET, Format.ARROW])
def test_rows_are_the_same_however_records_come(
    kind: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_writer, "MAX_LINES", 7)
    monkeypatch.setattr(connection_writer, "MAX_BATCH", 16)
    monkeypatch.setattr(connection_writer, "MAX_ROWS", 40)
    records, found = records_of(busy(1, 60)), []
    for n_block in (1, 5, 16, 21, len(records)):
        stream = Bytes()
        writer = ConnectionWriter(stream, kind, Schema.TRTOP)
        for at in range(0, len(records), n_block):
            writer.add(records[at : at + n_block])
        writer.close()
        if kind is Format.PARQUET:
            found.append(pq.read_table(io.BytesIO(stream.written)).to_pylist())
            assert pq.ParquetFile(io.BytesIO(stream.written)).num_row_groups > 1
        elif kind is Format.ARROW:
            found.append(pa.ipc.open_stream(stream.written).read_all().to_pylist())
        else:
            found.append(stream.written)
    assert found == found[:1] * len(found)


@pytest.mark.parametrize("kind", [Format.NDJSON, Format.CSV, Format.PARQUET, Format.ARROW])
def test_a_capture_without_connections_has_columns_all_the_same(kind: Format) -> None:
    raw = written([], kind, Schema.ZEEK)
    if kind is Format.NDJSON:
        assert raw == b""
    elif kind is Format.CSV:
        assert raw.startswith(b"ts,id.orig_h,")
    else:
        table = (
            pq.read_table(io.BytesIO(raw))
            if kind is Format.PARQUET
            else pa.ipc.open_stream(raw).read_all()
        )
        assert table.num_rows == 0
        assert table.column_names[0] == "ts"


@pytest.mark.parametrize("kind", [Format.PARQUET, Format.ARROW])
def test_reports_of_destinations_are_one_table(kind: Format) -> None:
    raw = io.BytesIO()
    reporter = BatchReporter(raw, kind is Format.PARQUET, with_bins=True)
    for picture in (snapshot([]), incident(), incident()):
        reporter.report(picture)
    reporter.close()
    raw.seek(0)
    table = pq.read_table(raw) if kind is Format.PARQUET else pa.ipc.open_stream(raw).read_all()
    rows = table.to_pylist()
    picture = incident()
    assert len(rows) == 2 * len(picture.table)
    for row, expected in zip(rows, [*picture.rows(), *picture.rows()], strict=True):
        record = expected.record(with_bins=True)
        assert row["clock_ns"] == picture.clock_ns
        for name, value in record.items():
            if isinstance(value, dict):
                assert [list(pair) for pair in row[f"{name}_bins"]] == value.pop("bins")
                for inner, number in value.items():
                    assert row[f"{name}_{inner}"] == number, (name, inner)
            else:
                assert row[name] == value, name


def test_names_are_escaped_in_columns_too() -> None:
    fields = arrow_batches.ArrowFields(2, "_")
    fields.add_literals("name", ["a\x1b[2J\ud800", None])
    name, nothing = fields.batch({}).column("name").to_pylist()
    assert "\x1b" not in name
    assert nothing is None


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TrtopError, match=r"pip install 'trtop\[records\]'"):
        ConnectionWriter(Bytes(), Format.PARQUET, Schema.TRTOP)
    with pytest.raises(TrtopError, match=r"pip install 'trtop\[records\]'"):
        BatchReporter(io.BytesIO(), is_parquet=False)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--per", "connection"], "--per connection goes with --format ndjson, csv, parquet"),
        (["--per", "connection", "--format", "json"], "goes with --format ndjson, csv, parquet"),
        (["--schema", "ecs", "--format", "csv"], "--schema goes with --per connection"),
        (["--per", "connection", "--format", "csv", "--limit", "3"], "--limit goes with rows of"),
        (["--per", "nobody"], "none of: destination | connection"),
    ],
)
def test_what_makes_no_sense_is_one_line(capture: Path, args: list[str], said: str) -> None:
    done = trtop(*args, capture)
    assert done.returncode == 1
    assert done.stdout == b""
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_a_reader_that_leaves_early_is_no_error(capture: Path) -> None:
    command = f"{sys.executable} -m trtop --per connection --format ndjson {capture} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, check=False)
    assert done.stderr == b""
    assert json.loads(done.stdout)["client_port"]


@pytest.mark.timeout(60)
def test_a_pipe_gives_connections_as_they_are_forgotten(tmp_path: Path) -> None:
    """Live: what has been forgotten is written before the pipe ends."""
    first = _finished(talk(40_000))
    # Two, as a clock that leaps waits for the next packet to believe it.
    later = [
        (FIRST_NS + 100 * NS_PER_S, talk(40_001).out(100, flags=SYN)),
        (FIRST_NS + 100 * NS_PER_S + MS, talk(40_001).back(500, 101, SYN | ACK)),
    ]
    raw = write_pcap(first + later)
    command = [sys.executable, "-m", "trtop", "--per", "connection", "--format", "ndjson", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(raw)
        process.stdin.flush()
        line = json.loads(process.stdout.readline())
        assert (line["client_port"], line["state"]) == (40_000, "closed")
        assert process.poll() is None
        process.stdin.close()
        assert json.loads(process.stdout.read())["client_port"] == 40_001
        assert process.wait(30) == 0


def test_the_library_gives_the_same_records(capture: Path) -> None:
    blocks = list(trtop_api.connections(capture))
    assert sum(map(len, blocks)) == 600
    total = trtop_api.analyze(capture).snapshot.total
    for name in COUNTERS:
        assert sum(b["tally"]["counters"][name].sum() for b in blocks) == total.counters[name][0]
    cut = capture.with_name("cut.pcap")
    cut.write_bytes(capture.read_bytes()[:-7])
    blocks = []
    with pytest.raises(TrtopError):
        blocks.extend(trtop_api.connections(cut))
    assert sum(map(len, blocks)) >= 599


def test_the_command_writes_destinations_as_a_whole_file(capture: Path) -> None:
    done = trtop("--format", "parquet", "--bins", capture)
    assert (done.returncode, done.stderr) == (0, b"")
    rows = pq.read_table(io.BytesIO(done.stdout)).to_pylist()
    document = json.loads(trtop("--format", "json", "--bins", capture).stdout)
    assert [row["syn"] for row in rows] == [row["syn"] for row in document["destinations"]]
    arrow = trtop("--format", "arrow", capture).stdout
    assert pa.ipc.open_stream(arrow).read_all().num_rows == len(rows)


def test_bytes_never_go_to_a_terminal() -> None:
    class Terminal(Bytes):
        def isatty(self) -> bool:
            return True

    with pytest.raises(TrtopError, match="redirect them"):
        ConnectionWriter(Terminal(), Format.ARROW, Schema.TRTOP)
