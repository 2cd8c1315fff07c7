"""The laboratory's programs in compiled languages, built once and kept under ``build/lab``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lab import LabError
from lab.network import LAB

ROOT = LAB.parent.parent.parent
BUILT = ROOT / "build" / "lab"

PROGRAMS = LAB / "programs"

BUILD_TIMEOUT_S = 300.0


def go_program() -> Path:
    """Give the program in Go."""
    source, built = PROGRAMS / "lab.go", BUILT / "lab-go"
    _build(["go", "build", "-o", str(built), str(source)], source, built)
    return built


def java_classes() -> Path:
    """Give the folder with the program in Java."""
    source, built = PROGRAMS / "Lab.java", BUILT / "java" / "Lab.class"
    _build(["javac", "-d", str(built.parent), str(source)], source, built)
    return built.parent


def _build(command: list[str], source: Path, built: Path) -> None:
    if built.exists() and built.stat().st_mtime >= source.stat().st_mtime:
        return
    built.parent.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "GO111MODULE": "off", "GOCACHE": str(BUILT / "go-cache")}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise LabError(f"{command[0]}: {done.stderr.strip()[-600:]}")
