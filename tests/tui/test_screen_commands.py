"""Every action by its name, and by the mouse."""

import pytest
from support.builders.screen import DrivenScreen

from trtop.tui import commands
from trtop.tui.effects import Effect
from trtop.tui.keys import Action
from trtop.tui.pages.registry import ALL_KEYS
from trtop.tui.state import Mode


def typed(stage: DrivenScreen, text: str, *more: str) -> DrivenScreen:
    return stage.press(":", *text, *more)


def test_every_action_has_a_name_that_does_what_its_key_does() -> None:
    known = commands.names(ALL_KEYS)
    actions = {key.action for key in ALL_KEYS} - {Action.COMMAND}
    assert len(known) == len(actions)
    for name, key in known.items():
        by_name = typed(DrivenScreen(), name, "enter")
        by_key = DrivenScreen().press(key)
        assert by_name.state == by_key.state
        assert by_name.effects[-1] is by_key.effects[-1]


def test_a_beginning_is_enough_where_only_one_begins_so() -> None:
    assert typed(DrivenScreen(), "expl", "enter").state.mode is Mode.EXPLAIN
    assert typed(DrivenScreen(), "q", "enter").effects[-1] is Effect.QUIT
    several = typed(DrivenScreen(), "pa", "enter").state
    assert several.prompt is not None
    assert several.prompt.error == "several actions begin with 'pa': pause, page-up, page-down"


def test_sort_takes_a_column_by_any_of_its_names() -> None:
    stage = typed(DrivenScreen(), "sort rtt", "enter")
    assert (stage.state.sort, stage.state.is_descending) == ("response_time", True)
    assert typed(stage, "sort rtt", "enter").state.is_descending is False
    wrong = typed(DrivenScreen(), "sort rtx", "enter").state.prompt
    assert wrong is not None
    assert "rtt" in wrong.error
    assert typed(DrivenScreen().press("d"), "sort syn", "enter").state.mode is Mode.LIST


@pytest.mark.parametrize(
    ("text", "said"),
    [("explan", "explain"), ("zzz", "no action 'zzz'; nearest: "), ("pause x", "only")],
)
def test_what_is_no_command_is_answered_with_the_nearest(text: str, said: str) -> None:
    prompt = typed(DrivenScreen(), text, "enter").state.prompt
    assert prompt is not None
    assert said in prompt.error
    assert prompt.error.count(",") <= 2


@pytest.mark.parametrize(
    ("text", "completed"),
    [("expl", "explain"), ("so", "sort"), ("p", "p"), ("sort resp", "sort response"), ("zz", "zz")],
)
def test_tab_completes_as_far_as_all_candidates_agree(text: str, completed: str) -> None:
    prompt = typed(DrivenScreen(), text, "tab").state.prompt
    assert prompt is not None
    assert prompt.text == completed
    assert prompt.at == len(completed)


def test_tab_shows_the_candidates_and_completes_the_sort_word_with_a_space() -> None:
    prompt = typed(DrivenScreen(), "pa", "tab").state.prompt
    assert prompt is not None
    assert prompt.error == "page-down, page-up, pause"
    assert commands.completed("sort-", ALL_KEYS) == ("sort-", "sort-left, sort-right")
    assert commands.completed("sort ", ALL_KEYS)[1].count(",") == commands.MAX_SHOWN


def test_an_empty_command_line_and_esc_do_nothing() -> None:
    before = DrivenScreen().press("down").state
    assert typed(DrivenScreen().press("down"), "", "enter").state == before
    assert typed(DrivenScreen().press("down"), "quit", "esc").state == before


def test_h_and_f1_open_the_help_and_the_command_line_opens_on_pages_too() -> None:
    for key in ("h", "f1", "?"):
        assert DrivenScreen().press(key).state.mode is Mode.HELP
    assert typed(DrivenScreen().press("?"), "columns", "enter").state.mode is not Mode.COLUMNS
    assert typed(DrivenScreen().press("?"), "quit", "enter").effects[-1] is Effect.QUIT


def test_the_bottom_line_tells_which_key_stands_where() -> None:
    frame = DrivenScreen().frame()
    line = "".join(span.text for span in frame.lines[-1])
    places = {line[first:end]: key for first, end, key in frame.keys}
    assert places["? Help"] == "?"
    assert places["/ Filter"] == "/"
    assert places["> Sort"] == ">"
    page = DrivenScreen().press("d").frame()
    assert [key for _, _, key in page.keys] == ["esc", "?", "q"]
    assert DrivenScreen().press(":").frame().keys == ()
