"""Writes docs/api/: the reference of the libraries ``trtop`` and ``trtop_core``, from docstrings.

    python docs/api_pages.py            writes docs/api/trtop.md, docs/api/trtop_core.md
    python docs/api_pages.py --check    says which of them are out of step, and writes nothing

Takes public names (the stub of ``trtop``, ``trtop_core.__all__``), gives Markdown. A test keeps the
files in step.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import trtop
import trtop_core

ROOT = Path(__file__).parent.parent

FOLDER = ROOT / "docs" / "api"

PROMISE = """\
Names on this page are stable: within a major version they keep their meaning, and what is taken
away is deprecated first ([Semantic Versioning](https://semver.org/)). All else is trtop's own
matter. Both packages carry type hints (`py.typed`). Written by `docs/api_pages.py`.
"""

MAX_CHARS = 100

STUB_NAME = re.compile(r"^from \S+ import \S+ as ([A-Za-z]\w*)$", re.MULTILINE)
"""What the stub takes from a module; the other names are values of the command line."""

ANNOTATION = re.compile(r"(: |-> )'([^']*)'")

ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def pages() -> dict[Path, str]:
    """The text of each page."""
    stub = (ROOT / "trtop" / "__init__.pyi").read_text(encoding="utf-8")
    return {
        FOLDER / "trtop.md": page(trtop, STUB_NAME.findall(stub)),
        FOLDER / "trtop_core.md": page(trtop_core, list(trtop_core.__all__)),
    }


def page(module: ModuleType, names: list[str]) -> str:
    """The reference of some names of a module."""
    shown = [(name, getattr(module, name)) for name in sorted(names, key=str.lower)]
    parts = [f"# {module.__name__}", fenced(inspect.getdoc(module) or ""), PROMISE]
    parts += ["- " + "\n- ".join(f"[`{name}`](#{name.lower()})" for name, _ in shown)]
    for name, thing in shown:
        parts += entry(name, thing)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def entry(name: str, thing: Any) -> Iterator[str]:
    """A function, or a class with its public methods."""
    yield f"## {name}"
    yield fenced(f"{called(name, thing)}\n\n{inspect.getdoc(thing)}")
    if not inspect.isclass(thing):
        return
    for inner, member in vars(thing).items():
        if inner.startswith("_") or not inspect.getdoc(member):
            continue
        if isinstance(member, property):
            yield fenced(f"{name}.{inner}\n\n{inspect.getdoc(member)}")
        elif inspect.isfunction(member) or isinstance(member, (classmethod, staticmethod)):
            function = getattr(thing, inner)
            yield fenced(f"{called(f'{name}.{inner}', function)}\n\n{inspect.getdoc(member)}")


def called(name: str, thing: Any) -> str:
    """How it is called, an argument a line where one line is too long."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return name
    text = plain(f"{name}{signature}")
    if len(text) <= MAX_CHARS:
        return text
    result = text[text.rindex(")") :] if "->" in text[text.rindex(")") :] else ")"
    lines, has_star = "", False
    for argument in signature.parameters.values():
        if argument.kind is argument.KEYWORD_ONLY and not has_star:
            has_star = True
            lines += "    *,\n"
        lines += f"    {plain(str(argument))},\n"
    return f"{name}(\n{lines}{result}"


def plain(text: str) -> str:
    """A signature whose annotations are not quoted, and without addresses in memory."""
    return ANNOTATION.sub(r"\1\2", ADDRESS.sub("", text))


def fenced(text: str) -> str:
    """Text as it stands."""
    return f"```text\n{text}\n```"


def main(argv: list[str]) -> int:
    """Write the pages, or check them."""
    stale = [
        (path, text)
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        print(path.relative_to(ROOT))
        if "--check" not in argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return int(bool(stale) and "--check" in argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
