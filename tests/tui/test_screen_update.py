from dataclasses import replace

import pytest
from support.builders.screen import DrivenScreen
from support.builders.snapshot import destination, snapshot

from trtop.metrics.columns import COLUMNS
from trtop.tui.effects import Context, Effect
from trtop.tui.frame import Size
from trtop.tui.keys import LETTER_OF
from trtop.tui.selection import selecting
from trtop.tui.state import Grouping, Mode, Prompt, Purpose, State
from trtop.tui.update import click, update, wheel
from trtop_core.health import Health
from trtop_core.records import GroupBy, Window


def names(stage: DrivenScreen) -> list[str]:
    return list(stage.model.names)


def selected(stage: DrivenScreen) -> str:
    return stage.model.names[stage.state.selected]


@pytest.mark.parametrize("column", ["destination", *(column.key for column in COLUMNS)])
def test_a_letter_sorts_by_its_column_and_again_reverses(column: str) -> None:
    stage = DrivenScreen(state=State(sort="pending" if column != "pending" else "syn"))
    stage.press(LETTER_OF[column])
    assert stage.state.sort == column
    first = names(stage)
    is_descending = stage.state.is_descending
    assert is_descending is (column not in ("destination", "completeness"))
    stage.press(LETTER_OF[column])
    assert stage.state.is_descending is not is_descending
    if column in ("destination", "syn", "rst"):
        assert names(stage) != first


def test_rows_come_in_the_order_of_the_column() -> None:
    assert names(DrivenScreen().press("S"))[:2] == ["10.20.0.37", "10.20.0.99"]
    assert names(DrivenScreen().press("R"))[0] == "10.20.0.99"
    assert names(DrivenScreen().press("T"))[0] == "192.0.2.7"
    assert names(DrivenScreen().press("H"))[-1].startswith("2001:db8")
    assert names(DrivenScreen().press("v"))[0] == "192.0.2.7"


def test_less_and_greater_walk_through_the_shown_columns() -> None:
    stage = DrivenScreen().press("<")
    assert stage.state.sort == "destination"
    stage.press(">")
    assert stage.state.sort == "verdict"
    stage.press(">", ">")
    assert stage.state.sort == COLUMNS[1].key
    stage.state = replace(stage.state, hidden=frozenset({COLUMNS[2].key}))
    assert stage.press(">").state.sort == COLUMNS[3].key
    stage.press("<", "<", "<", "<", "<")
    assert stage.state.sort == COLUMNS[-1].key


def test_arrows_pages_home_and_end_move_the_selection() -> None:
    rows = [destination(f"10.0.0.{i}", syn=200 - i) for i in range(100)]
    stage = DrivenScreen(snapshot=snapshot(rows, health=Health(packets=1)), size=Size(80, 20))
    page = stage.frame().page
    for keys, place in (
        (["down"], 1),
        (["down", "j", "k"], 2),
        (["up", "up", "up"], 0),
        (["pgdn"], page),
        (["pgup"], 0),
        (["end"], 99),
        (["down"], 99),
        (["pgup"], 99 - page),
        (["home"], 0),
        (["up"], 0),
    ):
        stage.press(*keys)
        assert stage.state.selected == place, keys
        assert stage.state.selected in stage.frame().rows.values()


def test_a_selected_destination_stays_selected_when_the_order_changes() -> None:
    stage = DrivenScreen().press("down")
    assert selected(stage) == "10.20.0.99"
    for key in ("R", "v", "T", "H", "S"):
        assert selected(stage.press(key)) == "10.20.0.99", key


def test_until_the_user_moves_the_first_row_is_selected() -> None:
    stage = DrivenScreen()
    assert selected(stage).startswith("2001:db8")  # what the capture missed most of
    assert selected(stage.press("R")) == "10.20.0.99"
    assert selected(stage.press("down", "home", "T")) == "192.0.2.7"


def test_a_destination_that_is_gone_leaves_its_place_to_another() -> None:
    stage = DrivenScreen().press("down", "down")
    gone = selected(stage)
    rows = [destination("10.20.0.37", syn=9), destination("10.20.0.99", syn=5)]
    stage.snapshot = snapshot(rows, health=Health(packets=1))
    stage.state = selecting(stage.state, stage.model)
    assert gone not in names(stage)
    assert selected(stage) == "10.20.0.99"
    stage.snapshot = snapshot([], health=Health(packets=1))
    stage.state = selecting(stage.state, stage.model)
    assert stage.state.selected == 0
    assert stage.press("down", "d").state.mode is Mode.LIST
    assert "no row" in stage.state.message


def test_a_filter_is_typed_taken_and_taken_back() -> None:
    stage = DrivenScreen().press("/", *"rst>0x", "backspace", "enter")
    assert stage.state.prompt is None
    assert stage.state.filter is not None
    assert stage.state.filter.text == "rst>0"
    assert set(names(stage)) == {"10.20.0.11", "10.20.0.37", "10.20.0.99"}
    assert "filter rst>0 (3 of 6)" in stage.text()
    stage.press("/")
    assert stage.state.prompt is not None
    assert stage.state.prompt.text == ""
    stage.press("esc")
    assert stage.state.filter is not None
    stage.press("/", "enter")
    assert stage.state.filter is None
    assert len(names(stage)) == 6
    assert stage.press("/", *"10.20.0.11", "enter", "esc").state.filter is None


def test_arrows_bring_earlier_filters_and_what_was_typed() -> None:
    stage = DrivenScreen()
    for text in ("rst>0", "syn>5", "rst>0"):
        stage.press("/", *text, "enter")
    assert stage.state.filters == ("syn>5", "rst>0")
    texts = []
    stage.press("/", *"new")
    for key in ("up", "up", "up", "down", "down", "down"):
        stage.press(key)
        assert stage.state.prompt is not None
        texts.append(stage.state.prompt.text)
    assert texts == ["rst>0", "syn>5", "syn>5", "rst>0", "new", "new"]
    stage.press("up", "up", "enter")
    assert stage.state.filter is not None
    assert stage.state.filter.text == "syn>5"


def test_rows_follow_what_is_typed_once_the_keys_are_still() -> None:
    stage = DrivenScreen().press("/", *"rst>")
    assert len(names(stage.still())) == 6
    assert "a number is missing" in stage.text()
    stage.press("0")
    assert len(names(stage)) == 6
    assert set(names(stage.still())) == {"10.20.0.11", "10.20.0.37", "10.20.0.99"}
    assert stage.text().splitlines()[-1].startswith("filter: rst>0 ")
    assert stage.text().splitlines()[-1].endswith(" 3 of 6")
    assert stage.state.filter is None
    # What is no filter (yet) leaves the rows as they were.
    stage.press(*" rtt>").still()
    assert len(names(stage)) == 3
    assert len(names(stage.press("esc"))) == 6


@pytest.mark.parametrize(
    ("begun", "may_become"),
    [
        ("rt", "rt_i, rt_o, rtt"),
        ("verd", "verdict:"),
        ("verdict:no a", "no answer"),
        ("p9", "p90(, p95(, p99("),
        ("po", "port"),
    ],
)
def test_a_word_that_is_not_finished_leaves_the_rows(begun: str, may_become: str) -> None:
    stage = DrivenScreen().press("/", *"rst>0").still()
    assert len(names(stage)) == 3
    stage.press(*f" or {begun}").still()
    assert len(names(stage)) == 3
    assert f"is not finished ({may_become}" in stage.text()
    stage = DrivenScreen().press("/", *begun).still()
    assert len(names(stage)) == 6
    # Whoever means a name says so.
    stage.press("enter")
    assert stage.state.filter is not None


def test_a_function_without_its_comparison_is_no_pair_of_names() -> None:
    stage = DrivenScreen().press("/", *"rst>0").still()
    stage.press(*" or p99(rt").still()
    assert len(names(stage)) == 3
    assert "'(' has no ')' behind it" in stage.text()
    stage.press(*"t)").still()
    assert len(names(stage)) == 3
    assert "wants a comparison" in stage.text()
    stage.press(*">1").still()
    assert len(names(stage)) == 3
    assert "of what?" in stage.text()


def test_a_word_that_names_have_is_looked_for_though_the_language_has_it_too() -> None:
    called = {"10.20.0.11": "rt-db.example"}
    stage = DrivenScreen(names=lambda addr, port: called.get(addr))
    stage.press("/", *"rt").still()
    assert names(stage) == ["rt-db.example"]


def test_a_number_waits_for_enter_since_addresses_begin_so_too() -> None:
    stage = DrivenScreen().press("/", *"10").still()
    assert len(names(stage)) == 6
    assert "10 is a port (Enter)" in stage.text()
    stage.press(*".20.0.11").still()
    assert names(stage) == ["10.20.0.11"]
    stage.press("clear", *"port 44").still()
    assert stage.state.shown_grouping is Grouping.ADDR_PORT


def test_a_word_that_is_nowhere_is_said_to_be_nowhere() -> None:
    stage = DrivenScreen().press("/", *"db-7", "enter")
    assert "no name or address contains 'db-7' (Esc: all rows)" in stage.text()
    stage.press("/", *"db-7 or rst>0", "enter")
    assert len(names(stage)) == 3
    assert "no name or address contains 'db-7'" in stage.text()
    stage.press("/", *"rst>1000000", "enter")
    assert "no row matches the filter (Esc: all rows)" in stage.text()
    stage.press("/", *"rtt", "enter")
    assert "(a column: response_time>100ms)" in stage.text()
    stage.press("/", *"~db-[0-9] net 10.99/16", "enter")
    assert "no name or address matches ~db-[0-9]; no address is in 10.99.0.0/16" in stage.text()


def test_tab_completes_the_word_and_says_what_it_may_be() -> None:
    stage = DrivenScreen().press("/", *"verdict:sl", "tab")
    assert stage.state.prompt is not None
    assert stage.state.prompt.text == "verdict:slow "
    assert "slow connect  slow server" in stage.text()
    stage.press("s", "tab")
    assert stage.state.prompt.text == "verdict:slow server "
    stage.press("clear", *"10.20.0.9", "tab")
    assert stage.state.prompt.text == "10.20.0.99 "
    stage.press("clear", *"zzz", "tab")
    assert stage.state.prompt.text == "zzz"
    assert "nothing known begins so" in stage.text()


def test_a_bad_filter_says_why_and_stays_to_be_mended() -> None:
    stage = DrivenScreen(size=Size(120, 24)).press("/", *"rtt>100", "enter")
    assert stage.state.prompt is not None
    assert "'100' of what? such as response_time>100ms" in stage.text()
    assert stage.text().splitlines()[-1] == "filter: rtt>100"
    stage.press("m", "s", "enter")
    assert stage.state.prompt is None
    assert set(names(stage)) == {"10.20.0.37", "192.0.2.7"}
    low = DrivenScreen(size=Size(80, 8)).press("/", *"rts>0", "enter")
    assert low.text().splitlines()[-1] == "filter: rts>0  no column 'rts'; nearest: rst, rtt, tls"


def test_keys_are_text_while_something_is_typed() -> None:
    stage = DrivenScreen().press("/", "q", "?", "S", "pgdn", "f1")
    assert stage.state.prompt is not None
    assert stage.state.prompt.text == "q?S"
    assert stage.state.sort == "verdict"
    assert Effect.QUIT not in stage.effects
    stage.press("home", "delete", "right", "x", "end", "left", "y")
    assert stage.state.prompt.text == "?xyS"
    screen = stage.shown()
    cursor = stage.frame().cursor
    assert cursor == (len("filter: ") + 3, 23)
    assert screen.display[23].startswith("filter: ?xyS")


def test_a_long_text_scrolls_with_the_cursor() -> None:
    stage = DrivenScreen(size=Size(40, 12)).press("/", *("abcdefghij" * 6))
    cursor = stage.frame().cursor
    assert cursor is not None
    assert cursor[0] < 40
    assert stage.text().splitlines()[-1].endswith("hij")
    assert stage.press("home").frame().cursor == (len("filter: "), 11)


def test_a_filter_for_a_port_has_rows_by_port_as_long_as_it_is_there() -> None:
    stage = DrivenScreen().press("/", *":443", "enter")
    assert stage.state.shown_grouping is Grouping.ADDR_PORT
    assert stage.state.view(None).group_by is GroupBy.ADDR_PORT
    assert "as long as the filter asks for a port" in stage.text()
    assert "the filter asks for a port" in stage.press("g").state.message
    stage.press("esc")
    assert stage.state.filter is None
    assert stage.state.shown_grouping is Grouping.ADDR
    assert stage.state.sort == "verdict"
    held = DrivenScreen().press(" ", "/", *":443", "enter")
    assert held.state.filter is None
    assert "it has no ports" in held.text()


def test_ports_are_refused_where_rows_have_none() -> None:
    prompt = Prompt(Purpose.FILTER, ":443", 4)
    only = Context(groupings=(Grouping.ADDR,))
    refused = update(State(prompt=prompt), "enter", only).state
    assert refused.filter is None
    assert refused.prompt is not None
    assert "by address only" in refused.prompt.error


def test_the_window_cycles_through_those_that_are_kept() -> None:
    state = State()
    seen = []
    for _ in range(5):
        state = update(state, "w", Context()).state
        seen.append(state.window)
    assert seen == [
        Window.LAST_10_S,
        Window.LAST_60_S,
        Window.LAST_300_S,
        Window.ALL,
        Window.LAST_10_S,
    ]
    only = Context(windows=(Window.ALL,))
    assert update(State(), "w", only).state.window is Window.ALL
    assert "no other window" in update(State(), "w", only).state.message


def test_the_percentile_cycles_and_goes_on_from_any() -> None:
    state, seen = State(), []
    for _ in range(6):
        state = update(state, "p", Context()).state
        seen.append(state.percentile)
    assert seen == [99, 99.9, 50, 90, 95, 99]
    assert update(State(percentile=75), "p", Context()).state.percentile == 90


def test_grouping_has_a_third_stop_where_names_are_known() -> None:
    def stops(context: Context) -> list[Grouping]:
        state, seen = State(), []
        for _ in range(3):
            state = update(state, "g", context).state
            seen.append(state.grouping)
        return seen

    port, addr, name = Grouping.ADDR_PORT, Grouping.ADDR, Grouping.NAME
    assert stops(Context()) == [port, addr, port]
    assert stops(Context(has_names=True)) == [port, name, addr]
    kept = Context(groupings=(Grouping.ADDR,))
    assert stops(kept) == [addr, addr, addr]
    assert "by address only" in update(State(), "g", kept).state.message


def test_n_without_names_says_that_there_are_none() -> None:
    updated = update(State(), "n", Context())
    assert updated.state.with_names
    assert "nobody looks up names" in updated.state.message
    assert not update(State(), "n", Context(has_names=True)).state.with_names


def test_space_pauses_and_goes_on() -> None:
    paused = update(State(), " ", Context()).state
    assert paused.is_paused
    assert not update(paused, " ", Context()).state.is_paused
    for key in ("w", "g"):
        held = update(paused, key, Context()).state
        assert (held.window, held.grouping) == (paused.window, paused.grouping)
        assert "held" in held.message


def test_reset_counts_all_from_now_on_unless_the_capture_is_over() -> None:
    updated = update(State(window=Window.LAST_10_S), "r", Context())
    assert updated.effect is Effect.RESET
    assert updated.state.window is Window.ALL
    refused = update(State(), "r", Context(is_over=True))
    assert refused.effect is Effect.NONE
    assert "over" in refused.state.message
    assert update(State(), "u", Context()).effect is Effect.FORGET_RESET


def test_saving_uses_the_prefix_or_asks_for_one() -> None:
    stage = DrivenScreen(prefix="/tmp/x")
    updated = update(State(), "s", Context(stage.model, prefix="/tmp/x"))
    assert (updated.effect, updated.prefix) == (Effect.SAVE, "/tmp/x")
    stage = DrivenScreen().press("s")
    assert stage.state.prompt is not None
    assert stage.state.prompt.purpose is Purpose.SAVE
    updated = update(stage.press(*"a/b c").state, "enter", Context(stage.model))
    assert (updated.effect, updated.prefix) == (Effect.SAVE, "a/b c")
    assert DrivenScreen().press("s", "enter").effects == [Effect.NONE, Effect.NONE]
    assert "nothing to save" in update(State(), "s", Context()).state.message


@pytest.mark.parametrize("keys", [[], ["d"], ["c"], ["?"]])
@pytest.mark.parametrize("key", ["q", "f10"])
def test_q_quits_everywhere(keys: list[str], key: str) -> None:
    assert DrivenScreen().press(*keys, key).effects[-1] is Effect.QUIT


@pytest.mark.parametrize(
    ("key", "mode"), [("d", Mode.DETAIL), ("enter", Mode.DETAIL), ("c", Mode.COLUMNS),
                      ("?", Mode.HELP), ("f1", Mode.HELP)]
)  # fmt: skip
@pytest.mark.parametrize("back", ["esc", "backspace", "left", "same"])
def test_every_mode_is_entered_and_left(key: str, mode: Mode, back: str) -> None:
    stage = DrivenScreen().press("down", key)
    assert stage.state.mode is mode
    if back == "same" and mode is Mode.COLUMNS and key == "enter":
        return
    stage.press(key if back == "same" else back)
    assert stage.state.mode is Mode.LIST
    assert stage.state.selected == 1


def test_help_is_at_hand_everywhere_but_letters_sort_only_rows() -> None:
    assert DrivenScreen().press("d", "?").state.mode is Mode.HELP
    assert DrivenScreen().press("c", "?").state.mode is Mode.HELP
    assert DrivenScreen().press("d", "R").state.sort == "verdict"


def test_the_column_chooser_pins_and_moves() -> None:
    stage = DrivenScreen(size=Size(80, 24)).press("c", "end", "p")
    last = COLUMNS[-1]
    assert stage.state.pinned == (last.name,)
    stage.press("<", "<")
    assert stage.state.columns.index(last) == len(COLUMNS) - 3
    assert stage.state.columns[stage.state.chosen] is last
    stage.press("home", "<")
    assert stage.state.columns[0] is COLUMNS[0]
    stage.press(">")
    assert stage.state.columns[:2] == (COLUMNS[1], COLUMNS[0])
    stage.press("esc")
    (places,) = stage.frame().headings.values()
    keys = [key for _, _, key in places]
    assert last.key in keys
    assert keys.index(COLUMNS[0].key) > keys.index("verdict")
    stage.press("c", "end", "up", "up", "p", " ")
    assert stage.state.pinned == ()
    assert stage.state.hidden == {last.name}
    stage.press("p")
    assert not stage.state.hidden


@pytest.mark.parametrize("width", [60, 80, 132, 220])
def test_the_column_chooser_tells_what_is_drawn_from_what_has_no_room(width: int) -> None:
    stage = DrivenScreen(size=Size(width, 60))
    (places,) = stage.frame().headings.values()
    drawn = {key for _, _, key in places} - {"destination", "verdict"}
    stage.press("c")
    marks = {}
    for column, line in zip(COLUMNS, stage.text().splitlines()[1:], strict=False):
        marks[column.key] = line[2:5]
    assert {key for key, mark in marks.items() if mark == "[x]"} == drawn
    assert {key for key, mark in marks.items() if mark == "[-]"} == set(marks) - drawn
    assert "wanted but no room" in stage.text()


def test_the_column_chooser_hides_and_shows() -> None:
    stage = DrivenScreen().press("c", "down", "down", " ")
    assert stage.state.hidden == {COLUMNS[2].key}
    assert "[ ] E" in stage.text()
    stage.press("enter")
    assert not stage.state.hidden
    stage.press("end", " ")
    assert stage.state.hidden == {COLUMNS[-1].key}
    assert stage.press("pgup", "home", "up").state.chosen == 0


def test_texts_scroll_and_stop_at_their_ends() -> None:
    stage = DrivenScreen(size=Size(80, 15)).press("?")
    assert stage.frame().first == 0
    stage.press("down", "pgdn")
    assert stage.frame().first == 1 + stage.frame().page
    stage.press("end")
    last = stage.frame().first
    stage.state = replace(stage.state, scroll=last)
    assert stage.press("down").frame().first == last
    assert stage.press("home").frame().first == 0


def test_the_mouse_selects_sorts_and_scrolls() -> None:
    stage = DrivenScreen()
    frame = stage.frame()
    y = next(y for y, row in frame.rows.items() if row == 3)
    stage.state = click(stage.state, frame.rows[y], None)
    stage.state = selecting(stage.state, stage.model)
    assert stage.state.selected == 3
    assert stage.state.selected_key == stage.model.key(3)
    ((heading_y, places),) = frame.headings.items()
    text = "".join(span.text for span in frame.lines[heading_y])
    for first, end, key in places:
        assert click(stage.state, None, key).sort == key
        heading = text[first:end].strip()
        assert heading == "Host" if key == "destination" else heading
    rst = next(place for place in places if place[2] == "rst")
    assert "Rst" in text[rst[0] : rst[1]]
    assert click(click(State(), None, "rst"), None, "rst").is_descending is False
    down = wheel(State(), True, Context(stage.model, page=5))
    assert down.selected == 3
    assert wheel(down, False, Context(stage.model, page=5)).selected == 0
    assert click(State(), None, None) == State()
    chosen = click(State(mode=Mode.COLUMNS), 4, None)
    assert chosen.hidden == {COLUMNS[4].key}


def test_a_click_while_something_is_typed_changes_nothing() -> None:
    typing = DrivenScreen().press("/").state
    assert click(typing, 2, None) == typing
    assert wheel(typing, True, Context()) == typing


def test_a_message_goes_with_the_next_key() -> None:
    stage = DrivenScreen().press("n")
    assert "nobody looks up names" in stage.text()
    assert "nobody looks up names" not in stage.press("down").text()


def test_a_key_without_a_meaning_changes_nothing() -> None:
    for key in ("x", "resize", "redraw", "é", "f5"):
        assert update(State(), key, Context()).state == State()
