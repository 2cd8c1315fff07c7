"""State of every slot: who it is, how its destination behaves, where its connection stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.profile import Profile

FIRST_PORT = 32_768
N_PORTS = 28_232
"""Linux's ephemeral ports."""
PORT_STEP = 10_007
"""Coprime to ``N_PORTS``: neighbours in number lie far apart."""

MSS_BYTES = 1_448
SERVICE_PORTS = np.array([80, 8080, 8000, 9200, 5000], np.uint16)
SERVICE_MEDIAN_US = 6_000
POPULARITY_SHAPE = 1.3


class Phase(IntEnum):
    """What a flow does next."""

    OPEN = 0
    EXCHANGE = 1
    CLOSE = 2


@dataclass(slots=True)
class Flows:
    """Arrays with one entry per flow.

    Attributes:
        destination: its number.
        client: number of the client's address.
        port_base: number of the flow's first port; ``port_width`` of them are its own.
        server_port: TCP port of the destination.
        is_v6: IPv6.
        rtt_us: the destination's least round-trip time.
        service_us: the destination's usual service time.
        response_bytes: the destination's usual response.
        segment_bytes: largest segment of the destination (coalesced ones are multiples of MSS).
        gap_us: between segments of a response.
        is_silent: the destination answers no SYN.
        is_refusing: the destination refuses half of the attempts.
        next_us: when the next event begins.
        phase: the next event.
        generation: connections opened so far.
        seq: the client's next sequence number.
        peer_seq: the server's next sequence number.
        n_responses: on this connection.
        tls_us: how long this connection's TLS handshake took.
    """

    destination: npt.NDArray[np.int32]
    client: npt.NDArray[np.int32]
    port_base: npt.NDArray[np.int64]
    port_width: int
    server_port: npt.NDArray[np.uint16]
    is_v6: npt.NDArray[np.bool_]
    rtt_us: npt.NDArray[np.int64]
    service_us: npt.NDArray[np.int64]
    response_bytes: npt.NDArray[np.int64]
    segment_bytes: npt.NDArray[np.int64]
    gap_us: npt.NDArray[np.int64]
    is_silent: npt.NDArray[np.bool_]
    is_refusing: npt.NDArray[np.bool_]
    next_us: npt.NDArray[np.int64]
    phase: npt.NDArray[np.uint8]
    generation: npt.NDArray[np.int64]
    seq: npt.NDArray[np.uint32]
    peer_seq: npt.NDArray[np.uint32]
    n_responses: npt.NDArray[np.int64]
    tls_us: npt.NDArray[np.int64]

    @classmethod
    def draw(cls, profile: Profile, rng: np.random.Generator) -> Flows:
        """Destinations with log-normal habits; flows spread over them by a power law."""
        n_destinations, n = profile.n_destinations, profile.n_flows
        weights = 1 / np.arange(1, n_destinations + 1) ** (1 / POPULARITY_SHAPE)
        extra = rng.choice(n_destinations, n - n_destinations, p=weights / weights.sum())
        destination = np.concatenate([np.arange(n_destinations), extra]).astype(np.int32)
        rng.shuffle(destination)
        client = rng.integers(0, profile.n_clients, n, dtype=np.int32)
        rank = _rank_in_group(destination.astype(np.int64) * profile.n_clients + client)

        def of_destination(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return values[destination]

        def log_normal(median: float, sigma: float, low: float, high: float) -> npt.NDArray[Any]:
            drawn = median * np.exp(sigma * rng.standard_normal(n_destinations))
            return of_destination(np.clip(drawn, low, high).astype(np.int64))

        kind = rng.random(n_destinations)
        silent = kind < profile.silent_share
        refusing = ~silent & (kind < profile.silent_share + profile.refusing_share)
        coalesced = rng.choice([1, 1, 2, 4, 10], n_destinations)
        return cls(
            destination=destination,
            client=client,
            port_base=rank * (N_PORTS // (int(rank.max()) + 1)),
            port_width=N_PORTS // (int(rank.max()) + 1),
            server_port=of_destination(rng.choice(SERVICE_PORTS, n_destinations)),
            is_v6=of_destination(rng.random(n_destinations) < profile.share_v6),
            rtt_us=log_normal(profile.rtt_median_us, 1.0, 100, 300_000),
            service_us=log_normal(SERVICE_MEDIAN_US, 1.2, 100, 2_000_000),
            response_bytes=log_normal(5_000, 0.8, 100, 60_000),
            segment_bytes=of_destination(coalesced * MSS_BYTES),
            gap_us=of_destination(rng.integers(2, 16, n_destinations)),
            is_silent=of_destination(silent),
            is_refusing=of_destination(refusing),
            next_us=rng.integers(0, profile.ramp_us, n),
            phase=np.full(n, Phase.OPEN, np.uint8),
            generation=np.zeros(n, np.int64),
            seq=np.zeros(n, np.uint32),
            peer_seq=np.zeros(n, np.uint32),
            n_responses=np.zeros(n, np.int64),
            tls_us=np.zeros(n, np.int64),
        )

    def port(self, which: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Client ports of these flows' connections."""
        number = self.port_base[which] + self.generation[which] % self.port_width
        return FIRST_PORT + number * PORT_STEP % N_PORTS


def _rank_in_group(group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """0, 1, 2 … among those with the same group."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[starts, len(group)])
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(starts, lengths)
    return rank
