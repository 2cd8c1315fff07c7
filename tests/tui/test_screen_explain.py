"""The page that explains a verdict, and the line that says why."""

from __future__ import annotations

import pytest
from support.builders.screen import DrivenScreen
from support.builders.snapshot import destination, snapshot
from support.golden import check_golden

from trtop.escape import display_width
from trtop.table.text import plain
from trtop.tui.frame import Size, TerminalCaps
from trtop.tui.state import Mode
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
    rows = [destination("192.0.2.19", timeouts=2, pending=1, pending_retrans=1)]
    stage = DrivenScreen(snapshot=snapshot(rows, health=Health(packets=1)), size=Size(132, 40))
    said = (
        "othing began here in this time; 2 earlier attempts ended without an answer; "
        "1 earlier attempt still waiting for an answer"
    )
    assert f"-: n{said}" in stage.text()
    assert f"N{said}." in stage.press("e").text()


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
    ("size", "n_lines"), [((80, 24), 2), ((132, 24), 1), ((80, 19), 1), ((80, 11), 0)]
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
