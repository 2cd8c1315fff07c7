"""The man page and the completions say what ``trtop --help`` says."""

import os
import pty
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.paths import ROOT
from support.scripts import TIMEOUT_S, environment

from trtop.options.commands import COMMANDS

sys.path.append(str(ROOT / "docs"))
import pages

PAGES = pages.pages()


def flags(program: pages.Program) -> list[str]:
    return [
        flag
        for parser in program.parsers.values()
        for _, options in pages.options_of(parser)
        for option in options
        for flag in option.flags
    ]


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_in_step_with_the_options(name: str) -> None:
    written = (ROOT / name).read_text(encoding="utf-8")
    assert written == PAGES[name], "run: python docs/pages.py"


@pytest.mark.parametrize("program", pages.programs().values(), ids=lambda program: program.name)
def test_every_option_is_on_every_page(program: pages.Program) -> None:
    assert len(flags(program)) > 10
    for write in (pages.man_page, pages.bash_completion, pages.zsh_completion):
        text = re.sub(r"\\f[A-Z]", " ", write(program).replace("\\-", "-"))
        for flag in flags(program):
            assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text), flag


def test_commands_stand_one_by_one_in_the_man_page() -> None:
    written = pages.man_page(pages.programs()["trtop"])
    for command in COMMANDS:
        called = f"trtop {command.name or 'FILE...'}"
        example = command.example.replace("-", r"\-")
        assert f".TP\n\\fB{called}\\fR\n{command.summary}:\n.br\n{example}\n" in written
    synopsis = written.partition(".SH SYNOPSIS\n")[2].partition(".SH DESCRIPTION")[0]
    assert "\n\n" not in synopsis


@pytest.mark.parametrize("page", ["trtop.1", "trtopd.8"])
def test_the_man_page_is_sound_and_says_the_help_texts(page: str) -> None:
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("man and groff are not installed")
    done = subprocess.run(
        ["man", "--warnings", "-l", str(ROOT / "docs" / page)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
        env=environment(MANWIDTH="100", LC_ALL="C.UTF-8"),
    )
    assert done.stderr == ""
    shown = re.sub(r"\s+", " ", re.sub(r".\x08", "", done.stdout))
    if page == "trtop.1":
        assert "keep reading files that are still being written" in shown
        assert "-bpf FILTER, --bpf-filter FILTER" in shown
        assert "EXIT STATUS 0 Everything was read." in shown
        assert "COMMAND ATTACH" in shown
    else:
        assert "--listen" in shown


def completed_by_bash(*words: str) -> list[str]:
    script = (
        f"source {ROOT}/completions/trtop; compopt() {{ :; }}; "
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _trtop; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
        cwd=ROOT / "examples",
    )
    assert done.stderr == ""
    return done.stdout.split()


FORMATS = {"table", "json", "ndjson", "csv", "html", "parquet", "arrow"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("trtop", "--fo"), {"--follow", "--format"}),
        (("trtop", "--format", ""), FORMATS),
        (("trtop", "--format", "=", "ndj"), {"ndjson"}),
        (
            ("trtop", "--format", "="),
            FORMATS,
        ),
        (("trtop", "--sort", "response_"), {"response_time", "response_duration"}),
        (("trtop", "serv"), {"services.pcap", "services.py"}),
        (("trtop", "-i", "services.pc"), {"services.pcap"}),
        (("trtop", "-F", "services.pc"), {"services.pcap"}),
        (("trtop", "--names", "ca"), {"capture"}),
        (("trtop", "-rm", "cur"), {"curses"}),
        (("trtop", "-tm", "serv"), {"services.pcap", "services.py"}),
        (("trtop", "-m", ""), {"continuous", "snapshot"}),
        (("trtop", "-if", "l"), {"lo"}),
        (("trtop", "--limit", ""), set()),
        (("trtop", "key"), {"keygen"}),
        (("trtop", "attach", "--server"), {"--server-key"}),
        (("trtop", "attach", "--format", "js"), {"json"}),
    ],
)
def test_bash_completes(words: tuple[str, ...], expected: set[str]) -> None:
    assert set(completed_by_bash(*words)) == expected


ZSH_RC = """
fpath=({root}/completions $fpath)
autoload -Uz compinit && compinit -u -D
PROMPT='READY>'
zstyle ':completion:*' list-prompt ''
setopt no_beep
"""


def completed_by_zsh(folder: Path, typed: str) -> str:
    """What stands on the line after a tab."""
    (folder / ".zshrc").write_text(ZSH_RC.format(root=ROOT))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT / "examples")
        os.execvpe("zsh", ["zsh", "-i"], {**os.environ, "ZDOTDIR": str(folder), "TERM": "dumb"})
    killer = threading.Timer(TIMEOUT_S, os.kill, (pid, 9))
    killer.start()
    seen = ""
    try:
        while "READY>" not in seen:
            seen += os.read(terminal, 4096).decode(errors="replace")
        os.write(terminal, f"{typed}\t".encode())
        deadline_s = time.monotonic() + TIMEOUT_S
        # The line becomes an argument of a command that does nothing, and is echoed as it stands.
        os.write(terminal, b"\x01: '\x05'\n")
        while seen.count("READY>") < 2 and time.monotonic() < deadline_s:
            seen += os.read(terminal, 4096).decode(errors="replace")
        os.write(terminal, b"exit\n")
    finally:
        killer.cancel()
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)
    return seen


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("trtop --foll", "--follow"),
        ("trtop --format ndj", "ndjson"),
        ("trtop --names cap", "capture"),
        ("trtop services.pc", "services.pcap"),
        ("trtop --sort response_t", "response_time"),
        ("trtop -rm eve", "events"),
        ("trtop attach --server-k", "--server-key"),
    ],
)
def test_zsh_completes(tmp_path: Path, typed: str, expected: str) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    assert expected in completed_by_zsh(tmp_path, typed)


def completed_by_fish(folder: Path, *words: str) -> set[str]:
    """What fish offers for the last word, by a completion that it has loaded itself."""
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    # It loads completions of commands that there are.
    (folder / words[0]).write_text("#!/bin/sh\n")
    (folder / words[0]).chmod(0o755)
    script = f"set -p fish_complete_path {ROOT}/completions; complete -C (string join ' ' -- $argv)"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script, *words],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
        cwd=ROOT / "examples",
        env={
            **os.environ,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "XDG_CONFIG_HOME": str(folder),
            "XDG_DATA_HOME": str(folder),
        },
    )
    assert done.stderr == ""
    return {line.partition("\t")[0] for line in done.stdout.splitlines()}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("trtop", "--fo"), {"--follow", "--format"}),
        (("trtop", "--format", ""), FORMATS),
        (("trtop", "--format=ndj"), {"--format=ndjson"}),
        (("trtop", "--sort", "response_"), {"response_time", "response_duration"}),
        (("trtop", "serv"), {"services.pcap", "services.py"}),
        (("trtop", "-i", "services.pc"), {"services.pcap"}),
        (("trtop", "-rm", "cur"), {"curses"}),
        (("trtop", "-tm", "serv"), {"services.pcap", "services.py"}),
        (("trtop", "--limit", ""), set()),
        (("trtop", "key"), {"keygen"}),
        (("trtop", "services.pcap", "key"), set()),
        (("trtop", "live", "-i", "l"), {"lo"}),
        (("trtop", "live", "--fanou"), {"--fanout"}),
        (("trtop", "--fanou"), set()),
        (("trtop", "attach", "--server"), {"--server-key"}),
        (("trtop", "attach", "--format", "js"), {"json"}),
        (("trtopd", "--fanou"), {"--fanout"}),
    ],
)
def test_fish_completes(tmp_path: Path, words: tuple[str, ...], expected: set[str]) -> None:
    assert completed_by_fish(tmp_path, *words) == expected


def test_fish_says_what_options_do() -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    text = (ROOT / "completions" / "trtop.fish").read_text(encoding="utf-8")
    parser = pages.programs()["trtop"].parsers["live"]
    quoted = text.replace("\\'", "'").replace("\\\\", "\\")
    for _, options in pages.options_of(parser):
        for option in options:
            if option.flags:
                assert option.help.partition("(default")[0].strip() in quoted
