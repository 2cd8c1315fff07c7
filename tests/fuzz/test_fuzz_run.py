"""What ``make fuzz`` says of a target is what libFuzzer said, and a finding is a failure."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from support.paths import ROOT

sys.path.insert(0, str(ROOT / "fuzz"))

from guided import escaped, watching, write_seeds
from run import Outcome, outcome_of
from target import TARGETS, Target

TREE = ROOT / "build" / "fuzz-tree" / "lib"

SAID = """\
INFO: Loaded 14 modules   (52164 inline 8-bit counters): 3336 [0x7f, 0x80),
#180	INITED cov: 396 ft: 1507 corp: 26/30Kb exec/s: 90 rss: 243Mb
#256	pulse  cov: 397 ft: 1675 corp: 33/40Kb lim: 1502 exec/s: 23 rss: 299Mb
#2040	DONE   cov: 424 ft: 2018 corp: 99/72Kb lim: 1502 exec/s: 127 rss: 301Mb
Done 2040 runs in 16 second(s)
stat::number_of_executed_units: 2040
"""


def test_executions_coverage_and_corpus_are_those_that_libfuzzer_told() -> None:
    found = outcome_of("savefile", SAID, 16.4, (), 0)
    assert found == Outcome("savefile", 16.4, 2040, 396, 424, 2018, 99, (), 0)
    assert found.is_good
    assert found.line.split() == ["savefile", "16", "2,040", "396→424", "2,018", "99", "0"]


@pytest.mark.parametrize(
    ("said", "findings", "status", "shown"),
    [(SAID, ("crash-1",), 77, "1"), (SAID, (), 1, "failed"), ("", (), 1, "failed")],
)
def test_a_finding_and_a_fuzzer_that_fails_are_told_apart_and_both_are_bad(
    said: str, findings: tuple[str, ...], status: int, shown: str
) -> None:
    found = outcome_of("wire", said, 1.0, tuple(map(Path, findings)), status)
    assert not found.is_good
    assert found.line.split()[-1] == shown


def test_nothing_that_was_run_is_no_success() -> None:
    assert not outcome_of("wire", "", 1.0, (), 0).is_good


def test_every_target_has_a_file_and_every_file_is_a_target() -> None:
    files = {path.stem.removeprefix("fuzz_") for path in (ROOT / "fuzz").glob("fuzz_*.py")}
    assert files == set(TARGETS)


def test_an_unknown_target_is_said_in_a_line() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "fuzz" / "run.py"), str(TREE), "savefil"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "fuzz")},
        check=False,
    )
    assert done.returncode == 2
    assert "no target 'savefil'; there are: savefile, engine" in done.stderr


def test_a_target_without_packages_has_no_python_watched() -> None:
    assert isinstance(watching(()), nullcontext)


def test_seeds_are_written_once_each_and_words_as_a_dictionary_spells_them(tmp_path: Path) -> None:
    target = Target(lambda data: None, lambda: [b"abc", b"abcd", b"x"], max_bytes=3)
    write_seeds(target, tmp_path)
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"abc", b"x"]
    assert escaped(b'\x00"\xff') == "\\x00\\x22\\xff"


@pytest.mark.skipif(not TREE.is_dir() or not shutil.which("clang"), reason="no fuzzing build")
def test_coverage_of_kernels_leads_the_fuzzer(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "fuzz" / "run.py"), str(TREE), "savefile"),
            *("--seconds", "5", "--folder", str(tmp_path), "--seed", "1"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    said = (tmp_path / "savefile" / "log").read_text()
    counters = re.search(r"Loaded (\d+) modules +\((\d+) inline 8-bit counters\)", said)
    assert counters is not None
    assert int(counters[1]) >= 10
    # Its Python has a hundred edges; the rest are those of the kernel that walks through records.
    edges = [int(found) for found in re.findall(r"cov: (\d+)", said)]
    assert max(edges) > 250
    assert len(list((tmp_path / "savefile" / "corpus").iterdir())) > 10
