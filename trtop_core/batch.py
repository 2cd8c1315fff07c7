"""``PacketBatch``: captured packets back to back, with an index.

What a reader or a capture process gives and the decoder takes. Never copies packet bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.records import PACKET_INDEX, LinkType


@dataclass(frozen=True, slots=True)
class CaptureCounters:
    """What the capturing side says of itself, as increments since its previous report.

    ``None`` means unknown, which is not zero: a plain pcap file says nothing of what it lost.

    Attributes:
        received: packets that passed the filter; on Linux those dropped afterwards included.
        kernel_dropped: packets that found no room in the kernel's buffer.
        interface_dropped: packets that the interface or its driver dropped.
        read_lost: packets that the kernel kept and the capture process could not read.
        interruptions: times that capturing stopped by itself.
        interrupted_ns: time in which nothing was captured for that reason.
    """

    received: int | None = None
    kernel_dropped: int | None = None
    interface_dropped: int | None = None
    read_lost: int = 0
    interruptions: int = 0
    interrupted_ns: int = 0


@dataclass(frozen=True, slots=True)
class PacketBatch:
    """Some packets of one source, in the order of their capture.

    Attributes:
        data: packet bytes, shape (n_bytes,), dtype uint8; other bytes may lie between packets.
        index: shape (n_packets,), dtype ``records.PACKET_INDEX``, C-contiguous.
        counters: the source's own counters since its last report, if it had any to give.
        n_untimed: packets that were skipped since they carry no time (pcapng simple packets).

    Raises:
        ValueError: an array has the wrong dtype or shape.
    """

    data: npt.NDArray[np.uint8]
    index: npt.NDArray[Any]
    counters: CaptureCounters | None = None
    n_untimed: int = 0

    def __post_init__(self) -> None:
        if self.data.dtype != np.uint8 or self.data.ndim != 1:
            raise ValueError("a batch's data is a one-dimensional array of uint8")
        if self.index.dtype != PACKET_INDEX or self.index.ndim != 1:
            raise ValueError("a batch's index is a one-dimensional array of records.PACKET_INDEX")

    def __len__(self) -> int:
        return len(self.index)

    @property
    def holds_anything(self) -> bool:
        """Whether there is anything to count: packets, or what the source says of them."""
        return len(self.index) > 0 or self.counters is not None or self.n_untimed > 0

    @classmethod
    def from_packets(
        cls,
        packets: Iterable[tuple[int, bytes]],
        link_type: int = LinkType.ETHERNET,
        counters: CaptureCounters | None = None,
    ) -> PacketBatch:
        """Pack single packets; for scripts and tests, not for speed.

        Args:
            packets: pairs of capture time in ns and the packet's bytes, captured whole.
            link_type: LINKTYPE_ value of all of them.
            counters: see the class.
        """
        index = []
        data = bytearray()
        for ts_ns, packet in packets:
            index.append((ts_ns, len(data), len(packet), len(packet), link_type))
            data += packet
        return cls(np.frombuffer(bytes(data), np.uint8), np.array(index, PACKET_INDEX), counters)
