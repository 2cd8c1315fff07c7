"""The screens in the documents are what the program shows of the example after some keys."""

import os
import re
import shlex
import time
from pathlib import Path

import pytest
from support.golden import SWITCH
from support.paths import EXAMPLE, ROOT
from support.scripts import run_python
from support.terminals import OnTerminal

SCREEN_PAGE = ROOT / "docs" / "screen.md"
INCIDENT_PAGE = ROOT / "docs" / "incident.md"

BLOCK = re.compile(r"<!-- screen: (\d+)x(\d+)((?: \S+)*?) -->\n(?:\n(?: {4}[^\n]*\n|\n(?= {4}))+)?")
"""Width, height and keys, and the screen as an indented text."""

SPACE = "_"
"""Stands for a space in what is typed."""

QUIET_S = 2.0
"""A screen that is rewritten has come to rest by then."""

BLOCKS = [
    (page, number)
    for page in (SCREEN_PAGE, INCIDENT_PAGE)
    for number, _ in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")))
]


def indented(terminal: OnTerminal) -> str:
    return "\n".join(f"    {line}".rstrip() for line in terminal.screen.display)


def shown(columns: int, lines: int, keys: list[str], expected: str | None) -> str:
    """The screen after some keys, as soon as it is the expected one."""
    with OnTerminal("-m", "trtop", EXAMPLE, size=(columns, lines), NO_COLOR="1") as terminal:
        terminal.wait_for("of 10 ─┘")
        for key in keys:
            terminal.send("\r" if key == "Enter" else key.replace(SPACE, " "))
        if expected is None:
            end_s = time.monotonic() + QUIET_S
            terminal.wait_for(lambda now: time.monotonic() > end_s)
        else:
            terminal.wait_for(lambda now: indented(now) == expected)
        text = indented(terminal)
        terminal.send("q")
        assert terminal.ended() == 0
    return text


@pytest.mark.parametrize(
    ("page", "number"), BLOCKS, ids=lambda value: getattr(value, "stem", value)
)
def test_the_screens_of_the_pages_are_real(page: Path, number: int) -> None:
    text = page.read_text(encoding="utf-8")
    match = list(BLOCK.finditer(text))[number]
    head, _, kept = match[0].rstrip().partition("\n\n")
    is_rewriting = os.environ.get(SWITCH) == "1"
    made = shown(int(match[1]), int(match[2]), match[3].split(), None if is_rewriting else kept)
    if is_rewriting:
        page.write_text(
            f"{text[: match.start()]}{head}\n\n{made}\n{text[match.end() :]}", encoding="utf-8"
        )
    assert made == kept or is_rewriting, f"{SWITCH}=1 rewrites it"


def test_the_page_has_all_keys() -> None:
    from trtop.tui.keys import KEYS  # noqa: PLC0415

    page = SCREEN_PAGE.read_text(encoding="utf-8")
    letters = [key.shown for key in KEYS if len(key.shown) == 1]
    assert len(letters) > 12
    assert [letter for letter in letters if f"`{letter}`" not in page] == []


def test_the_pages_hold_screens() -> None:
    assert [page for page, _ in BLOCKS].count(INCIDENT_PAGE) == 7
    assert [page for page, _ in BLOCKS].count(SCREEN_PAGE) == 3


def test_the_check_of_the_walk_ends_with_status_3(tmp_path: Path) -> None:
    (line,) = re.findall(r"^    (trtop .* --fail-on .*)$", INCIDENT_PAGE.read_text("utf-8"), re.M)
    command = ["-m", *shlex.split(line)[:-1], str(EXAMPLE)]
    assert run_python(tmp_path, command).returncode == 3
