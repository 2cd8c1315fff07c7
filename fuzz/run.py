"""``make fuzz``: each target for a while, and what came of it.

    python fuzz/run.py TREE [--seconds N] [--folder DIR] [--seed N] [TARGET …]

``TREE`` is the fuzzing build. Prints a line per target: executions, coverage (edges of kernels and
Python, and features: edges by how often they were taken), inputs of the corpus, findings. Status 1
if there is a finding: its input lies in ``DIR/TARGET/findings``, what it did in ``DIR/TARGET/log``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from target import TARGETS

HERE = Path(__file__).resolve().parent

MAX_SECONDS_OF_ONE = 120
"""An input that takes longer is a finding; so much, for machines that do much besides."""

MAX_MEMORY_MB = 3000
"""Of a process; an input that makes it take more is a finding."""

ASAN = "detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=64:malloc_context_size=8"
"""Python keeps objects to its end, so leaks are none; what is freed is watched for a while."""

STATUS = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")
EXECUTED = re.compile(r"stat::number_of_executed_units: +(\d+)|^Done (\d+) runs", re.MULTILINE)
INITIAL = re.compile(r"INITED cov: (\d+)")

COLUMNS = "{:<10} {:>7} {:>12} {:>15} {:>9} {:>7} {:>8}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one target.

    Attributes:
        name: of the target.
        seconds: it ran.
        n_executions: inputs that were run.
        n_first_edges: covered by the seeds and what was kept of earlier runs.
        n_edges: covered at the end.
        n_features: edges by how often they were taken.
        n_inputs: of the corpus.
        findings: files of inputs that broke it.
        status: of the process.
    """

    name: str
    seconds: float
    n_executions: int
    n_first_edges: int
    n_edges: int
    n_features: int
    n_inputs: int
    findings: tuple[Path, ...]
    status: int

    @property
    def is_good(self) -> bool:
        """Nothing was found, and it ran at all."""
        return self.status == 0 and not self.findings and self.n_executions > 0

    @property
    def line(self) -> str:
        """For people."""
        return COLUMNS.format(
            self.name,
            f"{self.seconds:.0f}",
            f"{self.n_executions:,}",
            f"{self.n_first_edges:,}→{self.n_edges:,}",
            f"{self.n_features:,}",
            f"{self.n_inputs:,}",
            len(self.findings) if self.is_good or self.findings else "failed",
        )


def environment(name: str, tree: Path) -> dict[str, str]:
    """What the process of a target is started with."""
    import atheris  # noqa: PLC0415 - the table of targets is read without it

    library = Path(atheris.path()) / "asan_with_fuzzer.so"
    root = HERE.parent
    paths = (tree if TARGETS[name].has_kernels else root, HERE, root / "tests")
    return {
        **os.environ,
        # Without kernels nothing needs the sanitizers, and all is faster.
        "LD_PRELOAD": str(library) if TARGETS[name].has_kernels else "",
        "ASAN_OPTIONS": ASAN,
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONSAFEPATH": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }


def fuzz(name: str, tree: Path, folder: Path, options: argparse.Namespace) -> Outcome:
    """One target, for so many seconds."""
    own = folder / name
    findings = own / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    known = set(findings.iterdir())
    command = [
        *(sys.executable, str(HERE / "guided.py"), name, str(folder)),
        f"-max_total_time={options.seconds}",
        f"-timeout={MAX_SECONDS_OF_ONE}",
        f"-report_slow_units={MAX_SECONDS_OF_ONE}",
        f"-rss_limit_mb={MAX_MEMORY_MB}",
        f"-artifact_prefix={findings}/",
        "-print_final_stats=1",
        *([f"-seed={options.seed}"] if options.seed is not None else []),
    ]
    began_s = time.monotonic()
    with open(own / "log", "wb") as log:
        status = subprocess.run(
            command, env=environment(name, tree), stdout=log, stderr=log, check=False
        ).returncode
    said = (own / "log").read_text(errors="replace")
    found = tuple(sorted(set(findings.iterdir()) - known))
    return outcome_of(name, said, time.monotonic() - began_s, found, status)


def outcome_of(
    name: str, said: str, seconds: float, findings: tuple[Path, ...], status: int
) -> Outcome:
    """What came of a target, by what libFuzzer said."""
    states = STATUS.findall(said)
    n_edges, n_features, n_inputs = map(int, states[-1]) if states else (0, 0, 0)
    first = INITIAL.search(said)
    executed = EXECUTED.findall(said)
    return Outcome(
        name=name,
        seconds=seconds,
        n_executions=max((int(one or two) for one, two in executed), default=0),
        n_first_edges=int(first[1]) if first else 0,
        n_edges=n_edges,
        n_features=n_features,
        n_inputs=n_inputs,
        findings=findings,
        status=status,
    )


def main() -> int:
    """Fuzz what the command line says; the exit status."""
    parser = argparse.ArgumentParser(description="Fuzz each target for a while.")
    parser.add_argument("tree", type=Path)
    parser.add_argument("target", nargs="*", help=f"of: {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=int, default=60, help="of each target (default: 60)")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--seed", type=int, help="of the fuzzer's random numbers")
    options = parser.parse_intermixed_args()
    names = options.target or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        parser.error(f"no target {unknown[0]!r}; there are: {', '.join(TARGETS)}")
    print(COLUMNS.format("target", "s", "executions", "edges", "features", "inputs", "findings"))
    is_good = True
    for name in names:
        outcome = fuzz(name, options.tree.resolve(), options.folder.resolve(), options)
        print(outcome.line, flush=True)
        if not outcome.is_good:
            is_good = False
            print(f"  {name}: see {options.folder / name / 'log'}")
            for path in outcome.findings:
                print(f"  {name}: {path}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
