"""Settings of the documents as a site, for ``make site``.

Sources are the documents as they lie in the repository, so that their links lead somewhere on the
forge, in an archive and here.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

sys.path.insert(0, str(ROOT))

from trtop import __version__  # noqa: E402

HOME = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Source"]

project = "trtop"
author = "The trtop authors"
copyright = "The trtop authors, MIT licence"  # noqa: A001
version = release = __version__

extensions = ["myst_parser"]
include_patterns = ["*.md", "docs/*.md", "docs/api/*.md", "examples/README.md", "benchmarks/*.md"]
exclude_patterns = ["build", "dist", ".venv*", "tests", "**/.*"]
root_doc = "README"
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"trtop {release}"
html_copy_source = False
html_theme_options = {"source_repository": HOME, "source_branch": "main", "source_directory": ""}
# Blocks of commands and screens are no language.
highlight_language = "none"

PARTS = {
    "First steps": ("docs/tutorial", "docs/install", "docs/incident", "docs/screen"),
    "In use": (
        "docs/daemon",
        "docs/filter",
        "docs/report",
        "docs/records",
        "docs/batch",
        "docs/metrics",
        "docs/scripting",
        "examples/README",
    ),
    "Numbers": ("docs/definitions", "docs/columns", "docs/accuracy", "docs/performance"),
    "Reference": ("docs/api/trtop", "docs/api/trtop_core"),
    "The project": ("CHANGELOG", "ARCHITECTURE", "CONTRIBUTING", "SECURITY", "RELEASE"),
}
"""What stands at the side; pages of docs/ that are not named follow."""

LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def add_contents(name: str, text: str) -> str:
    """Add the table of contents to the front page."""
    if name != root_doc:
        return text
    parts = [
        "\n".join(("```{toctree}", f":caption: {caption}", ":hidden:", "", *pages, "```"))
        for caption, pages in (*PARTS.items(), ("More", other_pages()))
        if pages
    ]
    return "\n\n".join((text, *parts, ""))


def other_pages() -> list[str]:
    """Pages of docs/ that no part names: a new one is on the site from its first day."""
    named = {page for pages in PARTS.values() for page in pages}
    found = {f"docs/{path.stem}" for path in (ROOT / "docs").glob("*.md")}
    return sorted(found - named)


def lead_to_the_forge(name: str, text: str) -> str:
    """Let links to files that are no pages lead to the repository."""
    folder = (ROOT / name).parent

    def target(match: re.Match[str]) -> str:
        path = (folder / match[1]).resolve()
        if path.suffix == ".md" or not path.exists():
            return match[0]
        kind = "tree" if path.is_dir() else "blob"
        return f"]({HOME}/{kind}/main/{path.relative_to(ROOT)}{match[2] or ''})"

    return LINK.sub(target, text)


def on_source_read(app: Any, name: str, source: list[str]) -> None:
    """Take a document as it is read, give what the site needs besides."""
    source[0] = add_contents(name, lead_to_the_forge(name, source[0]))


def on_build_finished(app: Any, error: Exception | None) -> None:
    """Make the front page what a server shows for the folder."""
    if error is None and app.builder.format == "html":
        shutil.copyfile(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def setup(app: Any) -> dict[str, bool]:
    """Connect both."""
    app.connect("source-read", on_source_read)
    app.connect("build-finished", on_build_finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
