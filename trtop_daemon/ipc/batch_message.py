"""Messages from a capture subprocess to the main process, as the parts of a ZeroMQ message.

Takes batches and totals, gives parts that refer to their memory, and the reverse. Nothing is
pickled: a header of fixed layout, then arrays of fixed layout. What does not fit its own header is
refused. Knows no socket and no process.

Parts of ``PACKETS``: header, index (``records.PACKET_INDEX``), packet bytes. Of the other kinds:
header, text. Behind the header's fixed fields stands the name of the interface or file.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from trtop_core._decode import check_bounds
from trtop_core.batch import CaptureCounters, PacketBatch
from trtop_core.records import PACKET_INDEX

VERSION = 1
"""Version of the layout; both ends come from one installation, so another is an error."""

MAGIC = b"TRTF"

MAX_NAME_BYTES = 4_096
MAX_TEXT_BYTES = 65_536

MAX_PARTS = 3

MAX_MESSAGE_BYTES = 64 << 20
"""Bound on one part of a message; those of a capture subprocess have some MiB."""

Buffer = bytes | memoryview

_FIXED = struct.Struct("<4sHHIIQIIIIqQQQQQ")

_N_BITS = 32
_WRAP = 1 << _N_BITS
_WRAP_64 = (1 << 64) - 1

_RECEIVED, _KERNEL, _INTERFACE = 1, 2, 4


class MessageError(ValueError):
    """A message is not what its header says, or has no header of ours."""


class MessageKind(IntEnum):
    """What a message holds."""

    PACKETS = 1
    """A batch, maybe without packets: then it says how far time and totals are."""
    END = 2
    """The last message: nothing more comes. ``code`` is an exit status, ``text`` says why."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What the capturing side has counted since it began; None is unknown, which is not 0.

    Attributes:
        received, kernel_dropped, interface_dropped, read_lost: as in ``CaptureCounters``.
        untimed: packets that were skipped since they carry no time.
    """

    received: int | None = None
    kernel_dropped: int | None = None
    interface_dropped: int | None = None
    read_lost: int = 0
    untimed: int = 0

    def since(self, before: Totals) -> CaptureCounters:
        """The increments from an earlier report to this one."""
        return CaptureCounters(
            received=_increment(self.received, before.received),
            kernel_dropped=_increment(self.kernel_dropped, before.kernel_dropped),
            interface_dropped=_increment(self.interface_dropped, before.interface_dropped),
            read_lost=_increment(self.read_lost, before.read_lost) or 0,
        )


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        kind: what it holds.
        child: the number of the subprocess.
        generation: how often that subprocess had been started before.
        sequence: number of the message, from 0 on.
        name: the interface or file.
        link_type: LINKTYPE_ value of a device; that of each packet is in the index.
        until_ns: capture time up to which everything has been sent; 0: unknown.
        totals: what the capturing side has counted.
        batch: the packets of ``PACKETS``; without counters.
        code: an exit status, of ``END``.
        text: what ``END`` has to say.
    """

    kind: MessageKind
    child: int = 0
    generation: int = 0
    sequence: int = 0
    name: str = ""
    link_type: int = 0
    until_ns: int = 0
    totals: Totals = Totals()
    batch: PacketBatch | None = None
    code: int = 0
    text: str = ""


def pack(message: Message) -> list[Buffer]:
    """The parts of a message; they refer to the batch's memory, without a copy."""
    batch, totals = message.batch, message.totals
    known = (
        _RECEIVED * (totals.received is not None)
        | _KERNEL * (totals.kernel_dropped is not None)
        | _INTERFACE * (totals.interface_dropped is not None)
    )
    fixed = _FIXED.pack(
        MAGIC,
        VERSION,
        message.kind,
        message.child,
        message.generation,
        message.sequence,
        message.link_type,
        0 if batch is None else len(batch),
        known,
        message.code,
        message.until_ns,
        (totals.received or 0) & _WRAP_64,
        (totals.kernel_dropped or 0) & _WRAP_64,
        (totals.interface_dropped or 0) & _WRAP_64,
        totals.read_lost & _WRAP_64,
        totals.untimed & _WRAP_64,
    )
    header = fixed + message.name.encode(errors="surrogateescape")[:MAX_NAME_BYTES]
    if message.kind is MessageKind.PACKETS:
        if batch is None:
            return [header, b"", b""]
        return [header, batch.index.view(np.uint8).data, batch.data.data]
    return [header, message.text.encode(errors="replace")[:MAX_TEXT_BYTES]]


def unpack(parts: Sequence[Buffer]) -> Message:
    """Read the parts of a message; the batch refers to their memory.

    Raises:
        MessageError: they are not what ``pack`` gives.
    """
    if not 1 < len(parts) <= MAX_PARTS:
        raise MessageError(f"a message of {len(parts)} parts")
    header = memoryview(parts[0])
    if not _FIXED.size <= header.nbytes <= _FIXED.size + MAX_NAME_BYTES:
        raise MessageError(f"a header of {header.nbytes} bytes")
    magic, version, *fields = _FIXED.unpack_from(header)
    number, child, generation, sequence, link_type, n_packets, known, code, until_ns = fields[:9]
    received, kernel, interface, read_lost, untimed = fields[9:]
    if magic != MAGIC:
        raise MessageError("a message without our mark")
    if version != VERSION:
        raise MessageError(f"a message of version {version}, not {VERSION}")
    try:
        kind = MessageKind(number)
    except ValueError:
        raise MessageError(f"a message of the unknown kind {number}") from None
    if len(parts) != (3 if kind is MessageKind.PACKETS else 2):
        raise MessageError(f"a message of {len(parts)} parts")
    totals = Totals(
        received if known & _RECEIVED else None,
        kernel if known & _KERNEL else None,
        interface if known & _INTERFACE else None,
        read_lost,
        untimed,
    )
    text = "" if kind is MessageKind.PACKETS else _text(parts[1])
    return Message(
        kind=kind,
        child=child,
        generation=generation,
        sequence=sequence,
        name=bytes(header[_FIXED.size :]).decode(errors="surrogateescape"),
        link_type=link_type,
        until_ns=until_ns,
        totals=totals,
        batch=_batch(parts[1], parts[2], n_packets) if kind is MessageKind.PACKETS else None,
        code=code,
        text=text,
    )


def unwrap(total: int, counter: int) -> int:
    """A 64-bit total after a 32-bit counter that wraps has moved on to another value."""
    return total + (counter - total) % _WRAP


def _increment(now: int | None, before: int | None) -> int | None:
    return None if now is None else (now - (before or 0)) & _WRAP_64


def _text(part: Buffer) -> str:
    raw = memoryview(part)
    if raw.nbytes > MAX_TEXT_BYTES:
        raise MessageError(f"a text of {raw.nbytes} bytes")
    return bytes(raw).decode(errors="replace")


def _batch(index_part: Buffer, data_part: Buffer, n_packets: int) -> PacketBatch:
    raw = memoryview(index_part)
    if raw.nbytes != n_packets * PACKET_INDEX.itemsize:
        raise MessageError(f"an index of {raw.nbytes} bytes for {n_packets} packets")
    index = np.frombuffer(raw, PACKET_INDEX)
    data = np.frombuffer(data_part, np.uint8)
    try:
        check_bounds(data, index)
    except ValueError as error:
        raise MessageError(str(error)) from None
    return PacketBatch(data, index)
