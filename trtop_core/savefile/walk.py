"""What the walkers of both formats share: where they stop, and in which words that is said.

Gives the values that the kernels' walks end with, and the ``Walker`` that a reader drives.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from trtop_core._index import MAX_BLOCK, MAX_CAPLEN
from trtop_core.batch import CaptureCounters

ByteArray = npt.NDArray[np.uint8]


class Stop(IntEnum):
    """Why a walk stopped; those after ``SKIP`` are damage."""

    FULL = 0
    """The index has no room left."""
    MORE = 1
    """The record at the end goes on beyond the data."""
    BLOCK = 2
    """A pcapng block which the kernel leaves to its caller."""
    SKIP = 3
    """An unknown pcapng block goes on beyond the data; nobody needs its bytes."""
    LONG_PACKET = 4
    BLOCK_LENGTH = 5
    LONG_BLOCK = 6
    LENGTHS_DIFFER = 7
    PACKET_OVERRUNS = 8
    NO_INTERFACE = 9
    SECTION_ORDER = 10
    SECTION_VERSION = 11
    MANY_INTERFACES = 12


MAX_INTERFACES = 65_536
"""Interfaces of one pcapng section; captures have some dozens. Bounds what is remembered."""

DAMAGE: dict[Stop, str] = {
    Stop.LONG_PACKET: f"file damaged (a packet longer than {MAX_CAPLEN:,} bytes)",
    Stop.BLOCK_LENGTH: "file damaged (a block of an impossible length)",
    Stop.LONG_BLOCK: f"file damaged (a block longer than {MAX_BLOCK:,} bytes)",
    Stop.LENGTHS_DIFFER: "file damaged (a block's two lengths differ)",
    Stop.PACKET_OVERRUNS: "file damaged (a packet longer than its block)",
    Stop.NO_INTERFACE: "file damaged (a packet of an undeclared interface)",
    Stop.SECTION_ORDER: "file damaged (a section without byte order)",
    Stop.SECTION_VERSION: "file damaged (a section of another pcapng version)",
    Stop.MANY_INTERFACES: f"file damaged (more than {MAX_INTERFACES:,} interfaces)",
}

CUT_OFF = "file cut off"


class Step(NamedTuple):
    """How far a walk came.

    Attributes:
        n_packets: entries of the index that were filled.
        end: where in the data the first record that was not taken starts.
        stop: why it was not.
        need: for ``MORE`` and ``SKIP``, bytes from ``end`` on that it takes to go on.
        n_untimed: packets without a time that were skipped.
        counters: increments of the capture's own counters.
    """

    n_packets: int
    end: int
    stop: Stop
    need: int
    n_untimed: int = 0
    counters: CaptureCounters | None = None


class Walker(Protocol):
    """Knows one file's format; keeps nothing of its packets."""

    def walk(self, data: ByteArray, start: int, index: npt.NDArray[Any]) -> Step:
        """Index what ``data`` holds from ``start``, the first byte of a record, on."""
        ...

    def is_skipped_whole(self, total_len: int, trailer: ByteArray) -> bool:
        """Whether a skipped block of ``total_len`` bytes ends as it should, in these 4 bytes."""
        ...


def add_counters(
    one: CaptureCounters | None, other: CaptureCounters | None
) -> CaptureCounters | None:
    """The sum of two reports; unknown and known make known."""
    if one is None or other is None:
        return one or other
    return CaptureCounters(
        received=_add(one.received, other.received),
        kernel_dropped=_add(one.kernel_dropped, other.kernel_dropped),
        interface_dropped=_add(one.interface_dropped, other.interface_dropped),
    )


def _add(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other
