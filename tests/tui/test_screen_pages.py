"""Pages: each opens and closes with its key, and a new one needs nothing but itself and its row."""

from dataclasses import replace

import pytest
from support.builders.screen import DrivenScreen

from trtop.table.text import Line, line_of, plain
from trtop.tui.frame import TerminalCaps
from trtop.tui.keys import ACTION_OF, COLUMN_OF, Action, Key
from trtop.tui.pages.page import Page
from trtop.tui.pages.registry import ALL_KEYS, PAGE_OF_KEY, PAGE_OF_MODE, PAGES
from trtop.tui.scene import Scene
from trtop.tui.state import Mode


def lines_of(scene: Scene, width: int, caps: TerminalCaps) -> list[Line]:
    return [line_of(f"line {number} of {width}") for number in range(23)]


MADE_UP = Page(
    Mode("made up"), Key(Action.PAGE, ("x",), "x", "Made up", "what is made up"), lines_of
)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setitem(PAGE_OF_MODE, MADE_UP.mode, MADE_UP)
    monkeypatch.setitem(PAGE_OF_KEY, "x", MADE_UP)
    return MADE_UP


def test_pages_have_modes_and_keys_of_their_own() -> None:
    assert len(PAGE_OF_MODE) == len(PAGES)
    names = [name for page in PAGES for name in page.key.keys]
    assert len(set(names)) == len(names) == len(PAGE_OF_KEY)
    assert not set(names) & set(COLUMN_OF)
    assert all(page.key in ALL_KEYS for page in PAGES)
    assert Mode.LIST not in PAGE_OF_MODE


def test_a_page_of_ones_own_opens_scrolls_and_closes(made_up: Page) -> None:
    assert "x" not in ACTION_OF
    stage = DrivenScreen().press("x")
    assert stage.state.mode is made_up.mode
    shown = [plain(line) for line in stage.frame().lines]
    assert "line 0 of 78" in shown[1]
    stage.press("down", "down")
    assert stage.state.scroll == 2
    assert stage.press("x").state.mode is Mode.LIST
    assert stage.press("x", "esc").state.mode is Mode.LIST
    assert stage.press("x", "?").state.mode is Mode.HELP


def test_a_page_that_cannot_be_opened_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = replace(MADE_UP, prepare=lambda state, context: state.saying("not now"))
    monkeypatch.setitem(PAGE_OF_KEY, "x", closed)
    stage = DrivenScreen().press("x")
    assert (stage.state.mode, stage.state.message) == (Mode.LIST, "not now")
