"""``CaptureReader``: a stream of bytes in pieces becomes batches.

Takes the stream piece by piece, finds out its format, and gives batches that refer to the pieces.
Only a record that straddles two pieces is joined in a buffer of its own. Never reads or waits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.batch import CaptureCounters, PacketBatch
from trtop_core.errors import DamagedCaptureError, NotACaptureError, TrtopError
from trtop_core.records import PACKET_INDEX
from trtop_core.savefile.pcap import FILE_HEADER_LEN, PcapWalker, is_pcap
from trtop_core.savefile.pcapng import MIN_BLOCK_LEN, SECTION_MAGIC, PcapngWalker, byte_order
from trtop_core.savefile.walk import CUT_OFF, DAMAGE, ByteArray, Stop, Walker

MAX_BATCH_PACKETS = 16_384
"""Packets of one batch: an index of 384 KiB, which stays in a core's cache."""

MAX_PIECE = 1 << 30
"""Bytes that are walked at once: offsets in a batch have 32 bits."""

MAGIC_LEN = 4
TRAILER_LEN = 4

EMPTY_FILE = "empty file"
NOT_A_CAPTURE = "not a pcap or pcapng file (editcap converts other formats)"


class CaptureReader:
    """Reads one pcap or pcapng stream.

    Any cut of the stream into pieces gives the same packets, counters and errors. Batches follow
    the order of the stream and refer to the fed bytes, which must not change while a batch is in
    use. What lies before a damaged record is given out first: ``feed`` returns it and the error
    stands in ``error``, raised by the next ``feed`` or ``finish``.

    Attributes:
        n_bytes: bytes fed so far.
        n_packets: packets read so far, those without a time included.
        error: what ended the reading early, if anything did.
    """

    def __init__(self) -> None:
        self.n_bytes = 0
        self.n_packets = 0
        self.error: TrtopError | None = None
        self._walker: Walker | None = None
        self._index = np.empty(MAX_BATCH_PACKETS, PACKET_INDEX)
        # The record at hand, as far as it was fed, and the bytes it takes to go on with it.
        self._carry = bytearray()
        self._need = MAGIC_LEN
        # An unknown block whose bytes pass by: its length, and how many of them are still to come.
        self._skip_len = 0
        self._skip_left = 0

    def feed(
        self, piece: bytes | bytearray | memoryview | ByteArray, headroom: int = 0
    ) -> list[PacketBatch]:
        """Read the stream's next bytes.

        Args:
            piece: contiguous bytes, any number of them.
            headroom: so many bytes at the piece's start are not of the stream but free to be
                written to. A started record that fits there is put before its rest, and so needs
                no buffer and no batch of its own.

        Returns:
            What they complete, in batches of at most ``MAX_BATCH_PACKETS``.

        Raises:
            TrtopError: the stream broke in an earlier piece; see ``error``.
            ValueError: headroom in a piece that is shorter, or read-only.
        """
        if self.error is not None:
            raise self.error
        data = piece if isinstance(piece, np.ndarray) else np.frombuffer(piece, np.uint8)
        batches: list[PacketBatch] = []
        start = self._fill_headroom(data, headroom)
        for at in range(start, len(data), MAX_PIECE):
            self._feed_part(data[at : at + MAX_PIECE], batches)
            if self.error is not None:
                break
        return batches

    def finish(self) -> None:
        """Say that the stream ended.

        Raises:
            NotACaptureError: it was empty, or no capture.
            DamagedCaptureError: it broke, or ended inside a record.
        """
        if self.error is not None:
            raise self.error
        if self.n_bytes == 0:
            self.error = NotACaptureError(EMPTY_FILE)
        elif self._walker is None and len(self._carry) < MAGIC_LEN:
            self.error = NotACaptureError(NOT_A_CAPTURE)
        elif self._carry or self._skip_len or self._walker is None:
            skipped = self._skip_len and self._skip_len - TRAILER_LEN - self._skip_left
            self._break(CUT_OFF, self.n_bytes - len(self._carry) - skipped)
        if self.error is not None:
            raise self.error

    def _fill_headroom(self, data: ByteArray, headroom: int) -> int:
        """Put the record at hand before its rest, if it fits; gives where the stream goes on."""
        if headroom > len(data):
            raise ValueError("a piece's headroom is longer than the piece")
        n_bytes = len(self._carry)
        if n_bytes == 0 or n_bytes > headroom or self._skip_len:
            return headroom
        data[headroom - n_bytes : headroom] = self._carry
        self._carry.clear()
        self.n_bytes -= n_bytes
        return headroom - n_bytes

    def _feed_part(self, data: ByteArray, batches: list[PacketBatch]) -> None:
        """Walk a part of the stream: first what completes the record at hand, then the rest."""
        start = 0
        while start < len(data) and self.error is None:
            if self._skip_left:
                step = min(self._skip_left, len(data) - start)
                self._skip_left -= step
            elif self._carry or self._skip_len:
                step = min(self._need - len(self._carry), len(data) - start)
                self._carry += data[start : start + step].data
                if len(self._carry) == self._need:
                    record = np.frombuffer(bytes(self._carry), np.uint8)
                    self._carry.clear()
                    at = self.n_bytes + step - len(record)
                    end = self._walk(record, 0, at, batches)
                    self._carry += record[end:].data
            else:
                end = self._walk(data, start, self.n_bytes - start, batches)
                self._carry += data[end:].data
                step = len(data) - start
            start += step
            self.n_bytes += step

    def _walk(self, data: ByteArray, start: int, at: int, batches: list[PacketBatch]) -> int:
        """Walk data that starts at a record and say which bytes are kept for the next piece.

        Args:
            data: see ``start``.
            start: where in the data the record starts.
            at: offset of the data's first byte in the stream.
            batches: takes what is found.
        """
        if self._skip_len:
            return self._end_skip(data, at)
        if self._walker is None:
            start = self._open(data, start, at)
            if self._walker is None:
                return len(data) if self.error else start
        while True:
            step = self._walker.walk(data, start, self._index)
            self._emit(data, self._index[: step.n_packets], step.counters, step.n_untimed, batches)
            start = step.end
            self._need = step.need
            if step.stop == Stop.MORE:
                return start
            if step.stop == Stop.SKIP:
                trailer = start + step.need - TRAILER_LEN
                self._skip_len = step.need
                self._skip_left = max(0, trailer - len(data))
                self._need = TRAILER_LEN
                return min(trailer, len(data))
            if step.stop != Stop.FULL:
                self._break(DAMAGE[step.stop], at + start)
                return len(data)

    def _end_skip(self, trailer: ByteArray, at: int) -> int:
        assert self._walker is not None
        if not self._walker.is_skipped_whole(self._skip_len, trailer):
            self._break(DAMAGE[Stop.LENGTHS_DIFFER], at + TRAILER_LEN - self._skip_len)
        self._skip_len = 0
        return len(trailer)

    def _open(self, data: ByteArray, start: int, at: int) -> int:
        """Find out the format as soon as enough bytes are there; gives the first record's place."""
        head = data[start : start + FILE_HEADER_LEN].tobytes()
        self._need = MAGIC_LEN
        if len(head) < MAGIC_LEN:
            return start
        is_pcapng = head.startswith(SECTION_MAGIC)
        if not is_pcapng and not is_pcap(head):
            self.error = NotACaptureError(NOT_A_CAPTURE)
            return start
        self._need = MIN_BLOCK_LEN if is_pcapng else FILE_HEADER_LEN
        if len(head) < self._need:
            return start
        if not is_pcapng:
            try:
                self._walker = PcapWalker(head)
            except NotACaptureError as error:
                self.error = error
            return start + FILE_HEADER_LEN
        if byte_order(head) is None:
            self.error = NotACaptureError(NOT_A_CAPTURE)
        else:
            self._walker = PcapngWalker()
        return start

    def _emit(
        self,
        data: ByteArray,
        index: npt.NDArray[Any],
        counters: CaptureCounters | None,
        n_untimed: int,
        batches: list[PacketBatch],
    ) -> None:
        if len(index) or counters is not None or n_untimed:
            # As bytes: numpy copies records field by field, at 17 ns each.
            own = index.view(np.uint8).copy().view(PACKET_INDEX)
            batches.append(PacketBatch(data, own, counters, n_untimed))
            self.n_packets += len(index) + n_untimed

    def _break(self, reason: str, offset_bytes: int) -> None:
        self.error = DamagedCaptureError(reason, offset_bytes, self.n_packets)
