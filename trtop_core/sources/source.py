"""``Source``: several files, or one that still grows, as one capture.

Takes paths, gives batches in the order of the files, remembers what could not be read, and raises
it after everything that could. Waits only through what is passed in, and for pipes in the system.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trtop_core.batch import PacketBatch
from trtop_core.errors import (
    EXIT_INCOMPLETE,
    EXIT_UNUSABLE,
    DamagedCaptureError,
    NotACaptureError,
    TrtopError,
)
from trtop_core.records import NS_PER_S, PACKET_INDEX
from trtop_core.sources.decompress import HEADROOM
from trtop_core.sources.files import STDIN, Opener, RawFile, check_path, name_of, size_of
from trtop_core.sources.stream import Stream

POLL_S = 0.25
"""How often a source that has nothing gives control back: often enough for a screen."""

ORDER_SLACK_NS = NS_PER_S
"""What a file may begin before the one in front of it ended: several interfaces, two clocks."""

OUT_OF_ORDER = (
    "begins before the file in front of it ended; "
    "numbers are right only for files in the order of their packets"
)
"""What is said of a file that begins earlier yet: connections fall apart then."""

IDLE = PacketBatch(np.empty(0, np.uint8), np.empty(0, PACKET_INDEX))
"""The empty batch that is given while nothing arrives."""

Path = str | os.PathLike[str]


def bytes_of(paths: Sequence[str], stdin_fd: int | None = None) -> int | None:
    """Bytes of several files, as they are stored; None where one of them is no regular file.

    Args:
        paths: ``-`` is standard input.
        stdin_fd: where that is, if it was moved.
    """
    sizes = [size_of(path, stdin_fd) for path in paths]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def open_capture(
    paths: Path | Sequence[Path],
    *,
    follow: bool = False,
    poll_s: float = POLL_S,
    wait: Callable[[float], None] = time.sleep,
    opener: Opener = os.open,
    stdin_fd: int | None = None,
) -> Source:
    """Open captures to be read one after the other, as a rotated set is.

    Args:
        paths: pcap or pcapng, also compressed with gzip, zstd, lz4 or xz, whatever they are
            called; FIFOs; ``-`` is standard input.
        follow: go on with the last one when its end is reached, as ``tail -F`` does: wait for more
            bytes, for a file that is not there yet, for a new one of the same name; start anew
            when it is truncated. Ends only by being closed, unless the last one is a pipe.
        poll_s: how often a source that has nothing gives ``IDLE``.
        wait: takes seconds; replaced where waiting is somebody else's.
        stdin_fd: where standard input is, if it was moved.
        opener: takes a path and flags, gives a descriptor: for files that were opened before.

    Raises:
        TrtopError: one of the files does not exist, is a directory, or may not be read.
        ValueError: no path at all.
    """
    listed = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not listed:
        raise ValueError("a source needs one path at least")
    names = [os.fspath(path) for path in listed]
    for name in names[:-1] if follow and not os.path.exists(names[-1]) else names:
        check_path(name)
    return Source(names, follow, Waiting(poll_s, wait, stdin_fd, opener))


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a source waits, and for what.

    Attributes:
        poll_s: how often one that has nothing gives ``IDLE``.
        wait: takes seconds.
        stdin_fd: where standard input is, if it was moved.
    """

    poll_s: float
    wait: Callable[[float], None]
    stdin_fd: int | None
    opener: Opener


class Source:
    """An iterator of ``PacketBatch``, and a context manager that closes its file.

    Batches own their bytes: they stay valid as long as they are kept. A pipe that has nothing, and
    a followed file, give ``IDLE`` about every ``poll_s``, so that the caller can print, draw, or
    stop; for the same reason a long stretch without a packet gives empty batches. A file that is
    damaged, or no capture, does not end the iteration while other files are left: it ends after the
    last one, with the error.

    Attributes:
        bytes_read: bytes read of the files, as they are stored (compressed ones included).
        bytes_total: of all files; None where pipes or growing files are among them.
        n_packets: packets given out so far, those skipped without a time included.
        errors: what could not be read, in the order of the files.
        early: files that begin before the one in front of them ended, by more than
            ``ORDER_SLACK_NS``: were they given in the wrong order?
    """

    def __init__(self, paths: Sequence[str], follow: bool, waiting: Waiting) -> None:
        self.bytes_total = None if follow else bytes_of(paths, waiting.stdin_fd)
        self.bytes_read = 0
        self.n_packets = 0
        self.errors: list[TrtopError] = []
        self.early: list[str] = []
        self._begun: str | None = None
        self._end_ns: int | None = None
        self._paths = list(paths)
        self._follow = follow
        self._poll_s = waiting.poll_s
        self._wait = waiting.wait
        self._stdin_fd = waiting.stdin_fd
        self._opener = waiting.opener
        self._n_captures = 0
        self._stream: Stream | None = None
        self._bytes_unpacked = 0
        self._iterator = self._batches()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[PacketBatch]:
        return self

    def __next__(self) -> PacketBatch:
        """The next batch.

        Raises:
            TrtopError: all was given out, and a part could not be read: see ``errors``.
        """
        batch = next(self._iterator)
        self.n_packets += len(batch) + batch.n_untimed
        if len(self._paths) > 1 and len(batch):
            self._note_order(batch)
        return batch

    @property
    def bytes_unpacked(self) -> int:
        """Bytes of the captures that were read so far, as they are before compression."""
        return self._bytes_unpacked + (self._stream.n_bytes if self._stream else 0)

    def close(self) -> None:
        """Stop reading; closes the open file."""
        self._iterator.close()

    def _note_order(self, batch: PacketBatch) -> None:
        """Compare a file's first packet with the last one of the file before."""
        first_ns, last_ns = batch.index["ts_ns"][[0, -1]].tolist()
        if self._begun is not None:
            if self._end_ns is not None and first_ns < self._end_ns - ORDER_SLACK_NS:
                self.early.append(self._begun)
            self._begun = None
        self._end_ns = last_ns

    def _batches(self) -> Generator[PacketBatch]:
        for path in self._paths:
            self._begun = path
            is_followed = self._follow and path is self._paths[-1] and path != STDIN
            try:
                yield from self._follow_path(path) if is_followed else self._read_path(path)
                self._n_captures += 1
            except TrtopError as error:
                self.errors.append(error)
                self._n_captures += isinstance(error, DamagedCaptureError)
        if self.errors:
            raise self._summary()

    def _read_path(self, path: str) -> Iterator[PacketBatch]:
        """Read to the end."""
        with RawFile(path, self._poll_s, self._stdin_fd, self._opener) as raw:
            yield from self._read_to_end(raw, self._begin(path))

    def _read_to_end(self, raw: RawFile, stream: Stream) -> Iterator[PacketBatch]:
        yield from self._drain(raw, stream)
        yield from stream.finish()

    def _drain(self, raw: RawFile, stream: Stream) -> Iterator[PacketBatch]:
        """Give what is there; returns at the end of the file."""
        while True:
            piece = raw.read()
            if piece is None:
                yield IDLE
            elif len(piece) == HEADROOM:
                return
            else:
                self.bytes_read += len(piece) - HEADROOM
                yield from stream.feed(piece)

    def _follow_path(self, path: str) -> Iterator[PacketBatch]:
        """Read files of this name, one after the other, until closed or damaged."""
        while True:
            try:
                raw = RawFile(path, self._poll_s, self._stdin_fd, self._opener)
            except TrtopError as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
                yield self._idle()
                continue
            with raw:
                if not raw.is_regular:
                    yield from self._read_to_end(raw, self._begin(path))
                    return
                yield from self._follow_file(raw)

    def _follow_file(self, raw: RawFile) -> Iterator[PacketBatch]:
        """Read one file, however slowly it grows; returns when another one has its name."""
        stream = self._begin(raw.path)
        while True:
            # Asked first: what is written between the asking and the last read is not missed.
            is_replaced = raw.is_replaced()
            yield from self._drain(raw, stream)
            if is_replaced:
                break
            if raw.is_truncated():
                raw.rewind()
                stream = self._begin(raw.path)
            elif not raw.is_replaced():
                yield self._idle()
        try:
            yield from stream.finish()
        except (DamagedCaptureError, NotACaptureError) as error:
            # The next file may be whole.
            if not stream.is_empty:
                self.errors.append(error)

    def _begin(self, path: str) -> Stream:
        """A stream for the next file."""
        self._bytes_unpacked = self.bytes_unpacked
        self._stream = Stream(name_of(path))
        return self._stream

    def _idle(self) -> PacketBatch:
        self._wait(self._poll_s)
        return IDLE

    def _summary(self) -> TrtopError:
        """The one error that stands for all of them."""
        first = self.errors[0]
        if len(self._paths) == 1 and len(self.errors) == 1:
            if self.n_packets:  # of a followed file, which another one has replaced
                first.exit_status = EXIT_INCOMPLETE
            return first
        others = f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
        summary = TrtopError(f"{first}{others}")
        summary.exit_status = EXIT_INCOMPLETE if self._n_captures else EXIT_UNUSABLE
        return summary
