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

from generator.events import Acts
from generator.flows import Phase, Slots
from generator.frames import Endpoints
from generator.profile import Profile
from generator.segments import PLAN


class Traffic:
    """The slots of one capture and their segments over time."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self._profile = profile
        self._rng = np.random.default_rng(seed)
        self.slots = Slots.draw(profile, self._rng)
        self._acts = Acts(self.slots, profile, self._rng)

    def slices(self) -> Iterator[npt.NDArray[Any]]:
        """Segments in the order of time, dtype ``segments.PLAN``, until the packets are enough."""
        n_left = self._profile.n_packets
        later = np.zeros(0, PLAN)
        end_us = 0
        while n_left > 0:
            end_us += self._profile.slice_us
            segments = np.concatenate([later, *self._act_until(end_us)])
            now = segments["time_us"] < end_us
            later = segments[~now]
            segments = segments[now]
            segments = segments[np.argsort(segments["time_us"], kind="stable")][:n_left]
            n_left -= len(segments)
            yield segments

    def endpoints(self, segments: npt.NDArray[Any]) -> Endpoints:
        """Who they are between."""
        slot = segments["slot"]
        return Endpoints(
            client=self.slots.client[slot],
            server=self.slots.destination[slot],
            server_port=self.slots.server_port[slot],
            rtt_us=self.slots.rtt_us[slot],
            is_v6=self.slots.is_v6[slot],
        )

    def _act_until(self, end_us: int) -> list[npt.NDArray[Any]]:
        slots, acts = self.slots, self._acts
        while True:
            due = np.flatnonzero(slots.next_us < end_us)
            if len(due) == 0:
                return acts.take()
            phase = slots.phase[due]
            acts.open(due[phase == Phase.OPEN])
            acts.turn(due[phase == Phase.TURN])
            acts.close(due[phase == Phase.CLOSE])
