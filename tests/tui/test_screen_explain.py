"""The page that explains a verdict, and the line that says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.builders.screen import DrivenScreen
from support.builders.snapshot import destination, snapshot, table
from support.golden import check_golden

from trtop.escape import display_width
from trtop.table.text import plain
from trtop.tui.effects import Context
from trtop.tui.frame import Size, TerminalCaps
from trtop.tui.state import Mode
from trtop.tui.update import WHEEL_ROWS, wheel
from trtop_core.health import Health


def explained(size: tuple[int, int], *keys: str) -> DrivenScreen:
    return DrivenScreen(size=Size(*size)).press(*keys, "e")


@pytest.mark.parametrize("size", [(60, 24), (80, 24), (132, 30), (220, 30)])
def test_an_explanation_looks_as_it_is_kept(size: tuple[int, int]) -> None:
    check_golden(f"screen-explain-{size[0]}.txt", explained(size, "down").text())


def test_e_opens_the_page_and_closes_it() -> None:
    stage = explained((100, 30), "down")
    assert stage.state.mode is Mode.EXPLAIN
    assert "10.20.0.99  REFUSED" in stage.text()
    assert "299 of 311 attempts (96 %)" in stage.text()
    assert "counts from 10 %" in stage.text()
    assert "311 attempts: firm" in stage.text()
    assert "ss -ltn" in stage.text()
    assert stage.press("e").state.mode is Mode.LIST


def test_what_else_holds_is_on_the_page() -> None:
    rows = [
        destination("192.0.2.1", syn=20, refused=5, rst=15, rst_in=15, requests=9, unanswered=9)
    ]
    stage = DrivenScreen(snapshot=snapshot(rows, health=Health(packets=1)), size=Size(132, 40))
    text = stage.press("e").text()
    assert text.index("What else holds") < text.index("- RESET:") < text.index("- SILENT:")


def test_a_sound_row_says_that_nothing_is_wrong() -> None:
    stage = explained((100, 30), "end")
    assert "192.0.2.7  ok" in stage.text()
    assert "None of the causes" in stage.text()


def test_a_row_in_which_nothing_began_says_what_is_left_of_before() -> None:
    rows = [destination("192.0.2.19", active=2)]
    stage = DrivenScreen(snapshot=snapshot(rows, health=Health(packets=1)), size=Size(132, 40))
    said = "othing began here in this time; 2 connections open"
    assert f"-: n{said}" in stage.text()
    assert f"N{said}." in stage.press("e").text()


def test_attempts_of_which_nothing_came_are_no_sound_row() -> None:
    rows = [destination("192.0.2.19", syn=3, synack=1, timeouts=1)]
    stage = DrivenScreen(snapshot=snapshot(rows, health=Health(packets=1)), size=Size(132, 40))
    assert (
        "-: 3 of 3 attempts came to no connection; 1 answered, 1 without an answer for 20 s"
    ) in stage.text()


def test_what_waits_since_before_the_window_is_said_with_its_age() -> None:
    rows = table([destination("192.0.2.18", waiting=2, active=2)])
    shown = snapshot([], health=Health(packets=1))
    waits = np.array([[0, 8_200_000_000]], np.int64)
    rows = replace(rows, waits_ns=waits)
    shown = replace(shown, table=rows, total=rows, n_destinations=1)
    stage = DrivenScreen(snapshot=shown, size=Size(132, 40))
    said = "2 requests wait for an answer, the longest for 8.2 s"
    assert f"waiting: {said}" in stage.text()
    text = stage.press("e").text()
    assert said in text
    assert "the oldest request waits          8.2 s" in text
    assert "How sure: 2 open cases: few, it may be chance" in text


def test_up_and_down_explain_the_other_rows() -> None:
    stage = explained((132, 30), "down")
    assert "10.20.0.99  REFUSED" in stage.text()
    assert "203.0.113.200  NO ANSWER" in stage.press("down").text()
    assert "10.20.0.99  REFUSED" in stage.press("k").text()
    assert stage.state.mode is Mode.EXPLAIN
    assert "Up Down Other row PgUp PgDn Scroll" in stage.text()


def test_a_long_explanation_scrolls_by_pages_and_by_the_wheel() -> None:
    stage = explained((80, 12), "down")
    assert stage.press("pgdn").state.scroll > 0
    assert stage.press("down").state.scroll == 0
    turned = wheel(stage.state, True, Context(stage.model))
    assert turned.selected_key == stage.state.selected_key
    assert turned.scroll == WHEEL_ROWS


def test_what_would_hold_with_more_cases_is_said_as_such() -> None:
    rows = [
        destination("192.0.2.16", syn=5, synack=5, est=5, syn_retrans=10, requests=5, responses=5,
                    connect_latency=[4_100_000_000] * 5, path_rtt=[1_300_000] * 5,
                    response_time=[602_000_000] * 5, server_time=[600_000_000] * 5),
    ]  # fmt: skip
    stage = DrivenScreen(snapshot=snapshot(rows, health=Health(packets=1)), size=Size(132, 40))
    text = stage.press("e").text()
    assert "192.0.2.16  SLOW CONNECT" in text
    assert "- SLOW SERVER (of few cases): the service takes 600 ms (p95), the path 1.3 ms" in text


@pytest.mark.parametrize("width", range(60, 133, 6))
def test_limits_are_never_cut(width: int) -> None:
    far = {"path_rtt": [120_000_000] * 20, "response_time": [130_000_000] * 20}
    rows = [
        destination("2001:db8::11", syn=20, synack=20, est=20, requests=20, responses=20, **far)
    ]
    stage = DrivenScreen(snapshot=snapshot(rows, health=Health(packets=1)), size=Size(width, 40))
    text = " ".join(stage.press("e").text().replace("│", " ").split())
    assert "counts from 100 ms and 50 % of the answer's time" in text


def test_without_rows_there_is_nothing_to_explain() -> None:
    stage = DrivenScreen(snapshot=snapshot([], health=Health(packets=1))).press("e")
    assert stage.state.mode is Mode.LIST
    assert "no row to explain" in stage.state.message


@pytest.mark.parametrize("caps", [TerminalCaps(), TerminalCaps(color=False, ascii_only=True)])
@pytest.mark.parametrize("width", [5, 20, 40, 61, 79, 91, 92, 300])
def test_no_line_is_wider_than_the_terminal(width: int, caps: TerminalCaps) -> None:
    stage = DrivenScreen(size=Size(width, 40), caps=caps)
    for _ in range(6):
        stage.press("e")
        for line in stage.frame().lines:
            assert display_width(plain(line)) <= width
            assert not caps.ascii_only or plain(line).isascii()
        stage.press("e", "down")


@pytest.mark.parametrize(
    ("size", "n_lines"),
    [((80, 24), 2), ((132, 24), 1), ((80, 19), 2), ((80, 18), 1), ((80, 11), 0)],
)
def test_the_selected_row_says_why_above_the_keys(size: tuple[int, int], n_lines: int) -> None:
    stage = DrivenScreen(size=Size(*size)).press("down")
    lines = stage.text().splitlines()
    edge = next(i for i, line in enumerate(lines) if line.startswith("└"))
    said = [line for line in lines[edge - 2 : edge] if "REFUSED: " in line or "firewall" in line]
    assert len(said) == n_lines
    rows = stage.frame().rows
    assert all(at < edge - n_lines for at in rows)
    stage.press("end")
    assert not [line for line in stage.text().splitlines() if "REFUSED: " in line]


def test_a_sound_row_says_what_would_be_wrong_if_fewer_cases_were_enough() -> None:
    n, slow_ns = 9, [1_500_000_000] * 9
    numbers = {"syn": n, "synack": n, "est": n, "requests": n, "responses": n}
    times = {"server_time": slow_ns, "response_time": slow_ns, "path_rtt": [1_000_000]}
    shown = snapshot([destination("10.0.0.7", **numbers, **times)], health=Health(packets=99))
    stage = DrivenScreen(snapshot=shown, size=Size(132, 24)).press("down")
    said = "ok (of few cases: SLOW SERVER: the service takes 1.5 s (p95), the path 1 ms: "
    assert said in stage.text()
