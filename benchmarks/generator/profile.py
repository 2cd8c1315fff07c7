"""What a generated capture is like: sizes, times and shares. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """What a capture is like.

    Attributes:
        n_packets: how many are written.
        n_destinations: each has at least one flow.
        n_flows: concurrent connections.
        n_clients: client addresses.
        share_v6: of the destinations.
        ramp_us: the flows open their first connections within this time.
        slice_us: how much time is worked on at once.
        rtt_median_us: round-trip time of the middle destination.
        think_mean_us: pause between exchanges.
        close_share: of exchanges that are their connection's last.
        silent_share: of destinations that answer no SYN.
        refusing_share: of destinations that refuse half of the attempts.
        tls: connections begin with a TLS 1.3 handshake, and turns are its records.
    """

    n_packets: int
    n_destinations: int
    n_flows: int
    n_clients: int
    share_v6: float
    ramp_us: int
    slice_us: int
    rtt_median_us: int
    think_mean_us: int
    close_share: float
    silent_share: float = 0.002
    refusing_share: float = 0.005
    tls: bool = False
