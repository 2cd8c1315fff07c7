"""A progress line on standard error, for captures that take a while to read.

Takes how far reading has come, writes one line that replaces itself. Appears only when reading
takes longer than a moment, and clears itself. Never looks at the clock.
"""

from __future__ import annotations

from typing import TextIO

from trtop.metrics import format as units

PATIENCE_S = 0.5
"""Nothing is shown before: a short read needs no bar."""

REDRAW_S = 0.1

BAR_WIDTH = 20

CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Draws how far reading has come.

    Args:
        stream: a terminal.
        started_s: when reading began, of the clock that ``update`` is given.
        columns: of the terminal; longer lines are cut.
    """

    def __init__(self, stream: TextIO, started_s: float, columns: int) -> None:
        self._stream = stream
        self._started_s = started_s
        self._columns = columns
        self._next_s = started_s + PATIENCE_S
        self._is_shown = False

    def update(
        self, now_s: float, bytes_read: int, bytes_total: int | None, n_packets: int
    ) -> None:
        """Draw, unless it was drawn a moment ago.

        Args:
            now_s: the time now.
            bytes_read: of the files, as they are stored.
            bytes_total: of all files, None where it is unknown.
            n_packets: read so far.
        """
        if now_s < self._next_s:
            return
        self._next_s = now_s + REDRAW_S
        elapsed_s = now_s - self._started_s
        text = line(elapsed_s, bytes_read, bytes_total, n_packets)
        self._stream.write(CLEAR_LINE + text[: max(1, self._columns - 1)])
        self._stream.flush()
        self._is_shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            self._stream.write(CLEAR_LINE)
            self._stream.flush()
            self._is_shown = False


def line(elapsed_s: float, bytes_read: int, bytes_total: int | None, n_packets: int) -> str:
    """The line: bar, bytes, packets per second, time left; in ASCII."""
    read = units.bytes_forms(bytes_read)[0] + "B"
    speed = units.count_forms(round(n_packets / elapsed_s))[-1] if elapsed_s > 0 else "0"
    pace = f"{speed} packets/s"
    if not bytes_total:
        return f"{read}  {units.count_forms(n_packets)[0]} packets  {pace}"
    share = min(1.0, bytes_read / bytes_total)
    n_full = int(BAR_WIDTH * share)
    bar = "#" * n_full + "." * (BAR_WIDTH - n_full)
    text = f"[{bar}] {int(100 * share):3}%  {read} of {units.bytes_forms(bytes_total)[0]}B  {pace}"
    if share > 0:
        left_s = elapsed_s * (1 - share) / share
        text += f"  {_clock(left_s)} left"
    return text


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
