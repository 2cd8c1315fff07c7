"""The terminal: frames out, keys and clicks in. The only module that imports curses.

Takes frames, shows what changed; gives events with names that ``keys`` knows. Whatever happens,
leaving the context gives the terminal back as it was. Colours are set on the terminal's own
background, whichever that is.
"""

from __future__ import annotations

import contextlib
import curses
import locale
import os
import select
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from trtop.table.text import PALETTES, Palette, Role, Theme
from trtop.tui.frame import Frame, Size, TerminalCaps
from trtop_core.errors import TrtopError

STDIN_FD = 0
STDOUT_FD = 1

ESCAPE_DELAY_MS = 25
"""How long after Esc the rest of a key's sequence may still come."""

DEFAULT_BACKGROUND = -1

DRAWN = "┌─│▁█▼·…µ"

N_PALETTE_COLORS = 256
"""Colours that a terminal has where a theme has its own."""

PAIR_HIGH = 1
PAIR_NOTABLE = 3
PAIR_WARNING = 2

NAMED_KEYS = {
    "KEY_UP": "up",
    "KEY_DOWN": "down",
    "KEY_LEFT": "left",
    "KEY_RIGHT": "right",
    "KEY_PPAGE": "pgup",
    "KEY_NPAGE": "pgdn",
    "KEY_HOME": "home",
    "KEY_END": "end",
    "KEY_ENTER": "enter",
    "KEY_BACKSPACE": "backspace",
    "KEY_DC": "delete",
    "KEY_F1": "f1",
    "KEY_F10": "f10",
    "KEY_RESIZE": "resize",
}

CONTROL_KEYS = {
    "\n": "enter",
    "\r": "enter",
    "\t": "tab",
    "\x1b": "esc",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x15": "clear",  # Ctrl-U
    "\x01": "home",  # Ctrl-A
    "\x05": "end",  # Ctrl-E
    "\x0c": "redraw",  # Ctrl-L
}


ESCAPE = "\x1b"

MAX_SEQUENCE = 16
"""Characters of a key's sequence, Esc not counted."""

SEQUENCES = {
    **{f"{start}{end}": name for start in "[O" for end, name in zip(
        "ABCDHFP", ("up", "down", "right", "left", "home", "end", "f1"), strict=True)},
    "[1~": "home", "[7~": "home", "[4~": "end", "[8~": "end", "[5~": "pgup", "[6~": "pgdn",
    "[3~": "delete", "[11~": "f1", "[21~": "f10",
}  # fmt: skip
"""Keys of terminals that send something else than their description says."""


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """A key, by its name."""

    key: str


@dataclass(frozen=True, slots=True)
class ClickEvent:
    """A click of the first button, at a column and a line; or two that came at once."""

    x: int
    y: int
    is_double: bool = False


@dataclass(frozen=True, slots=True)
class WheelEvent:
    """The wheel was turned by one notch."""

    is_down: bool


@dataclass(frozen=True, slots=True)
class HangUpEvent:
    """The terminal is gone: there will be no more keys."""


Event = KeyEvent | ClickEvent | WheelEvent | HangUpEvent


class Terminal:
    """The terminal on standard output, with the keyboard on file descriptor 0.

    Args:
        color: whether the user wants colours.
        ascii_only: nothing but ASCII.
        theme: which colours stand for what.

    Attributes:
        caps: what the terminal can show.

    Raises:
        TrtopError: it is of a kind that cannot be drawn on.
    """

    def __init__(self, color: bool, ascii_only: bool, theme: Theme = Theme.TERMINAL) -> None:
        self._theme = theme
        self.caps = TerminalCaps(color, ascii_only)
        self._attributes: dict[Role, int] = {}

    def __enter__(self) -> Terminal:
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, "")
        if not _can_draw(locale.nl_langinfo(locale.CODESET)):
            self.caps = TerminalCaps(self.caps.color, ascii_only=True)
        try:
            self._window = curses.initscr()
        except curses.error as error:
            raise TrtopError(f"the terminal cannot be drawn on: {error}") from error
        try:
            self._set_up()
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._give_back()

    @property
    def size(self) -> Size:
        """Columns and lines, as they are now."""
        height, width = self._window.getmaxyx()
        return Size(width, height)

    def show(self, frame: Frame) -> None:
        """Draw a frame; only what changed is sent."""
        self._window.erase()
        for y, line in enumerate(frame.lines):
            x = 0
            for span in line:
                # The last cell of the terminal is drawn, and then there is no next one.
                with contextlib.suppress(curses.error):
                    self._window.addstr(y, x, span.text, self._attributes[span.role])
                x = self._window.getyx()[1]
        if frame.cursor is not None:
            with contextlib.suppress(curses.error):
                self._window.move(frame.cursor[1], frame.cursor[0])
        with contextlib.suppress(curses.error):
            curses.curs_set(0 if frame.cursor is None else 1)
        self._window.refresh()

    def event(self, timeout_s: float) -> Event | None:
        """The next key or click; None if none comes within the time."""
        self._window.timeout(max(0, round(timeout_s * 1000)))
        try:
            key = self._window.get_wch()
        except curses.error:
            return HangUpEvent() if _is_gone(STDIN_FD) else None
        if key == ESCAPE:
            return self._after_escape()
        if isinstance(key, str):
            name = CONTROL_KEYS.get(key, key)
            if name == "redraw":
                self._window.redrawwin()
            return KeyEvent(name)
        if key == curses.KEY_MOUSE:
            return self._mouse()
        return self._named(key)

    def _after_escape(self) -> Event | None:
        """Esc, or the whole of a sequence that the terminal's description does not have.

        Its letters would else be taken for keys: Ctrl-Right is ``ESC [ 1 ; 5 C`` on most terminals.
        """
        self._window.timeout(ESCAPE_DELAY_MS)
        try:
            introducer = self._window.get_wch()
        except curses.error:
            return KeyEvent("esc")
        if introducer not in ("[", "O"):
            if isinstance(introducer, str):
                curses.unget_wch(introducer)
            else:
                curses.ungetch(introducer)
            return KeyEvent("esc")
        sequence = introducer
        while len(sequence) < MAX_SEQUENCE:
            try:
                char = self._window.get_wch()
            except curses.error:
                break
            if not isinstance(char, str):
                break
            sequence += char
            if char.isalpha() or char == "~":
                break
        name = SEQUENCES.get(sequence)
        return KeyEvent(name) if name else None

    def _named(self, key: int) -> Event | None:
        try:
            name = NAMED_KEYS.get(curses.keyname(key).decode("ascii", "replace"))
        except (curses.error, ValueError):
            return None
        if name == "resize":
            with contextlib.suppress(curses.error):
                curses.update_lines_cols()
        return KeyEvent(name) if name else None

    def _mouse(self) -> Event | None:
        try:
            _, x, y, _, buttons = curses.getmouse()
        except curses.error:
            return None
        if buttons & (curses.BUTTON1_DOUBLE_CLICKED | curses.BUTTON1_TRIPLE_CLICKED):
            return ClickEvent(x, y, is_double=True)
        if buttons & (curses.BUTTON1_CLICKED | curses.BUTTON1_PRESSED):
            return ClickEvent(x, y)
        if buttons & curses.BUTTON4_PRESSED:
            return WheelEvent(is_down=False)
        if buttons & getattr(curses, "BUTTON5_PRESSED", 0):
            return WheelEvent(is_down=True)
        return None

    def _set_up(self) -> None:
        curses.noecho()
        curses.cbreak()
        self._window.keypad(True)
        curses.set_escdelay(ESCAPE_DELAY_MS)
        with contextlib.suppress(curses.error):
            curses.curs_set(0)
        wanted = curses.BUTTON1_PRESSED | curses.BUTTON1_CLICKED | curses.BUTTON4_PRESSED
        wanted |= curses.BUTTON1_DOUBLE_CLICKED | curses.BUTTON1_TRIPLE_CLICKED
        curses.mousemask(wanted | getattr(curses, "BUTTON5_PRESSED", 0))
        # A click is told when the button goes down, not after a wait for a second one.
        curses.mouseinterval(0)
        has_color = False
        if self.caps.color:
            with contextlib.suppress(curses.error):
                curses.start_color()
                curses.use_default_colors()
                has_color = curses.has_colors()
        self.caps = TerminalCaps(has_color, self.caps.ascii_only)
        self._attributes = _attributes(has_color, self._theme)

    def _give_back(self) -> None:
        # A terminal that hung up takes nothing any more.
        with contextlib.suppress(curses.error):
            curses.mousemask(0)
        with contextlib.suppress(curses.error):
            curses.curs_set(1)
        with contextlib.suppress(curses.error):
            self._window.keypad(False)
            curses.echo()
            curses.nocbreak()
        with contextlib.suppress(curses.error):
            curses.endwin()


def _attributes(has_color: bool, theme: Theme) -> dict[Role, int]:
    """How each role looks: in colour, or by weight alone."""
    high = warning = curses.A_BOLD
    notable = curses.A_NORMAL
    if has_color:
        palette = PALETTES[theme] if curses.COLORS >= N_PALETTE_COLORS else Palette()
        for pair, chosen, own in (
            (PAIR_NOTABLE, palette.notable, curses.COLOR_YELLOW),
            (PAIR_HIGH, palette.high, curses.COLOR_RED),
            (PAIR_WARNING, palette.warning, curses.COLOR_MAGENTA),
        ):
            curses.init_pair(pair, own if chosen is None else chosen, DEFAULT_BACKGROUND)
        high = curses.color_pair(PAIR_HIGH)
        notable = curses.color_pair(PAIR_NOTABLE)
        warning |= curses.color_pair(PAIR_WARNING)
    return {
        Role.PLAIN: curses.A_NORMAL,
        Role.BOLD: curses.A_BOLD,
        Role.DIM: curses.A_DIM,
        Role.NOTABLE: notable,
        Role.HIGH: high,
        Role.VERDICT: high | curses.A_BOLD,
        Role.WARNING: warning,
        Role.SORTED: curses.A_BOLD | curses.A_UNDERLINE,
        Role.SELECTED: curses.A_REVERSE,
        Role.SELECTED_NOTABLE: notable | curses.A_REVERSE,
        Role.SELECTED_HIGH: high | curses.A_BOLD | curses.A_REVERSE,
        Role.KEY: curses.A_REVERSE,
    }


def _can_draw(encoding: str) -> bool:
    """Whether a locale has the characters of a frame; curses writes in the locale's encoding."""
    try:
        DRAWN.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@cache
def is_known(term: str) -> bool:
    """Whether terminals of a type can be drawn on: their description says how to move the cursor.

    Curses ends the program where it does not find one.
    """
    try:
        curses.setupterm(term, STDOUT_FD)
    except curses.error:
        return False
    return bool(curses.tigetstr("cup"))


def _is_gone(fd: int) -> bool:
    """Whether a terminal hung up."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    try:
        ready = poll.poll(0)
    except OSError:
        return True
    return any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in ready)


def has_keyboard(stdout_fd: int) -> bool:
    """Whether keys can be had: standard input is a terminal, or standard output's is ours."""
    return os.isatty(STDIN_FD) or _is_controlling(stdout_fd)


@contextlib.contextmanager
def keyboard_on_stdin(is_taken: bool) -> Iterator[int]:
    """Put the keyboard where curses looks for it, and what was there elsewhere.

    Args:
        is_taken: standard input holds packets.

    Gives:
        The file descriptor that standard input has meanwhile.

    Raises:
        TrtopError: there is no keyboard.
    """
    if os.isatty(STDIN_FD) and not is_taken:
        yield STDIN_FD
        return
    try:
        keyboard = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise TrtopError(f"no keyboard: /dev/tty: {error.strerror}") from error
    kept = -1
    try:
        with contextlib.suppress(OSError):  # closed by the shell: <&-
            kept = os.dup(STDIN_FD)
        os.dup2(keyboard, STDIN_FD)
        os.close(keyboard)
        yield kept
    finally:
        if kept >= 0:
            os.dup2(kept, STDIN_FD)
            os.close(kept)


def _is_controlling(fd: int) -> bool:
    """Whether a terminal is the one that this process takes its keys from."""
    try:
        os.tcgetpgrp(fd)
    except OSError:
        return False
    return True
