"""The bins of latency sketches: those of a base-2 exponential histogram of scale 6.

Takes a sample; gives its bin and the value that a bin stands for. Bin i holds
2^(i/64) < x ≤ 2^((i+1)/64), worked out in whole numbers: no rounding puts a sample next door.

Source: OpenTelemetry metrics data model, exponential histograms.
"""

from __future__ import annotations

SCALE = 6
N_BINS_PER_DOUBLING = 1 << SCALE
# What latencies are clamped to: 1 µs to 1,000 s, in ns.
MIN_LATENCY_NS = 1_000
MAX_LATENCY_NS = 1_000_000_000_000
# Responses per connection.
MIN_REUSE = 1


def bin_of(value: int) -> int:
    """Return the bin of a value of at least 1."""
    # The least n with value^64 ≤ 2^n is the upper edge's number.
    return int((value**N_BINS_PER_DOUBLING - 1).bit_length()) - 1


def latency_bin(latency_ns: int) -> int:
    return bin_of(max(MIN_LATENCY_NS, min(MAX_LATENCY_NS, latency_ns)))


def reuse_bin(n_responses: int) -> int:
    return bin_of(max(MIN_REUSE, min(MAX_LATENCY_NS, n_responses)))


def middle(number: int) -> float:
    """Return the geometric middle of a bin."""
    return float(2 ** ((number + 0.5) / N_BINS_PER_DOUBLING))
