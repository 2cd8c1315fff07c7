"""The whole command against independent references for real captures; nothing is excused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.paths import CAPTURES

from trtop.cli.main import main
from trtop_core.metrics import COUNTERS, DERIVED, GAUGES, SKETCHES
from trtop_core.snapshot import IDENTITY

FILES = sorted(path for path in CAPTURES.glob("*--*") if path.is_file())
NO_CAPTURES = f"no shared captures in {CAPTURES}"
needs_captures = pytest.mark.skipif(not FILES, reason=NO_CAPTURES)

MICROSECOND_NS, THOUSAND_S_NS = 1_000, 1_000 * 10**9
"""What percentiles are clamped to; everything else is exact."""

COMPUTED = {*IDENTITY, *DERIVED, "suspect", "verdict", "because"}
"""Fields that follow from others."""

UNSAID = {
    *("multiplexed_unfollowed", "tls_hellos", "tls_failed_in", "waiting_long", "pending_retrans"),
    *("zero_window_connections_out", "zero_window_connections_in", "reset_age"),
}
"""What references do not say: verdicts rest on it."""


@needs_captures
def test_every_capture_has_a_reference() -> None:
    references = {path.stem for path in (CAPTURES / "expected-3").glob("*.json")}
    assert references == {path.name for path in FILES}


@needs_captures
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_command_reports_what_the_reference_says(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = json.loads((CAPTURES / "expected-3" / f"{path.name}.json").read_text())
    assert expected.pop("options", {}) == {}
    status = main(["--format", "json", str(path)])
    out, err = capsys.readouterr()
    _check_ending(expected.pop("error", None), status, err, path)
    if "destinations" not in expected:
        assert (status, out) == (1, "")
        return
    report = json.loads(out)
    found: list[str] = []
    rows = {row["destination"]: row for row in report["destinations"]}
    assert len(rows) == len(report["destinations"]) == report["n_destinations"]
    assert set(rows) == set(expected["destinations"])
    for name, fields in expected["destinations"].items():
        _compare(name, rows[name], fields, found)
    _compare("totals", report["totals"], expected["totals"], found)
    health = report["health"]
    for name in ("packets", "not_tcp", "duplicates", "undecoded"):
        if health[name] != expected[name]:
            found.append(f"{name}: {health[name]}, expected {expected[name]}")
    assert found == []
    assert (health["evicted"], health["holes_unkept"], health["samples_unbinned"]) == (0, 0, 0)


def _check_ending(error: str | None, status: int, err: str, path: Path) -> None:
    if error is None:
        assert (status, err) == (0, "")
        return
    (line,) = err.splitlines()
    assert line.startswith(f"trtop: {path}: ")
    if cut := re.fullmatch(r"file cut off or damaged after packet (\d+)", error):
        n_packets = int(cut[1])
        assert re.search(
            rf"file (cut off|damaged).* at byte [\d,]+, after packet {n_packets:,}$", line
        )
        assert status == 2
    elif error.startswith("unsupported link type"):
        assert f": {error}: " in line
        assert status == 2
    else:
        assert f": {error}" in line
        assert status == 1


def _compare(where: str, row: dict[str, Any], fields: dict[str, Any], found: list[str]) -> None:
    """Every field that the command shows; what the reference leaves out is 0 or has no samples."""
    assert set(row) - COMPUTED == {*COUNTERS, *GAUGES, *SKETCHES}
    assert set(fields) <= set(row)
    if row["verdict"] != fields.get("verdict", row["verdict"]):
        found.append(f"{where} {row['verdict']}, expected {fields['verdict']}: {row['because']}")
    for name in {*COUNTERS, *GAUGES} - UNSAID:
        if row[name] != fields.get(name, 0):
            found.append(f"{where} {name}: {row[name]}, expected {fields.get(name, 0)}")
    for name in {*SKETCHES} - UNSAID:
        samples = fields.get(name)
        if samples is None:
            if row[name]["count"]:
                found.append(f"{where} {name}: {row[name]}, expected no samples")
            continue
        samples = {key.replace("p99.9", "p999"): value for key, value in samples.items()}
        assert set(row[name]) == set(samples), name
        for key, exact in samples.items():
            if not _is_equal(key, row[name][key], exact):
                found.append(f"{where} {name} {key}: {row[name][key]}, expected {exact}")


def _is_equal(key: str, shown: int, exact: int) -> bool:
    if not key.startswith("p"):
        return shown == exact
    if shown == exact:  # the least and the greatest are known exactly
        return True
    if key.endswith("_ns"):
        exact = min(max(exact, MICROSECOND_NS), THOUSAND_S_NS)
    return abs(shown - exact) * 100 <= exact
