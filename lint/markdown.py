"""Finds lines of the documents that are too long to read in a terminal.

    python lint/markdown.py

A line has at most 120 characters, outside tables and code blocks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

MAX_CHARACTERS = 120

FOLDERS = (".", "docs", "examples", "benchmarks")


def main() -> int:
    """Say every line that is too long; gives how many there are."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {length} characters"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).glob("*.md"))
        for number, length in too_long(path.read_text(encoding="utf-8"))
    ]
    print(*found, sep="\n", end="\n" if found else "")
    return len(found)


def too_long(text: str) -> Iterator[tuple[int, int]]:
    """Number and length of each line that is too long."""
    is_fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        is_fenced ^= line.lstrip().startswith("```")
        is_code = is_fenced or line.startswith("    ")
        if len(line) > MAX_CHARACTERS and not is_code and not line.startswith("|"):
            yield number, len(line)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
