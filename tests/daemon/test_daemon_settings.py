"""What the daemon is told: options and file mean the same, and what is wrong is one line."""

import os
import re
import shutil
import subprocess
from ipaddress import ip_network
from pathlib import Path

import pytest
from support.daemons import TIMEOUT_S
from support.paths import ROOT

from trtop_core.argument_parser import new_parser
from trtop_core.errors import TrtopError
from trtop_core.records import Direction, GroupBy, Window
from trtop_core.wire.endpoint import parse_endpoint
from trtop_daemon.config.arguments import (
    CAPTURING,
    MEASURING,
    add_settings,
    arguments_for,
    parse,
)
from trtop_daemon.config.settings import SETTINGS, Settings, make_settings, read_file
from trtop_daemon.system.log import printable

FILE = """
interface = ["eth0", "eth1"]
bpf_filter = "tcp port 443"
snaplen = 96
buffer_size = "2MiB"
fanout = 2
user = "nobody"
listen = ["ipc:///run/x.sock", "tcp://127.0.0.1:7117"]
interval = 0.25
local = ["10.0.0.0/8,192.0.2.1", "fd00::/8"]
direction = "both"
group_by = "addr"
max_connections = 1_000
idle_timeout = "60s"
no_decap = true
stay = true
pidfile = "/run/x.pid"
"""

OPTIONS = [
    "-i", "eth0", "--interface", "eth1", "--bpf-filter", "tcp port 443", "-s", "96", "-B", "2MiB",
    "--fanout", "2", "-u", "nobody", "-l", "/run/x.sock", "--listen", "tcp://127.0.0.1:7117",
    "--interval", "0.25", "--local", "10.0.0.0/8,192.0.2.1", "--local", "fd00::/8",
    "--direction", "both", "--group-by", "addr", "--max-connections", "1,000",
    "--idle-timeout", "60s", "--no-decap", "--stay", "--pidfile", "/run/x.pid",
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trtopd.toml"


def test_the_file_and_the_options_mean_the_same(path: Path) -> None:
    path.write_text(FILE)
    from_file = make_settings({}, str(path))
    assert from_file == make_settings(parse(OPTIONS).given, None)
    assert from_file == Settings(
        interface=("eth0", "eth1"),
        bpf_filter="tcp port 443",
        snaplen=96,
        buffer_size=2 << 20,
        fanout=2,
        user="nobody",
        listen=(parse_endpoint("/run/x.sock"), parse_endpoint("tcp://127.0.0.1:7117")),
        interval=0.25,
        local=tuple(map(ip_network, ("10.0.0.0/8", "192.0.2.1/32", "fd00::/8"))),
        direction=Direction.BOTH,
        group_by=GroupBy.ADDR,
        max_connections=1000,
        idle_timeout=60.0,
        no_decap=True,
        stay=True,
        pidfile="/run/x.pid",
    )


def test_every_setting_has_a_key_and_an_option() -> None:
    assert {setting.key for setting in SETTINGS} == set(Settings.__dataclass_fields__)
    for setting in SETTINGS:
        assert f"--{setting.key.replace('_', '-')}" in setting.flags


def test_the_command_line_goes_before_the_file(path: Path) -> None:
    path.write_text(FILE)
    settings = make_settings(parse(["-i", "lo", "--snaplen", "256"]).given, str(path))
    assert (settings.interface, settings.snaplen, settings.fanout) == (("lo",), 256, 2)


def test_settings_become_what_the_capture_side_is_told() -> None:
    capture = make_settings(parse(OPTIONS).given, None).capture_config()
    assert capture.interfaces == ("eth0", "eth1")
    assert (capture.capture_filter, capture.snaplen_bytes) == ("tcp port 443", 96)
    assert (capture.buffer_bytes, capture.fanout, capture.user) == (2 << 20, 2, "nobody")
    assert capture.source is None
    engine = capture.engine
    assert (engine.direction, engine.group_by, engine.decap) == (
        Direction.BOTH, GroupBy.ADDR, False,
    )  # fmt: skip
    assert (engine.max_connections, engine.idle_timeout_ns) == (1000, 60 * 10**9)
    assert set(engine.windows) == set(Window) - {Window.ALL}


def test_a_replay_has_a_pace() -> None:
    for text, speed in (("1", 1.0), ("max", None), ("2.5x", 2.5)):
        given = parse(["-r", "a.pcap", "-r", "b.pcap", "--speed", text]).given
        replay = make_settings(given, None).capture_config().source
        assert replay is not None
        assert (replay.paths, replay.speed) == (("a.pcap", "b.pcap"), speed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("snaplenn = 3", "unknown key 'snaplenn'; did you mean snaplen?"),
        ("zzz = 3", "unknown key 'zzz'; there are: interface, bpf_filter"),
        ("snaplen = ", "is no TOML"),
        ("snaplen = 0", "snaplen: '0' is no whole number above 0"),
        ("snaplen = true", "snaplen: True is neither text nor a number"),
        ("snaplen = [1]", "snaplen: [1] is neither text nor a number"),
        ("no_decap = 'yes'", "no_decap: is true or false"),
        ("buffer_size = '8 apples'", "buffer_size: '8 apples' is no size, such as 8MiB"),
        ("local = ['10.0.0.0/99']", "local: '10.0.0.0/99' is no address or CIDR"),
        ("direction = 'up'", "direction: 'up' is none of: out | in | both"),
        ("interval = nan", "interval: 'nan' is no number of seconds"),
        ("listen = ['x']", "listen: 'x' is no endpoint"),
        ("user = ''", "user: must not be empty"),
        ("[capture]\nx = 1", "unknown key 'capture'"),
        ("interface = []", "a capture needs an interface"),
        ("snaplen = 3", "the snaplen is within"),
        ("fanout = 1000", "the fanout is within"),
        ("max_connections = 999_999_999_999", "max_connections is within"),
        ("server_key = '/x'", "--server-key needs --authorized-keys"),
        ("a = " + "[" * 5000, "is no TOML"),
    ],
)
def test_a_wrong_file_is_one_line(path: Path, text: str, said: str) -> None:
    path.write_text(text)
    with pytest.raises(TrtopError) as caught:
        make_settings({}, str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, path: Path) -> None:
    with pytest.raises(TrtopError, match="cannot be read: No such file"):
        read_file(str(path))
    with pytest.raises(TrtopError, match="cannot be read: Is a directory"):
        read_file(str(tmp_path))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(TrtopError, match="is no text in UTF-8"):
        read_file(str(path))
    path.write_bytes(b"#" * (1 << 21))
    with pytest.raises(TrtopError, match="is too large"):
        read_file(str(path))


def test_a_pipe_or_a_device_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    for name in (str(path), "/dev/zero"):
        with pytest.raises(TrtopError, match="it is no regular file"):
            read_file(name)


def test_options_kept_as_text_say_the_same_again() -> None:
    keys = (*CAPTURING, *MEASURING)
    parser = new_parser("x", "x", "", "")
    add_settings(parser.add_argument_group("g"), keys, keep_text=True)
    given = [
        "-i",
        "eth0",
        "-i",
        "-odd",
        "--bpf-filter",
        "tcp and not port 1",
        "--no-decap",
        "--local",
        "::1",
    ]
    given[3] = "eth1"
    again = arguments_for(vars(parser.parse_args(given)), keys)
    assert parse(again).given == parse(given).given
    with pytest.raises(TrtopError, match="is no whole number"):
        parser.parse_args(["--snaplen", "x"])


def test_a_name_cannot_forge_a_line_of_the_log() -> None:
    assert printable("a\nb\x1b[2J\u202e") == "a\\nb\\x1b[2J\\u202e"


def test_the_sample_file_is_right_and_its_comments_too(path: Path) -> None:
    text = (ROOT / "packaging" / "trtopd.toml").read_text()
    path.write_text(text)
    assert make_settings({}, str(path)) == Settings()
    path.write_text(re.sub(r"^# (\w+ = .*)$", r"\1", text, flags=re.MULTILINE))
    settings = make_settings({}, str(path))
    assert settings.server_key == "/etc/trtop/web1.key_secret"
    assert len(settings.listen) == 2
    assert settings.bpf_filter is not None


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "trtopd.service"
    text = (ROOT / "packaging" / "trtopd.service").read_text()
    assert "ExecStart=/usr/bin/trtopd " in text
    unit.write_text(text.replace("/usr/bin/trtopd", shutil.which("true") or "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
