"""``Replay``: captures in files, given out at their own pace, a multiple of it, or at once.

Takes paths and a speed, gives batches when they are due and says how long there is nothing to do.
Never waits and never changes a packet: whoever takes all batches has read the files as
``trtop FILE`` does.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trtop_core.batch import CaptureCounters, PacketBatch
from trtop_core.errors import TrtopError
from trtop_core.records import NS_PER_S
from trtop_core.sources import IDLE, open_capture
from trtop_core.sources.files import STDIN, file_error
from trtop_daemon.capture.backend import Backend, OpenConfig
from trtop_daemon.capture.batch_sender import BatchSender
from trtop_daemon.capture.control import REPORT_S, Control
from trtop_daemon.ipc.batch_message import Totals
from trtop_daemon.ipc.feed import CaptureConfig

PIECE_S = 0.02
"""Packets that are due within so long of each other go out together."""

STDIN_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """Captures that are replayed instead of capturing.

    Attributes:
        paths: as ``trtop_core.sources.open_capture`` takes them, one after the other.
        speed: 1 is the capture's own pace, 2 twice that; None: as fast as it goes.

    Raises:
        ValueError: there is no path, or the speed is not above 0.
    """

    paths: tuple[str, ...]
    speed: float | None = 1.0

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError("a replay needs a file")
        if self.speed is not None and not 0 < self.speed < float("inf"):
            raise ValueError("a speed is above 0, or max")


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

    def close(self) -> None:
        """Close the files."""
        self._source.close()
        for fds in self._files.values():
            for fd in fds:
                os.close(fd)

    @property
    def errors(self) -> list[TrtopError]:
        """What could not be read."""
        return self._source.errors

    def run(self, sender: BatchSender, control: Control) -> None:
        """Move packets to the main process, at the replay's pace.

        Raises:
            TrtopError: all was given out, and a part could not be read.
            ProcessLookupError: the main process is gone.
        """
        try:
            for batch in self.batches(time.monotonic):
                sender.send_batch(batch, self.totals, 0, self.until_ns)
                control.wait_for_room(sender)
                control.wait(0.0 if batch is not None else min(self.wait_s, REPORT_S))
                if control.is_stopping:
                    return
        except TrtopError as error:
            failure = TrtopError("\n".join(str(part) for part in self.errors))
            failure.exit_status = error.exit_status
            raise failure from error

    def final_totals(self) -> Totals:
        """What the files said to their end."""
        return self.totals

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


class ReplayBackend(Backend):
    """Files, replayed by one subprocess."""

    def open(self, config: OpenConfig) -> Replay:
        """Open the files.

        Raises:
            TrtopError: one of them cannot be.
        """
        source: ReplayConfig = config.capture.source
        return Replay(source.paths, source.speed)

    def targets(self, config: CaptureConfig) -> Sequence[str]:
        """All files together, as people call them."""
        paths = config.source.paths
        return [paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"]

    def reads_stdin(self, config: CaptureConfig) -> bool:
        """Whether standard input is one of the files."""
        return STDIN in config.source.paths


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
