"""The example capture tells the story that its scripts and its README say it tells."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.paths import EXAMPLE, ROOT
from support.scripts import run_python

from trtop import api

README = EXAMPLE.parent / "README.md"

NS_PER_MS = 1_000_000

N_LATE = 5
N_LOSSY_CONNECTIONS, N_LOSSY_REQUESTS, LOST_OF = 5, 29, 7


def lost_of(n_sent: int) -> int:
    """How many segments are sent again, where each seventh that is sent is lost."""
    n_again = 0
    while n_again != (n_sent + n_again) // LOST_OF:
        n_again = (n_sent + n_again) // LOST_OF
    return n_again


N_LOSSY_SEGMENTS = 2 * N_LOSSY_CONNECTIONS + N_LOSSY_REQUESTS
"""ClientHello, Finished, and a segment for each request."""

STORY: dict[str, dict[str, int]] = {
    "192.0.2.11": {"fin_out": 7, "responses": 101, "rst": 0},
    "192.0.2.12": {"fin_out": 3, "responses": 23},
    "192.0.2.13": {"refused": 13, "rst": 13, "est": 0},
    "192.0.2.14": {"rst_in": 11, "refused": 0, "responses": 11},
    "192.0.2.15": {"tls_turns": 2 * 31, "responses": 31, "fin_out": 31, "retrans_out": 0},
    "192.0.2.16": {"syn_retrans": sum(range(N_LATE)), "est": N_LATE, "retrans_out": 0},
    "192.0.2.17": {
        "tls_turns": 2 * N_LOSSY_CONNECTIONS,
        "retrans_out": lost_of(N_LOSSY_SEGMENTS),
        "segments_out": N_LOSSY_SEGMENTS + lost_of(N_LOSSY_SEGMENTS),
        "responses": N_LOSSY_REQUESTS,
    },
    "192.0.2.18": {"banners": 2, "responses": 17, "waiting": 2, "active": 2},
    "192.0.2.19": {"timeouts": 2, "est": 0},
    "2001:db8::11": {"fin_out": 3, "responses": 37},
}
"""What each service and its callers do, counted by hand."""

TIMES_MS: dict[str, tuple[str, int, int]] = {
    "192.0.2.12": ("server_time", 150, 160),
    "192.0.2.15": ("path_rtt", 8, 11),
    "192.0.2.16": ("response_time", 600, 620),
    "2001:db8::11": ("path_rtt", 120, 125),
}
"""What the scripts wait for, and what they may take at most: a median, in ms."""


@cache
def rows() -> dict[str, Any]:
    return {str(row["destination"]): row for row in api.analyze(EXAMPLE).destinations}


@cache
def told() -> dict[str, tuple[str, int, int]]:
    """What the README says of each: its verdict, connections and requests."""
    lines = re.findall(
        r"^\| (\S+) \| ([\w ]+) \| .* \| (\d+) \| (\d+) \| ", README.read_text(), re.M
    )
    return {name: (verdict, int(n), int(m)) for name, verdict, n, m in lines}


@pytest.mark.parametrize("name", STORY)
def test_each_service_of_the_example_does_what_its_script_says(name: str) -> None:
    row = rows()[name]
    assert {field: int(row[field]) for field in STORY[name]} == STORY[name]


@pytest.mark.parametrize("name", TIMES_MS)
def test_the_services_of_the_example_take_as_long_as_their_scripts_say(name: str) -> None:
    field, least_ms, most_ms = TIMES_MS[name]
    value_ns = rows()[name][f"{field}_p50_ns"]
    assert least_ms * NS_PER_MS * 0.9945 <= value_ns <= most_ms * NS_PER_MS


def test_the_readme_of_the_example_says_what_is_wrong_with_each_of_ten_services() -> None:
    found = {
        name: (row["verdict"], int(row["syn"]), int(row["requests"]))
        for name, row in rows().items()
    }
    assert told() == found
    assert len(told()) == 10


def test_no_two_services_of_the_example_are_ill_in_the_same_way() -> None:
    verdicts = [row["verdict"] for row in rows().values()]
    assert len(set(verdicts)) == 10
    assert verdicts.count("ok") == 1


def test_the_table_in_the_readme_is_what_the_program_prints(tmp_path: Path) -> None:
    args = ["-m", "trtop", "--width=80", "--format=table", str(EXAMPLE)]
    printed = run_python(tmp_path, args).stdout.rstrip()
    shown = "\n".join(f"    {line}".rstrip() for line in printed.splitlines())
    assert f"\n\n{shown}\n\n" in (ROOT / "README.md").read_text(encoding="utf-8")
