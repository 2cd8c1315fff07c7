"""The definitions know every number; the site is made of all documents."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

from trtop_core.metric_types import Kind
from trtop_core.metrics import METRICS
from trtop_core.verdicts.causes import WORDS

TIMEOUT_S = 240

DEFINITIONS = (ROOT / "docs" / "definitions.md").read_text(encoding="utf-8")

MEASURED = [metric.name for metric in METRICS if metric.kind is not Kind.DERIVED]


def test_every_number_that_is_measured_has_a_definition() -> None:
    assert len(MEASURED) > 40
    assert [name for name in MEASURED if f"`{name}`" not in spelled_out(DEFINITIONS)] == []


def spelled_out(text: str) -> str:
    """The text, where a group of fields that is named by a star names each of them."""
    for stem in re.findall(r"`(\w+_)\*`", text):
        text += "".join(f" `{name}`" for name in MEASURED if name.startswith(stem))
    return text


def test_every_verdict_has_a_definition() -> None:
    table = DEFINITIONS.partition("## 10.")[2].partition("What else verdicts")[0]
    words = re.findall(r"^\| `?([A-Za-z–]+(?: [A-Z]+)*)`? \| (?!holds)", table, re.MULTILINE)
    assert [word.replace("–", "-") for word in words] == list(WORDS)


def test_sections_that_are_named_exist() -> None:
    sections = set(re.findall(r"^## (\d+)\.", DEFINITIONS, re.MULTILINE))
    # Not those of RFCs, which stand behind their number.
    named = set(re.findall(r"(?<!\d )§(\d+)", DEFINITIONS))
    assert named <= sections
    assert len(sections) == 10


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    for module in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(module)
    command = ["-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs/site", ".", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    front = (tmp_path / "index.html").read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert f'href="docs/{page.stem}.html"' in front, page.name
