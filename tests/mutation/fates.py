"""What became of each mutant, kept from hunt to hunt; what is told of it in the end.

Compares survivors with those that ``survivors.md`` explains: an entry is a line with the mutant's
name, and one with the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

EXPLAINED = Path(__file__).with_name("survivors.md")

SURVIVED, UNREACHED, DID_NOT_END = "survived", "unreached", "did not end"

CAUGHT_SHARE = 0.95
"""What has to be caught of the mutants that are not the same program."""


@dataclass
class Fate:
    """What became of a mutant: the test that caught it, how a process ended, or none of these."""

    name: str
    kind: str
    by: str

    @property
    def is_caught(self) -> bool:
        return self.by not in (SURVIVED, UNREACHED)


def read_fates(path: Path) -> dict[str, Fate]:
    """Fates of earlier hunts by the mutant's name; none where there was no hunt."""
    if not path.exists():
        return {}
    return {fate["name"]: Fate(**fate) for fate in json.loads(path.read_text())}


def write_fates(path: Path, fates: dict[str, Fate]) -> None:
    """Keep them."""
    rows = [vars(fate) for fate in fates.values()]
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False))


def explained(text: str) -> set[str]:
    """The names of mutants that are the same program, by the list that says why."""
    lines = (line for line in text.splitlines() if line.startswith("- `"))
    return {line.removeprefix("- `").removesuffix("`") for line in lines}


def report(fates: list[Fate], known: set[str]) -> tuple[list[str], bool]:
    """What was caught, and what was not; whether that is enough.

    Args:
        fates: of all mutants.
        known: names of those that are the same program.
    """
    caught = sum(fate.is_caught for fate in fates)
    same = [fate for fate in fates if not fate.is_caught and fate.name in known]
    unknown = [fate for fate in fates if not fate.is_caught and fate.name not in known]
    n_others = len(fates) - len(same)
    share = caught / n_others if n_others else 1.0
    lines = [
        f"{caught} of {len(fates)} mutants are caught, {caught / len(fates):.1%}; "
        f"{share:.1%} of those that are not the same program"
    ]
    for kind, total in Counter(fate.kind for fate in fates).items():
        n = sum(fate.is_caught for fate in fates if fate.kind == kind)
        lines.append(f"  {kind:12} {n:4} of {total}")
    for title, shown in (("the same program", same), ("NOT EXPLAINED", unknown)):
        lines += [f"{title}, {fate.by}: {fate.name}" for fate in shown]
    return lines, share >= CAUGHT_SHARE and not unknown
