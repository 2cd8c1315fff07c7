"""``Stream``: the bytes of one file become batches.

Takes a file's raw bytes, puts the unpacker before the reader of captures, and names the file in
their errors. Touches no file.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trtop_core.batch import PacketBatch
from trtop_core.errors import DamagedCaptureError, NotACaptureError, TrtopError
from trtop_core.records import PACKET_INDEX
from trtop_core.savefile import CaptureReader
from trtop_core.savefile.walk import ByteArray
from trtop_core.sources.decompress import HEADROOM, OverLimitError, Unpacker, UnpackError

MAX_SILENT_BYTES = 32 * 1024 * 1024
"""Bytes without a packet after which an empty batch is given."""

STILL_READING = PacketBatch(np.empty(0, np.uint8), np.empty(0, PACKET_INDEX))
"""That batch: whoever reads can show how far it is, or stop."""


class Stream:
    """Reads one file's bytes.

    Args:
        name: what errors call the file.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._unpacker = Unpacker()
        self._reader = CaptureReader()
        self._silent_bytes = 0

    @property
    def n_bytes(self) -> int:
        """Bytes of the capture so far, unpacked."""
        return self._reader.n_bytes

    @property
    def is_empty(self) -> bool:
        """Whether no byte of a capture came yet."""
        return self._reader.n_bytes == 0

    def feed(self, piece: ByteArray) -> Iterator[PacketBatch]:
        """Give what the next bytes hold, which lie behind ``HEADROOM`` free ones.

        Raises:
            TrtopError: the file is damaged or no capture; what came before it was given out.
        """
        yield from self._read(self._unpacker.feed(piece))

    def finish(self) -> Iterator[PacketBatch]:
        """Give what was held back, since the file has ended.

        Raises:
            TrtopError: it ended too early, or was no capture.
        """
        yield from self._read(self._unpacker.finish())
        try:
            self._reader.finish()
        except TrtopError as error:
            raise self._named(error) from error

    def _read(self, pieces: Iterator[ByteArray]) -> Iterator[PacketBatch]:
        try:
            for piece in pieces:
                self._silent_bytes += len(piece) - HEADROOM
                for batch in self._reader.feed(piece, HEADROOM):
                    self._silent_bytes = 0
                    yield batch
                if self._reader.error is not None:
                    break
                if self._silent_bytes >= MAX_SILENT_BYTES:
                    self._silent_bytes = 0
                    yield STILL_READING
        except OverLimitError as error:
            raise self._too_large(error) from error
        except UnpackError as error:
            raise DamagedCaptureError(
                f"{self._name}: {error}", self._reader.n_bytes, self._reader.n_packets
            ) from error
        if self._reader.error is not None:
            raise self._named(self._reader.error)

    def _too_large(self, error: OverLimitError) -> TrtopError:
        reason = f"{self._name}: {error}"
        if self.is_empty:
            return TrtopError(reason)
        return DamagedCaptureError(reason, self._reader.n_bytes, self._reader.n_packets)

    def _named(self, error: TrtopError) -> TrtopError:
        if isinstance(error, DamagedCaptureError):
            return DamagedCaptureError(
                f"{self._name}: {error.reason}", error.offset_bytes, error.n_packets
            )
        return NotACaptureError(f"{self._name}: {error}")
