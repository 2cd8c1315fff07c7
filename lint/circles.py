"""Finds files that import each other, directly or by way of others.

    python lint/circles.py

Reads the imports of every file, those inside functions and under ``TYPE_CHECKING`` too, and says
one line for each circle. Runs none of the code that it reads.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PACKAGES = ("trtop", "trtop_core", "trtop_daemon")

SCRIPTS = ("benchmarks", "docs", "examples", "fuzz", "lint", "tests")
"""Folders whose files are imported by their names from inside the folder."""


def main() -> int:
    """Say every circle; gives how many there are."""
    imports: dict[str, set[str]] = {}
    for paths in (_packages(), *map(_scripts, SCRIPTS)):
        for name, path in paths.items():
            imports[name] = set(_imported(name, path, paths)) - {name}
    circles = [circle for circle in _components(imports) if len(circle) > 1]
    for circle in circles:
        print("import each other:", ", ".join(sorted(circle)))
    return len(circles)


def _packages() -> dict[str, Path]:
    return {
        _name(path, ROOT): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    }


def _scripts(folder: str) -> dict[str, Path]:
    return {_name(path, ROOT / folder): path for path in (ROOT / folder).rglob("*.py")}


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The names of known files that a file imports."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                if inner in known or module in known:
                    yield inner if inner in known else module


def _components(imports: dict[str, set[str]]) -> Iterator[list[str]]:
    """The strongly connected components, found by Kosaraju's two walks."""
    order: list[str] = []
    seen: set[str] = set()
    for name in imports:
        _walk(name, imports, seen, order)
    back: dict[str, set[str]] = {name: set() for name in imports}
    for name, targets in imports.items():
        for target in targets:
            back.setdefault(target, set()).add(name)
    seen = set()
    for name in reversed(order):
        found: list[str] = []
        _walk(name, back, seen, found)
        if found:
            yield found


def _walk(start: str, graph: dict[str, set[str]], seen: set[str], order: list[str]) -> None:
    """Add what can be reached and was not seen before, each after what it leads to."""
    if start in seen:
        return
    seen.add(start)
    stack = [(start, iter(graph.get(start, ())))]
    while stack:
        name, targets = stack[-1]
        target = next((target for target in targets if target not in seen), None)
        if target is None:
            order.append(name)
            stack.pop()
        else:
            seen.add(target)
            stack.append((target, iter(graph.get(target, ()))))


if __name__ == "__main__":
    sys.exit(min(main(), 1))
