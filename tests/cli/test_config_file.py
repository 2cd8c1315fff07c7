"""Settings that stay: a file of the user, options before it, what is built in behind it."""

import os
import tomllib
from pathlib import Path

import pytest
from support.paths import EXAMPLE
from support.scripts import run_python

from trtop.metrics import lookup
from trtop.options import attach_options, report_options
from trtop.options.configured import KEYS, ConfigError, Configured
from trtop.runtime.config_file import path_of, read_config
from trtop.table.text import PALETTES, Role, Span, Theme, painted
from trtop_core.records import Window

FULL = """\
columns = ["syn", "p99(rtt)"]
sort = "rtt"
reverse = true
window = "60s"
percentile = 99.9
high = "lat=50ms"
theme = "light"
"""


def written(tmp_path: Path, text: str) -> dict[str, str]:
    (tmp_path / "trtop").mkdir(exist_ok=True)
    (tmp_path / "trtop" / "config.toml").write_text(text)
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def configured(tmp_path: Path, text: str) -> Configured:
    return read_config(written(tmp_path, text), os.geteuid()).configured


def test_the_place_is_that_of_the_specification() -> None:
    assert path_of({"HOME": "/h"}) == "/h/.config/trtop/config.toml"
    assert path_of({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == "/x/trtop/config.toml"
    assert path_of({"HOME": "/h", "XDG_CONFIG_HOME": "rel"}) == "/h/.config/trtop/config.toml"
    assert path_of({}) is None
    assert read_config({"HOME": "/nowhere"}, 1000).state == "not there"


def test_every_setting_is_taken_and_options_win(tmp_path: Path) -> None:
    kept = configured(tmp_path, FULL)
    assert set(kept.values) == {key.name for key in KEYS}
    for parse in (
        lambda *argv: report_options.parse([*argv, "x.pcap"], configured=kept),
        lambda *argv: attach_options.parse(argv, kept),
    ):
        options = parse()
        assert options.columns == lookup.columns("syn,p99(rtt)")
        assert (options.view.sort, options.view.descending) == ("response_time", False)
        assert (options.view.window, options.view.percentile) == (Window.LAST_60_S, 99.9)
        assert options.is_window_given
        assert options.thresholds["connect_latency"].high == 50e6
        assert options.theme is Theme.LIGHT
        given = parse(
            "--sort=syn", "--window=all", "--columns=rst", "--high=lat=9ms", "--theme=mono"
        )
        assert given.view.sort == "syn"
        assert given.view.window is Window.ALL
        assert given.columns == lookup.columns("rst")
        assert given.thresholds["connect_latency"].high == 9e6
        assert given.theme is Theme.MONO


@pytest.mark.parametrize("kind", ["json", "ndjson", "csv"])
def test_what_programs_read_does_not_change_by_it(tmp_path: Path, kind: str) -> None:
    kept = configured(tmp_path, FULL)
    argv = ["--format", kind, "x.pcap"]
    assert report_options.parse(argv, configured=kept) == report_options.parse(argv)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sort = ", "config.toml: Invalid value"),
        ('colums = "syn"', "config.toml: no key 'colums'; columns, sort,"),
        ('sort = "rtx"', "config.toml: sort: no column 'rtx'; did you mean rt"),
        ("percentile = 200", "config.toml: percentile: "),
        ("reverse = 1", "config.toml: reverse: is true or false"),
        ("window = {a = 1}", "config.toml: window: {'a': 1} is no text"),
        ('high = ["lat"]', "config.toml: high: "),
        ('theme = "pink"', "config.toml: theme: "),
        ("follow = true", "config.toml: no key 'follow'"),
    ],
)
def test_a_bad_file_is_one_clear_line_and_status_1(tmp_path: Path, text: str, said: str) -> None:
    env = written(tmp_path, text)
    for args in ((EXAMPLE,), ("config",), ("explain", EXAMPLE)):
        done = run_python(tmp_path, ["-m", "trtop", *args], **env)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"trtop: {tmp_path}/trtop/config.toml: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_what_is_no_small_file_is_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "trtop").mkdir()
    os.mkfifo(tmp_path / "trtop" / "config.toml")
    with pytest.raises(ConfigError, match="is no file"):
        read_config({"XDG_CONFIG_HOME": str(tmp_path)}, 1000)
    (tmp_path / "trtop" / "config.toml").unlink()
    (tmp_path / "trtop" / "config.toml").mkdir()
    with pytest.raises(ConfigError, match="is no file"):
        read_config({"XDG_CONFIG_HOME": str(tmp_path)}, 1000)
    (tmp_path / "trtop" / "config.toml").rmdir()
    with pytest.raises(ConfigError, match="is no file"):
        configured(tmp_path, "#" * 70_000)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_reads_no_file_that_others_may_write(tmp_path: Path) -> None:
    env = written(tmp_path, 'sort = "rtt"')
    path = tmp_path / "trtop" / "config.toml"
    assert read_config(env, 0).configured.values == {"sort": "rtt"}
    path.chmod(0o666)
    assert read_config(env, 0).configured.values == {}
    path.chmod(0o644)
    os.chown(path, 1000, 1000)
    file = read_config(env, 0)
    assert file.configured.values == {}
    assert file.state.startswith("not read: this is root")
    assert read_config(env, 1000).configured.values == {"sort": "rtt"}
    path.write_text("no toml at all")
    assert read_config(env, 0).configured.values == {}


def test_config_says_where_it_is_and_what_holds_from_where(tmp_path: Path) -> None:
    env = written(tmp_path, 'sort = "rtt"\npercentile = 99\n')
    done = run_python(tmp_path, ["-m", "trtop", "config"], **env)
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first == f"# {tmp_path}/trtop/config.toml: read"
    assert len(lines) == len(KEYS)
    assert tomllib.loads(done.stdout) == {"sort": "rtt", "percentile": 99}
    assert sum("# the file; " in line for line in lines) == 2
    assert sum("# built in; " in line for line in lines) == len(KEYS) - 2
    uncommented = "\n".join(line.removeprefix("# ") for line in lines)
    assert {key.name: key.default for key in KEYS} | {"sort": "rtt", "percentile": 99} == (
        tomllib.loads(uncommented)
    )


def test_the_table_goes_by_the_file(tmp_path: Path) -> None:
    env = written(tmp_path, 'columns = "syn,rst"\nsort = "syn"')
    done = run_python(tmp_path, ["-m", "trtop", EXAMPLE, "--width", "80"], **env)
    lines = done.stdout.splitlines()
    heading = next(i for i, line in enumerate(lines) if line.startswith(" destination"))
    assert lines[heading].split() == ["destination", "Verdict", "Syn(/s)", "Rst(%)"]
    assert lines[heading + 2].startswith(" 192.0.2.15")


def test_a_theme_has_its_own_colours_and_the_terminals_own_are_the_default() -> None:
    line = (Span("x", Role.VERDICT), Span("y", Role.NOTABLE), Span("z"))
    assert painted(line, True) == "\x1b[1;31mx\x1b[0m\x1b[33my\x1b[0mz"
    assert painted(line, True, Theme.LIGHT) == "\x1b[1;38;5;124mx\x1b[0m\x1b[38;5;94my\x1b[0mz"
    assert painted(line, False, Theme.DARK) == "xyz"
    assert len({PALETTES[Theme.DARK], PALETTES[Theme.LIGHT], PALETTES[Theme.TERMINAL]}) == 3


@pytest.mark.parametrize(("theme", "is_coloured"), [("mono", False), ("dark", True)])
def test_mono_is_marked_instead_of_coloured(tmp_path: Path, theme: str, is_coloured: bool) -> None:
    args = ["-m", "trtop", EXAMPLE, "--width=80", "--color=always", "--theme", theme]
    text = run_python(tmp_path, args).stdout
    assert ("\x1b[" in text) is is_coloured
    assert ("38;5;203" in text) is is_coloured
    assert ("!152ms" in text) is not is_coloured
