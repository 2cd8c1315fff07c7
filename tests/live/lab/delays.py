"""How long the laboratory's services take, for those who serve and those who judge."""

from __future__ import annotations

FAST_MS, SLOW_MS = 40, 120
SLOW_EVERY = 8
"""A service takes ``FAST_MS``, every eighth time ``SLOW_MS``: p50 is the one, p95 the other."""

POLL_MS = 700
"""A long poll."""

N_EVENTS, EVENT_PAUSE_MS = 7, 30
"""Server-sent events of one response."""

TICK_MS = 3
"""Between two messages that a server sends unasked."""

BULK_BYTES = 29_989
"""Bytes of a large body, of a request or of an answer: 21 segments."""

REPORT = "report.json"
"""Where the service puts what a page reports."""


def delay_ms(number: int) -> int:
    """Give how long a service takes for its n-th request, from 0."""
    return SLOW_MS if number % SLOW_EVERY == SLOW_EVERY - 1 else FAST_MS
