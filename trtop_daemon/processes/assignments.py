"""``Assignment``: what one capture subprocess does. Takes a configuration, gives assignments."""

from __future__ import annotations

import os
from dataclasses import dataclass

from trtop_daemon.capture.backend import Backend
from trtop_daemon.ipc.feed import CaptureConfig


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one subprocess does, whatever becomes of it.

    Attributes:
        number: of the subprocess.
        target: an interface, or what the backend calls what it reads.
        engine: number of the engine that gets its packets.
        fanout_group: see ``device.DeviceConfig``.
        label: what people are told.
    """

    number: int
    target: str
    engine: int
    fanout_group: int | None
    label: str


def assignments_of(backend: Backend, config: CaptureConfig, first: int = 0) -> list[Assignment]:
    """What each subprocess of a configuration does; their numbers count from ``first``."""
    n_shares = 1 if backend.ends else config.fanout
    assignments: list[Assignment] = []
    for target in backend.targets(config):
        group = int.from_bytes(os.urandom(2)) if n_shares > 1 else None
        for engine in range(n_shares):
            part = f" ({engine + 1} of {n_shares})" if n_shares > 1 else ""
            number = first + len(assignments)
            assignments.append(Assignment(number, target, engine, group, target + part))
    return assignments
