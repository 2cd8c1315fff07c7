"""``RawFile``: one open file, pipe or device, read without ever waiting for more than is there.

Takes a path, gives pieces of bytes. Every error of the environment becomes one ``TrtopError`` that
names the file. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import select
import stat
import sys
from collections.abc import Callable

import numpy as np

from trtop_core.errors import EXIT_INCOMPLETE, TrtopError
from trtop_core.savefile.walk import ByteArray
from trtop_core.sources.decompress import HEADROOM

STDIN = "-"
STDIN_NAME = "standard input"
STDIN_FD = 0

PIECE_BYTES = 1024 * 1024
"""Bytes of one read: they stay in a core's cache until they are decoded."""

N_PIECES = 8
"""Pieces kept for reading into again: the one being read, those that callers still look at (six
where threads read and decode ahead), and one to spare. Only what is needed is made; new memory
would be zeroed by the system first."""

_PROBE = [np.empty(0, np.uint8)]
UNUSED_REFERENCES = sys.getrefcount(_PROBE[0])
"""What ``sys.getrefcount`` says of an array that only its list refers to."""

PIPE_BYTES = 1024 * 1024
"""What a pipe is asked to hold (the system's bound for users), so that reads are whole pieces."""


Opener = Callable[[str, int], int]


def name_of(path: str) -> str:
    """The name of a path in error messages."""
    return STDIN_NAME if path == STDIN else path


def check_path(path: str) -> None:
    """Refuse early what cannot be opened.

    Raises:
        TrtopError: no such file, a directory, or no permission to read.
    """
    if path == STDIN:
        return
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise file_error(path, error) from error
    if stat.S_ISDIR(mode):
        raise TrtopError(f"{path}: is a directory; name the capture files in it")
    if not os.access(path, os.R_OK):
        raise TrtopError(f"{path}: permission denied; run as a user who may read it")


def file_error(path: str, error: OSError) -> TrtopError:
    """An error of the system as one line that names the file."""
    reason = (error.strerror or str(error)).lower()
    return TrtopError(f"{name_of(path)}: {reason}")


def size_of(path: str, stdin_fd: int | None = None) -> int | None:
    """Bytes of a regular file; None for anything else or nothing."""
    fd = STDIN_FD if stdin_fd is None else stdin_fd
    try:
        status = os.fstat(fd) if path == STDIN else os.stat(path)
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


class RawFile:
    """A file, or standard input, open for reading.

    Args:
        path: ``-`` is standard input, which stays open.
        poll_s: how long ``read`` may wait for a pipe.
        stdin_fd: where standard input is, if it was moved.
        opener: takes a path and flags, gives a descriptor.

    Attributes:
        is_regular: a file on a disk; anything else is read as a pipe.
        position: bytes read since the start of the file.

    Raises:
        TrtopError: it cannot be opened.
    """

    def __init__(
        self,
        path: str,
        poll_s: float,
        stdin_fd: int | None = None,
        opener: Opener = os.open,
    ) -> None:
        self._stdin_fd = STDIN_FD if stdin_fd is None else stdin_fd
        self.path = path
        self.position = 0
        try:
            # Not blocking: opening a FIFO must not wait for its writer.
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
            self._fd = self._stdin_fd if path == STDIN else opener(path, flags)
            status = os.fstat(self._fd)
        except OSError as error:
            raise file_error(path, error) from error
        if os.isatty(self._fd):
            self.close()
            raise TrtopError(f"{name_of(path)} is a terminal; pipe a capture into it")
        self.is_regular = stat.S_ISREG(status.st_mode)
        self._inode = (status.st_dev, status.st_ino)
        self._poll_ms = math.ceil(poll_s * 1000)
        if stat.S_ISFIFO(status.st_mode):
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._pieces: list[ByteArray] = []
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def __enter__(self) -> RawFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it, unless it is standard input."""
        if self._fd not in (self._stdin_fd, -1):
            os.close(self._fd)
        self._fd = -1

    def read(self) -> ByteArray | None:
        """The next bytes, at most ``PIECE_BYTES``, behind ``HEADROOM``.

        The array is the caller's: it is written to again only when nothing refers to it any more.

        Returns:
            None if a pipe had nothing for ``poll_s``; nothing but the headroom at the end.

        Raises:
            TrtopError: the system could not read.
        """
        try:
            if not self.is_regular and not self._poll.poll(self._poll_ms):
                return None
            piece = self._free_piece()
            n_bytes = os.readv(self._fd, [piece[HEADROOM:].data])
        except BlockingIOError:
            return None
        except OSError as error:
            failure = file_error(self.path, error)
            failure.exit_status = EXIT_INCOMPLETE
            raise failure from error
        self.position += n_bytes
        return piece[: HEADROOM + n_bytes]

    def _free_piece(self) -> ByteArray:
        """An array that nobody refers to; its views, as those in batches, count as references."""
        for idx in range(len(self._pieces)):
            if sys.getrefcount(self._pieces[idx]) == UNUSED_REFERENCES:
                return self._pieces[idx]
        piece = np.empty(HEADROOM + PIECE_BYTES, np.uint8)
        if len(self._pieces) < N_PIECES:
            self._pieces.append(piece)
        return piece

    def rewind(self) -> None:
        """Go back to the start of the file."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        self.position = 0

    def is_truncated(self) -> bool:
        """Whether the file is shorter now than what was read of it.

        A file that was written anew and outgrew that meanwhile is not told from a longer one.
        """
        return os.fstat(self._fd).st_size < self.position

    def is_replaced(self) -> bool:
        """Whether the path names another file now; while it names none, it is not."""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) != self._inode
