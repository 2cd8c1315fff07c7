"""What the generator plans before it is bytes: segments, and what each one proves.

``PLAN`` is one segment on its way into a capture. ``Event`` bits on it say what a correct monitor
counts when it sees that segment; ``Truth`` adds them up for the segments that were really written,
so that a capture may be cut anywhere. Never looks at packet bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any

import numpy as np
import numpy.typing as npt

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

ATTEMPT_TIMEOUT_US = 20_000_000
"""An attempt without any answer has timed out after this much capture time."""

PLAN = np.dtype(
    [
        ("time_us", "<i8"),  # since the start of the capture
        ("flow", "<i4"),  # which client-destination pair
        ("seq", "<u4"),
        ("ack", "<u4"),
        ("payload_len", "<u4"),
        ("client_port", "<u2"),
        ("flags", "u1"),
        ("from_server", "?"),
        ("events", "<u4"),  # Event bits
        ("value", "<u4"),  # the sample that goes with the event: µs, or responses (CLOSED)
    ],
    align=True,
)


class Event(IntFlag):
    """What a segment proves to whoever counts; one segment may prove several things."""

    SYN = 1 << 0
    SYN_RETRANS = 1 << 1
    SYNACK = 1 << 2
    SYN_RTT = 1 << 3  # value: µs
    EST = 1 << 4  # value: connect latency in µs
    REQUEST = 1 << 5
    RESPONSE = 1 << 6  # value: response time in µs
    SLOW_BY_LOSS = 1 << 7
    RETRANS_OUT = 1 << 8
    RETRANS_IN = 1 << 9
    RST_OUT = 1 << 10
    RST_IN = 1 << 11
    REFUSED = 1 << 12
    FIN_OUT = 1 << 13
    FIN_IN = 1 << 14
    CLOSED = 1 << 15  # value: responses on this connection
    UNANSWERED = 1 << 16  # first SYN of an attempt that nobody ever answers
    NO_NEW_BYTES = 1 << 17  # a copy of what was captured already
    CLIENT_HELLO = 1 << 18
    SERVER_HELLO = 1 << 19
    FINISHED = 1 << 20  # the client's
    TICKETS = 1 << 21
    TLS_READY = 1 << 22  # value: µs from the ClientHello to the client's Finished
    RECORD = 1 << 23  # application data begin with a record's header


COUNTED: dict[str, Event] = {
    "syn": Event.SYN,
    "syn_retrans": Event.SYN_RETRANS,
    "synack": Event.SYNACK,
    "est": Event.EST,
    "requests": Event.REQUEST,
    "responses": Event.RESPONSE,
    "slow_by_loss": Event.SLOW_BY_LOSS,
    "retrans_out": Event.RETRANS_OUT,
    "retrans_in": Event.RETRANS_IN,
    "rst": Event.RST_OUT | Event.RST_IN,
    "rst_out": Event.RST_OUT,
    "rst_in": Event.RST_IN,
    "refused": Event.REFUSED,
    "fin_out": Event.FIN_OUT,
    "fin_in": Event.FIN_IN,
    "tls_turns": Event.CLIENT_HELLO | Event.FINISHED,
}
"""Counters that are the number of segments with an event."""

ALWAYS_ZERO = (
    "synack_retrans",
    "midstream",
    "keepalives",
    "out_of_order",
    "rst_after_fin",
    "banners",
    "zero_window_out",
    "zero_window_in",
    "capture_gaps",
    "gap_bytes",
)
"""Counters of things that the generator never lets happen."""

NS_PER_US = 1_000

SAMPLED: dict[str, tuple[Event, int]] = {
    "syn_rtt": (Event.SYN_RTT, NS_PER_US),
    "connect_latency": (Event.EST, NS_PER_US),
    "tls_latency": (Event.TLS_READY, NS_PER_US),
    "response_time": (Event.RESPONSE, NS_PER_US),
    "reuse": (Event.CLOSED, 1),
}
"""Distributions: the event whose values they hold, and what one unit of it is worth."""


@dataclass(slots=True)
class Samples:
    """The exact part of a distribution."""

    count: int = 0
    total: int = 0
    least: int | None = None
    most: int | None = None

    def add(self, values: npt.NDArray[np.int64]) -> None:
        """Take in some samples."""
        if len(values) == 0:
            return
        low, high = int(values.min()), int(values.max())
        self.count += len(values)
        self.total += int(values.sum())
        self.least = low if self.least is None else min(self.least, low)
        self.most = high if self.most is None else max(self.most, high)


@dataclass(slots=True)
class Truth:
    """What a monitor must find in the segments written so far."""

    packets: int = 0
    last_us: int = 0
    n_closed: int = 0
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    payload: dict[str, int] = field(default_factory=lambda: {"bytes_out": 0, "bytes_in": 0})
    samples: dict[str, Samples] = field(default_factory=lambda: {n: Samples() for n in SAMPLED})
    unanswered_us: list[npt.NDArray[np.int64]] = field(default_factory=list)
    destinations: set[int] = field(default_factory=set)

    def add(self, plan: npt.NDArray[Any], destination: npt.NDArray[np.int64]) -> None:
        """Count segments as they are written, in the order of time.

        Args:
            plan: shape (n,), dtype ``PLAN``.
            destination: shape (n,), the number of each segment's destination.
        """
        if len(plan) == 0:
            return
        events, values = plan["events"], plan["value"]
        self.packets += len(plan)
        self.last_us = int(plan["time_us"][-1])
        for name, mask in COUNTED.items():
            self.counters[name] += int(np.count_nonzero(events & int(mask)))
        fresh = (events & int(Event.NO_NEW_BYTES)) == 0
        from_server = plan["from_server"]
        for name, chosen in (
            ("bytes_out", fresh & ~from_server),
            ("bytes_in", fresh & from_server),
        ):
            self.payload[name] += int(plan["payload_len"][chosen].sum(dtype=np.int64))
        for name, (event, unit) in SAMPLED.items():
            chosen = (events & int(event)) != 0
            if event is Event.CLOSED:
                self.n_closed += int(np.count_nonzero(chosen))
                chosen &= values > 0
            self.samples[name].add(values[chosen].astype(np.int64) * unit)
        self.unanswered_us.append(plan["time_us"][(events & int(Event.UNANSWERED)) != 0])
        self.destinations.update(np.unique(destination).tolist())

    def record(self) -> dict[str, Any]:
        """The truth as plain data, under the names that trtop's JSON report uses."""
        asked_us = np.concatenate([np.zeros(0, np.int64), *self.unanswered_us])
        timeouts = int(np.count_nonzero(asked_us + ATTEMPT_TIMEOUT_US <= self.last_us))
        counters = {**self.counters, **self.payload, **dict.fromkeys(ALWAYS_ZERO, 0)}
        counters["timeouts"] = timeouts
        counters["active"] = counters["syn"] - self.n_closed - timeouts
        samples = {}
        for name, part in self.samples.items():
            unit = "_ns" if SAMPLED[name][1] == NS_PER_US else ""
            samples[name] = {
                "count": part.count,
                f"sum{unit}": part.total,
                f"min{unit}": part.least,
                f"max{unit}": part.most,
            }
        return {
            "packets": self.packets,
            "n_destinations": len(self.destinations),
            "totals": {**counters, **samples},
            "health": {"not_tcp": 0, "duplicates": 0},
        }
