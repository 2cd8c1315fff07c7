"""The real program on a real terminal: what it takes, it gives back."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.builders.savefile import write_pcap
from support.paths import EXAMPLE
from support.terminals import PATIENCE_S, SIGNALS, OnTerminal, environment
from support.traffic.conversation import conversation

from trtop_core.records import NS_PER_S

FIRST_NS = 1_714_565_000 * NS_PER_S

TRTOP = ("-m", "trtop")


def packets(first: int, n: int) -> list[tuple[int, bytes]]:
    return [step for i in range(first, first + n) for step in conversation(i, FIRST_NS + i * 10**8)]


def test_a_capture_opens_the_screen_and_q_gives_the_terminal_back() -> None:
    with OnTerminal(*TRTOP, EXAMPLE) as terminal:
        terminal.wait_for("1-10 of 10")
        assert terminal.attributes() != terminal.before
        assert "TCP Remote TOP" in terminal.screen.display[0]
        assert any("total" in line and "82(3.8)" in line for line in terminal.screen.display)
        terminal.send("q")
        assert terminal.ended() == 0
        assert terminal.is_given_back()


@pytest.mark.parametrize("args", [["--format", "table"], ["--width", "80"], ["--limit", "3"]])
def test_what_only_a_report_has_prints_it_instead(args: list[str]) -> None:
    with OnTerminal(*TRTOP, EXAMPLE, "--no-progress", *args) as terminal:
        assert terminal.ended() == 0
        assert "82" in terminal.text
        assert b"\x1b[?1049h" not in terminal.raw


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_be_drawn_on_gets_the_table(term: str) -> None:
    with OnTerminal(*TRTOP, EXAMPLE, "--no-progress", TERM=term) as terminal:
        assert terminal.ended() in (0, 1)
        assert "Traceback" not in terminal.text


@pytest.mark.parametrize("term", ["no-such-terminal", "tty33"])
def test_a_kind_of_terminal_that_cannot_be_drawn_on_gets_the_table(term: str) -> None:
    with OnTerminal(*TRTOP, EXAMPLE, "--no-progress", TERM=term) as terminal:
        assert terminal.ended() == 0
        assert "67(82%)" in terminal.text
        assert b"\x1b" not in terminal.raw


@pytest.mark.parametrize("term", ["xterm", "screen", "linux", "vt220"])
def test_keys_that_a_terminal_does_not_describe_do_nothing(term: str) -> None:
    with OnTerminal(*TRTOP, EXAMPLE, TERM=term) as terminal:
        terminal.wait_for("sort Verdict")
        terminal.send("\x1b[1;5C\x1b[1;5D\x1b[1;5A\x1b[15;5~\x1bOR")
        terminal.send("p")
        terminal.wait_for("p99")
        assert "sort Verdict" in terminal.text
        terminal.send("\x1b[B\x1bOB\x1b[Be")
        terminal.wait_for("192.0.2.16")
        terminal.send("\x1b")
        terminal.wait_for("sort Verdict")
        terminal.send("q")
        assert terminal.ended() == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_gives_the_terminal_back(number: signal.Signals) -> None:
    with OnTerminal(*TRTOP, EXAMPLE) as terminal:
        terminal.wait_for("1-10 of 10")
        terminal.process.send_signal(number)
        assert terminal.ended() == 0  # everything was read
        assert terminal.is_given_back()
        assert "Traceback" not in terminal.text


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_a_file_is_followed_gives_the_terminal_back(
    number: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "growing.pcap"
    path.write_bytes(write_pcap(packets(0, 3)))
    with OnTerminal(*TRTOP, "--follow", path) as terminal:
        terminal.wait_for("1-1 of 1")
        terminal.process.send_signal(number)
        assert terminal.ended() == 0
        assert terminal.is_given_back()


def test_ctrl_c_gives_the_terminal_back() -> None:
    with OnTerminal(*TRTOP, EXAMPLE) as terminal:
        terminal.wait_for("1-10 of 10")
        terminal.send("\x03")
        assert terminal.ended() == 0
        assert terminal.is_given_back()


BROKEN = """
import sys
from trtop.cli import main as cli
from trtop.tui import event_loop as session

def broken(*args):
    broken.n += 1
    if broken.n > 3:
        raise RuntimeError("the drawing broke")
    return whole(*args)

broken.n = 0
whole, session.draw = session.draw, broken
sys.exit(cli.main([sys.argv[1]]))
"""


def test_an_exception_gives_the_terminal_back() -> None:
    with OnTerminal("-c", BROKEN, EXAMPLE, size=(120, 40)) as terminal:
        terminal.wait_for("1-10 of 10")
        terminal.send("RRRR")
        assert terminal.ended() == 1
        assert terminal.is_given_back()
        assert "the drawing broke" in terminal.text


def test_a_terminal_that_hangs_up_ends_it() -> None:
    with OnTerminal(*TRTOP, EXAMPLE) as terminal:
        terminal.wait_for("1-10 of 10")
        os.close(terminal.slave)
        os.close(terminal.master)
        terminal.master = terminal.slave = -1
        assert terminal.process.wait(PATIENCE_S) in (0, 1)


def test_colours_are_red_and_bold_on_the_terminals_own_background() -> None:
    with OnTerminal(*TRTOP, EXAMPLE, size=(100, 24)) as terminal:
        terminal.wait_for("1-10 of 10")
        cells = [cell for row in terminal.screen.buffer.values() for cell in row.values()]
        red = [cell for cell in cells if cell.fg == "red"]
        assert any(cell.bold for cell in red)  # what verdicts rest on
        assert {cell.bg for cell in cells} == {"default"}
        assert "!" not in "".join(terminal.screen.display[4:-2])
        terminal.send("q")
        assert terminal.ended() == 0


@pytest.mark.parametrize(
    ("args", "env"),
    [
        ([], {"NO_COLOR": "1"}),
        ([], {"TERM": "vt100"}),
        (["--color", "never"], {}),
    ],
)
def test_without_colour_high_values_are_bold_with_a_mark(
    args: list[str], env: dict[str, str]
) -> None:
    with OnTerminal(*TRTOP, EXAMPLE, *args, size=(100, 24), **env) as terminal:
        terminal.wait_for("1-10 of 10")
        cells = [cell for row in terminal.screen.buffer.values() for cell in row.values()]
        assert {cell.fg for cell in cells} == {"default"}
        row = next(y for y, x in enumerate(terminal.screen.display) if "192.0.2.13" in x)
        column = terminal.screen.display[row].index("!")
        assert terminal.screen.buffer[row][column].bold
        terminal.send("q")
        assert terminal.ended() == 0
        assert terminal.is_given_back()


@pytest.mark.parametrize("env", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}])
def test_a_locale_without_utf_8_gets_ascii(env: dict[str, str]) -> None:
    with OnTerminal(*TRTOP, EXAMPLE, **env) as terminal:
        terminal.wait_for("1-10 of 10")
        assert terminal.text.isascii()
        assert terminal.screen.display[0].startswith("+- TCP Remote TOP")
        terminal.send("d")
        terminal.wait_for("Latencies")
        terminal.send("q")
        assert terminal.ended() == 0
        assert bytes(terminal.raw).isascii()


def test_resizing_never_breaks_it_and_columns_return() -> None:
    with OnTerminal(*TRTOP, EXAMPLE, size=(132, 30)) as terminal:
        terminal.wait_for("1-10 of 10")
        wide = next(line for line in terminal.screen.display if "Host" in line)
        for columns, lines in ((60, 15), (20, 5), (4, 2), (250, 60), (80, 24), (132, 30)):
            terminal.resize(columns, lines)
            terminal.send("\x0c")
            if columns >= 60:
                terminal.wait_for(
                    lambda now, columns=columns: (
                        len(now.screen.display[0].rstrip()) == columns
                        and "TCP Remote TOP" in now.screen.display[0]
                        and " of 10 " in now.text
                    )
                )
        terminal.wait_for(lambda now: wide in now.screen.display)
        terminal.send("q")
        assert terminal.ended() == 0
        assert terminal.is_given_back()


def mouse(term: str, x: int, y: int, button: int = 0) -> bytes:
    """A button pressed and let go, as a terminal of this kind tells it."""
    probe = f"import curses; curses.setupterm({term!r}, 1); print(curses.tigetstr('kmous'))"
    told = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True,
                          env=environment(), timeout=PATIENCE_S)  # fmt: skip
    if b"[<" in told.stdout:
        at = f"{button};{x + 1};{y + 1}"
        return f"\x1b[<{at}M\x1b[<{at}m".encode()
    return b"".join(b"\x1b[M" + bytes([32 + code, 33 + x, 33 + y]) for code in (button, 3))


def test_the_mouse_selects_sorts_and_scrolls() -> None:
    with OnTerminal(*TRTOP, EXAMPLE, size=(100, 24)) as terminal:
        terminal.wait_for("1-10 of 10")
        heading = next(y for y, x in enumerate(terminal.screen.display) if "Host" in x)
        x = terminal.screen.display[heading].index("Rst")
        terminal.send(mouse("xterm", x, heading))
        terminal.wait_for("sort Rst")
        # Below the heading: the total, two that reset, and those that do not, by address.
        row = heading + 5
        terminal.wait_for(lambda now: "192.0.2.12" in now.screen.display[row])
        terminal.send(mouse("xterm", 5, row))
        terminal.wait_for(lambda now: now.screen.buffer[row][5].reverse)
        terminal.send("d")
        terminal.wait_for("Latencies")
        assert "192.0.2.12" in terminal.text
        terminal.send("q")
        assert terminal.ended() == 0


def test_packets_from_a_pipe_and_keys_from_the_terminal() -> None:
    reading, writing = os.pipe()
    with OnTerminal(*TRTOP, "-", size=(100, 24), stdin=reading) as terminal:
        os.close(reading)
        os.write(writing, write_pcap(packets(0, 23)))
        terminal.wait_for("1-1 of 1")
        assert "standard input (live)" in terminal.text
        assert "last 10 s" in terminal.text
        terminal.send("w")
        terminal.wait_for("last 60 s")
        os.close(writing)
        terminal.wait_for("(ended)")
        assert any("total" in x and "23(" in x for x in terminal.screen.display)
        terminal.send("q")
        assert terminal.ended() == 0
        assert terminal.is_given_back()


def test_a_growing_file_is_followed_every_second(tmp_path: Path) -> None:
    path = tmp_path / "growing.pcap"
    path.write_bytes(write_pcap(packets(0, 7)))
    with OnTerminal(*TRTOP, "-f", path, "--window", "all", size=(100, 24)) as terminal:
        terminal.wait_for(lambda now: "total" in now.text and " 7(" in now.text)
        with open(path, "ab") as stream:
            stream.write(write_pcap(packets(7, 16))[24:])
        terminal.wait_for(lambda now: " 23(" in now.text)
        terminal.send("q")
        assert terminal.ended() == 0


def test_what_is_no_capture_is_told_without_opening_the_screen(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(b"not a capture at all, just text that is long enough\n" * 3)
    with OnTerminal(*TRTOP, path) as terminal:
        assert terminal.ended() == 1
        assert b"\x1b[?1049h" not in terminal.raw
        assert "trtop: " in terminal.text
        assert "Traceback" not in terminal.text


def test_a_cut_off_capture_is_shown_and_told_again_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(EXAMPLE.read_bytes()[:-7])
    with OnTerminal(*TRTOP, path, size=(120, 24)) as terminal:
        terminal.wait_for("cut.pcap: ")
        terminal.send("q")
        assert terminal.ended() == 2
        assert terminal.is_given_back()
        assert "trtop: " in terminal.text


def test_s_and_o_write_the_same_files(tmp_path: Path) -> None:
    with OnTerminal(*TRTOP, EXAMPLE, "-o", tmp_path / "out") as terminal:
        terminal.wait_for("1-10 of 10")
        terminal.send("s")
        terminal.wait_for("saved ")
        saved = (tmp_path / "out.trtop").read_text()
        assert (tmp_path / "out.json").exists()
        page = (tmp_path / "out.html").read_text()
        assert page.lower().startswith("<!doctype html>")
        assert "192.0.2.13" in page
        terminal.send("q")
        assert terminal.ended() == 0
    final = (tmp_path / "out.trtop").read_text()
    assert "192.0.2.13" in saved
    assert saved.splitlines() == [line.rstrip() for line in final.splitlines()]


def test_s_and_o_write_the_columns_that_were_asked_for(tmp_path: Path) -> None:
    args = ("--columns", "syn,rtt,p99(rtt)", "-o", tmp_path / "out")
    with OnTerminal(*TRTOP, EXAMPLE, *args) as terminal:
        terminal.wait_for("1-10 of 10")
        terminal.send("s")
        terminal.wait_for("saved ")
        saved = (tmp_path / "out.trtop").read_text().splitlines()
        terminal.send("q")
        assert terminal.ended() == 0
    for lines in (saved, (tmp_path / "out.trtop").read_text().splitlines()):
        heading = next(line for line in lines if " destination " in line)
        assert heading.split() == ["destination", "Verdict", "Syn(/s)", "Rtt", "p99", "Rtt"]


def test_a_missing_file_is_told_in_one_line(tmp_path: Path) -> None:
    with OnTerminal(*TRTOP, tmp_path / "none.pcap") as terminal:
        assert terminal.ended() == 1
        assert "none.pcap: no such file" in "".join(terminal.screen.display)


def test_a_theme_has_its_colours_where_the_terminal_has_them() -> None:
    for term, theme, is_there in (
        ("xterm-256color", "light", True),
        ("xterm-256color", "terminal", False),
        ("xterm", "light", False),
    ):
        with OnTerminal(*TRTOP, EXAMPLE, "--theme", theme, TERM=term) as terminal:
            terminal.wait_for("1-10 of 10")
            assert (b"38;5;124" in bytes(terminal.raw)) is is_there
            terminal.send("q")
            assert terminal.ended() == 0


def test_commands_columns_and_a_configured_order_on_a_real_terminal(tmp_path: Path) -> None:
    (tmp_path / "trtop").mkdir()
    (tmp_path / "trtop" / "config.toml").write_text('sort = "rtt"\n')
    args = ("--columns", "syn,p99(rtt),est")
    with OnTerminal(*TRTOP, EXAMPLE, *args, XDG_CONFIG_HOME=str(tmp_path)) as terminal:
        terminal.wait_for("1-10 of 10")
        assert "sort Rtt" in terminal.text
        heading = next(line for line in terminal.screen.display if "Verdict" in line)
        assert heading.split()[1:-1] == ["Host", "Verdict", "Syn(/s)", "p99", "Rtt", "Est(%)"]
        terminal.send(":sort ver\t")
        terminal.wait_for("sort verdict")
        terminal.send("\r")
        terminal.wait_for("sort Verdict")
        terminal.send(":expl\r")
        terminal.wait_for("What to look at next")
        terminal.send("\x1b")
        terminal.wait_for("sort Verdict")
        terminal.send("c")
        terminal.wait_for("[x]^S Syn")
        terminal.send("q")
        assert terminal.ended() == 0


@pytest.mark.parametrize("is_at_once", [False, True])
def test_a_double_click_opens_the_detail_and_a_click_on_its_key_leaves_it(
    is_at_once: bool,
) -> None:
    with OnTerminal(*TRTOP, EXAMPLE) as terminal:
        terminal.wait_for("1-10 of 10")
        y = next(i for i, line in enumerate(terminal.screen.display) if "192.0.2.16" in line)
        press = mouse("xterm", 5, y)
        if is_at_once:
            terminal.send(press + press)
        else:
            terminal.send(press)
            terminal.wait_for("SLOW CONNECT: connecting takes")
            terminal.send(press)
        terminal.wait_for("Esc Back")
        assert "192.0.2.16" in terminal.screen.display[1]
        terminal.send(mouse("xterm", 1, 23))
        terminal.wait_for("1-10 of 10")
        terminal.send("q")
        assert terminal.ended() == 0
