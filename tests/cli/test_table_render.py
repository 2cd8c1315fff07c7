import re
from dataclasses import replace

import numpy as np
import pytest
from support.builders.snapshot import MS, destination, incident, other, snapshot
from support.golden import check_golden

from trtop.metrics import lookup
from trtop.metrics.columns import COLUMNS
from trtop.table.redraw import fit_lines
from trtop.table.render import render
from trtop.table.style import TableStyle
from trtop_core.health import Health
from trtop_core.metric_types import Side, Thresholds
from trtop_core.records import NS_PER_S, GroupBy, Window
from trtop_core.snapshot import Snapshot
from trtop_core.table import RowName
from trtop_core.view import View

SGR = re.compile(r"\x1b\[[0-9;]*m")


def drawn(picture: Snapshot, **style: object) -> str:
    return "\n".join(render(picture, TableStyle(**style))) + "\n"  # type: ignore[arg-type] - any


def numbers(picture: Snapshot, name: str, **style: object) -> dict[str, str]:
    """The cells of one row by heading; columns in full width have no spaces but in headings."""
    lines = drawn(picture, width=None, **style).splitlines()
    top = next(i for i, line in enumerate(lines) if line.startswith(" destination"))
    row = next(line for line in lines[top + 1 :] if line[1:].startswith(name))
    cells = row[1 + len(name) :].replace("!", " !").split()[-len(COLUMNS) :]
    return dict(zip([column.key for column in COLUMNS], cells, strict=True))


@pytest.mark.parametrize("width", [60, 80, 132, 220])
def test_an_incident_looks_as_it_is_kept(width: int) -> None:
    check_golden(f"incident-{width}.txt", drawn(incident(), width=width))


def test_an_incident_in_colour_looks_as_it_is_kept() -> None:
    check_golden("incident-80-colour.txt", drawn(incident(), width=80, color=True))


def test_an_incident_in_ascii_looks_as_it_is_kept() -> None:
    check_golden("incident-132-ascii.txt", drawn(incident(), width=132, ascii_only=True))


def test_a_lossy_capture_warns_in_plain_words() -> None:
    health = Health(
        packets=1_000_000,
        undecoded={"truncated": 40_000, "link_type": 1_333, "bad_header": 9_000},
        untimed=3,
        evicted=1,
        received=1_004_000,
        kernel_dropped=4_000,
        interface_dropped=0,
    )
    view = View(window=Window.LAST_10_S, percentile=99.9)
    rows_ = [
        destination("10.0.0.1", syn=9, synack=9, est=9, acked_bytes=1000, gap_bytes=4),
        destination("10.0.0.2", syn=8, one_sided=8),
    ]
    check_golden("lossy-80.txt", drawn(snapshot(rows_, view, health, 10 * NS_PER_S), width=80))


def test_no_packets_make_an_empty_table() -> None:
    check_golden("empty-80.txt", drawn(snapshot([]), width=80))


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_no_line_exceeds_the_width_however_narrow(color: bool, ascii_only: bool) -> None:
    busy = incident()
    for width in range(20, 400):
        for line in drawn(busy, width=width, color=color, ascii_only=ascii_only).splitlines():
            assert len(SGR.sub("", line)) <= width


def test_even_an_absurd_width_draws_something() -> None:
    for width in range(1, 20):
        assert drawn(incident(), width=width)


def test_every_line_of_the_table_body_has_the_same_columns_at_all_widths() -> None:
    picture = incident()
    for width in range(40, 260):
        lines = drawn(picture, width=width).splitlines()
        top = next(i for i, line in enumerate(lines) if line.startswith(" destination"))
        lengths = {len(line) for line in lines[top : top + 8]}
        assert len(lengths) == 1, width


def test_what_a_narrower_table_shows_of_the_first_columns_a_wider_one_shows_too() -> None:
    first = [column for column in COLUMNS if column.importance <= 10]

    def headings(width: int) -> set[str]:
        lines = drawn(incident(), width=width).splitlines()
        heading = next(line for line in lines if line.startswith(" destination"))
        return {c.key for c in first for name in c.headings if f" {name}" in heading}

    assert headings(60) <= headings(80) <= headings(132) <= headings(220)
    assert headings(132) == {column.key for column in first}


def test_importance_is_a_ranking_without_ties() -> None:
    assert sorted(column.importance for column in COLUMNS) == list(range(1, len(COLUMNS) + 1))


def test_colour_changes_nothing_but_the_marks_of_high_values() -> None:
    plain = drawn(incident()).replace("!", " ")
    coloured = SGR.sub("", drawn(incident(), color=True))
    in_plain = [line.split() for line in plain.splitlines() if line and line[0] in " ?"]
    in_colour = [line.split() for line in coloured.splitlines() if line and line[0] in " ?"]
    assert in_plain[1:8] == in_colour[1:8]
    assert "\x1b" not in drawn(incident(), width=220)


def test_ascii_only_is_ascii() -> None:
    assert drawn(incident(), width=140, ascii_only=True).isascii()


def test_missing_samples_are_a_dash_and_reuse_without_samples_an_asterisk() -> None:
    row = numbers(snapshot([destination("10.0.0.1", syn=1)]), "10.0.0.1")
    assert row["connect_latency"] == row["response_time"] == "-"
    assert row["reuse"] == "*"


def test_percentages_stand_behind_the_count_as_ever() -> None:
    row = numbers(
        snapshot([destination("10.0.0.1", syn=23, synack=23, est=22, rst=1, midstream=27)]),
        "10.0.0.1",
    )
    assert (row["synack"], row["est"], row["rst"]) == ("23(100%)", "22(96%)", "1(2%)")


def test_values_on_the_threshold_are_not_marked_and_values_beyond_are() -> None:
    calm = destination(
        "10.0.0.1", syn=10, synack=9, est=9, rst=1, reuse=[100],
        connect_latency=[20 * MS], response_time=[100 * MS],
    )  # fmt: skip
    high = destination(
        "10.0.0.2", syn=10, synack=8, est=8, rst=2, reuse=[99], capture_gaps=1,
        connect_latency=[20 * MS + 1], response_time=[100 * MS + 1],
    )  # fmt: skip
    picture = snapshot([calm, high])
    classic = lookup.thresholds("classic")

    def cells(name: str) -> dict[str, str]:
        return numbers(picture, name, thresholds=classic)

    assert not [cell for cell in cells("10.0.0.1").values() if "!" in cell]
    marked = {key for key, cell in cells("10.0.0.2").items() if "!" in cell}
    assert marked == {
        "synack", "est", "rst", "reuse", "connect_latency", "response_time", "capture_gaps",
    }  # fmt: skip


def test_a_threshold_can_be_set() -> None:
    picture = snapshot([destination("10.0.0.1", syn=1, reuse=[50], response_time=[1 * MS])])
    own = {
        "reuse": Thresholds(Side.BELOW, None, 50),
        "response_time": Thresholds(Side.ABOVE, None, MS - 1),
    }
    row = numbers(picture, "10.0.0.1", thresholds=own)
    assert (row["reuse"], row["response_time"]) == ("50", "!1ms")


def test_a_suspect_row_is_marked_and_explained_and_others_are_not() -> None:
    picture = snapshot(
        [
            destination("10.0.0.1", syn=1, acked_bytes=1000, gap_bytes=2),
            destination("10.0.0.2", syn=1, acked_bytes=100_000_000),
        ]
    )
    text = drawn(picture, width=80)
    assert "\n?10.0.0.1" in text
    assert "\n 10.0.0.2" in text
    assert "? the capture missed" in text


def test_an_unremarkable_table_has_no_legend() -> None:
    text = drawn(snapshot([destination("10.0.0.1", syn=1, synack=1, est=1)]), width=80)
    assert "!" not in text
    assert "?" not in text


def test_the_percentile_that_latencies_show_is_named() -> None:
    times = [MS] * 95 + [500 * MS] * 5
    rows_ = [destination("10.0.0.1", syn=1, response_time=times)]
    assert numbers(snapshot(rows_), "10.0.0.1")["response_time"] == "1ms"
    picture = snapshot(rows_, View(percentile=99.9))
    assert numbers(picture, "10.0.0.1")["response_time"] == "500ms"
    assert "latencies, QoS: p99.9" in drawn(picture, width=80)


def test_rows_beyond_the_limit_are_counted() -> None:
    picture = incident()
    limited = replace(picture, table=picture.table.take(np.arange(2)))
    assert "4 more, counted in the total" in drawn(limited, width=80)


def test_unknown_drops_are_unknown_and_not_zero() -> None:
    assert "dropped unknown" in drawn(snapshot([], health=Health(packets=1)), width=80)
    known = Health(packets=1, kernel_dropped=0)
    text = drawn(snapshot([], health=known), width=80)
    assert "dropped by kernel 0, interface unknown" in text


def test_addresses_with_ports_and_the_rest_have_names() -> None:
    rows_ = [
        destination("2001:db8::1", 443, syn=2),
        destination("192.0.2.7", 5432, syn=3),
        other(syn=1),
    ]
    text = drawn(snapshot(rows_, View(group_by=GroupBy.ADDR_PORT)), width=100)
    for name in (" [2001:db8::1]:443 ", " 192.0.2.7:5432 ", " (other) "):
        assert f"\n{name}" in text


def test_a_name_cannot_write_to_the_terminal() -> None:
    hostile = "evil\x1b]0;owned\x07\r\n\u202egpj.exe"
    plain = snapshot([destination("10.0.0.1", syn=1)])
    named = replace(plain, table=replace(plain.table, names=(RowName(hostile, hostile),)))
    text = drawn(named, width=120)
    assert text.isprintable() or set("".join(text.splitlines())).isdisjoint("\x1b\x07\r\u202e")
    assert r"evil\x1b]0;owned\x07\x0d\x0a\u202egpj.exe" in text


def test_a_screen_holds_as_many_rows_as_fit_and_says_how_many_do_not() -> None:
    many = snapshot([destination(f"10.0.0.{i}", syn=1, synack=1, est=1) for i in range(200)])
    for n_lines in range(10, 60):
        lines = fit_lines(many, TableStyle(width=80), n_lines)
        assert len(lines) == n_lines
        n_rows = sum(line.startswith(" 10.0.0.") for line in lines)
        assert any(f"{200 - n_rows} more" in line for line in lines)
    assert len(fit_lines(many, TableStyle(width=80), 3)) == 3


def test_a_capture_that_holds_little_tcp_says_so() -> None:
    def said(not_tcp: int) -> str:
        picture = snapshot([], health=Health(packets=1_000, not_tcp=not_tcp))
        return " ".join(render(picture, TableStyle(width=100)))

    assert "901 of 1,000 packets hold no TCP that trtop decodes" in said(901)
    assert "hold no TCP" not in said(900)


def test_a_table_of_every_column_says_how_to_have_fewer() -> None:
    rows = [destination("10.0.0.1", syn=1)]
    assert "every column; --width 80" in drawn(snapshot(rows), width=None)
    assert "--width" not in drawn(snapshot(rows), width=80)


def test_no_share_exceeds_its_whole_in_a_window() -> None:
    row = destination("10.0.0.1", syn=30, rst=32, est=30, synack=31)
    text = drawn(snapshot([row]), width=132)
    assert "107%" not in text
    assert "103%" not in text
    assert " 30(100%)" in text


@pytest.mark.parametrize("width", [60, 72, 80, 100, 132, 220])
def test_a_column_has_one_form_of_numbers_at_every_width(width: int) -> None:
    rows = [
        destination("10.0.0.1", syn=1_234_567, est=1_234_000, bytes_in=45_678),
        destination("10.0.0.2", syn=1_234, est=1_200, bytes_in=999),
        destination("10.0.0.3", syn=1_999, est=7, bytes_in=12_345_678),
    ]
    lines = drawn(snapshot(rows), width=width).splitlines()
    body = [line for line in lines if line[1:].startswith("10.0.0.")]
    for name in ("Syn", "Est"):
        heading = next(line for line in lines if "Verdict" in line)
        end = heading.index(name)
        end = heading.find(" ", end) if heading.find(" ", end) > 0 else len(heading)
        cells = [line[:end].split(" ")[-1] for line in body]
        assert len({"," in cell for cell in cells if set("kM,") & set(cell)}) == 1, cells
        assert len({"(" in cell for cell in cells}) == 1, cells


@pytest.mark.parametrize("width", range(40, 140, 3))
def test_a_mark_never_touches_the_number_before_it(width: int) -> None:
    for line in drawn(incident(), width=width).splitlines():
        assert not re.search(r"[^ ]![0-9]", line), line
