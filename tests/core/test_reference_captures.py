"""The twin gives what the reference says of every shared capture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reference import Twin, link_type_error, read_capture
from support.paths import CAPTURES

EXPECTED = sorted((CAPTURES / "expected-3").glob("*.json")) if CAPTURES.is_dir() else []

# Captures whose reference contradicts the definitions: name, and the packets that prove it.
EXCEPTIONS: dict[str, str] = {}
# What the reference says and the twin does not work out.
BEYOND = ("options", "verdict")
# What the twin works out and the reference does not say: verdicts rest on it.
UNSAID = (
    "multiplexed_unfollowed", "tls_hellos", "tls_failed_in", "waiting_long", "pending_retrans",
    "zero_window_connections_out", "zero_window_connections_in", "reset_age",
)  # fmt: skip


def _report(capture: Path) -> dict[str, Any]:
    packets, error = read_capture(capture)
    if error is not None and not packets and error != "file cut off or damaged after packet 0":
        return {"error": error}
    twin = Twin()
    for packet in packets:
        twin.feed(packet)
    report = twin.report(final=True)
    error = error or link_type_error(packets)
    return report if error is None else {**report, "error": error}


def _differences(found: Any, expected: Any, where: str = "") -> list[str]:
    """Where two reports differ, one line for each number."""
    if not isinstance(found, dict) or not isinstance(expected, dict):
        return [] if found == expected else [f"{where}: {found}, expected {expected}"]
    lines = []
    for key in sorted({*found, *expected} - {*BEYOND, *UNSAID}):
        missing: Any = {} if isinstance(found.get(key, expected.get(key)), dict) else 0
        pair = found.get(key, missing), expected.get(key, missing)
        lines += _differences(*pair, f"{where} {key}".strip())
    return lines


@pytest.mark.skipif(not EXPECTED, reason=f"no shared captures in {CAPTURES}")
@pytest.mark.parametrize("expected_path", EXPECTED, ids=lambda path: path.stem)
def test_twin_equals_the_reference(expected_path: Path) -> None:
    if expected_path.stem in EXCEPTIONS:
        pytest.skip(EXCEPTIONS[expected_path.stem])
    expected = json.loads(expected_path.read_text())
    assert _differences(_report(CAPTURES / expected_path.stem), expected) == []
