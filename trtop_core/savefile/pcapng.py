"""pcapng: sections of blocks, in which packets name the interface that captured them.

Takes bytes that start at a block, gives an index of the packets and what the statistics blocks
count. The kernel walks packets and unknown blocks; sections, interfaces and statistics are read
here. Source: draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._index import MAX_BLOCK, walk_pcapng
from trtop_core.batch import CaptureCounters
from trtop_core.records import NS_PER_S
from trtop_core.savefile.options import find_options
from trtop_core.savefile.walk import MAX_INTERFACES, ByteArray, Step, Stop, add_counters

SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"
"""Type of a section header block, the same number in both byte orders."""
ORDER_MAGIC = 0x1A2B3C4D
VERSION_MAJOR = 1

BLOCK_SECTION = 0x0A0D0D0A
BLOCK_INTERFACE = 1
BLOCK_STATISTICS = 5

MIN_BLOCK_LEN = 12
SECTION_LEN = 28
INTERFACE_LEN = 20
STATISTICS_LEN = 24

OPTION_TSRESOL = 9
OPTION_TSOFFSET = 14
OPTION_IFRECV = 4
OPTION_IFDROP = 5
OPTION_OSDROP = 7

TSRESOL_DEFAULT = 6
"""Microseconds."""
TSRESOL_IS_POWER_OF_2 = 0x80

INTERFACE = np.dtype(
    [
        ("tick_mul", "<u8"),  # ns = (ticks * tick_mul // tick_div >> tick_shift)
        ("tick_div", "<u8"),
        ("offset_s", "<i8"),  # added to every time
        ("tick_shift", "<u4"),
        ("link_type", "<u4"),
    ]
)
"""What the kernel has to know of an interface; ``interface_t`` in the kernel."""

_FIRST_CAPACITY = 16


class PcapngWalker:
    """Walks the blocks of one pcapng stream, from a section header on."""

    def __init__(self) -> None:
        self._order = "<"
        self._interfaces = np.zeros(_FIRST_CAPACITY, INTERFACE)
        self._n_interfaces = 0
        # interface -> the last (received, kernel_dropped, interface_dropped) of it
        self._statistics: dict[int, tuple[int | None, ...]] = {}

    def walk(self, data: ByteArray, start: int, index: npt.NDArray[Any]) -> Step:
        """Index the packets of a piece (a ``Walker``)."""
        n_packets = n_untimed = 0
        counters = None
        pos = start
        while True:
            filled, pos, stop, need, untimed = walk_pcapng(
                self._order == ">",
                self._interfaces[: self._n_interfaces],
                data,
                pos,
                index[n_packets:],
            )
            n_packets += filled
            n_untimed += untimed
            if stop != Stop.BLOCK:
                return Step(n_packets, pos, Stop(stop), need, n_untimed, counters)
            verdict, length, increment = self._take_block(data[pos:])
            counters = add_counters(counters, increment)
            if verdict != Stop.BLOCK:
                return Step(n_packets, pos, verdict, length, n_untimed, counters)
            pos += length

    def is_skipped_whole(self, total_len: int, trailer: ByteArray) -> bool:
        """Tell whether a block can be skipped (a ``Walker``)."""
        return bool(struct.unpack(f"{self._order}I", trailer.tobytes())[0] == total_len)

    def _take_block(self, data: ByteArray) -> tuple[Stop, int, CaptureCounters | None]:
        """Read the block at the data's start, ``MIN_BLOCK_LEN`` bytes of which are there.

        Returns:
            ``Stop.BLOCK`` when it was read, else why not; its length; what it counts.
        """
        head = data[:MIN_BLOCK_LEN].tobytes()
        if head.startswith(SECTION_MAGIC):
            return *self._take_section(head, data), None
        block_type, total_len = struct.unpack_from(f"{self._order}II", head)
        block = data[:total_len].tobytes()
        if block_type == BLOCK_INTERFACE:
            return self._take_interface(block), total_len, None
        if total_len < STATISTICS_LEN:
            return Stop.BLOCK_LENGTH, 0, None
        return Stop.BLOCK, total_len, self._take_statistics(block)

    def _take_section(self, head: bytes, data: ByteArray) -> tuple[Stop, int]:
        order = byte_order(head)
        if order is None:
            return Stop.SECTION_ORDER, 0
        total_len = struct.unpack_from(f"{order}I", head, 4)[0]
        if total_len < SECTION_LEN or total_len % 4:
            return Stop.BLOCK_LENGTH, 0
        if total_len > MAX_BLOCK:
            return Stop.LONG_BLOCK, 0
        if len(data) < total_len:
            return Stop.MORE, total_len
        block = data[:total_len].tobytes()
        if struct.unpack_from(f"{order}I", block, total_len - 4)[0] != total_len:
            return Stop.LENGTHS_DIFFER, 0
        if struct.unpack_from(f"{order}H", block, 12)[0] != VERSION_MAJOR:
            return Stop.SECTION_VERSION, 0
        self._order = order
        self._n_interfaces = 0
        self._statistics.clear()
        return Stop.BLOCK, total_len

    def _take_interface(self, block: bytes) -> Stop:
        if len(block) < INTERFACE_LEN:
            return Stop.BLOCK_LENGTH
        if self._n_interfaces == MAX_INTERFACES:
            return Stop.MANY_INTERFACES
        if self._n_interfaces == len(self._interfaces):
            self._interfaces = np.concatenate([self._interfaces, np.zeros_like(self._interfaces)])
        link_type = struct.unpack_from(f"{self._order}H", block, 8)[0]
        options = find_options(block, INTERFACE_LEN - 4, self._order)
        resolution = options.get(OPTION_TSRESOL, b"")
        offset = options.get(OPTION_TSOFFSET, b"")
        self._interfaces[self._n_interfaces] = (
            *_tick(resolution[0] if len(resolution) == 1 else TSRESOL_DEFAULT),
            link_type,
        )
        if len(offset) == 8:
            self._interfaces[self._n_interfaces]["offset_s"] = struct.unpack(
                f"{self._order}q", offset
            )[0]
        self._n_interfaces += 1
        return Stop.BLOCK

    def _take_statistics(self, block: bytes) -> CaptureCounters | None:
        """Increments since the interface's last report; None without any number."""
        interface_id = struct.unpack_from(f"{self._order}I", block, 8)[0]
        if interface_id >= self._n_interfaces:
            return None
        options = find_options(block, STATISTICS_LEN - 4, self._order)
        now = tuple(
            struct.unpack(f"{self._order}Q", options[code])[0]
            if len(options.get(code, b"")) == 8
            else None
            for code in (OPTION_IFRECV, OPTION_OSDROP, OPTION_IFDROP)
        )
        before = self._statistics.get(interface_id, (None, None, None))
        self._statistics[interface_id] = tuple(
            last if value is None else value for value, last in zip(now, before, strict=True)
        )
        if now == (None, None, None):
            return None
        received, kernel_dropped, interface_dropped = (
            # A counter that went back is its writer's fault: nothing is added (errs low).
            None if value is None else max(0, value - (last or 0))
            for value, last in zip(now, before, strict=True)
        )
        return CaptureCounters(received, kernel_dropped, interface_dropped)


def byte_order(head: bytes) -> str | None:
    """The struct sign of a section whose first ``MIN_BLOCK_LEN`` bytes these are, if it has one."""
    for order in "<>":
        if struct.unpack_from(f"{order}I", head, 8)[0] == ORDER_MAGIC:
            return order
    return None


def _tick(tsresol: int) -> tuple[int, int, int, int]:
    """``if_tsresol`` as tick_mul, tick_div, offset_s (0), tick_shift.

    Too fine a tick makes every time 0: 64 bits of it are less than a nanosecond.
    """
    exponent = tsresol & ~TSRESOL_IS_POWER_OF_2
    if tsresol & TSRESOL_IS_POWER_OF_2:
        return NS_PER_S, 1, 0, exponent
    if exponent <= 9:
        return 10 ** (9 - exponent), 1, 0, 0
    if exponent - 9 < 20:
        return 1, 10 ** (exponent - 9), 0, 0
    return 0, 1, 0, 0
