"""Columns that a user chooses: in the table, in CSV, on the screen."""

import csv
import io
import json

import pytest
from support.builders.snapshot import MS, destination, incident, snapshot

from trtop.metrics import lookup
from trtop.metrics.columns import COLUMNS, Column
from trtop.options import attach_options, report_options
from trtop.reporters.formats import Format, make_reporter
from trtop.table.render import render
from trtop.table.style import TableStyle
from trtop.tui.state import State
from trtop_core.argument_parser import UsageError
from trtop_core.snapshot import Snapshot

GIVEN = "Syn, p99(rtt),server,rtt"


def heading(picture: Snapshot, width: int | None, chosen: str) -> list[str]:
    style = TableStyle(width=width, columns=lookup.columns(chosen))
    line = next(line for line in render(picture, style) if line.startswith(" destination"))
    return line.replace("p99 Rtt", "p99_Rtt").split()


def test_columns_are_read_as_users_write_them() -> None:
    names = [column.name for column in lookup.columns("Syn,p99.9( RTT ),bytes_in,verdict,syn")]
    assert names == ["syn", "p99.9(response_time)", "bytes_in"]
    assert report_options.parse(["--columns", "syn,rtt", "x"]).columns == lookup.columns("syn,rtt")
    assert attach_options.parse(["--columns", "syn"]).columns == lookup.columns("syn")
    assert report_options.parse(["x"]).columns == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("syn,rtx", "no column 'rtx'; did you mean rt"),
        ("p99(syn)", "syn has no percentiles"),
        ("p101(rtt)", "101"),
        ("", "no column"),
        ("verdict", "destination and verdict are always there: name others"),
    ],
)
def test_columns_that_make_no_sense_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(").replace(")", r"\)")):
        report_options.parse(["--columns", text, "x"])
    with pytest.raises(UsageError, match="json has every field"):
        report_options.parse(["--columns", "syn", "--format", "json", "x"])


def test_the_table_has_the_columns_in_their_order_and_no_others() -> None:
    shown = ["destination", "Verdict", "Syn(/s)", "p99_Rtt", "Srv", "Rtt"]
    assert heading(incident(), 132, GIVEN) == shown
    assert heading(incident(), None, GIVEN) == shown


def test_on_a_narrow_terminal_the_first_ones_stay() -> None:
    n_columns = [len(heading(incident(), width, "err,gput,syn,rst,est")) for width in (50, 60, 90)]
    assert n_columns == sorted(n_columns)
    assert heading(incident(), 52, "err,gput,syn,rst,est")[2:4] == ["Err", "Gput"]


def test_a_column_with_a_percentile_of_its_own_shows_that() -> None:
    row = destination("10.0.0.1", syn=1, response_time=[MS] * 90 + [400 * MS] * 10)
    (line,) = (
        line
        for line in render(
            snapshot([row]),
            TableStyle(width=90, columns=lookup.columns("p50(rtt),p99(rtt)")),
        )
        if line.startswith(" 10.0.0.1")
    )
    fifty, ninety_nine = line.split()[-2:]
    assert (fifty, ninety_nine) == ("1ms", "399ms")  # bins: within 0.55 %


def test_a_field_without_a_heading_can_be_a_column() -> None:
    assert heading(incident(), 100, "banners,syn")[2] == "banners"


def test_csv_has_who_the_verdict_and_the_columns() -> None:
    stream = io.StringIO()
    style = TableStyle(columns=lookup.columns("syn,p99(rtt),rtt,gput"))
    make_reporter(Format.CSV, stream, lambda: style).report(incident())
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert list(rows[0]) == [
        *("clock_ns", "destination", "address", "port", "name", "verdict", "syn"),
        *("response_time_p99_ns", "response_time_p95_ns", "goodput"),
    ]
    record = json.loads(json.dumps(incident().record()))["destinations"][0]
    assert rows[0]["syn"] == str(record["syn"])
    assert rows[0]["response_time_p99_ns"] == str(record["response_time"]["p99_ns"])


def test_on_the_screen_others_can_be_brought_back() -> None:
    state = State().with_columns(lookup.columns(GIVEN))
    names = [column.name for column in state.shown_columns]
    assert names == ["syn", "p99(response_time)", "server_time", "response_time"]
    assert len(state.columns) == len(COLUMNS) + 1
    assert [column.name for column in state.pinned_columns] == names
    assert State().with_columns(()) == State()


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.key)
def test_a_column_has_one_name_at_every_width(column: Column) -> None:
    names = {text.partition("(")[0] for text in column.headings}
    assert len(names) == 1
