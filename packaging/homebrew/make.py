"""Writes the Homebrew formula of a release to standard output.

    python packaging/homebrew/make.py dist/trtop-X.Y.Z.tar.gz > trtop.rb

Takes the source distribution that is on PyPI: the formula has its version and its SHA-256.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tomllib
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parents[2]

ARCHIVE = re.compile(r"trtop-(\d+(?:\.\d+)+\w*)\.tar\.gz")


def main() -> int:
    """Write the formula of the archive that is named."""
    archive = Path(sys.argv[1])
    match = ARCHIVE.fullmatch(archive.name)
    if match is None:
        sys.stderr.write(f"{archive.name} is not a source distribution of a release\n")
        return 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    template = Template((Path(__file__).parent / "trtop.rb.in").read_text(encoding="utf-8"))
    formula = template.substitute(
        homepage=project["urls"]["Homepage"],
        license=project["license"],
        sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
        version=match[1],
    )
    sys.stdout.write(formula)
    return 0


if __name__ == "__main__":
    sys.exit(main())
