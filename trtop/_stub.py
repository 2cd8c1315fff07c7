"""The public names of the package, read from its stub when one of them is first used.

Takes the stub's text, gives where each name lives. The stub is the one place in which a public name
is written. Imports nothing of what it names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PublicNames:
    """What a stub says.

    Attributes:
        homes: by name, the module that it is imported from.
        values: names that are only declared: values of the command line.
    """

    homes: dict[str, str] = field(default_factory=dict)
    values: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[str]:
        yield from sorted((*self.homes, *self.values))


def read_stub(text: str) -> PublicNames:
    """The names that a stub exports: ``from module import name as name``, and ``name: type``."""
    homes: dict[str, str] = {}
    values = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            homes |= {alias.name: node.module for alias in node.names if alias.asname == alias.name}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            values.append(node.target.id)
    return PublicNames(homes, tuple(values))
