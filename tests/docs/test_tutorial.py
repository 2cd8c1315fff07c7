"""docs/tutorial.md shows what its commands print."""

from __future__ import annotations

import os
import re
import shlex

import pytest
from support.golden import SWITCH
from support.paths import ROOT
from support.scripts import run_python

PAGE = ROOT / "docs" / "tutorial.md"

BLOCK = re.compile(r"^```console\n\$ (trtop .*)\n((?:.*\n)*?)```$", re.MULTILINE)

COMMANDS = BLOCK.findall(PAGE.read_text(encoding="utf-8"))

ENDS_WITH_3 = "--fail-on"


def printed(command: str) -> str:
    """What a command of the page writes; in a check, what it says of the rows too."""
    done = run_python(ROOT, ["-m", *shlex.split(command)])
    assert done.returncode == (3 if ENDS_WITH_3 in command else 0), done.stderr
    text = done.stdout + done.stderr
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_the_tutorial_has_commands() -> None:
    assert len(COMMANDS) == 6
    assert [command for command, _ in COMMANDS if ENDS_WITH_3 in command] != []


@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_the_tutorial_shows_what_its_commands_print(number: int) -> None:
    command, shown = COMMANDS[number]
    made = printed(command)
    assert made != ""
    if os.environ.get(SWITCH) == "1" and made != shown:
        text = PAGE.read_text(encoding="utf-8")
        old, new = (f"$ {command}\n{output}```" for output in (shown, made))
        PAGE.write_text(text.replace(old, new), encoding="utf-8")
        return
    assert made == shown, f"{SWITCH}=1 rewrites it"
