"""Fuzz target: any configuration file, of a user or of a daemon, is settings or one line of error.

The first byte of an input says whose file it is: a user's, read as ``trtop`` and ``trtop attach``
read it, or that of a daemon. The rest is the file.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from target import Target

from trtop.options import attach_options, report_options
from trtop.options.configured import KEYS
from trtop.runtime.config_file import NAME, read_config
from trtop_core.errors import TrtopError
from trtop_daemon.config.settings import SETTINGS, Settings, make_settings

USER, ATTACH, DAEMON = range(3)

NOT_ROOT = 1000

MEMORY = Path("/dev/shm")
"""Where a file costs no disk."""

FOLDER = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None, prefix="trtop-fuzz-"))


def run(data: bytes) -> None:
    """One file."""
    if not data:
        return
    whose, content = data[0] % 3, data[1:]
    path = FOLDER / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        if whose == DAEMON:
            settings = make_settings({}, str(path))
            assert isinstance(settings, Settings)
            settings.capture_config()
            return
        environ = {"XDG_CONFIG_HOME": str(FOLDER)}
        configured = read_config(environ, NOT_ROOT).configured
        if whose == USER:
            report_options.parse(["a.pcap"], configured)
        else:
            attach_options.parse(["--once", "ipc:///a"], configured)
    except TrtopError as error:
        said = str(error)
        assert said
        assert "\n" not in said, said


USER_FILES = (
    'columns = ["syn", "est", "rtt", "p99(rtt)", "server"]\nsort = "rtt"\npercentile = 99\n',
    'high = "lat=50ms,rst=1/5"\ntheme = "light"\nreverse = true\nwindow = "5min"\n',
    'high = "classic"\nwindow = "all"\ntheme = "mono"\npercentile = 99.9\n',
    'columns = "syn,rst"\nreverse = false\nhigh = ["lat=1s", "reuse=1/2"]\n',
)
DAEMON_FILES = (
    'interface = ["eth0", "lo"]\nsnaplen = 96\nbuffer_size = "4MiB"\nfanout = 2\n',
    'local = ["10.0.0.0/8", "2001:db8::/32"]\ndirection = "both"\ngroup_by = "addr"\n',
    'listen = ["ipc:///tmp/x", "tcp://[::1]:7117"]\ninterval = 0.2\nstay = true\nspeed = "max"\n',
    'metrics = [9464, "unix:/tmp/m"]\notlp = "http://h:4318"\notlp_header = ["a=b"]\n',
    'otlp = "grpcs://h:1"\notlp_interval = 5\notlp_temporality = "delta"\nread = "x.pcap"\n',
    'export_bounds = [0.1, 1]\nexport_names = "hosts,dns"\nexport_destinations = 3\nuser = "u"\n',
    'history = "64MiB"\nidle_timeout = 3\nno_decap = true\nconnections = 9\nfilter = "tcp"\n',
)


def seeds() -> Iterator[bytes]:
    """Files with every key."""
    for text in USER_FILES:
        yield bytes([USER]) + text.encode()
        yield bytes([ATTACH]) + text.encode()
    for text in DAEMON_FILES:
        yield bytes([DAEMON]) + text.encode()
    for whose in (USER, DAEMON):
        yield bytes([whose]) + b"[a.b]\nc = {d = [1, 0x2, 1e3, inf], e = 1979-05-27T07:32:00Z}\n"
        yield bytes([whose]) + b"a = \"\"\"\\u00e9\n\"\"\"\nb = '''x'''\n[[t]]\nk.l = true\n"


TARGET = Target(
    run,
    seeds,
    max_bytes=6000,
    words=(
        *(f"\n{key.name} = ".encode() for key in KEYS),
        *(f"\n{setting.key} = ".encode() for setting in SETTINGS),
        b"[" * 500, b"{a=" * 400, b"1" * 1000, b"[[", b"]]", b'"""', b"'''", b"true", b"false",
        b"inf", b"nan", b"0x", b"1979-05-27T07:32:00Z", b"\\u", b"\\U0010ffff", b"\r\n", b"#",
    ),
)  # fmt: skip


atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
