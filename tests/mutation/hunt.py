"""Which mutants of the kernels do the tests catch? ``python -m mutation.hunt TREE [TEST …]``.

First every test runs with all mutants asleep, and it is noted which of them it comes by. Then each
mutant is woken in a process of its own that runs only those tests, the quickest first, until one
fails, crashes or does not come to its end. Exit status: 1 if a survivor is not explained.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import select
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mutation.fates import (
    EXPLAINED,
    Fate,
    explained,
    read_fates,
    report,
    write_fates,
)
from mutation.trial import NO_PROGRESS_S, SLOWER, Trial

TESTS = ("tests/core",)

FATES, PASSES = "fates.json", "passes.json"

SAVE_EVERY = 100

NO_MUTANT = -1

Passes = dict[str, tuple[float, list[int]]]
"""By test, how long it takes, and the numbers of the mutants that it comes by."""


@dataclass
class Hunt:
    """A pytest plugin whose loop runs the tests once, and then once for each mutant.

    Args:
        mutants: what each number is: its ``name`` and ``kind``.
        options: of the command.
        passes: what is known of tests already.
        fates: by mutant, of earlier hunts.
    """

    mutants: list[dict[str, Any]]
    options: argparse.Namespace
    passes: Passes
    fates: dict[str, Fate]
    has_failed: bool = False

    def __post_init__(self) -> None:
        library = ctypes.CDLL(None)
        self.alive = ctypes.c_int.in_dll(library, "trtop_mutant")
        self.reached = (ctypes.c_ubyte * len(self.mutants)).in_dll(library, "trtop_reached")

    def pytest_configure(self) -> None:
        """What hypothesis finds is not kept, tried again or made smaller."""
        from hypothesis import HealthCheck, Phase, settings  # noqa: PLC0415 - after pytest has begun

        settings.register_profile(
            "mutants",
            database=None,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),
            report_multiple_bugs=False,
        )
        settings.load_profile("mutants")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.has_failed |= report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for item in session.items:
            if item.nodeid not in self.passes:
                self.passes[item.nodeid] = self._pass(item)
            if self.has_failed:
                raise pytest.UsageError(f"{item.nodeid} fails without any mutant")
            if len(self.passes) % SAVE_EVERY == 0:
                self.save()
        self.save()
        numbers = range(len(self.mutants))
        by_number = {number: self._in_order(number, session.items) for number in numbers}
        waiting = [n for n in by_number if self._is_wanted(self.mutants[n]["name"])]
        running: list[Trial] = []
        while waiting or running:
            while waiting and len(running) < self.options.jobs:
                running.append(self._begin(waiting.pop(0), by_number))
            select.select([trial.told for trial in running], [], [], 1.0)
            for trial in list(running):
                by = trial.look()
                if by is not None:
                    running.remove(trial)
                    self._note(trial.number, by)
        return True

    def _note(self, number: int, by: str) -> None:
        mutant = self.mutants[number]
        self.fates[mutant["name"]] = Fate(mutant["name"], mutant["kind"], by)
        write_fates(self.options.tree / FATES, self.fates)
        sys.stderr.write(f"{number:5} {by[-70:]:70} {mutant['name']}\n")

    def _is_wanted(self, name: str) -> bool:
        is_caught = name in self.fates and self.fates[name].is_caught
        return self.options.only in name and not (self.options.survivors and is_caught)

    def save(self) -> None:
        """Keep what tests come by: they need not run again in this tree."""
        (self.options.tree / PASSES).write_text(json.dumps(self.passes))

    def _pass(self, item: pytest.Item) -> tuple[float, list[int]]:
        """How long a test takes, and the mutants that it comes by, while all are asleep."""
        ctypes.memset(self.reached, 0, len(self.mutants))
        began_s = time.process_time()
        _run(item)
        took_s = time.process_time() - began_s
        return took_s, [number for number, is_reached in enumerate(self.reached) if is_reached]

    def _in_order(self, number: int, items: list[pytest.Item]) -> list[pytest.Item]:
        """The tests that come by a mutant: first the quick ones that see much of its file."""
        near = {
            other
            for other, mutant in enumerate(self.mutants)
            if mutant["site"][0] == self.mutants[number]["site"][0]
        }
        keys = {}
        for item in items:
            took_s, reached = self.passes[item.nodeid]
            if number in reached:
                keys[item] = took_s / len(near.intersection(reached)) ** 2
        return sorted(keys, key=lambda item: keys[item])

    def _within_budget(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """The quick ones, up to what a mutant may take."""
        kept, took_s = [], 0.0
        for item in items:
            took_s += self.passes[item.nodeid][0]
            if took_s > self.options.budget:
                break
            kept.append(item)
        return kept

    def _begin(self, number: int, by_number: dict[int, list[pytest.Item]]) -> Trial:
        """Wake a mutant in a process of its own."""
        items = self._within_budget(by_number[number])
        theirs, ours = os.pipe()
        child = os.fork()
        if child == 0:
            os.setsid()
            quiet = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(quiet, fd)
            self.alive.value = number
            os.environ["TRTOP_MUTANT"] = str(number)
            self._run_until_caught(items, ours)
        os.close(ours)
        limits_s = {
            item.nodeid: max(NO_PROGRESS_S, SLOWER * self.passes[item.nodeid][0]) for item in items
        }
        return Trial(number, child, theirs, limits_s)

    def _run_until_caught(self, items: list[pytest.Item], tell: int) -> None:
        """In a process of its own: never returns."""
        status = 2
        try:
            for number, item in enumerate(items):
                os.write(tell, number.to_bytes(2, "little"))
                if self._catches(item):
                    status = 1
                    break
            else:
                status = 0
        finally:
            os._exit(status)

    def _catches(self, item: pytest.Item) -> bool:
        """Whether a test fails, and does not when the mutant sleeps again."""
        self.has_failed = False
        _run(item)
        if self.has_failed:
            awake, self.alive.value = self.alive.value, NO_MUTANT
            self.has_failed = False
            _run(item)
            self.alive.value = awake
            return not self.has_failed
        return False


def _run(item: pytest.Item) -> None:
    """A test with its fixtures; anew, if it has run before."""
    if isinstance(item, pytest.Function):
        item._initrequest()
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def read_passes(path: Path) -> Passes:
    """What earlier hunts noted of tests, those apart whose files have changed since."""
    if not path.exists():
        return {}
    noted_s = path.stat().st_mtime
    passes: Passes = json.loads(path.read_text())
    files = {Path(test.split("::")[0]) for test in passes}
    kept = {str(file) for file in files if file.exists() and file.stat().st_mtime < noted_s}
    return {test: noted for test, noted in passes.items() if test.split("::")[0] in kept}


def preload(tree: Path) -> None:
    """Start anew with the kernels that have mutants, and with what wakes one."""
    if os.environ.get("LD_PRELOAD", "").endswith("switch.so"):
        return
    lib = (tree / "lib").resolve()
    environ = {
        **os.environ,
        "LD_PRELOAD": str((tree / "switch.so").resolve()),
        "PYTHONPATH": os.pathsep.join((str(lib), str(EXPLAINED.parent.parent.resolve()))),
        "PYTHONSAFEPATH": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # What other plugins do around each test takes longer than most of the tests.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    os.execve(sys.executable, [sys.executable, "-m", "mutation.hunt", *sys.argv[1:]], environ)


def options_of(arguments: list[str]) -> argparse.Namespace:
    """What a command says; tests may stand behind options, as ``make`` puts some before them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument(
        "--budget", type=float, default=math.inf, metavar="S", help="of tests, for each mutant"
    )
    parser.add_argument("--survivors", action="store_true", help="only those not caught before")
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    options = parser.parse_intermixed_args(arguments)
    options.tests = options.tests or list(TESTS)
    return options


def main() -> int:
    options = options_of(sys.argv[1:])
    preload(options.tree)
    mutants = json.loads((options.tree / "mutants.json").read_text())
    passes = read_passes(options.tree / PASSES)
    hunt = Hunt(mutants, options, passes, read_fates(options.tree / FATES))
    settings = options.tree / "pytest.ini"  # without options of plugins
    settings.write_text("[pytest]\n")
    told = ["-q", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-W", "error"]
    told += ["-c", str(settings), "--rootdir", "."]
    status = pytest.main([*told, *options.tests], plugins=[hunt])
    if status != pytest.ExitCode.OK:
        return int(status)
    lines, is_enough = report(list(hunt.fates.values()), explained(EXPLAINED.read_text()))
    print(*lines, sep="\n")
    return int(not is_enough)


if __name__ == "__main__":
    sys.exit(main())
