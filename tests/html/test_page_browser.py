"""A page in a real browser, opened from a file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from support.builders.snapshot import destination, snapshot
from support.html_page import HOSTILE, data_of
from support.paths import EXAMPLE
from support.traffic.busy import SEED, busy

from trtop.metrics import format as units
from trtop.reporters.formats import Format, make_reporter
from trtop.reporters.html_page.recorded import make_recording
from trtop.table.style import TableStyle
from trtop_core.activity import SERIES
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.records import Window
from trtop_core.snapshot import Snapshot
from trtop_core.table import RowName
from trtop_core.view import View
from trtop_core.wire.questions import answered

Opening = Callable[..., Page]

WIDTHS = (375, 800, 1440)


def written(path: Path, picture: Snapshot) -> Path:
    with path.open("w") as stream:
        make_reporter(Format.HTML, stream, TableStyle).report(picture)
    return path


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that the command writes of the example."""
    path = tmp_path_factory.mktemp("page") / "services.html"
    command = [sys.executable, "-m", "trtop", "--format", "html", EXAMPLE]
    path.write_bytes(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return path


@pytest.fixture(scope="module")
def named_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plain = snapshot([destination(f"10.0.0.{i + 1}", syn=i + 1) for i in range(len(HOSTILE))])
    called = tuple(RowName(name, name) for name in HOSTILE)
    hostile = replace(plain, table=replace(plain.table, names=called))
    return written(tmp_path_factory.mktemp("page") / "named.html", hostile)


def shown_names(page: Page) -> list[str]:
    return page.eval_on_selector_all(
        "#rows tbody tr:not([hidden]) th", "cells => cells.map(cell => cell.textContent)"
    )


def column(page: Page, heading: str) -> list[str]:
    headings = page.eval_on_selector_all("#rows thead th", "all => all.map(th => th.textContent)")
    at = headings.index(heading) + 1
    return page.eval_on_selector_all(
        f"#rows tbody tr:not([hidden]) > :nth-child({at})", "all => all.map(td => td.textContent)"
    )


def heading(page: Page, name: str) -> Any:
    return page.locator("#rows thead button", has_text=name).first


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_width_makes_the_page_scroll_sideways(
    example: Path, opened: Opening, width: int, scheme: str, tmp_path: Path
) -> None:
    page = opened(example, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    lanes = page.locator("#timeline .lanes").bounding_box()
    assert lanes is not None
    assert lanes["x"] + lanes["width"] <= width
    assert page.screenshot(path=tmp_path / "page.png", full_page=True)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]


def test_a_heading_sorts_turns_round_and_lets_go(example: Path, opened: Opening) -> None:
    page = opened(example)
    before = shown_names(page)
    heading(page, "Rtt").click()
    data = data_of(example.read_text())
    at = next(i for i, one in enumerate(data["columns"]) if "response_time" in one["names"])
    times = sorted((row[at] for row in data["values"] if row[at] is not None), reverse=True)
    shown = [text.lstrip("!") for text in column(page, "Rtt")]
    assert shown[: len(times)] == [units.duration(ns) for ns in times]
    assert set(shown[len(times) :]) == {"-"}
    assert page.locator("#rows th[aria-sort]").get_attribute("aria-sort") == "descending"
    heading(page, "Rtt").click()
    turned = [text.lstrip("!") for text in column(page, "Rtt")]
    assert turned[: len(times)] == [units.duration(ns) for ns in reversed(times)]
    assert set(turned[len(times) :]) == {"-"}
    heading(page, "Rtt").click()
    assert shown_names(page) == before
    assert page.locator("#rows th[aria-sort]").count() == 0


def test_names_sort_by_their_numbers(example: Path, opened: Opening) -> None:
    page = opened(example)
    heading(page, "Destination").click()
    assert shown_names(page) == [f"192.0.2.{n}" for n in range(11, 20)] + ["2001:db8::11"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("2001", ["2001:db8::11"]),
        ("refused", ["192.0.2.13"]),
        ("rst>0", ["192.0.2.13", "192.0.2.14"]),
        ("rst>0 rst<12", ["192.0.2.14"]),
        ("rtt>=150ms", ["192.0.2.16", "192.0.2.17", "192.0.2.12"]),
        ("lat>1s", ["192.0.2.16"]),
        ("nothing-has-this", []),
    ],
)
def test_the_filter_leaves_these_rows(
    example: Path, opened: Opening, text: str, names: list[str]
) -> None:
    page = opened(example)
    page.keyboard.press("/")
    page.keyboard.type(text)
    assert shown_names(page) == names
    assert page.locator("#status").text_content() == f"{len(names)} of 10 destinations"
    page.keyboard.press("Escape")
    assert len(shown_names(page)) == 10


@pytest.mark.parametrize("text", ["no_such>1", "rst>many", "rtt>5", "rst>5ms", ">", "rst>"])
def test_what_the_filter_does_not_understand_is_said(
    example: Path, opened: Opening, text: str
) -> None:
    page = opened(example)
    page.fill("#filter", text)
    status = page.locator("#status").text_content() or ""
    assert "Not understood" in status or status.startswith("0 of")


def test_verdicts_can_be_chosen(example: Path, opened: Opening) -> None:
    page = opened(example)
    page.select_option("#verdict", "ok")
    assert len(shown_names(page)) == 1
    assert set(column(page, "Verdict")) == {"ok"}


@pytest.fixture(scope="module")
def busy_page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, bytes]]]:
    packets = busy(7, 60)
    engine = Engine(EngineConfig(windows=tuple(Window), history_bytes=1 << 24), SEED)
    engine.feed(PacketBatch.from_packets(packets))
    engine.finish()
    path = tmp_path_factory.mktemp("page") / "busy.html"
    with path.open("w") as stream:
        recording = make_recording(lambda question: answered([engine], question))
        reporter = make_reporter(Format.HTML, stream, TableStyle, recording=recording)
        reporter.report(engine.snapshot(View()))
    return path, packets


def counted(packets: list[tuple[int, bytes]], until_ns: int) -> dict[str, dict[str, int]]:
    """What an engine counts of the packets before a moment."""
    engine = Engine(EngineConfig(), SEED)
    engine.feed(PacketBatch.from_packets([packet for packet in packets if packet[0] < until_ns]))
    return {row.name: {name: row.count(name) for name in SERIES}
            for row in engine.snapshot(View()).rows()}  # fmt: skip


def test_brushing_counts_the_part_that_is_chosen(
    busy_page: tuple[Path, list[tuple[int, bytes]]], opened: Opening
) -> None:
    path, packets = busy_page
    timeline = data_of(path.read_text())["timeline"]
    assert timeline["factor"] == 1
    page = opened(path)
    whole = column(page, "Syn"), column(page, "Rst")
    box = page.locator(".lanes").bounding_box()
    assert box is not None
    room = box["width"] - 52 - 8
    n_slots = timeline["slots"]

    def x_of(slot: float) -> float:
        return box["x"] + 52 + slot / n_slots * room

    first, end = n_slots // 4, n_slots // 2
    page.mouse.move(x_of(first + 0.5), box["y"] + 40)
    page.mouse.down()
    page.mouse.move(x_of(end - 0.5), box["y"] + 60, steps=5)
    page.mouse.up()
    slot_ns = round(timeline["slot_s"] * 1e9)
    first_ns = round(timeline["first_ms"] * 1e6)
    before = counted(packets, first_ns + first * slot_ns)
    after = counted(packets, first_ns + end * slot_ns)
    names = shown_names(page)
    for title, name in (("Syn", "syn"), ("Est", "est"), ("Rst", "rst"), ("Out", "requests")):
        expected = [f"{after[row][name] - before[row][name]:,}" for row in names]
        assert column(page, title) == expected, title
        total = sum(after[row][name] - before[row][name] for row in names)
        headings = page.eval_on_selector_all("#rows thead th", "all => all.map(e => e.textContent)")
        cell = f"#rows tfoot tr > :nth-child({headings.index(title) + 1})"
        assert page.locator(cell).text_content() == f"{total:,}"
    assert set(column(page, "QoS")) == {"–"}
    page.get_by_role("button", name="All of the time").click()
    assert (column(page, "Syn"), column(page, "Rst")) == whole


def test_the_timeline_is_brushed_with_keys(
    busy_page: tuple[Path, list[tuple[int, bytes]]], opened: Opening
) -> None:
    page = opened(busy_page[0])
    whole = column(page, "Syn")
    page.keyboard.press("t")
    note = page.locator("#timeline [role=status]")
    page.keyboard.press("ArrowRight")
    chosen = note.text_content()
    assert chosen is not None
    assert chosen.startswith("Chosen: ")
    page.keyboard.press("ArrowRight")
    assert note.text_content() != chosen
    page.keyboard.press("Shift+ArrowRight")
    assert page.locator(".brush").is_visible()
    assert column(page, "Syn") != whole
    page.keyboard.press("Escape")
    assert not page.locator(".brush").is_visible()
    assert column(page, "Syn") == whole


def test_rows_open_and_close_with_keys(example: Path, opened: Opening) -> None:
    page = opened(example)
    page.locator("#rows tbody tr").first.focus()
    for _ in range(6):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    dialog = page.locator("#detail")
    assert dialog.is_visible()
    text = dialog.text_content() or ""
    for words in ("192.0.2.12", "SLOW SERVER", "What to look at next", "Slowest connections"):
        assert words in text
    assert page.locator("#detail svg[aria-label^=Histogram]").count() >= 4
    assert page.locator("#detail svg[aria-label^=Cumulative]").count() >= 4
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.id") == "d6"


def test_every_part_is_reached_with_the_tab_key(example: Path, opened: Opening) -> None:
    page = opened(example)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"theme", "keys", "lanes", "filter", "verdict", "wide", "d0"} <= reached


def test_a_verdict_above_the_table_leads_to_its_row(example: Path, opened: Opening) -> None:
    page = opened(example)
    page.get_by_role("link", name="192.0.2.14").click()
    assert "RESET" in (page.locator("#detail-body .why").text_content() or "")


def test_hostile_names_are_text(named_page: Path, opened: Opening) -> None:
    page = opened(named_page)
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    assert page.locator("#rows tbody tr").count() == len(HOSTILE)
    assert "</script><img src=x onerror=alert(1)>" in shown_names(page)
    assert r"\u202egnp.exe\u2066" in shown_names(page)
    for i in range(len(HOSTILE)):
        page.locator(f"#d{i}").click()
        title = page.locator("#detail-title").text_content()
        assert title == shown_names(page)[i]
        page.keyboard.press("Escape")
    assert page.locator("img, iframe, object").count() == 0


VALUES_NS = [0, 1, 999, 1000, 1234, 9_994, 9_995, 99_949, 99_951, 999_499, 999_500, 10**6 - 1,
             10**6, 36_999, 1_005_000, 59_949_999_999, 59_950_000_001, 10**9, 3600 * 10**9 - 1,
             86_400 * 10**9, 5 * 86_400 * 10**9 + 7_000 * 10**9]  # fmt: skip


def test_durations_of_the_script_read_as_those_of_the_table(example: Path, opened: Opening) -> None:
    page = opened(example)
    shown = page.evaluate("values => values.map(duration)", VALUES_NS)
    assert shown == [units.duration(ns) for ns in VALUES_NS]


CONTRAST = """
() => {
  const parts = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const linear = [r, g, b].map((c) => c / 255 <= 0.04045 ? c / 255 / 12.92
      : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = parts(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const ratio = (a, b) => {
    const [low, high] = [light(a), light(b)].sort((one, other) => one - other);
    return (high + 0.05) / (low + 0.05);
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const isSvg = node.namespaceURI.endsWith("svg");
    const isDrawn = node.matches(".bar, path.line");
    const hasText = Array.from(node.childNodes).some((n) => n.nodeType === 3 && n.data.trim());
    if (node.matches("script, noscript") || !node.getClientRects().length) continue;
    if (!hasText && !isDrawn) continue;
    const style = getComputedStyle(node);
    const drawn = node.matches("path.line") ? style.stroke : style.fill;
    const measured = ratio(parts(isSvg ? drawn : style.color), behind(node));
    found.push([isDrawn ? "drawn" : "text", measured, node.outerHTML.slice(0, 90)]);
  }
  return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(example: Path, opened: Opening, scheme: str) -> None:
    page = opened(example, scheme=scheme)
    measured = page.evaluate(CONTRAST)
    page.locator("#d4").click()
    measured += page.evaluate(CONTRAST)
    kinds = {kind for kind, _, _ in measured}
    assert kinds == {"text", "drawn"}
    assert len(measured) > 300
    # WCAG 2.2 1.4.3 for text, 1.4.11 for what is drawn.
    low = [(ratio, what) for kind, ratio, what in measured if ratio < {"text": 4.5}.get(kind, 3)]
    assert low == []


def test_the_look_can_be_turned(example: Path, opened: Opening) -> None:
    page = opened(example, scheme="dark")
    page.get_by_role("button", name="Light").click()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(255, 255, 255)"


def test_on_paper_it_is_black_on_white_without_controls(example: Path, opened: Opening) -> None:
    page = opened(example, scheme="dark")
    page.emulate_media(media="print")
    style = (
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert page.evaluate(style) == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    assert not page.locator("#controls").is_visible()
    assert not page.locator("#theme").is_visible()
    assert page.pdf(format="A4", landscape=True).startswith(b"%PDF")


def test_without_scripts_the_verdicts_and_the_table_are_there(example: Path, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(example.as_uri())
    text = page.locator("body").inner_text()
    context.close()
    assert "13 of 13 attempts refused" in text
    assert "The timeline needs scripts" in text
    assert "192.0.2.18" in text


def test_the_policy_stops_what_is_not_the_pages_own(example: Path, browser: Any) -> None:
    page = browser.new_page()
    stopped = []
    page.on("console", lambda message: stopped.append(message.text))
    page.goto(example.as_uri())
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "document.title = 'run'";
          document.body.append(script);
          document.body.append(Object.assign(new Image(), { src: "http://127.0.0.1:9/x.png" }));
        }"""
    )
    page.wait_for_timeout(100)
    title = page.title()
    page.close()
    assert title != "run"
    assert len(stopped) >= 2
    assert all("Content Security Policy" in text for text in stopped)


def test_a_large_page_sorts_and_filters(opened: Opening, tmp_path: Path) -> None:
    made = [destination(f"10.{i >> 8}.{i & 255}.1", syn=i * 7 % 1000) for i in range(2000)]
    page = opened(written(tmp_path / "large.html", snapshot(made)))
    page.evaluate(
        """() => {
          document.querySelectorAll("#rows thead button")[2].click();
          document.getElementById("filter").value = "syn>500";
          document.getElementById("filter").dispatchEvent(new Event("input"));
          document.body.offsetHeight;
        }"""
    )
    values = [int(text.split("(")[0]) for text in column(page, "Syn")]
    assert values == sorted(values, reverse=True)
    assert min(values) == 501
