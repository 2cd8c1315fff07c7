import io
import os
import signal
from collections.abc import Callable

import pytest
from support.builders.snapshot import MS, destination, incident, snapshot

from trtop.options.report_options import parse
from trtop.runtime.environment import Environment
from trtop.runtime.live_output import PATIENCE_S, REDRAW_S, Progress, line
from trtop.runtime.signals import Interrupt
from trtop.table.redraw import ENTER, LEAVE, RedrawnTable
from trtop.table.style import TableStyle


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def env(columns: int = 100, stdout: io.StringIO | None = None, **environ: str) -> Environment:
    return Environment(
        stdout=stdout or Terminal(),
        stderr=Terminal(),
        environ={"TERM": "xterm", **environ},
        monotonic_s=lambda: 0.0,
        size_of=lambda stream: os.terminal_size((columns, 30)) if stream.isatty() else None,
    )


def test_a_short_read_shows_no_progress() -> None:
    stream = io.StringIO()
    progress = Progress(stream, 100.0, 80)
    progress.update(100.0 + PATIENCE_S - 0.01, 5, 10, 3)
    progress.clear()
    assert stream.getvalue() == ""


def test_progress_is_drawn_ten_times_a_second_and_clears_itself() -> None:
    stream = io.StringIO()
    progress = Progress(stream, 0.0, 80)
    progress.update(1.0, 50, 100, 1000)
    progress.update(1.0 + REDRAW_S / 2, 60, 100, 1000)
    progress.update(1.0 + REDRAW_S, 60, 100, 1000)
    progress.clear()
    progress.clear()
    drawn = stream.getvalue().split("\r\x1b[K")
    assert len(drawn) == 4
    assert drawn[-1] == ""


def test_progress_says_how_much_how_fast_and_how_long() -> None:
    assert line(2.0, 25_000_000, 100_000_000, 500_000) == (
        "[#####...............]  25%  25MB of 100MB  250k packets/s  0:06 left"
    )
    assert line(2.0, 0, 100, 0).endswith("0 packets/s")
    assert line(2.0, 150, 100, 0).startswith("[####################] 100%")
    assert line(4.0, 2_000, None, 1_000) == "2kB  1,000 packets  250 packets/s"


def test_progress_of_compressed_files_says_how_much_they_became() -> None:
    assert line(2.0, 25_000_000, 100_000_000, 500_000, 25_000_000).count("unpacked") == 0
    assert line(2.0, 25_000_000, 100_000_000, 500_000, 80_000_000) == (
        "[#####...............]  25%  25MB of 100MB  80MB unpacked  250k packets/s  0:06 left"
    )
    # All is read, and there is no end of it: nobody knows what is left.
    assert line(4.0, 100, 100, 0, 12_000_000_000) == (
        "[####################] 100%  100B of 100B  12GB unpacked  0 packets/s"
    )
    assert line(4.0, 2_000, None, 1_000, 30_000) == (
        "2kB  30kB unpacked  1,000 packets  250 packets/s"
    )


def test_progress_never_exceeds_the_line() -> None:
    stream = io.StringIO()
    Progress(stream, 0.0, 30).update(1.0, 50, 100, 1000)
    assert len(stream.getvalue().removeprefix("\r\x1b[K")) < 30


def test_a_screen_gives_the_terminal_back_whatever_happens() -> None:
    stream = io.StringIO()

    def fail() -> None:
        with RedrawnTable(stream) as screen:
            screen.draw(incident(), TableStyle(width=80), 30)
            screen.draw(incident(), TableStyle(width=80), 30)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    text = stream.getvalue()
    assert text.count(ENTER) == 1
    assert text.endswith(LEAVE)


def test_a_screen_that_drew_nothing_touches_nothing() -> None:
    stream = io.StringIO()
    with RedrawnTable(stream):
        pass
    assert stream.getvalue() == ""


def test_a_screen_shows_as_many_lines_as_the_terminal_has() -> None:
    many = snapshot([destination(f"10.0.0.{i}", connect_latency=[MS]) for i in range(99)])
    for n_lines in (2, 10, 24):
        stream = io.StringIO()
        with RedrawnTable(stream) as screen:
            screen.draw(many, TableStyle(width=80), n_lines)
        assert stream.getvalue().count("\n") == n_lines - 1


def test_the_table_is_as_wide_as_the_terminal() -> None:
    assert env(97).table_style(parse(["x"])).width == 97
    assert env(97).table_style(parse(["x", "--width", "50"])).width == 50


def test_a_file_gets_all_columns_unless_columns_says_otherwise() -> None:
    assert env(stdout=io.StringIO()).table_style(parse(["x"])).width is None
    assert env(stdout=io.StringIO(), COLUMNS="66").table_style(parse(["x"])).width == 66


@pytest.mark.parametrize(
    ("option", "environ", "is_tty", "colored"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {}, True, False),
    ],
)
def test_colour_is_for_terminals_and_for_those_who_insist(
    option: str, environ: dict[str, str], is_tty: bool, colored: bool
) -> None:
    stdout = Terminal() if is_tty else io.StringIO()
    where = env(stdout=stdout, **environ)
    assert where.table_style(parse(["x", "--color", option])).color is colored


def test_a_stream_that_cannot_print_micro_gets_ascii() -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert Environment(stdout=stdout).table_style(parse(["x"])).ascii_only
    utf8 = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    assert not Environment(stdout=utf8).table_style(parse(["x"])).ascii_only


def clock(now: list[float]) -> Callable[[], float]:
    return lambda: now[0]


def test_the_first_signal_is_noted_and_the_second_one_ends_at_once() -> None:
    now = [0.0]
    before = signal.getsignal(signal.SIGTERM)
    with Interrupt(clock(now), drain_s=2.0) as interrupt:
        assert not interrupt.is_due(is_idle=True)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.signal is signal.SIGTERM
        assert not interrupt.is_due(is_idle=False)
        assert interrupt.is_due(is_idle=True)
        now[0] = 2.0
        assert interrupt.is_due(is_idle=False)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
