"""The source distribution is whole, and wheels are built for what is promised."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from support.paths import ROOT

import trtop

TIMEOUT_S = 240

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

ONLY_IN_THE_REPOSITORY = (".github/", ".gitignore")
"""What the forge and git read, and nobody who unpacks an archive."""

CHECK = ROOT / "packaging" / "check_wheel.py"


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def tracked() -> set[str]:
    """The files of the repository, but for those that are meant for it alone."""
    if shutil.which("git") is None or run("git", "rev-parse", "--git-dir").returncode:
        pytest.skip("not a git repository, or git is not installed")
    names = run("git", "ls-files", "--cached").stdout.splitlines()
    return {name for name in names if not name.startswith(ONLY_IN_THE_REPOSITORY)}


def test_the_source_distribution_holds_every_file_of_the_repository(tmp_path: Path) -> None:
    wanted = {name for name in tracked() if (ROOT / name).exists()}
    # setuptools writes its egg-info beside pyproject.toml: not into a tree that other tests read.
    for name in wanted:
        copy = tmp_path / "tree" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy)
    build = (sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path)
    done = run(*build, cwd=tmp_path / "tree", PYTHONPATH="", PYTHONSAFEPATH="")
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("trtop-*.tar.gz")
    with tarfile.open(archive) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    assert wanted - held == set()
    assert len(wanted) > 900


def test_wheels_are_built_for_each_python_libc_and_processor() -> None:
    pytest.importorskip("cibuildwheel")
    found = set()
    for processor in ("x86_64", "aarch64"):
        listing = ("--print-build-identifiers", "--platform", "linux", "--archs", processor)
        done = run(sys.executable, "-m", "cibuildwheel", *listing)
        assert done.returncode == 0, done.stderr
        found |= set(done.stdout.split())
    assert found == {
        f"cp3{minor}-{libc}_{processor}"
        for minor in (11, 12, 13, 14)
        for libc in ("manylinux", "musllinux")
        for processor in ("x86_64", "aarch64")
    }


def test_a_wheel_of_this_machine_alone_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "trtop-0.1.0-cp311-cp311-linux_x86_64.whl"
    wheel.touch()
    done = run(sys.executable, CHECK, wheel)
    assert (done.returncode, done.stdout) == (1, "")
    assert "for this machine alone" in done.stderr


def test_a_wheel_without_kernels_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "trtop-0.1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("trtop/py.typed", "")
    done = run(sys.executable, CHECK, wheel)
    assert done.returncode == 1
    assert re.search(r"the kernel _\w+ is missing", done.stderr)


def test_a_wheel_that_is_too_large_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "trtop-0.1.0-cp311-cp311-musllinux_1_2_aarch64.whl"
    wheel.write_bytes(b"")
    os.truncate(wheel, 6_000_000)
    done = run(sys.executable, CHECK, wheel)
    assert done.returncode == 1
    assert "6,000,000 bytes" in done.stderr


def test_the_version_is_written_in_one_place() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    written = re.compile(rf"(?<![\w.]){re.escape(trtop.__version__)}(?![\w.])")
    allowed = {"CHANGELOG.md", "trtop/_version.py"}
    suspects = [ROOT / name for name in ("pyproject.toml", "setup.py", "Makefile", "README.md")]
    suspects += [
        path
        for path in (ROOT / "packaging").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    ]
    found = {
        str(path.relative_to(ROOT))
        for path in suspects
        if any(written.search(line) for line in path.read_text("utf-8").splitlines())
    }
    assert found - allowed == set()
    assert written.search((ROOT / "trtop" / "_version.py").read_text("utf-8"))


def test_the_changelog_has_a_part_for_this_version_or_what_will_be_it() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(
        rf"^## \[{re.escape(trtop.__version__)}\] - \d{{4}}-\d\d-\d\d$"
        rf"|^## \[Unreleased\]\n\nWhat will be {re.escape(trtop.__version__)}\.$",
        text,
        re.MULTILINE,
    )
