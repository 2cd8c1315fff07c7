"""What a user sees who knows nothing yet, or who slipped."""

import json
import re
import shlex
from pathlib import Path

import pytest
from support.builders.savefile import write_pcap
from support.paths import EXAMPLE
from support.scripts import run_python
from support.terminals import OnTerminal

from trtop.cli.meant import what_was_meant
from trtop.options.commands import COMMANDS, NAMES


def said(tmp_path: Path, *args: str | Path) -> tuple[int, str, str]:
    done = run_python(tmp_path, ["-m", "trtop", *args])
    return done.returncode, done.stdout, done.stderr


def test_help_begins_with_the_commands_and_an_example_of_each(tmp_path: Path) -> None:
    status, out, _ = said(tmp_path, "--help")
    assert status == 0
    top = out.partition("what to read:")[0]
    for command in COMMANDS:
        assert f"trtop {command.name or 'FILE'}" in top
        assert command.example in top
    assert max(map(len, out.splitlines())) <= 100


def test_every_command_of_the_table_is_one(tmp_path: Path) -> None:
    for name in NAMES:
        status, out, _ = said(tmp_path, name, "--help")
        assert (status, out.startswith(f"usage: trtop {name}")) == (0, True)
    for command in COMMANDS:
        words = shlex.split(command.example)
        assert words[words.index("trtop") + 1] in {command.name, "incident.pcap"}


def test_alone_on_a_terminal_it_offers_the_commands() -> None:
    with OnTerminal("-m", "trtop", size=(110, 24)) as terminal:
        assert terminal.ended() == 1
        assert "trtop explain incident.pcap" in terminal.text
        assert "trtop --help" in terminal.text


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["-i", "eth0"], "sudo trtop live -i eth0"),
        (["lo"], "sudo trtop live -i lo"),
        (["liv"], "did you mean trtop live?"),
        (["attac", "ipc:///x"], "did you mean trtop attach?"),
        (["Explain"], "did you mean trtop explain?"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(
    tmp_path: Path, args: list[str], meant: str
) -> None:
    status, out, err = said(tmp_path, *args)
    assert (status, out) == (1, "")
    assert err.startswith(f"trtop: {args[-1] if args[0] == '-i' else args[0]}: no such file; ")
    assert meant in err
    assert err.count("\n") == 1


def test_files_that_are_there_are_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("liv", "eth0"):
        assert what_was_meant([name]) is not None
        Path(name).touch()
        assert what_was_meant([name, str(EXAMPLE)]) is None
    assert what_was_meant(["nothing.pcap", "./liv2", "", "-"]) is None


def test_the_worst_are_explained(tmp_path: Path) -> None:
    status, out, err = said(tmp_path, "explain", EXAMPLE)
    left = "trtop: 6 more destinations are not ok: --limit N explains more\n"
    assert (status, err) == (0, left)
    heads = [line.split("  ") for line in out.splitlines() if line.startswith(" 192.0.2.")]
    assert heads == [
        [" 192.0.2.13", "REFUSED"],
        [" 192.0.2.19", "NO ANSWER"],
        [" 192.0.2.14", "RESET"],
    ]
    assert "What to look at next" in out
    _, one, _ = said(tmp_path, "explain", "--limit", "1", EXAMPLE)
    assert out.startswith(one)
    assert said(tmp_path, "explain", "--limit", "9", EXAMPLE)[2] == ""


def test_a_named_destination_is_explained(tmp_path: Path) -> None:
    status, out, _ = said(tmp_path, "explain", EXAMPLE, "192.0.2.12", "192.0.2.11")
    assert status == 0
    assert out.startswith(" 192.0.2.12  SLOW SERVER\n")
    assert "\n 192.0.2.11  ok\n\n None of the causes" in out
    (tmp_path / "hosts").write_text("192.0.2.12 slow\n")
    _, out, _ = said(tmp_path, "explain", "--names", "hosts:hosts", "-i", str(EXAMPLE), "slow")
    assert out.startswith(" slow  SLOW SERVER\n")


def test_what_a_filter_finds_is_explained(tmp_path: Path) -> None:
    _, out, _ = said(tmp_path, "explain", EXAMPLE, "192.0.2.12:80")
    assert out.startswith(" 192.0.2.12:80  SLOW SERVER\n")
    _, out, err = said(tmp_path, "explain", EXAMPLE, "192.0.2.16/31", "verdict:far")
    heads = [line for line in out.splitlines() if re.match(r" \S+  [A-Z ]+$", line)]
    assert heads == [" 192.0.2.16  SLOW CONNECT", " 192.0.2.17  LOSS", " 2001:db8::11  FAR"]
    assert err == ""
    _, out, err = said(tmp_path, "explain", "--limit", "1", EXAMPLE, "192.0.2.0/24")
    assert out.startswith(" 192.0.2.13  REFUSED\n")
    more = "trtop: 8 more destinations match 192.0.2.0/24: --limit N explains more\n"
    assert err == more
    status, _, err = said(tmp_path, "explain", EXAMPLE, "192.0.2.12:443")
    assert status == 1
    assert err == (
        "trtop: no destination 192.0.2.12:443 in the capture: no such address or port among 10\n"
    )
    status, _, err = said(tmp_path, "explain", EXAMPLE, "rtt>")
    assert status == 1
    assert err.startswith("trtop: rtt>: a number is missing")


def test_the_port_of_what_is_refused_is_named(tmp_path: Path) -> None:
    _, out, _ = said(tmp_path, "explain", EXAMPLE, "192.0.2.13")
    assert "13 of 13 attempts refused (port 80): nothing listens at that port" in out
    assert "port of nearly all of these       80\n" in out
    assert "--group-by addr,port" not in out


def test_what_cannot_be_explained_is_one_line(tmp_path: Path) -> None:
    status, out, err = said(tmp_path, "explain", EXAMPLE, "192.0.2.1")
    assert (status, out) == (1, "")
    assert err == (
        "trtop: no destination 192.0.2.1 in the capture: no such address or port among 10\n"
    )
    for unseen in ("10.0.0.0/8", "10/8", "2001:db8::77", ":9999"):
        assert "nearest" not in said(tmp_path, "explain", EXAMPLE, unseen)[2]
    (tmp_path / "hosts").write_text("192.0.2.12 billing-db\n192.0.2.13 cache\n")
    named = ("explain", "--names", "hosts:hosts", "-i", str(EXAMPLE))
    assert said(tmp_path, *named, "biling-db")[2].endswith("; the nearest: billing-db\n")
    assert said(tmp_path, *named, "frontend")[2].endswith("frontend in the capture (10)\n")
    assert said(tmp_path, "explain")[0] == 1
    assert "prints text" in said(tmp_path, "explain", "--format", "json", EXAMPLE)[2]
    _, out, _ = said(tmp_path, "explain", "--allow", "192.0.2.11", EXAMPLE)
    assert out == "nothing is wrong with any destination (1)\n"


def test_a_capture_without_connections_is_not_called_well(tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    path.write_bytes(write_pcap([]))
    status, out, err = said(tmp_path, "explain", str(path))
    assert (status, err) == (0, "")
    assert out == "no connection was seen, so none is judged (0 packets)\n"


def test_what_could_not_be_read_is_told_beside_the_explanation(tmp_path: Path) -> None:
    (tmp_path / "cut.pcap").write_bytes(EXAMPLE.read_bytes()[:-3])
    status, out, err = said(tmp_path, "explain", "cut.pcap")
    assert status == 2
    assert " 192.0.2.13  REFUSED" in out
    assert err.startswith("trtop: cut.pcap: ")


def test_a_report_of_a_cut_capture_says_so_itself(tmp_path: Path) -> None:
    """What is kept is the report; the line on standard error is not."""
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(Path(EXAMPLE).read_bytes()[:60_000])
    what = f"{cut}: file cut off at byte 59,980, after packet 570"
    status, table, err = said(tmp_path, "--format", "table", "--width", "300", cut)
    assert (status, err) == (2, f"trtop: {what}\n")
    assert "completeness 100% of what was read" in table
    assert f"\n! Not all was read: {what}.\n" in table
    _, text, _ = said(tmp_path, "--format", "json", cut)
    assert json.loads(text)["health"]["unread"] == [what]
    _, whole, _ = said(tmp_path, "--format", "json", EXAMPLE)
    assert "unread" not in json.loads(whole)["health"]
    _, page, _ = said(tmp_path, "--format", "html", cut)
    assert "file cut off at byte 59,980" in page
