"""Classic pcap: one file header, then records.

Takes the file header's bytes, gives the walker of the records behind it. Source:
draft-ietf-opsawg-pcap; the modified format with 24-byte record headers is Alexey Kuznetzov's.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy.typing as npt

from trtop_core._index import PcapLayout, walk_pcap
from trtop_core.errors import NotACaptureError
from trtop_core.records import NS_PER_US
from trtop_core.savefile.walk import ByteArray, Step, Stop

FILE_HEADER_LEN = 24
RECORD_HEADER_LEN = 16
MODIFIED_RECORD_HEADER_LEN = 24

MAGIC_US = 0xA1B2C3D4
MAGIC_NS = 0xA1B23C4D
MAGIC_MODIFIED = 0xA1B2CD34

VERSION_MAJOR = 2
LINK_TYPE_MASK = 0xFFFF
"""The upper bits of the header's network field tell of frame check sequences."""

# magic number -> (ns per tick, bytes of a record's header)
_FORMS = {
    MAGIC_US: (NS_PER_US, RECORD_HEADER_LEN),
    MAGIC_NS: (1, RECORD_HEADER_LEN),
    MAGIC_MODIFIED: (NS_PER_US, MODIFIED_RECORD_HEADER_LEN),
}


class PcapWalker:
    """Walks the records of one pcap file.

    Args:
        header: the file's first ``FILE_HEADER_LEN`` bytes, for which :func:`is_pcap` holds.

    Raises:
        NotACaptureError: a version that nobody writes any more.
    """

    def __init__(self, header: bytes) -> None:
        order = _byte_order(header)
        if order is None:
            raise ValueError("the header of a pcap file starts with its magic number")
        magic, major, minor, _, _, _, network = struct.unpack(f"{order}IHHiIII", header)
        if major != VERSION_MAJOR:
            raise NotACaptureError(f"unsupported pcap version {major}.{minor}")
        ns_per_tick, header_len = _FORMS[magic]
        self._layout = PcapLayout(order == ">", ns_per_tick, header_len, network & LINK_TYPE_MASK)

    def walk(self, data: ByteArray, start: int, index: npt.NDArray[Any]) -> Step:
        """Index the packets of a piece (a ``Walker``)."""
        n_packets, end, stop, need, _ = walk_pcap(self._layout, data, start, index)
        return Step(n_packets, end, Stop(stop), need)

    def is_skipped_whole(self, total_len: int, trailer: ByteArray) -> bool:
        """A pcap holds nothing that is skipped."""
        return True


def is_pcap(magic: bytes) -> bool:
    """Whether a file that starts with these bytes, 4 at least, is a pcap."""
    return _byte_order(magic) is not None


def _byte_order(magic: bytes) -> str | None:
    for order in "<>":
        if struct.unpack(f"{order}I", magic[:4])[0] in _FORMS:
            return order
    return None
