import subprocess
import sys

import pytest
from support.paths import ROOT

import trtop_core


def test_the_reference_is_what_the_docstrings_say() -> None:
    command = [sys.executable, str(ROOT / "docs" / "api_pages.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), (
        "python docs/api_pages.py writes it"
    )


@pytest.mark.parametrize("name", ["analyze", "connections", "stream", "Result"])
def test_the_library_is_in_it(name: str) -> None:
    text = (ROOT / "docs" / "api" / "trtop.md").read_text(encoding="utf-8")
    assert f"\n## {name}\n" in text


def test_every_public_name_of_the_core_is_in_it() -> None:
    text = (ROOT / "docs" / "api" / "trtop_core.md").read_text(encoding="utf-8")
    for name in trtop_core.__all__:
        assert f"\n## {name}\n" in text, name
