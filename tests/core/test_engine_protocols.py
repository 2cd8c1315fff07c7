"""TLS and HTTP/2 in clear, cut into segments anyhow: kernels and twin count the same of them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from reference import Twin
from support.compare import batch_of, config_of, differences, plain, run
from support.traffic.protocols import generate

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"idle_timeout_s": 5},
    {"max_connections": 1},
    {"group_by": "addr,port"},
)


@pytest.mark.parametrize("seed", range(80))
def test_kernels_follow_protocols_as_the_twin_does(seed: int) -> None:
    packets, options = generate(seed), OPTIONS[seed % len(OPTIONS)]
    twin = Twin(**options)
    for packet in packets:
        twin.feed(packet)
    snapshot = run([batch_of(packets)], config_of(**options))
    assert differences(snapshot, twin.ended()) == []


def test_the_generated_protocols_show_everything_that_is_followed() -> None:
    counted: dict[str, int] = {}
    for seed in range(80):
        totals = run([batch_of(generate(seed))]).totals
        for name in SHOWN:
            counted[name] = counted.get(name, 0) + totals.count(name)
    assert [name for name in SHOWN if not counted[name]] == []


SHOWN = (
    "requests",
    "responses",
    "unanswered",
    "waiting",
    "withheld",
    "multiplexed",
    "multiplexed_unfollowed",
    "tls_turns",
    "tls_hellos",
    "tls_failed",
    "tls_failed_in",
    "slow_by_loss",
    "streams",
)


@pytest.mark.parametrize("seed", range(12))
def test_protocols_count_the_same_however_packets_are_batched(seed: int) -> None:
    packets = generate(seed)
    rng = random.Random(seed)
    batches, at = [], 0
    while at < len(packets):
        n = rng.choice([1, 1, 2, 7, 64, 500])
        batches.append(batch_of(packets[at : at + n]))
        at += n
    assert plain(run(batches)) == plain(run([batch_of(packets)]))
