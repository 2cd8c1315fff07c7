import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders.screen import SIZES, DrivenScreen, detailed
from support.builders.snapshot import MS, destination, incident, other, snapshot
from support.golden import check_golden

from trtop.escape import display_width
from trtop.metrics.columns import COLUMNS
from trtop.table.text import MARKED, Role, painted, plain
from trtop.tui.draw import draw
from trtop.tui.frame import Size, TerminalCaps
from trtop.tui.keys import ACTION_OF, KEYS, LETTER_OF
from trtop.tui.scene import Scene
from trtop.tui.source import Status
from trtop.tui.state import State
from trtop.tui.update import PAUSED
from trtop_core.health import Health
from trtop_core.metric_types import Side, Thresholds
from trtop_core.metrics import COUNTERS, DERIVED, GAUGES, METRICS, SKETCHES
from trtop_core.records import Window

MONO = TerminalCaps(color=False)
ASCII = TerminalCaps(color=False, ascii_only=True)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")

ALL_KEYS = sorted({*ACTION_OF, *LETTER_OF.values(), "delete", "clear", "resize", "x", "é", "1"})


def detail_screen(size: tuple[int, int]) -> DrivenScreen:
    stage = DrivenScreen(size=Size(*size)).press("down", "d")
    name = stage.model.names[stage.state.selected]
    stage.detail = detailed(stage.model, name)
    return stage


@pytest.mark.parametrize("size", SIZES)
def test_the_rows_look_as_they_are_kept(size: tuple[int, int]) -> None:
    check_golden(f"screen-rows-{size[0]}.txt", DrivenScreen(size=Size(*size)).text())


@pytest.mark.parametrize("size", SIZES[:3])
def test_a_filter_that_is_typed_looks_as_it_is_kept(size: tuple[int, int]) -> None:
    shown = []
    stage = DrivenScreen(size=Size(*size)).press("/")
    for typed in ("rst>0", " and", " db-7", "\x00", "!verd", "\t", "ok rts>0", "\n"):
        keys = {"\x00": ["clear"], "\t": ["tab"], "\n": ["enter"]}.get(typed, list(typed))
        shown.append(stage.press(*keys).still().text())
    stage.press("clear", *"db-7 10.20/16", "enter")
    shown.append(stage.text())
    stage.press("/", *"db-7 or rst>0", "enter")
    shown.append(stage.text())
    check_golden(f"screen-filter-{size[0]}.txt", "".join(shown))


@pytest.mark.parametrize("size", SIZES)
def test_the_drill_down_looks_as_it_is_kept(size: tuple[int, int]) -> None:
    pages = []
    stage = detail_screen(size)
    for _ in range(9):
        pages.append(stage.text())
        stage.press("pgdn")
        stage.state = replace(stage.state, scroll=stage.frame().first)
        if stage.text() == pages[-1]:
            break
    check_golden(f"screen-detail-{size[0]}.txt", "".join(pages))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "key"), [("help", "?"), ("columns", "c")])
def test_help_and_columns_look_as_they_are_kept(size: tuple[int, int], name: str, key: str) -> None:
    check_golden(f"screen-{name}-{size[0]}.txt", DrivenScreen(size=Size(*size)).press(key).text())


def test_colours_are_those_that_are_kept() -> None:
    frame = DrivenScreen().press("down", "down").frame()
    check_golden("screen-rows-80-colour.txt", "".join(painted(x, True) + "\n" for x in frame.lines))


def test_without_colour_what_is_high_is_bold_and_marked() -> None:
    check_golden("screen-rows-80-mono.txt", DrivenScreen(caps=MONO).text())
    frame = DrivenScreen(caps=MONO).frame()
    high = [span.text for line in frame.lines for span in line if span.role in MARKED]
    numbers = [text for text in high if text[-1].isdigit() or text[-1] == ")"]
    assert numbers
    assert all(text.startswith("!") for text in numbers)
    coloured = DrivenScreen().frame()
    plain_high = [s.text for line in coloured.lines for s in line if s.role in MARKED]
    assert not any(text.startswith("!") for text in plain_high)
    assert "1" in Role.VERDICT.value.split(";")  # bold


@pytest.mark.parametrize("mode", ["", "d", "c", "?"])
def test_ascii_only_is_ascii(mode: str) -> None:
    stage = DrivenScreen(caps=ASCII, snapshot=snapshot([destination("192.0.2.1", syn=3)]))
    stage.names = lambda addr, port: "höst-日本"
    stage.press(*mode)
    assert "".join(plain(line) for line in stage.frame().lines).isascii()
    check_golden(f"screen-ascii-80{mode.replace('?', 'help')}.txt", stage.text())


@pytest.mark.parametrize("mode", ["", "d", "c", "?", "/"])
def test_no_background_is_set_and_no_colour_vanishes_on_dark_or_light(mode: str) -> None:
    screen = DrivenScreen().press("down", *mode).shown()
    cells = [screen.buffer[y][x] for y in range(24) for x in range(80)]
    assert {cell.bg for cell in cells} == {"default"}
    assert {cell.fg for cell in cells} <= {"default", "red", "magenta", "brown"}


def test_the_frame_is_titled_and_the_groups_stand_over_their_columns() -> None:
    lines = DrivenScreen(size=Size(132, 30)).text().splitlines()
    assert "TCP Remote TOP" in lines[0]
    assert lines[0].startswith("┌")
    assert lines[0].endswith("┐")
    groups = next(i for i, line in enumerate(lines) if "Connections" in line)
    assert re.search("Connections.*Transport.*Pcap", lines[groups])
    heading, total = lines[groups + 1], lines[groups + 2]
    for text in ("Host", "Syn(/s)", "Syn/Ack(%)", "Est(%)", "Rst(%)", "QoS", "Lat"):
        assert text in heading
    assert total.startswith("│ total ")
    assert "1,613(47.4)" in total
    assert heading.index("Syn(/s)") >= lines[groups].index("Connections")
    assert heading.index("Rtt") >= lines[groups].index("Transport")
    assert heading.index("Err") >= lines[groups].index("Pcap") - 1


def test_a_wide_terminal_shows_every_classic_column() -> None:
    heading = next(x for x in DrivenScreen(size=Size(220, 30)).text().splitlines() if "Host" in x)
    for text in ("Syn(/s)", "Syn/Ack(%)", "Est(%)", "Rst(%)", "Fin_O(%)", "Fin_I(%)", "Est/s",
                 "QoS", "Lat", "Out", "In", "Rtt", "Err"):  # fmt: skip
        assert text in heading, text


def test_what_the_capture_lost_stands_below_the_title() -> None:
    text = DrivenScreen(size=Size(132, 30)).text()
    for item in (
        "1,234,567 packets 36k/s",
        "received 1,234,600",
        "dropped by kernel 33 (0.01%), interface unknown",
        "undecoded 14",
        "complete 99.99%",
        "window all (34s)",
        "p95",
        "sort Verdict",
        "filter none",
        "busy.pcap",
    ):
        assert item in text, item


def test_drops_are_given_in_percent_of_the_window_and_not_of_all() -> None:
    lost = replace(
        incident(),
        view=replace(incident().view, window=Window.LAST_10_S),
        health=Health(
            packets=1_000_000, received=1_000_000, kernel_dropped=70, interface_dropped=9
        ),
        window_health=Health(packets=193, received=200, kernel_dropped=7, interface_dropped=0),
        span_ns=10 * 10**9,
    )
    stage = DrivenScreen(snapshot=lost, size=Size(132, 30), state=State(window=Window.LAST_10_S))
    text = stage.text()
    assert "dropped by kernel 70 (3.50%), interface 9 (0%)" in text
    assert "1,000,000 packets 19.3/s" in text
    assert "The capture lost 3.50% of its packets" in text
    assert "Every row is affected." in text


def test_rows_that_cannot_be_trusted_are_named() -> None:
    gappy = {"acked_bytes": 1000, "gap_bytes": 10, "syn": 1}
    rows = [destination(f"192.0.2.{i}", **gappy) for i in range(1, 6)]  # type: ignore[arg-type]
    rows.append(destination("192.0.2.77", syn=9, acked_bytes=10))
    stage = DrivenScreen(snapshot=snapshot(rows, health=Health(packets=5)), size=Size(132, 30))
    text = stage.text()
    assert "1.00% of the acknowledged bytes are missing" in text
    assert "lower bounds: 192.0.2.1, 192.0.2.2, 192.0.2.3 and 2 more." in text
    assert sum(line.startswith("│?") for line in text.splitlines()) == 5 + 1  # and the totals


def test_a_sound_capture_has_no_warning() -> None:
    sound = snapshot([destination("192.0.2.1", syn=3, acked_bytes=9)], health=Health(packets=9))
    lines = DrivenScreen(snapshot=sound, size=Size(132, 20)).frame().lines
    assert not [span for line in lines for span in line if span.role is Role.WARNING]


def test_a_notice_of_the_source_comes_first() -> None:
    stage = DrivenScreen(status=Status("eth0", notices=("the daemon is gone; trying again",)))
    warnings = [line for line in stage.text().splitlines() if line.startswith("│ ! ")]
    assert warnings[0].startswith("│ ! the daemon is gone; trying again")


def test_thresholds_can_be_set() -> None:
    def high(limits: dict[str, Thresholds]) -> set[str]:
        frame = DrivenScreen(thresholds=limits, size=Size(132, 30)).frame()
        return {span.text for line in frame.lines for span in line if span.role in MARKED}

    assert "299(96%)" in high({})
    assert "299(96%)" not in high({"rst": Thresholds(Side.ABOVE, None, 99, is_share=True)})
    assert "304(19%)" in high({"rst": Thresholds(Side.ABOVE, None, 18, is_share=True)})


def test_a_row_in_which_nothing_is_wrong_has_no_colour_unless_the_user_asks() -> None:
    rows = [
        destination("192.0.2.1", syn=100, synack=98, est=98, rst=2, rst_out=2, segments_out=100),
        destination("192.0.2.2", syn=100, synack=98, est=98, rst=2, refused=20, rst_in=20),
    ]
    stage = DrivenScreen(snapshot=snapshot(rows, health=Health(packets=1)), size=Size(132, 20))

    def roles(name: str) -> set[Role]:
        line = next(line for line in stage.frame().lines if name in plain(line))
        return {span.role for span in line[1:-1]} - {Role.SELECTED}

    stage.press("down")
    assert roles("192.0.2.1") <= {Role.SELECTED, Role.PLAIN}
    stage.press("up")
    assert roles("192.0.2.1") == {Role.PLAIN}
    stage.press("down")
    assert {Role.NOTABLE, Role.VERDICT} <= roles("192.0.2.2")
    stage.thresholds = {"synack": Thresholds(Side.BELOW, 99, 90, is_share=True)}
    stage.press("up")
    assert Role.NOTABLE in roles("192.0.2.1")


HOSTILE = (
    "evil\x1b[2J\x1b]0;owned\x07",
    "a\nb\r\tc",
    "\u202egnp.exe",
    "\x9b31m",
    "日本語" * 30,
    "e\u0301" * 50,
    "\ud800",
    "x" * 5000,
)


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("mode", ["", "d"])
def test_a_ptr_name_cannot_write_to_the_terminal(hostile: str, mode: str) -> None:
    stage = DrivenScreen(size=Size(100, 30))
    stage.names = lambda addr, port: hostile
    stage.press("down", *mode)
    for line in stage.frame().lines:
        assert not CONTROL.search(plain(line))
        plain(line).encode()
        assert display_width(plain(line)) <= 100
    stage.status = Status(hostile, notices=(hostile,))
    stage.state = replace(stage.state, message=hostile)
    assert not any(CONTROL.search(plain(line)) for line in stage.frame().lines)


def test_names_stand_for_addresses_and_n_takes_them_away() -> None:
    stage = DrivenScreen()
    stage.names = lambda addr, port: "db-7.internal" if addr == "10.20.0.37" else None
    assert "db-7.internal" in stage.text()
    assert "10.20.0.37" not in stage.text()
    assert "10.20.0.99" in stage.text()
    stage.press("n")
    assert "10.20.0.37" in stage.text()
    assert "db-7.internal" not in stage.text()


def test_the_selected_row_has_a_bar_over_the_whole_line_and_keeps_what_is_high() -> None:
    stage = DrivenScreen().press("down")
    frame = stage.frame()
    at = next(y for y, row in frame.rows.items() if row == stage.state.selected)
    inside = frame.lines[at][1:-1]
    assert {span.role for span in inside} == {Role.SELECTED, Role.SELECTED_HIGH}
    assert "10.20.0.99" in plain(frame.lines[at])
    others = [line for y, line in enumerate(frame.lines) if y != at]
    assert not [s for line in others for s in line if s.role is Role.SELECTED]


def test_the_main_keys_are_on_the_bottom_line_and_all_in_the_help() -> None:
    bottom = DrivenScreen(size=Size(132, 30)).text().splitlines()[-1]
    for label in ("Help", "Quit", "Filter", "Sort", "Window", "Columns", "Detail", "Pause"):
        assert label in bottom
    stage = DrivenScreen(size=Size(100, 120)).press("?")
    text = stage.text()
    for key in KEYS:
        if key.meaning:
            assert key.meaning in text
            assert key.shown in text
    for column in COLUMNS:
        assert f"{LETTER_OF[column.key]} " in text
        assert column.metric.help in text


def test_every_column_has_a_letter_of_its_own() -> None:
    keys = ["destination", *(column.key for column in COLUMNS)]
    letters = [LETTER_OF[key] for key in keys]
    assert len(set(letters)) == len(letters)
    assert not set(letters) & set(ACTION_OF)


def test_every_field_has_a_meaning_and_stands_in_the_drill_down() -> None:
    fields = {*COUNTERS, *GAUGES, *SKETCHES, *DERIVED} - {"syn_rate"}
    assert all(metric.help for metric in METRICS)
    text = detail_screen((220, 100)).text()
    for name in fields - set(SKETCHES):
        assert re.search(rf"\b{name}\b", text), name
    for heading in ("p50", "p90", "p95", "p99", "p99.9", "max"):
        assert heading in text
    for name in ("Lat", "SYN RTT", "Rtt", "Last", "TLS", "Net", "ACK RTT", "Srv", "QoS"):
        assert re.search(rf"│ {name} ", text), name


def test_the_drill_down_has_history_and_connections() -> None:
    text = detail_screen((132, 90)).text()
    for label in ("attempts/s", "requests/s", "Rtt p95", "resets", "Longest open", "Slowest"):
        assert label in text
    line = next(x for x in text.splitlines() if "attempts/s" in x)
    # 7 mod 11 … of 30 s each, the greatest 10 in 5 s, the latest 0 in 5 s.
    assert re.search(r"attempts/s  ▆▃█▅▂█▄▁▇ │  ▆▃█▅▂█▄▁▇▄ +2 +0 ", line), line
    waiting = next(x for x in text.splitlines() if " waiting " in x)
    assert re.search(r"10\.0\.0\.4:40004 +443 waiting +30s +10s +4,000 +85ms\+", waiting), waiting
    unknown = next(x for x in text.splitlines() if "10.0.0.2:40002" in x)
    assert "unknown" in unknown


def test_latencies_of_the_drill_down_are_those_of_the_row() -> None:
    rows = [destination("192.0.2.1", syn=4, connect_latency=[MS * i for i in range(1, 1001)])]
    stage = DrivenScreen(snapshot=snapshot(rows, health=Health(packets=1)), size=Size(132, 40))
    stage.press("d")
    line = next(x for x in stage.text().splitlines() if x.startswith("│ Lat "))
    values = line.split()[2:9]
    assert values[0] == "1k"
    # Within the sketch's 1 % and the rounding to three digits; the last one is exact.
    for text, exact_ms in zip(values[1:], (500, 900, 950, 990, 999, 1000), strict=True):
        number = float(text.removesuffix("ms").removesuffix("s"))
        number *= 1 if text.endswith("ms") else 1000
        assert number == pytest.approx(exact_ms, rel=0.02)
    assert values[-1] == "1s"


def test_the_drill_down_without_a_detail_says_so() -> None:
    stage = DrivenScreen(size=Size(100, 80)).press("d")
    assert "2001:db8:85a3" in stage.text()
    assert "44,000" in stage.text()
    assert "windows are kept" in stage.text()
    gone = replace(stage.state, selected_key=replace(stage.state.selected_key, port=1))
    stage.state = gone
    assert "waiting for the answer" in stage.text()


def test_columns_leave_by_importance_and_return() -> None:
    def columns(width: int) -> list[str]:
        frame = DrivenScreen(size=Size(width, 20)).frame()
        (places,) = frame.headings.values()
        return [key for _, _, key in places if key != "destination"]

    wide = columns(250)
    for width in (220, 132, 80, 60, 40):
        shown = columns(width)
        assert set(shown) <= set(wide)
        assert len(shown) < len(wide)
        wide = shown if width > 60 else wide
    assert columns(250) == columns(250)
    assert "syn" in columns(40)


def test_a_hidden_column_stays_away_however_wide() -> None:
    stage = DrivenScreen(size=Size(220, 30)).press("c", " ", "esc")
    assert stage.state.hidden == {"syn"}
    heading = next(x for x in stage.text().splitlines() if " Host " in x)
    assert "Syn(/s)" not in heading
    assert "Syn/Ack" in heading
    stage.press("c", " ", "esc")
    assert "Syn(/s)" in stage.text()


@pytest.mark.parametrize("n_rows", [0, 1, 7, 500])
def test_the_count_of_rows_is_told(n_rows: int) -> None:
    rows = [destination(f"10.0.{i // 250}.{i % 250}", syn=1000 - i) for i in range(n_rows)]
    stage = DrivenScreen(snapshot=snapshot(rows, health=Health(packets=9)), size=Size(80, 20))
    text = stage.text()
    if not n_rows:
        assert "no connections" in text
        return
    shown = [line for line in text.splitlines() if line.startswith("│ 10.")]
    assert len(shown) == min(n_rows, stage.frame().page)
    assert f"1-{len(shown)} of {n_rows} " in text
    stage.press("end")
    assert f"-{n_rows} of {n_rows} " in stage.text()
    assert f"│ 10.0.{(n_rows - 1) // 250}.{(n_rows - 1) % 250} " in stage.text()


def test_before_the_first_packet_the_screen_says_so() -> None:
    frame = draw(Scene(State(), None, Status("x.pcap")), Size(80, 24), TerminalCaps())
    assert any("no packets yet" in plain(line) for line in frame.lines)
    empty = DrivenScreen(snapshot=snapshot([], health=Health())).text()
    assert "no connections" in empty


def test_rows_that_are_not_in_the_window_are_said_to_be_elsewhere() -> None:
    stage = DrivenScreen(snapshot=snapshot([], health=Health(packets=9)))
    assert " no connections " in stage.text()
    assert "no connections in the" not in stage.text()
    stage.press("w")
    assert "no connections in the last 10 s (w: a longer time)" in stage.text()


def test_a_pause_is_told() -> None:
    stage = DrivenScreen().press(" ")
    assert "paused" in stage.text().splitlines()[0]
    assert PAUSED in stage.press("w").text()


@cache
def many() -> object:
    rows = [
        destination(f"10.0.{i // 250}.{i % 250}", syn=i, response_time=[i * MS] if i % 2 else [])
        for i in range(60)
    ]
    rows.append(other(syn=3, rst=1))
    rows.append(destination("2001:db8::1", 443, syn=2, midstream=9, requests=10**12))
    return snapshot(rows, health=Health(packets=7, kernel_dropped=1, undecoded={"truncated": 3}))


def checked(stage: DrivenScreen) -> None:
    frame = stage.frame()
    assert len(frame.lines) == max(0, stage.size.height)
    for line in frame.lines:
        text = plain(line)
        assert display_width(text) <= stage.size.width
        assert not CONTROL.search(text)
        assert stage.caps.ascii_only is False or text.isascii()
    assert all(0 <= y < stage.size.height for y in frame.rows)
    if frame.cursor is not None:
        assert 0 <= frame.cursor[0] < stage.size.width
        assert 0 <= frame.cursor[1] < stage.size.height
    assert frame.page >= 1


@given(
    st.integers(20, 250),
    st.integers(5, 60),
    st.lists(st.sampled_from(ALL_KEYS), max_size=25),
    st.sampled_from([TerminalCaps(), MONO, ASCII]),
)
@settings(deadline=None, max_examples=120, derandomize=True)
def test_any_size_and_any_keys_draw_a_whole_screen(
    width: int, height: int, keys: list[str], caps: TerminalCaps
) -> None:
    stage = DrivenScreen(snapshot=many(), size=Size(width, height), caps=caps)  # type: ignore[arg-type]
    stage.names = lambda addr, port: "näme" if addr.endswith("7") else None
    for key in keys:
        stage.press(key)
        checked(stage)


@pytest.mark.parametrize("width", [0, 1, 2, 3, 4, 7, 8, 19])
@pytest.mark.parametrize("height", [0, 1, 2, 3, 4, 6, 30])
@pytest.mark.parametrize("mode", ["", "d", "c", "?", "/"])
def test_even_an_absurd_size_draws_something(width: int, height: int, mode: str) -> None:
    stage = DrivenScreen(size=Size(width, height))
    stage.press(*mode)
    if width and height:
        checked(stage)
        if mode == "d":
            stage.detail = detailed(stage.model, stage.model.names[0])
            checked(stage)


@given(st.integers(20, 250), st.integers(5, 60), st.integers(0, 60))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_any_size_draws_a_whole_drill_down(width: int, height: int, scroll: int) -> None:
    stage = detail_screen((width, height))
    stage.state = replace(stage.state, scroll=scroll)
    checked(stage)


def test_a_narrow_screen_keeps_a_row_in_sight() -> None:
    for height in range(7, 24):
        stage = DrivenScreen(size=Size(60, height))
        assert stage.frame().rows, height
        assert "total" in stage.text()


def test_warnings_leave_room_for_rows_and_say_how_many_are_left_out() -> None:
    stage = DrivenScreen(
        status=Status("x", notices=tuple(f"notice {i} " + "word " * 30 for i in range(9))),
        size=Size(60, 15),
    )
    assert len(stage.frame().rows) >= 3
    assert re.search(r"\(\+\d+ more lines\)", stage.text())


def test_what_is_drawn_depends_on_nothing_but_its_arguments() -> None:
    stage = DrivenScreen()
    first = stage.frame()
    DrivenScreen(size=Size(220, 50)).frame()
    assert stage.frame() == first


def test_one_module_alone_imports_curses() -> None:
    modules = Path(draw.__code__.co_filename).parent.parent.rglob("*.py")
    users = {
        module.name
        for module in modules
        if re.search(r"^\s*(import|from) curses", module.read_text(), re.M)
    }
    assert users == {"terminal.py"}


@pytest.mark.parametrize("height", [3, 4, 5])
def test_where_there_is_room_for_one_line_it_is_a_row(height: int) -> None:
    stage = DrivenScreen(size=Size(40, height))
    for name in ("2001:db", "10.20.0.99"):
        shown = stage.text()
        assert name in shown
        assert "total" not in shown
        assert ("Host" in shown) == (height == 5)
        stage.press("down")
    assert "total" in DrivenScreen(size=Size(40, 6)).text()


@pytest.mark.parametrize("width", [52, 60, 66])
def test_resets_leave_after_handshakes(width: int) -> None:
    """The worst verdicts rest on them; where no handshake completes, the verdict says so."""
    shown = DrivenScreen(size=Size(width, 24)).text()
    assert " Rst" in shown
    assert "299(" in shown


def test_a_narrow_column_is_no_stopgap_for_all_that_have_no_room() -> None:
    shown = DrivenScreen(size=Size(32, 24)).text()
    assert "QoS" not in shown


def test_a_long_reason_takes_the_lines_that_are_free() -> None:
    rows = [
        destination("10.0.0.1", syn=300, synack=12, est=12, syn_retrans=400, timeouts=280),
        destination("10.0.0.2", syn=3, synack=3, est=3),
    ]
    made = snapshot(rows, health=Health(packets=9))
    stage = DrivenScreen(made, size=Size(60, 18))
    shown = stage.text().splitlines()
    said = " ".join(line.strip("│ ") for line in shown[-5:-2])
    assert said.endswith("drops them")
    assert "…" not in said
    assert any(line.strip("│ ") == "" for line in shown[8:-5])
    full = DrivenScreen(made, size=Size(60, 12)).text().splitlines()
    assert full[-3].rstrip("│ ").endswith("…")
    assert all(f" 10.0.0.{i} " in "".join(full) for i in (1, 2))


def test_how_long_the_oldest_waits_is_said_on_narrow_terminals_too() -> None:
    for width in (60, 80):
        stage = detail_screen((width, 200))
        assert stage.detail is not None
        stage.detail = replace(stage.detail, oldest_wait_ns=21_100_000_000)
        shown = stage.text()
        assert "the oldest waits 21.1s" in shown
        assert ("5 of 23 connections, the oldest" in shown) == (width == 80)
