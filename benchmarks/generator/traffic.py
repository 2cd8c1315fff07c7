"""Concurrent client-destination pairs, each acting out connections; in arrays, never one by one.

A *slot* is a client that talks to one destination: it opens a connection, takes turns on it,
closes it and opens the next one from another port. All slots whose next act begins within a
slice of time act together (one array operation for all of them), until none is left; then every
segment before the end of the slice is final. Takes a profile and a seed; gives segments in the
order of time. Never holds more than a slice and what reaches beyond it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.events import FlowEvents
from generator.flows import Flows, Phase
from generator.frames import Endpoints
from generator.profile import Profile
from generator.segments import PLAN


class Traffic:
    """The flows of one capture and their segments over time."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self._profile = profile
        self._rng = np.random.default_rng(seed)
        self.flows = Flows.draw(profile, self._rng)
        self._flow_events = FlowEvents(self.flows, profile, self._rng)

    def slices(self) -> Iterator[npt.NDArray[Any]]:
        """Segments in the order of time, dtype ``segments.PLAN``, until the packets are enough."""
        n_left = self._profile.n_packets
        later = np.zeros(0, PLAN)
        end_us = 0
        while n_left > 0:
            end_us += self._profile.slice_us
            segments = np.concatenate([later, *self._events_until(end_us)])
            now = segments["time_us"] < end_us
            later = segments[~now]
            segments = segments[now]
            segments = segments[np.argsort(segments["time_us"], kind="stable")][:n_left]
            n_left -= len(segments)
            yield segments

    def endpoints(self, segments: npt.NDArray[Any]) -> Endpoints:
        """Who they are between."""
        flow = segments["flow"]
        return Endpoints(
            client=self.flows.client[flow],
            server=self.flows.destination[flow],
            server_port=self.flows.server_port[flow],
            rtt_us=self.flows.rtt_us[flow],
            is_v6=self.flows.is_v6[flow],
        )

    def _events_until(self, end_us: int) -> list[npt.NDArray[Any]]:
        flows, flow_events = self.flows, self._flow_events
        while True:
            due = np.flatnonzero(flows.next_us < end_us)
            if len(due) == 0:
                return flow_events.take()
            phase = flows.phase[due]
            flow_events.open(due[phase == Phase.OPEN])
            flow_events.exchange(due[phase == Phase.EXCHANGE])
            flow_events.close(due[phase == Phase.CLOSE])
