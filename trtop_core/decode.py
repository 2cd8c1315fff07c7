"""``decode``: one batch of packets to columns of TCP segments, by itself.

For scripts and notebooks that want segments; the engine decodes in blocks of its own and never
materialises them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._decode import decode_into
from trtop_core.batch import PacketBatch
from trtop_core.records import SEGMENT, UNDECODED, Verdict


@dataclass(frozen=True, slots=True)
class Segments:
    """What decoding a batch gave.

    Attributes:
        columns: shape (n_packets,), dtype ``records.SEGMENT``: row i is packet i of the batch;
            where ``verdict`` is not ``Verdict.SEGMENT`` only ``ts_ns`` and ``verdict`` mean
            anything. ``columns["seq"]`` and so on are numpy columns.
    """

    columns: npt.NDArray[Any]

    @property
    def tcp(self) -> npt.NDArray[Any]:
        """The rows that hold a TCP segment, shape (n_segments,)."""
        segments: npt.NDArray[Any] = self.columns[self.columns["verdict"] == Verdict.SEGMENT]
        return segments

    @property
    def undecoded(self) -> dict[str, int]:
        """How many packets could not be read, by reason."""
        counts = np.bincount(self.columns["verdict"], minlength=len(Verdict))
        return {v.name.lower(): int(counts[v]) for v in UNDECODED if counts[v]}

    @property
    def n_not_tcp(self) -> int:
        """Packets that hold no TCP."""
        return int(np.count_nonzero(self.columns["verdict"] == Verdict.NOT_TCP))


def decode(batch: PacketBatch, decap: bool = True) -> Segments:
    """Find the innermost TCP segment of each packet.

    Args:
        batch: the packets.
        decap: whether TCP inside GRE, VXLAN, Geneve, IP-in-IP and 6in4 counts.

    Raises:
        ValueError: a packet of the index lies outside the batch's data.
    """
    columns = np.zeros(len(batch), SEGMENT)
    decode_into(batch.data, batch.index, columns, decap)
    return Segments(columns)
