"""A slow, plain reader of captures, and a way to look at what the fast one gives.

The twin reads whole files with ``struct`` alone and shares no code with ``trtop_core.savefile``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from support.paths import CAPTURES

from trtop_core.batch import PacketBatch
from trtop_core.errors import DamagedCaptureError, TrtopError
from trtop_core.savefile import CaptureReader

NO_CAPTURES = f"no captures in {CAPTURES}; set TRTOP_CAPTURES"

MAX_CAPLEN = 262_144
MAX_BLOCK = 1 << 24
LIMIT_NS = (1 << 62) - 1

PacketTuple = tuple[int, int, bytes, int]  # ts_ns, link type, bytes, wire length


@dataclass
class Reading:
    packets: list[PacketTuple] = field(default_factory=list)
    n_untimed: int = 0
    counters: list[int | None] = field(default_factory=lambda: [None, None, None])
    error: str | None = None

    def count(self, increments: Iterable[int | None]) -> None:
        self.counters = [
            have if add is None else (have or 0) + add
            for have, add in zip(self.counters, increments, strict=True)
        ]

    def take(self, batch: PacketBatch) -> None:
        data = batch.data.tobytes()
        for ts_ns, offset, caplen, wire_len, link_type in batch.index.tolist():
            packet = data[offset : offset + caplen]
            assert len(packet) == caplen
            self.packets.append((ts_ns, link_type, packet, wire_len))
        self.n_untimed += batch.n_untimed
        if (counters := batch.counters) is not None:
            self.count((counters.received, counters.kernel_dropped, counters.interface_dropped))

    def fail(self, error: TrtopError) -> None:
        self.error = (
            f"damaged {error.offset_bytes} {error.n_packets}"
            if isinstance(error, DamagedCaptureError)
            else "not a capture"
        )


def read_pieces(pieces: Iterable[bytes], headroom: int = 0) -> Reading:
    """What `CaptureReader` makes of a stream."""
    reader = CaptureReader()
    reading = Reading()
    try:
        for piece in pieces:
            data = np.frombuffer(bytearray(headroom) + piece, np.uint8)
            for batch in reader.feed(data, headroom):
                reading.take(batch)
        reader.finish()
    except TrtopError as error:
        reading.fail(error)
    return reading


class _Damage(Exception):  # noqa: N818
    pass


def twin_read(data: bytes) -> Reading:
    """What the twin reads of a capture's bytes."""
    reading = Reading()
    for order in "<>":
        if data[:4] in [
            struct.pack(f"{order}I", magic) for magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34)
        ]:
            _read_pcap(data, order, reading)
            return reading
    if data[:4] == b"\n\r\r\n":
        _read_pcapng(data, reading)
    else:
        reading.error = "not a capture"
    return reading


def _read_pcap(data: bytes, order: str, reading: Reading) -> None:
    if len(data) < 24:
        reading.error = "damaged 0 0"
        return
    magic, major, _, _, _, _, network = struct.unpack(f"{order}IHHIIII", data[:24])
    if major != 2:
        reading.error = "not a capture"
        return
    unit = 1 if magic == 0xA1B23C4D else 1000
    header = 24 if magic == 0xA1B2CD34 else 16
    at = 24
    while at < len(data):
        if at + header > len(data):
            break
        seconds, fraction, caplen, wire_len = struct.unpack(f"{order}IIII", data[at : at + 16])
        packet = data[at + header : at + header + caplen]
        if caplen > MAX_CAPLEN or len(packet) < caplen:
            break
        ts_ns = seconds * 10**9 + fraction * unit
        reading.packets.append((ts_ns, network % 65536, packet, wire_len))
        at += header + caplen
    if at < len(data):
        reading.error = f"damaged {at} {len(reading.packets)}"


def _read_pcapng(data: bytes, reading: Reading) -> None:
    state: dict[str, object] = {}
    at = 0
    if len(data) >= 12 and data[8:12] not in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"):
        reading.error = "not a capture"
        return
    try:
        while at < len(data):
            at += _read_block(data[at:], state, reading)
    except (_Damage, struct.error, IndexError):
        reading.error = f"damaged {at} {len(reading.packets) + reading.n_untimed}"


def _read_block(data: bytes, state: dict, reading: Reading) -> int:
    if len(data) < 12:
        raise _Damage
    if data[:4] == b"\n\r\r\n":
        order = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}.get(data[8:12])
        if order is None:
            raise _Damage
        state.update(order=order)
    order = state["order"]
    kind, total = struct.unpack(f"{order}II", data[:8])
    least = {0x0A0D0D0A: 28, 1: 20, 2: 32, 3: 16, 5: 24, 6: 32}
    if total % 4 or total < least.get(kind, 12) or total > len(data):
        raise _Damage
    if struct.unpack(f"{order}I", data[total - 4 : total])[0] != total:
        raise _Damage
    if kind in least and total > MAX_BLOCK:
        raise _Damage
    body = data[8 : total - 4]
    if kind == 0x0A0D0D0A:
        if struct.unpack(f"{order}H", body[4:6])[0] != 1:
            raise _Damage
        state.update(interfaces=[], last={})
    elif kind == 1:
        options = _options(body[8:], order)
        resolution = options.get(9, b"\6")
        exponent = resolution[0] if len(resolution) == 1 else 6
        unit = Fraction(1, 2 ** (exponent - 128) if exponent > 127 else 10**exponent)
        offset = options.get(14, b"")
        seconds = struct.unpack(f"{order}q", offset)[0] if len(offset) == 8 else 0
        link_type = struct.unpack(f"{order}H", body[:2])[0]
        state["interfaces"].append((link_type, unit, seconds))
    elif kind in (2, 6):
        _read_packet(kind, body, state, reading)
    elif kind == 3:
        if not state["interfaces"]:
            raise _Damage
        reading.n_untimed += 1
    elif kind == 5:
        _read_statistics(body, state, reading)
    return total


def _read_packet(kind: int, body: bytes, state: dict, reading: Reading) -> None:
    order = state["order"]
    number, high, low, caplen, wire_len = struct.unpack(
        f"{order}IIIII" if kind == 6 else f"{order}HxxIIII", body[:20]
    )
    if number >= len(state["interfaces"]) or caplen > min(MAX_CAPLEN, len(body) - 20):
        raise _Damage
    link_type, unit, seconds = state["interfaces"][number]
    ts_ns = int((high * 2**32 + low) * unit * 10**9) + seconds * 10**9
    ts_ns = max(-LIMIT_NS, min(LIMIT_NS, ts_ns))
    reading.packets.append((ts_ns, link_type, body[20 : 20 + caplen], wire_len))


def _read_statistics(body: bytes, state: dict, reading: Reading) -> None:
    order = state["order"]
    number = struct.unpack(f"{order}I", body[:4])[0]
    if number >= len(state["interfaces"]):
        return
    options = _options(body[12:], order)
    increments: list[int | None] = []
    for code in (4, 7, 5):
        value = options.get(code, b"")
        if len(value) != 8:
            increments.append(None)
            continue
        now = struct.unpack(f"{order}Q", value)[0]
        increments.append(max(0, now - state["last"].get((number, code), 0)))
        state["last"][number, code] = now
    reading.count(increments)


def _options(data: bytes, order: str) -> dict[int, bytes]:
    options: dict[int, bytes] = {}
    while len(data) >= 4:
        code, length = struct.unpack(f"{order}HH", data[:4])
        if code == 0 or 4 + length > len(data):
            break
        options.setdefault(code, data[4 : 4 + length])
        data = data[4 + (length + 3) // 4 * 4 :]
    return options
