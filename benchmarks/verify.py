"""Compare what trtop counted in a capture with what the generator knows to be in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def differences(trtop: Sequence[str], capture: Path) -> list[str]:
    """One line for each number that is not what it must be.

    Args:
        trtop: the command and its options.
        capture: written by ``generate.py``, with its truth beside it.
    """
    command = [*trtop, str(capture), "--format", "json", "--limit", "0"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return compare_with_truth(json.loads(done.stdout), capture)


def compare_with_truth(report: dict[str, Any], capture: Path) -> list[str]:
    """One line for each wrong number of a report that was made already: a snapshot's record.

    Args:
        report: at least its totals and health.
        capture: written by ``generate.py``, with its truth beside it.
    """
    truth = json.loads(capture.with_suffix(".json").read_text())
    expected: dict[str, Any] = {"totals": truth["totals"], "health": truth["health"]}
    expected["health"]["packets"] = truth["packets"]
    if "n_destinations" in truth:
        expected["n_destinations"] = truth["n_destinations"]
    if truth["totals"].get("requests"):
        expected["health"]["evicted"] = 0
        expected["health"]["completeness"] = 1.0
    return _compare(expected, report, "")


def _compare(expected: dict[str, Any], found: dict[str, Any], path: str) -> list[str]:
    lines = []
    for name, value in expected.items():
        where = f"{path}{name}"
        if isinstance(value, dict):
            lines += _compare(value, found.get(name, {}), f"{where}.")
        elif found.get(name) != value:
            lines.append(f"{where}: {found.get(name)!r}, must be {value!r}")
    return lines
