"""The file with the daemon's process number: written at the start, gone or empty at the end."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from trtop_core.errors import TrtopError

MAX_PID_BYTES = 32
"""A number and what may stand around it; more is another file."""


class PidFile:
    """Writes the number of this process.

    Args:
        path: where.

    Raises:
        TrtopError: it cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags, 0o644)
            _check(path, os.fstat(self._fd))
            _check_content(path, self._fd)
            os.ftruncate(self._fd, 0)
            os.write(self._fd, f"{os.getpid()}\n".encode())
        except OSError as error:
            raise TrtopError(f"{path}: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Remove the file; where its folder is no longer ours to write to, leave it empty."""
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
        os.close(self._fd)
        with suppress(OSError):
            os.unlink(self._path)


def _check(path: str, found: os.stat_result) -> None:
    """Refuse a file that may be somebody else's: it would be emptied.

    Raises:
        TrtopError: it is no regular file, has another name too, or belongs to another user.
    """
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or found.st_uid != os.geteuid():
        raise TrtopError(f"{path}: is no file of this user's alone, and is not written over")


def _check_content(path: str, fd: int) -> None:
    """Refuse a file that holds anything but a number: root could name any by mistake.

    Raises:
        TrtopError: it holds something else.
    """
    held = os.pread(fd, MAX_PID_BYTES + 1, 0)
    if held.strip() and not (len(held) <= MAX_PID_BYTES and held.strip().isdigit()):
        raise TrtopError(f"{path}: holds no process number, and is not written over")
