"""The examples of the documents are run, each as a process, beside a capture."""

import re
import shlex
from pathlib import Path

import pytest
from support.paths import ROOT
from support.scripts import run_python, run_script, write_workload

TEXT = (ROOT / "docs" / "scripting.md").read_text(encoding="utf-8")

PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)

COMMANDS = re.findall(r"^    (trtop .*)$", TEXT, re.MULTILINE)


def test_there_are_examples() -> None:
    assert len(PYTHON) == 8
    assert len(COMMANDS) == 5
    assert "@@" not in TEXT


@pytest.mark.parametrize("code", PYTHON)
def test_an_example_script_runs(tmp_path: Path, code: str) -> None:
    if "to_pandas" in code:
        pytest.importorskip("pandas", reason="pandas is not installed")
    write_workload(tmp_path / "sample.pcap")
    done = run_script(tmp_path, code, "-i", "sample.pcap", "-o", "report")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_an_example_command_runs(tmp_path: Path, command: str) -> None:
    write_workload(tmp_path / "sample.pcap")
    hosts_only = command.replace("hosts,capture,dns", "hosts,capture")  # no name server here
    done = run_python(tmp_path, ["-m", *shlex.split(hosts_only)])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_links_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, anchor = target.partition("#")
        if path:
            assert (ROOT / "docs" / path).exists()
        elif anchor:
            assert anchor in anchors
