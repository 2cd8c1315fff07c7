"""How turns differ: sizes, times and fates of many slots' turns, drawn at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from generator.flows import Flows
from generator.profile import Profile

Which = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.int64]

US_PER_S = 1_000_000
RTO_MIN_US = 200_000
DELAYED_ACK_US = 40_000
MAX_SEGMENTS = 24
WINDOW_SEGMENTS = 10
"""Segments of a response that a server sends before it waits a round trip."""

FATES = {
    "request_lost": 0.002,
    "response_lost": 0.002,
    "sent_twice": 0.001,
    "server_resets": 0.0005,
    "client_resets": 0.0003,
}
"""What may become of an exchange, and how often."""


@dataclass(slots=True)
class Exchange:
    """One exchange of many flows: sizes and times in step with ``who``."""

    who: Which
    fate: dict[str, npt.NDArray[np.bool_]]
    start_us: Numbers
    rtt_us: Numbers
    rto_us: Numbers
    reaction_us: Numbers  # of the client's host, before it acknowledges
    service_us: Numbers
    think_us: Numbers
    request_segments: Numbers
    request_tail: Numbers  # bytes of the request's last segment
    response_segments: Numbers
    response_tail: Numbers
    asked_us: Numbers  # the request's last new data left
    arrived_us: Numbers  # the same, or its retransmission
    answered_us: Numbers  # the response's first segment was captured

    def when(self, idx: Which, segment: Numbers, gap_us: Numbers) -> Numbers:
        """When segments of the response are captured."""
        waits = segment // WINDOW_SEGMENTS * self.rtt_us[idx]
        when: Numbers = self.answered_us[idx] + segment * gap_us[idx] + waits
        return when

    @classmethod
    def draw(cls, who: Which, flows: Flows, habits: Habits) -> Exchange:
        """What these flows' next exchanges are like."""
        rng, n = habits.rng, len(who)
        fate, drawn = {}, rng.random(n)
        for name, share in FATES.items():
            fate[name] = (drawn >= 0) & (drawn < share)
            drawn = drawn - share
        segment = flows.segment_bytes[who]
        size = flows.response_bytes[who] * np.exp(0.5 * rng.standard_normal(n))
        size = np.clip(size.astype(np.int64), 50, MAX_SEGMENTS * segment)
        count = -(-size // segment)
        tail = np.maximum(size - (count - 1) * segment, 2)  # 1 byte sent twice is a keep-alive
        count[fate["server_resets"]] = 1
        count[fate["client_resets"]] = 0
        fate["response_lost"] &= count >= 4
        request_segments = 1 + (rng.random(n) < 0.08) * rng.integers(1, 4, n)
        rtt_us = habits.round_trip(who)
        rto_us = RTO_MIN_US + 2 * flows.rtt_us[who]
        slow = np.where(rng.random(n) < 0.01, 10, 1)
        service_us = flows.service_us[who] * np.exp(0.4 * rng.standard_normal(n)) * slow
        service_us = np.maximum(service_us.astype(np.int64), 50)
        start_us = flows.next_us[who].copy()
        asked_us = start_us + 3 * (request_segments - 1)
        arrived_us = asked_us + np.where(fate["request_lost"], rto_us, 0)
        return cls(
            who=who,
            fate=fate,
            start_us=start_us,
            rtt_us=rtt_us,
            rto_us=rto_us,
            reaction_us=habits.reaction(n),
            service_us=service_us,
            think_us=habits.think(n),
            request_segments=request_segments,
            request_tail=rng.integers(60, 700, n),
            response_segments=count,
            response_tail=tail,
            asked_us=asked_us,
            arrived_us=arrived_us,
            answered_us=arrived_us + rtt_us + service_us,
        )


class Habits:
    """Times that every event draws."""

    def __init__(self, flows: Flows, profile: Profile, rng: np.random.Generator) -> None:
        self.rng = rng
        self._rtt_us = flows.rtt_us
        self._think_mean_us = profile.think_mean_us

    def round_trip(self, who: Which) -> Numbers:
        """Round trips: 10 % above the destination's least on average, at most twice that."""
        jitter = np.minimum(0.1 * self.rng.standard_exponential(len(who)), 1)
        rtt_us: Numbers = (self._rtt_us[who] * (1 + jitter)).astype(np.int64)
        return rtt_us

    def reaction(self, n: int) -> Numbers:
        """Time that the client's host takes to react."""
        return self.rng.integers(4, 40, n)

    def think(self, n: int) -> Numbers:
        """Pause before an exchange."""
        return 30 + (self._think_mean_us * self.rng.standard_exponential(n)).astype(np.int64)
