"""Processes that a test watches: their children, their end, and ``trtop`` on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.daemons import TIMEOUT_S, TRTOP, environment


def with_parent(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found += [int(entry), *with_parent(int(entry))]
    return found


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@contextmanager
def terminal(
    *args: str, temporary: Path | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str], Callable[[bytes], int]]]:
    """``trtop`` on a pseudo-terminal of 120 columns; what it has written; a keyboard.

    Args:
        args: of the command.
        temporary: where its temporary files go.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    placed = {} if temporary is None else {"TMPDIR": str(temporary)}
    process = subprocess.Popen(
        [*TRTOP, *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm-256color", **placed),
        start_new_session=True,
    )
    os.close(theirs)
    parts: list[str] = []

    def read() -> None:
        while True:
            try:
                data = os.read(ours, 65_536)
            except OSError:
                return
            if not data:
                return
            parts.append(data.decode(errors="replace"))

    reading = threading.Thread(target=read)
    reading.start()
    try:
        yield process, lambda: "".join(parts), lambda keys: os.write(ours, keys)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reading.join(TIMEOUT_S)
        os.close(ours)
