"""The screens in ``docs/screen.md`` are what the program shows of the example capture."""

import os
import re

import pytest
from support.golden import SWITCH
from support.paths import EXAMPLE, ROOT
from support.terminals import OnTerminal

PAGE = ROOT / "docs" / "screen.md"

BLOCK = re.compile(r"<!-- screen: (\d+)x(\d+) ?(\w*) -->\n(?:\n(?: {4}[^\n]*\n|\n(?= {4}))+)?")


def shown(columns: int, lines: int, keys: str) -> str:
    with OnTerminal("-m", "trtop", EXAMPLE, size=(columns, lines), NO_COLOR="1") as terminal:
        terminal.wait_for("1-10 of 10")
        if keys:
            terminal.send("jjjj")
            terminal.send(keys)
            terminal.wait_for("Slowest latest request")
            terminal.wait_for("Esc Back")  # the last line to be drawn
        text = "\n".join(f"    {line}".rstrip() for line in terminal.screen.display)
        terminal.send("q")
        assert terminal.ended() == 0
    return text


@pytest.mark.parametrize("number", range(2))
def test_the_screens_of_the_page_are_real(number: int) -> None:
    page = PAGE.read_text(encoding="utf-8")
    match = list(BLOCK.finditer(page))[number]
    text = shown(int(match[1]), int(match[2]), match[3])
    expected = f"{match[0].splitlines()[0]}\n\n{text}\n"
    if os.environ.get(SWITCH) == "1":
        PAGE.write_text(page[: match.start()] + expected + page[match.end() :], encoding="utf-8")
    else:
        assert match[0].rstrip() == expected.rstrip(), f"{SWITCH}=1 rewrites it"


def test_the_page_has_all_keys() -> None:
    from trtop.tui.keys import KEYS  # noqa: PLC0415

    page = PAGE.read_text(encoding="utf-8")
    letters = [key.shown for key in KEYS if len(key.shown) == 1]
    assert len(letters) > 12
    assert [letter for letter in letters if f"`{letter}`" not in page] == []
