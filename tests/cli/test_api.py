import gzip
import io
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.builders.packets import NS_PER_S, SYN, Talk
from support.builders.savefile import write_pcap
from support.paths import EXAMPLE
from support.scripts import BY_ADDRESS, FIRST_NS, workload, write_workload

import trtop
from trtop.names.base import BaseResolver
from trtop.names.whitelist import RuleWhitelist
from trtop_core.batch import PacketBatch
from trtop_core.errors import TrtopError
from trtop_core.metrics import COUNTERS, GAUGES, METRIC_OF, SKETCHES
from trtop_core.pace import Pace, Part
from trtop_core.snapshot import Snapshot
from trtop_core.table import RowName
from trtop_core.timing import Grid


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_workload(tmp_path / "x.pcap")


def test_destinations_are_an_array_of_what_the_report_says() -> None:
    result = trtop.analyze(EXAMPLE)
    rows = result.destinations
    records = result.snapshot.record()["destinations"]
    assert rows.shape == (len(records),) == (10,)
    assert rows.dtype["syn"] == np.uint64
    assert rows.dtype["response_time_p999_ns"] == np.float64
    for row, record in zip(rows, records, strict=True):
        flat = {}
        for name, value in record.items():
            if isinstance(value, dict):
                flat |= {f"{name}_{inner}": number for inner, number in value.items()}
            else:
                flat[name] = value
        assert set(flat) == set(rows.dtype.names or ())
        for name, value in flat.items():
            if value is None:
                unknown = {"U": "", "u": 0}.get(rows.dtype[name].kind)
                assert np.isnan(row[name]) if unknown is None else row[name] == unknown
            else:
                assert row[name] == value


def test_totals_have_the_fields_of_a_destination() -> None:
    result = trtop.analyze(EXAMPLE)
    assert result.totals.dtype.names == result.destinations.dtype.names
    for name in COUNTERS + GAUGES:
        assert result.totals[name] == result.destinations[name].sum()
    assert result.totals["destination"] == "total"
    assert result.health.packets == 1559
    assert result.errors == ()


def test_an_empty_capture_has_no_rows_and_totals_of_zero(tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    path.write_bytes(write_pcap([]))
    result = trtop.analyze(path)
    assert result.destinations.shape == (0,)
    assert result.totals["syn"] == 0
    assert np.isnan(result.totals["syn_rate"])
    for name in SKETCHES:
        assert np.isnan(result.totals[f"{name}_p95{METRIC_OF[name].unit.suffix}"])


def test_a_data_frame_has_a_row_per_destination(capture: Path) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = trtop.analyze(capture).to_pandas()
    assert frame["syn"].to_dict() == BY_ADDRESS
    assert frame["connect_latency_p50_ns"].max() == pytest.approx(3e6, rel=0.01)
    assert frame["tls_latency_p50_ns"].isna().all()


def test_an_arrow_table_has_a_row_per_destination(capture: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    table = trtop.analyze(capture).to_arrow()
    assert dict(zip(table["destination"].to_pylist(), table["syn"].to_pylist(), strict=True)) == (
        BY_ADDRESS
    )
    assert table["tls_latency_p50_ns"].null_count == 3
    assert table["suspect"].to_pylist() == [False] * 3


def test_what_is_not_installed_is_one_line(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = trtop.analyze(capture)
    for module, name in (("pandas", "to_pandas"), ("pyarrow", "to_arrow")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(TrtopError, match=f"pip install {module}"):
            getattr(result, name)()


def test_options_say_what_counts_and_how_it_is_shown(capture: Path) -> None:
    by_port = trtop.analyze(capture, group_by="addr,port", sort="destination", limit=2)
    assert by_port.destinations["destination"].tolist() == ["127.0.0.2:443", "127.0.0.1:443"]
    assert by_port.totals["syn"] == 35
    assert trtop.analyze(capture, local=["192.168.0.0/16"]).totals["syn"] == 0
    assert trtop.analyze(capture, local="127.0.0.0/8,10.9.8.7", direction="in").totals["syn"] == 35
    last = trtop.analyze(capture, window="10s")
    assert last.totals["syn"] == 35

    class Names(BaseResolver):
        def resolve(self, addr: str, port: int) -> str:
            return f"n{port}"

    named = trtop.analyze(capture, resolver=Names(), whitelist=RuleWhitelist(deny=[":22"]))
    shown = dict(zip(named.destinations["destination"], named.destinations["syn"], strict=True))
    assert shown == {"n80": 23, "n443": 10}
    assert named.destinations["name"].tolist() == ["n80", "n443"]
    assert by_port.destinations["address"].tolist() == ["127.0.0.2", "127.0.0.1"]
    assert by_port.destinations["port"].tolist() == [443, 443]
    assert (by_port.totals["address"], by_port.totals["port"]) == ("", 0)


def test_no_thread_stays_behind(capture: Path) -> None:
    class Names(BaseResolver):
        def resolve(self, addr: str, port: int) -> str:
            return "name"

    before = set(threading.enumerate())
    assert trtop.analyze(capture, resolver=Names()).totals["syn"] == 35
    assert len(list(trtop.stream(capture, resolver=Names()))) == 4
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    "options",
    [
        {"group_by": "port"},
        {"direction": "up"},
        {"window": "7s"},
        {"sort": "nothing"},
        {"local": "10.0.0.0/99"},
        {"limit": -1},
    ],
)
def test_an_option_that_makes_no_sense_is_refused(capture: Path, options: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        trtop.analyze(capture, **options)  # type: ignore[arg-type] - what is refused


def test_what_could_not_be_read_is_told(capture: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(capture.read_bytes()[:-1])
    result = trtop.analyze([cut, capture])
    assert len(result.errors) == 1
    assert "after packet 279" in result.errors[0]
    with pytest.raises(TrtopError):
        trtop.analyze(tmp_path / "none.pcap")
    fddi = tmp_path / "fddi.pcap"
    fddi.write_bytes(write_pcap(workload()[:3], link_type=10))
    assert trtop.analyze(fddi).errors == ("unsupported link type 10 (FDDI): 3 packets not decoded",)


# Streams.


def attempts(pictures: Iterator[Snapshot]) -> list[int]:
    return [picture.totals.count("syn") for picture in pictures]


def syns_at(path: Path, *times_s: float) -> Path:
    packets = [
        (FIRST_NS + round(at * NS_PER_S), Talk(client_port=40_000 + i).out(100, flags=SYN))
        for i, at in enumerate(times_s)
    ]
    path.write_bytes(write_pcap(packets, nanoseconds=True))
    return path


def test_there_is_a_picture_after_every_second_of_capture_time(tmp_path: Path) -> None:
    path = syns_at(tmp_path / "x.pcap", 0, 0.3, 0.999999999, 1, 1.5, 2.9, 3.0, 3.1)
    pictures = list(trtop.stream(path))
    assert attempts(iter(pictures)) == [3, 5, 6, 8]
    clocks = [(picture.clock_ns or 0) - FIRST_NS for picture in pictures]
    assert clocks == [NS_PER_S, 2 * NS_PER_S, 3 * NS_PER_S, round(3.1 * NS_PER_S)]
    assert attempts(trtop.stream(path, every_s=2)) == [5, 8]


def test_a_silence_has_its_moments_and_a_clock_that_was_set_has_one(tmp_path: Path) -> None:
    path = syns_at(tmp_path / "x.pcap", 0, 3.5, 4.7)
    pictures = list(trtop.stream(path))
    assert attempts(iter(pictures)) == [1, 1, 1, 2, 3]
    clocks = [round(((picture.clock_ns or 0) - FIRST_NS) / NS_PER_S, 1) for picture in pictures]
    assert clocks == [1, 2, 3, 4, 4.7]
    long = syns_at(tmp_path / "y.pcap", 0, 100_000, 100_000.5, 100_001.7)
    assert attempts(trtop.stream(long)) == [1, 3, 4]


@pytest.mark.parametrize("times", [(0, 0.5, 5_000, 1.2, 2.7), (0, 0.5, 1.2, 2.7, 90_000)])
def test_a_packet_with_an_impossible_time_moves_no_moment(
    tmp_path: Path, times: tuple[float, ...]
) -> None:
    pictures = list(trtop.stream(syns_at(tmp_path / "x.pcap", *times)))
    assert len(pictures) == 3
    moments = [(picture.clock_ns or 0) - FIRST_NS for picture in pictures]
    assert moments[:2] == [NS_PER_S, 2 * NS_PER_S]
    assert attempts(iter(pictures))[-1] == 5


def test_time_that_goes_back_takes_no_picture_back(tmp_path: Path) -> None:
    path = syns_at(tmp_path / "x.pcap", 5, 3, 6.5, 2, 6.9, 7.1)
    assert attempts(trtop.stream(path)) == [2, 5, 6]


def test_pictures_are_the_same_however_a_capture_is_cut(
    capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [picture.record(True) for picture in trtop.stream(capture, every_s=0.3)]
    assert len(expected) == 12
    cut = Pace.cut

    def in_pieces(self: Pace, batch: PacketBatch) -> Iterator[Part]:
        for start in range(0, len(batch), 7):
            yield from cut(self, PacketBatch(batch.data, batch.index[start : start + 7]))

    monkeypatch.setattr(Pace, "cut", in_pieces)
    assert [p.record(True) for p in trtop.stream(capture, every_s=0.3)] == expected


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_moments_do_not_depend_on_how_a_capture_is_cut(size: int) -> None:
    times = [0, 500, 40_000, 1_200, 90_000, 90_500, 93_000, 91_000, 3_000_000, 94_000, 200_000]
    frame = Talk().out(100, flags=SYN)
    pace, moments, n_fed = Pace(Grid(NS_PER_S)), [], 0
    for start in range(0, len(times), size):
        packets = [(time_ms * 10**6, frame) for time_ms in times[start : start + size]]
        for part, found in pace.cut(PacketBatch.from_packets(packets)):
            n_fed += len(part)
            moments += [(moment_ns // NS_PER_S, n_fed) for moment_ns in found]
    for part, found in pace.flush(is_end=True):
        n_fed += len(part)
        moments += [(moment_ns // NS_PER_S, n_fed) for moment_ns in found]
    assert n_fed == len(times)
    assert moments == [
        (1, 3),
        *((second, 4) for second in range(2, 91)),
        *((second, 6) for second in range(91, 94)),
        *((second, 9) for second in range(94, 95)),
        *((second, 10) for second in range(95, 201)),
    ]


def test_the_last_picture_is_what_analyze_gives(capture: Path) -> None:
    *_, last = trtop.stream(capture)
    assert last.record(True) == trtop.analyze(capture).snapshot.record(True)


def test_a_window_moves_with_the_stream(tmp_path: Path) -> None:
    path = syns_at(tmp_path / "x.pcap", *range(25))
    counts = attempts(trtop.stream(path, window="10s", every_s=5))
    # The second that has just begun is one of the ten.
    assert counts == [5, 9, 9, 9, 10]


def test_a_damaged_capture_raises_after_its_pictures(tmp_path: Path, capture: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(capture.read_bytes()[:-1])
    seen = []
    with pytest.raises(TrtopError, match="after packet 279"):
        seen.extend(trtop.stream(cut))
    assert seen[-1].totals.count("syn") == 35
    text = tmp_path / "text"
    text.write_text("not a capture at all, but long enough to be one")
    with pytest.raises(TrtopError):
        list(trtop.stream(text))
    with pytest.raises(ValueError, match="every_s"):
        trtop.stream(capture, every_s=0)


def test_a_followed_file_gives_pictures_while_it_is_silent(capture: Path) -> None:
    pictures = trtop.stream(capture, follow=True, every_s=0.2)
    deadline_s = time.monotonic() + 30
    n_full = 0
    for picture in pictures:
        assert time.monotonic() < deadline_s
        n_full += picture.totals.count("syn") == 35
        if n_full == 3:
            break
    pictures.close()  # type: ignore[attr-defined] - of generators, which it is
    assert n_full == 3


def test_the_docstring_of_destinations_names_its_units() -> None:
    text = trtop.Result.destinations.__doc__ or ""
    assert "nanoseconds" in text
    assert "shape (n,)" in text


def test_a_picture_is_plain_data_too(capture: Path) -> None:
    for picture in trtop.stream(capture):
        json.dumps(picture.record())


def test_open_files_are_read_from_where_they_stand(capture: Path, tmp_path: Path) -> None:
    content = capture.read_bytes()
    (tmp_path / "x.gz").write_bytes(gzip.compress(content))
    (tmp_path / "late").write_bytes(b"not this" + content)
    with open(capture, "rb") as plain, gzip.open(tmp_path / "x.gz") as packed:
        with open(tmp_path / "late", "rb") as late:
            late.seek(8)
            for given in (plain, packed, late, io.BytesIO(content), [capture]):
                syn = trtop.analyze(given).totals["syn"]  # type: ignore[arg-type] - any file
                assert syn == 35
        assert not plain.closed
    assert [p.totals.count("syn") for p in trtop.stream(io.BytesIO(content))][-1] == 35
    reader, writer = os.pipe()
    with open(reader, "rb") as pipe, open(writer, "wb") as into:
        into.write(content)
        into.close()
        assert trtop.analyze(pipe).totals["syn"] == 35
    with open(capture, encoding="latin-1") as text, pytest.raises(ValueError, match="'rb'"):
        trtop.analyze(text)  # type: ignore[arg-type] - what is refused
    with pytest.raises(ValueError, match="7 is no path"):
        trtop.analyze([7])  # type: ignore[list-item] - what is refused


def test_local_networks_that_match_nothing_are_told(capture: Path) -> None:
    (line,) = trtop.analyze(capture, local="203.0.113.0/24").errors
    assert line.startswith("no connection opened by the networks of local; without local")
    assert trtop.analyze(capture, local="10.0.0.0/8").errors == ()


def test_a_result_is_shown_in_one_line_and_in_a_notebook_as_a_table() -> None:
    result = trtop.analyze(EXAMPLE)
    assert repr(result) == (
        "<trtop.Result: 1,559 packets, 10 destinations, 9 with something wrong>"
    )
    assert "192.0.2.13" in result._repr_html_()
    assert result._repr_html_().count("\n") < 40
    keys = result.snapshot.table.take(np.arange(1))
    hostile = replace(keys, names=(RowName("<script>&\x1b[2J", None),))
    text = replace(result, snapshot=replace(result.snapshot, table=hostile))._repr_html_()
    assert "&lt;script&gt;&amp;" in text
    assert "<script>" not in text
    assert "\x1b" not in text


def test_dir_lists_public_names_only() -> None:
    assert "analyze" in dir(trtop)
    assert not [name for name in dir(trtop) if name.startswith("_") and name != "__version__"]
    assert {"annotations", "cache", "TYPE_CHECKING"}.isdisjoint(dir(trtop))
