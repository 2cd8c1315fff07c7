"""Mistakes that are put into a kernel's tree: which there are, and what each of them changes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from Cython.CodeWriter import CodeWriter
from Cython.Compiler import Main
from Cython.Compiler.Symtab import ModuleScope

from mutation.build import choose, context
from mutation.fates import SURVIVED, UNREACHED, Fate, explained, read_fates, report, write_fates
from mutation.hunt import TESTS, options_of, read_passes
from mutation.mutants import Mutant, Mutator, Site

FUNCTION = """
cdef int f(int a, int b) noexcept nogil:
    {body}
"""


def walked(path: Path, body: str, chosen: dict[Site, int] | None = None) -> tuple[Mutator, Any]:
    """A function's mutants, and its tree with the chosen ones."""
    path.write_text(FUNCTION.format(body=body))
    compiler = context()
    source = Main.FileSourceDescriptor(str(path), str(path))
    tree = compiler.parse(source, ModuleScope("m", None, compiler), 0, "m")
    mutator = Mutator(path.name, chosen)
    mutator.walk_module(tree)
    return mutator, tree


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.pyx"


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ("return a < b", ["< → <="]),
        ("return a <= b <= 9", ["<= → <", "<= → <, second", "9 → 9 + 1", "9 → 9 - 1"]),
        ("return a == b", ["== → !="]),
        ("return a and not b", ["and → or", "not dropped"]),
        ("a += b", ["+= → -="]),
        ("a -= b", ["-= → +="]),
        ("return a + b", ["+ … + 1"]),
        ("return a - 1", ["1 → 1 + 1", "1 → 1 - 1"]),
        ("return True", ["True → False"]),
        ("return a > LIMIT_S", ["> → >=", "LIMIT_S → LIMIT_S + 1", "LIMIT_S → LIMIT_S - 1"]),
    ],
)
def test_each_kind_of_mistake(path: Path, body: str, changes: list[str]) -> None:
    found = walked(path, body)[0].found
    assert sorted(one.site.change for one in found) == sorted(changes)
    assert {one.function for one in found} == {"f"}


@pytest.mark.parametrize(
    "body",
    [
        "return a & S_FLAG",
        "return p[1]",
        "return a & (N_SLOTS - 1)",
        "prefetch(a, 1)",
        "a = KIND",
        "if a == capacity: pass",
        "capacity += 1",
        "return a is NULL",
    ],
)
def test_flags_places_types_and_room_are_left_alone(path: Path, body: str) -> None:
    assert walked(path, body)[0].found == []


def test_a_mutant_stands_beside_what_is_right(path: Path) -> None:
    (mutant,) = walked(path, "return a < b")[0].found
    _, tree = walked(path, "return a < b", {mutant.site: 7})
    written = "\n".join(CodeWriter().write(tree).lines)
    assert "a <= b if trtop_mutant_is(7) else a < b" in written.replace("(", "").replace(
        ")", ""
    ).replace("trtop_mutant_is7", "trtop_mutant_is(7)")


def test_mutants_in_each_other_are_one_at_a_time(path: Path) -> None:
    """The mistake of the outer one is made with what is right inside."""
    body = "return a + b < 9"
    found = walked(path, body)[0].found
    _, tree = walked(path, body, {one.site: number for number, one in enumerate(found)})
    written = "\n".join(CodeWriter().write(tree).lines)
    assert written.count("trtop_mutant_is") == len(found) == 4
    assert written.count("<=") == 1


def test_a_choice_is_by_the_seed_and_has_every_file_and_kind() -> None:
    candidates = [
        Mutant(Site(f"{file}.pyx", line, 0, kind), "f", kind)
        for file in "abc"
        for line in range(20)
        for kind in ("comparison", "constant")
    ]
    chosen = choose(candidates, 20, seed=1)
    assert chosen == choose(candidates, 20, seed=1) != choose(candidates, 20, seed=2)
    assert len(set(chosen)) == 20
    assert {one.site.file for one in chosen} == {"a.pyx", "b.pyx", "c.pyx"}
    assert {one.kind for one in chosen} == {"comparison", "constant"}


def test_comparisons_of_one_variable_are_no_switch(path: Path) -> None:
    """Cython makes a `switch` of them, whether `or` or `and` joins them."""
    body = "return a == 1 or a == 2"
    found = walked(path, body)[0].found
    (site,) = (one.site for one in found if one.kind == "junction")
    _, tree = walked(path, body, {site: 0})
    (choice,) = (stat.value for stat in [tree.body.body])
    mistake = choice.true_val.operand.operand
    assert mistake.operator == "and"
    assert type(mistake.operand1) is type(mistake.operand2) is type(choice.true_val)


CAUGHT = [Fate(f"caught {number}", "constant", "a test") for number in range(19)]


def test_what_is_the_same_program_need_not_be_caught() -> None:
    same = Fate("same", "comparison", SURVIVED)
    lines, is_enough = report([*CAUGHT, same], {"same"})
    assert is_enough
    assert lines[0].startswith("19 of 20 mutants are caught, 95.0%; 100.0% of those")
    assert lines[-1] == "the same program, survived: same"


def test_a_survivor_that_nobody_explains_is_too_much() -> None:
    lines, is_enough = report([*CAUGHT, Fate("new", "comparison", UNREACHED)], set())
    assert not is_enough
    assert lines[-1] == "NOT EXPLAINED, unreached: new"


def test_names_are_read_from_the_list_of_survivors() -> None:
    assert explained("# Title\n\n- `a.pxd f: x | y [< → <=]`\n  as `x` is never 0\n") == {
        "a.pxd f: x | y [< → <=]"
    }


def test_fates_are_kept(tmp_path: Path) -> None:
    assert read_fates(tmp_path / "none") == {}
    fates = {fate.name: fate for fate in CAUGHT}
    write_fates(tmp_path / "fates.json", fates)
    assert read_fates(tmp_path / "fates.json") == fates


def test_tests_may_stand_behind_options() -> None:
    options = options_of(["tree", "--jobs", "2", "tests/a.py", "--budget", "9", "tests/b.py"])
    assert (options.tests, options.jobs, options.budget) == (["tests/a.py", "tests/b.py"], 2, 9)
    assert options_of(["tree", "--survivors"]).tests == list(TESTS)


def test_of_tests_that_have_changed_nothing_is_known(tmp_path: Path) -> None:
    noted = {f"{tmp_path}/test_{name}.py::test": [0.1, [1]] for name in ("old", "new", "gone")}
    for at_s, name in ((1, "old"), (3, "new")):
        (tmp_path / f"test_{name}.py").touch()
        os.utime(tmp_path / f"test_{name}.py", (at_s, at_s))
    passes = tmp_path / "passes.json"
    assert read_passes(passes) == {}
    passes.write_text(json.dumps(noted))
    os.utime(passes, (2, 2))
    assert read_passes(passes) == {f"{tmp_path}/test_old.py::test": [0.1, [1]]}
