"""``Replay``: captures in files, given out at their own pace, a multiple of it, or at once.

Takes paths and a speed, gives batches when they are due and says how long there is nothing to do.
Never waits and never changes a packet: whoever takes all batches has read the files as
``trtop FILE`` does.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from trtop_core.batch import CaptureCounters, PacketBatch
from trtop_core.errors import TrtopError
from trtop_core.records import NS_PER_S
from trtop_core.sources import IDLE, open_capture
from trtop_core.sources.files import STDIN, file_error
from trtop_daemon.ipc.batch_message import Totals

PIECE_S = 0.02
"""Packets that are due within so long of each other go out together."""

STDIN_POLL_S = 0.2


class Replay:
    """Files on their way out. All are opened at once, so that rights can be given up afterwards.

    Args:
        paths: as ``open_capture`` takes them.
        speed: capture seconds in a second; None: as fast as they are taken.

    Attributes:
        totals: what the files said that their capturing side counted, so far.
        until_ns: capture time up to which everything was given out; 0: unknown.
        wait_s: how long there is nothing to give out.
        errors: what could not be read.

    Raises:
        TrtopError: a file cannot be opened.
    """

    def __init__(self, paths: Sequence[str], speed: float | None) -> None:
        self.totals = Totals()
        self.until_ns = 0
        self.wait_s = 0.0
        self._speed = speed
        self._files = _open_all(paths)
        self._source = open_capture(paths, poll_s=STDIN_POLL_S, opener=self._take_file)
        self._start_s: float | None = None
        self._start_ns = 0
        self._latest_ns = 0

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *exc: object) -> None:
        self._source.close()
        for fds in self._files.values():
            for fd in fds:
                os.close(fd)

    @property
    def errors(self) -> list[TrtopError]:
        """See above."""
        return self._source.errors

    def batches(self, monotonic_s: Callable[[], float]) -> Iterator[PacketBatch | None]:
        """Give what is due; None: wait for ``wait_s``, then ask again.

        Raises:
            TrtopError: all was given out, and a part could not be read.
        """
        for batch in self._source:
            self._count(batch)
            if batch is IDLE:
                self.wait_s = 0.0  # the source has waited
                yield None
            elif self._speed is None or not len(batch):
                yield trimmed(batch, 0, len(batch))
            else:
                yield from self._paced(batch, self._speed, monotonic_s)

    def _paced(
        self, batch: PacketBatch, speed: float, monotonic_s: Callable[[], float]
    ) -> Iterator[PacketBatch | None]:
        """Cut a batch into what is due together. Packets that are out of order wait for none."""
        stamps = np.maximum.accumulate(batch.index["ts_ns"])
        at = 0
        while at < len(batch):
            now_s = monotonic_s()
            if self._start_s is None:
                self._start_s, self._start_ns = now_s, int(stamps[0])
            due_ns = self._start_ns + int((now_s - self._start_s) * speed * NS_PER_S)
            end = int(np.searchsorted(stamps, due_ns, side="right"))
            if end > at:
                self._latest_ns = max(self._latest_ns, int(stamps[end - 1]))
                self.until_ns = self._latest_ns
                yield trimmed(batch, at, end)
                at = end
            else:
                self.until_ns = max(self.until_ns, due_ns)
                ahead_s = (int(stamps[at]) - due_ns) / NS_PER_S / speed
                self.wait_s = max(PIECE_S, ahead_s)
                yield None

    def _count(self, batch: PacketBatch) -> None:
        totals, new = self.totals, batch.counters or CaptureCounters()
        self.totals = Totals(
            _sum(totals.received, new.received),
            _sum(totals.kernel_dropped, new.kernel_dropped),
            _sum(totals.interface_dropped, new.interface_dropped),
            0,
            totals.untimed + batch.n_untimed,
        )

    def _take_file(self, path: str, flags: int) -> int:
        return self._files[path].pop(0)


def trimmed(batch: PacketBatch, start: int, end: int) -> PacketBatch:
    """Some packets of a batch, and of its data no more than they need."""
    index = batch.index[start:end]
    if not len(index):
        return PacketBatch(batch.data[:0], index)
    first = int(index["offset"].min())
    last = int((index["offset"].astype(np.int64) + index["caplen"]).max())
    index = index.copy()
    index["offset"] -= np.uint32(first)
    return PacketBatch(batch.data[first:last], index)


def _sum(total: int | None, increment: int | None) -> int | None:
    return total if increment is None else (total or 0) + increment


def _open_all(paths: Sequence[str]) -> dict[str, list[int]]:
    files: dict[str, list[int]] = {}
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        for path in paths:
            if path != STDIN:
                files.setdefault(path, []).append(os.open(path, flags))
    except OSError as error:
        for fd in (fd for fds in files.values() for fd in fds):
            with contextlib.suppress(OSError):
                os.close(fd)
        raise file_error(path, error) from error
    return files
