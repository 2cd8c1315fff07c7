"""The real program in tmux, under a shell: as a person uses it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.paths import EXAMPLE
from support.terminals import PATIENCE_S, environment

PROMPT = "ready>"

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
    pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed"),
]


class Tmux:
    """One window with a shell, on a server of its own."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "tmux"
        profile = folder / "profile"
        profile.write_text(f"PS1='{PROMPT} '\n")
        env = environment()
        env.pop("TMUX", None)
        subprocess.run(
            ["tmux", "-S", str(self._socket), "-f", "/dev/null", "new-session", "-d",
             "-x", "100", "-y", "30", f"bash --noprofile --rcfile {profile}"],
            env=env, check=True, timeout=PATIENCE_S,
        )  # fmt: skip

    def run(self, *args: str) -> str:
        done = subprocess.run(["tmux", "-S", str(self._socket), *args], capture_output=True,
                              text=True, check=True, timeout=PATIENCE_S)  # fmt: skip
        return done.stdout

    def keys(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def text(self) -> str:
        return self.run("capture-pane", "-p")

    def wait_for(self, is_there: Callable[[str], bool] | str) -> str:
        end_s = time.monotonic() + PATIENCE_S
        while True:
            text = self.text()
            if is_there in text if isinstance(is_there, str) else is_there(text):
                return text
            assert time.monotonic() < end_s, f"{is_there!r} did not appear:\n{text}"
            time.sleep(0.05)

    def kill(self) -> None:
        subprocess.run(["tmux", "-S", str(self._socket), "kill-server"], check=False,
                       capture_output=True, timeout=PATIENCE_S)  # fmt: skip


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    # A socket's path is short; pytest's folders may not be.
    folder = Path(f"/tmp/trtop-tmux-{os.getpid()}-{tmp_path.name[-8:]}")
    folder.mkdir(mode=0o700)
    window = Tmux(folder)
    try:
        window.wait_for(PROMPT)
        yield window
    finally:
        window.kill()
        shutil.rmtree(folder, ignore_errors=True)


def command(*args: str) -> str:
    return " ".join([sys.executable, "-m", "trtop", *args])


def lines_with(text: str, part: str) -> list[str]:
    return [line for line in text.splitlines() if part in line]


def first_rows(text: str) -> list[str]:
    rows = [line for line in text.splitlines() if line.startswith(("│ 192.", "│ 2001:"))]
    return [row.split()[1] for row in rows]


def test_a_whole_visit(tmux: Tmux) -> None:
    tmux.keys(command(str(EXAMPLE)), "Enter")
    opened = tmux.wait_for("1-10 of 10")
    assert "TCP Remote TOP" in opened.splitlines()[0]
    assert first_rows(opened)[0] == "192.0.2.13"
    assert "REFUSED: 13 of 13 attempts refused" in opened

    tmux.keys("T")  # sorts by Rtt
    tmux.wait_for(lambda text: first_rows(text)[:1] == ["192.0.2.16"])
    tmux.keys("v")
    tmux.wait_for(lambda text: first_rows(text)[-1:] == ["192.0.2.16"])
    tmux.keys("S")
    tmux.wait_for(lambda text: first_rows(text)[:1] == ["192.0.2.15"])

    tmux.keys("/")
    tmux.keys("-l", "rtt>100ms")
    tmux.wait_for("filter: rtt>100ms")
    tmux.keys("Enter")
    filtered = first_rows(tmux.wait_for("(4 of 10)"))
    assert sorted(filtered) == ["192.0.2.12", "192.0.2.16", "192.0.2.17", "2001:db8::11"]

    tmux.keys("Down", "Enter")
    detail = tmux.wait_for("Latencies")
    assert filtered[1] in detail
    assert lines_with(detail, "Srv ")
    tmux.keys("Escape")
    tmux.wait_for("(4 of 10)")
    tmux.keys("/", "C-u", "Enter")
    tmux.wait_for("1-10 of 10")

    tmux.run("resize-window", "-x", "60", "-y", "15")
    small = tmux.wait_for(lambda text: max(map(len, text.splitlines())) == 60 and "Host" in text)
    assert "Rtt" in small
    assert "Retr" not in small
    tmux.run("resize-window", "-x", "160", "-y", "40")
    tmux.wait_for(lambda text: max(map(len, text.splitlines())) == 160 and "Fin_O(%)" in text)
    tmux.run("resize-window", "-x", "100", "-y", "30")
    tmux.wait_for(lambda text: max(map(len, text.splitlines())) == 100)

    tmux.keys("?")
    tmux.wait_for("this help")
    tmux.keys("q")
    after = tmux.wait_for(lambda text: text.rstrip().endswith(PROMPT))
    assert "TCP Remote TOP" not in after
    assert "│" not in after
    tmux.keys("stty -a | grep -o -e '-echo ' -e ' -icanon'; echo state=$?-$((6*7))", "Enter")
    tmux.wait_for("state=1-42")


def test_keys_move_in_time(tmux: Tmux) -> None:
    tmux.keys(command(str(EXAMPLE)), "Enter")
    opened = tmux.wait_for("history 16:04:40 to 16:05:02, 1s a bar")
    assert "of 64MiB" in opened
    tmux.keys("[")
    tmux.wait_for("window 16:05:00 to 16:05:02")
    tmux.keys("}")
    tmux.wait_for("window 16:05:00 to 16:05:05")
    tmux.keys("[")
    tmux.wait_for("window 16:04:55 to 16:05:00")
    tmux.keys("Home")
    first = tmux.wait_for("window 16:04:40 to 16:04:45 (4.04s)")
    assert "past" in first.splitlines()[0]
    assert first_rows(first)[0] == "192.0.2.13"
    tmux.keys("d")
    tmux.wait_for("192.0.2.13  16:04:40 to 16:04:45 (4.04s)")
    tmux.keys("d")
    tmux.wait_for("history 16:04:40")
    tmux.keys("L")
    now = tmux.wait_for("window all (21.5s)")
    assert "past" not in now.splitlines()[0]
    assert "sort Verdict" in now
    tmux.keys("q")
    tmux.wait_for(PROMPT)


def test_rows_follow_a_filter_while_it_is_typed(tmux: Tmux) -> None:
    tmux.keys(command(str(EXAMPLE)), "Enter")
    tmux.wait_for("1-10 of 10")
    tmux.keys("/")
    tmux.keys("-l", "rst>0 or rt")
    # No filter (yet): the rows stay.
    assert len(first_rows(tmux.wait_for("'rt' is not finished (rt_i, rt_o, rtt)"))) == 10
    tmux.keys("-l", "t>100m")
    tmux.wait_for("'100m'")  # no filter (yet): the rows stay
    tmux.keys("-l", "s")
    typed = tmux.wait_for(lambda text: text.rstrip().endswith(" 6 of 10"))
    slow = [f"192.0.2.{i}" for i in (12, 13, 14, 16, 17)]
    assert sorted(first_rows(typed)) == [*slow, "2001:db8::11"]
    tmux.keys("Escape")
    assert len(first_rows(tmux.wait_for("1-10 of 10"))) == 10

    tmux.keys("/", "v", "e", "r", "Tab")
    tmux.wait_for("filter: verdict:")
    tmux.keys("s", "l", "Tab")
    tmux.wait_for("slow connect  slow server")
    tmux.keys("s", "Tab", "Enter")
    assert first_rows(tmux.wait_for("(1 of 10)")) == ["192.0.2.12"]

    tmux.keys("/")
    tmux.keys("-l", ":443")
    by_port = tmux.wait_for(lambda text: text.rstrip().endswith(" 2 of 10"))
    assert first_rows(by_port) == ["192.0.2.17:443", "192.0.2.15:443"]
    tmux.keys("Enter")
    tmux.wait_for("as long as the filter asks for a port")
    tmux.keys("Escape")
    assert "192.0.2.17:443" not in tmux.wait_for("1-10 of 10")

    tmux.keys("/", "Up", "Up")
    tmux.wait_for("filter: verdict:slow server")
    tmux.keys("Down", "Down")
    tmux.wait_for(lambda text: text.rstrip().endswith("filter:"))
    tmux.keys("-l", "rts>0")
    tmux.keys("Enter")
    tmux.wait_for("no column 'rts'; nearest: rst, rtt, tls")
    tmux.keys("Escape")
    tmux.keys("q")
    tmux.wait_for(lambda text: text.rstrip().endswith(PROMPT))


def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_back(tmux: Tmux) -> None:
    tmux.keys(command(str(EXAMPLE)), "Enter")
    tmux.wait_for("1-10 of 10")
    tmux.keys("C-z")
    stopped = tmux.wait_for("Stopped")
    assert "TCP Remote TOP" not in stopped
    tmux.keys("echo shell=$((6*7))", "Enter")
    tmux.wait_for("shell=42")
    tmux.keys("fg", "Enter")
    again = tmux.wait_for("1-10 of 10")
    assert "TCP Remote TOP" in again.splitlines()[0]
    tmux.keys("R")
    tmux.wait_for("sort Rst")
    tmux.keys("q")
    tmux.wait_for(lambda text: "TCP Remote TOP" not in text)
    tmux.keys("echo done=$((6*7))", "Enter")
    tmux.wait_for("done=42")


def test_a_pipe_is_watched_and_its_keys_come_from_the_terminal(tmux: Tmux) -> None:
    tmux.keys(f"(cat {EXAMPLE}; sleep 60) | {command('-', '--window', 'all')}", "Enter")
    live = tmux.wait_for("1-10 of 10")
    assert "standard input (live)" in live
    tmux.keys("Space")
    tmux.wait_for("paused")
    tmux.keys("q")
    tmux.wait_for(lambda text: "TCP Remote TOP" not in text)
    tmux.keys("C-c")
    tmux.keys("echo piped=$((6*7))", "Enter")
    tmux.wait_for("piped=42")
