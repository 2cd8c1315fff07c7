"""A real pseudo-terminal with a program on it, and pyte to see what it shows."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyte

from support.paths import ROOT

PATIENCE_S = 120.0

LAUNCH = (
    "import fcntl, os, sys, termios; fcntl.ioctl(1, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
"""Takes the terminal for its own, as a shell's child has it, and becomes the program."""


def environment(**more: str) -> dict[str, str]:
    dropped = ("NO_COLOR", "COLUMNS", "LINES", "LC_ALL", "LC_CTYPE", "LANG")
    kept = {k: v for k, v in os.environ.items() if k not in dropped}
    return {
        **kept,
        "PYTHONPATH": os.environ.get("PYTHONPATH") or str(ROOT),
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
        **more,
    }


class OnTerminal:
    """A Python program on a terminal of its own.

    Args:
        args: of the interpreter.
        size: columns and lines.
        stdin: instead of the terminal.
        env: added to the environment.
    """

    def __init__(
        self,
        *args: str | Path,
        size: tuple[int, int] = (80, 24),
        stdin: int | None = None,
        **env: str,
    ) -> None:
        self.master, self.slave = pty.openpty()
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        self._set_size(*size)
        self.before = self.attributes()
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *map(str, args)],
            stdin=self.slave if stdin is None else stdin,
            stdout=self.slave,
            stderr=self.slave,
            env=environment(**env),
            start_new_session=True,
        )

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def attributes(self) -> list[Any]:
        return termios.tcgetattr(self.slave)

    def send(self, keys: str | bytes) -> None:
        os.write(self.master, keys.encode() if isinstance(keys, str) else keys)

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        self._set_size(columns, lines)

    def wait_for(self, is_there: Callable[[OnTerminal], bool] | str) -> None:
        """Until something is on the screen."""

        def is_shown(terminal: OnTerminal) -> bool:
            return is_there in terminal.text if isinstance(is_there, str) else is_there(terminal)

        end_s = time.monotonic() + PATIENCE_S
        while not is_shown(self):
            left_s = end_s - time.monotonic()
            assert left_s > 0, f"{is_there!r} did not appear:\n{self.text}"
            assert self._read(min(left_s, 1.0)) or self.process.poll() is None, self.text

    def ended(self) -> int:
        """Until the program has ended; its exit status."""
        end_s = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < end_s, f"it did not end:\n{self.text}"
            self._read(0.05)
        while self._read(0.05):
            continue
        return self.process.returncode

    def is_given_back(self) -> bool:
        """The terminal is as it was: modes, cursor, alternate screen, mouse."""
        modes = bytes(self.raw)
        pairs = ((b"\x1b[?1049h", b"\x1b[?1049l"), (b"\x1b[?1000h", b"\x1b[?1000l"))
        for on, off in pairs:
            if modes.rfind(on) > modes.rfind(off):
                return False
        shown = max(modes.rfind(b"\x1b[?25h"), modes.rfind(b"\x1b[34h\x1b[?25h"))
        return self.attributes() == self.before and shown >= modes.rfind(b"\x1b[?25l")

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], timeout_s)
        if not ready:
            return False
        try:
            data = os.read(self.master, 65_536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
