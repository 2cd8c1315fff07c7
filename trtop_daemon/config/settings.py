"""What the daemon is told: the table of its settings, each an option and a key of its file.

Gives frozen ``Settings``: the command line goes before the file, the file before the defaults.
One reader per setting serves both. Opens the file, nothing else.
"""

from __future__ import annotations

import difflib
import math
import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trtop_core import parse
from trtop_core.config import (
    DEFAULT_HISTORY_BYTES,
    DEFAULT_IDLE_TIMEOUT_NS,
    DEFAULT_MAX_CONNECTIONS,
    EngineConfig,
    engine_config,
)
from trtop_core.errors import TrtopError
from trtop_core.parse import Network
from trtop_core.records import NS_PER_S, Direction, GroupBy, Window
from trtop_core.wire.endpoint import Endpoint, parse_endpoint
from trtop_daemon.capture.replay import ReplayConfig
from trtop_daemon.config import exporting
from trtop_daemon.ipc.export_orders import (
    DEFAULT_BOUNDS_S,
    DEFAULT_LIMIT,
    DEFAULT_OTLP_INTERVAL_S,
)
from trtop_daemon.ipc.feed import (
    ANY_INTERFACE,
    DEFAULT_BUFFER_BYTES,
    DEFAULT_SNAPLEN_BYTES,
    CaptureConfig,
)

DEFAULT_INTERVAL_S = 0.5

MAX_FILE_BYTES = 1 << 20

N_SUGGESTIONS = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a daemon; the names are the keys of the file.

    Attributes:
        interface: devices to capture on; ``any`` is all of them.
        bpf_filter: a BPF filter; None: what can hold TCP.
        snaplen: bytes captured of each packet.
        buffer_size: bytes of the kernel's ring, per capture.
        fanout: captures that share each interface.
        user: who to become; None: the user trtop, the caller of sudo, or nobody.
        listen: where clients connect; empty: the default place.
        interval: seconds that an answer may be old.
        local: networks whose addresses are local; empty: those of the interfaces.
        direction: which connections are shown.
        group_by: the finest grouping that clients can ask for.
        max_connections: bound on connections kept.
        history: bytes that are kept of the past, per engine.
        connections: records of closed connections that are kept for clients; 0: none are made.
        idle_timeout: seconds of silence after which a connection is no longer active.
        no_decap: leave out TCP inside tunnels.
        pidfile: where the process number is written.
        stay: go on answering when nothing can be captured any more.
        no_sandbox: processes keep system calls and files that they do not need.
        read: captures to replay instead of a device.
        speed: a multiple of the capture's own pace, or infinite.
        server_key: the secret key file of this daemon.
        authorized_keys: a folder of the public keys that may connect over TCP.
        metrics: where Prometheus may scrape.
        otlp: the URL to which metrics are pushed; None: none are.
        otlp_header: pairs of name and value that go with each push.
        otlp_ca: certificates that pushes trust; None: those of the system.
        otlp_interval: seconds between two pushes.
        otlp_temporality: pushes are deltas, not sums since the start.
        export_destinations: destinations that have series of their own.
        export_bounds: of histograms of latencies, in seconds.
        export_names: who names destinations in metrics.
    """

    interface: tuple[str, ...] = (ANY_INTERFACE,)
    bpf_filter: str | None = None
    snaplen: int = DEFAULT_SNAPLEN_BYTES
    buffer_size: int = DEFAULT_BUFFER_BYTES
    fanout: int = 1
    user: str | None = None
    listen: tuple[Endpoint, ...] = ()
    interval: float = DEFAULT_INTERVAL_S
    local: tuple[Network, ...] = ()
    direction: Direction = Direction.OUT
    group_by: GroupBy = GroupBy.ADDR_PORT
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    history: int = DEFAULT_HISTORY_BYTES
    connections: int = 0
    idle_timeout: float = DEFAULT_IDLE_TIMEOUT_NS / NS_PER_S
    no_decap: bool = False
    pidfile: str | None = None
    stay: bool = False
    no_sandbox: bool = False
    read: tuple[str, ...] = ()
    speed: float = 1.0
    server_key: str | None = None
    authorized_keys: str | None = None
    metrics: tuple[Endpoint, ...] = ()
    otlp: str | None = None
    otlp_header: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    otlp_ca: str | None = None
    otlp_interval: float = DEFAULT_OTLP_INTERVAL_S
    otlp_temporality: bool = False
    export_destinations: int = DEFAULT_LIMIT
    export_bounds: tuple[float, ...] = DEFAULT_BOUNDS_S
    export_names: tuple[str, ...] = ()

    @property
    def is_exporting(self) -> bool:
        """Metrics are scraped or pushed."""
        return bool(self.metrics) or self.otlp is not None

    def engine_config(self) -> EngineConfig:
        """What an engine is told; every window is kept, since any client may ask for any.

        Raises:
            ValueError: a number is out of range.
        """
        return engine_config(
            local=self.local,
            direction=self.direction,
            group_by=self.group_by,
            decap=not self.no_decap,
            windows=Window,
            idle_timeout_s=self.idle_timeout,
            max_connections=self.max_connections,
            history_bytes=self.history,
            is_paced=not math.isinf(self.speed),
            keeps_connections=self.connections > 0,
        )

    def capture_config(self) -> CaptureConfig:
        """What the capture side is told.

        Raises:
            ValueError: a number is out of range.
        """
        speed = None if math.isinf(self.speed) else self.speed
        return CaptureConfig(
            interfaces=self.interface,
            capture_filter=self.bpf_filter,
            snaplen_bytes=self.snaplen,
            buffer_bytes=self.buffer_size,
            fanout=self.fanout,
            user=self.user,
            is_confined=not self.no_sandbox,
            source=ReplayConfig(self.read, speed) if self.read else None,
            engine=self.engine_config(),
            n_records=self.connections,
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table.

    Attributes:
        key: the field of ``Settings``, and the key in the file.
        read: one value from its text; for a list, each of its items.
        flags: what it is called on the command line.
        metavar: what stands for its value in the help; empty for a switch.
        help: one line.
        is_list: may be given several times, or as a list.
        is_spread: its reader gives several values at once.
    """

    key: str
    read: Callable[[str], Any]
    flags: tuple[str, ...]
    metavar: str
    help: str
    is_list: bool = False
    is_spread: bool = False


SETTINGS = (
    Setting("interface", parse.some_text, ("-i", "--interface"), "IF",
            "a device, or any; may be repeated (default: any)", is_list=True),
    Setting("bpf_filter", parse.some_text, ("--bpf-filter",), "BPF",
            "only these packets (default: TCP, tagged, fragmented and tunnelled too)"),
    Setting("snaplen", parse.positive, ("-s", "--snaplen"), "BYTES",
            "captured of each packet (default: 128)"),
    Setting("buffer_size", parse.size, ("-B", "--buffer-size"), "SIZE",
            "of the kernel's buffer, per capture (default: 8MiB)"),
    Setting("fanout", parse.positive, ("--fanout",), "N",
            "captures that share each interface (default: 1)"),
    Setting("read", parse.some_text, ("-r", "--read"), "FILE",
            "replay a capture instead; may be repeated", is_list=True),
    Setting("speed", parse.speed, ("--speed",), "N|max",
            "of the replay: a multiple of the capture's own pace (default: 1)"),
    Setting("local", parse.networks, ("--local",), "CIDR[,CIDR]",
            "local networks (default: the addresses of the interfaces)", True, True),
    Setting("direction", parse.direction, ("--direction",), "out|in|both",
            "outgoing connections by server, incoming ones by client, or both (default: out)"),
    Setting("group_by", parse.grouping, ("--group-by",), "addr|addr,port",
            "the finest rows that clients can ask for (default: addr,port)"),
    Setting("max_connections", parse.positive, ("--max-connections",), "N",
            "connections kept at once (default: 1,000,000; some 100 bytes each)"),
    Setting("history", parse.size, ("--history",), "SIZE",
            "memory for the past that clients can look at (default: 64MiB)"),
    Setting("connections", parse.positive, ("--connections",), "N",
            "records of closed connections kept for attach --per connection (default: none)"),
    Setting("idle_timeout", parse.seconds, ("--idle-timeout",), "S",
            "a connection silent for S seconds is no longer active (default: 300)"),
    Setting("no_decap", parse.some_text, ("--no-decap",), "",
            "leave out TCP inside tunnels (GRE, VXLAN, ...)"),
    Setting("listen", parse_endpoint, ("-l", "--listen"), "ENDPOINT",
            "ipc:///path or tcp://host:port; may be repeated (default: in /run/trtop)", True),
    Setting("interval", parse.seconds, ("--interval",), "S",
            "answers may be so old, and are shared by clients (default: 0.5)"),
    Setting("server_key", parse.some_text, ("--server-key",), "FILE",
            "this daemon's secret key, for tcp:// (see trtop keygen)"),
    Setting("authorized_keys", parse.some_text, ("--authorized-keys",), "DIR",
            "public keys (*.key) of those who may connect over tcp://"),
    Setting("user", parse.some_text, ("-u", "--user"), "NAME",
            "who to become once all is open (default: trtop, the caller of sudo, nobody)"),
    Setting("stay", parse.some_text, ("--stay",), "",
            "when capturing is over for good, go on answering instead of ending with status 1"),
    Setting("no_sandbox", parse.some_text, ("--no-sandbox",), "",
            "keep system calls and files that are not needed (see SECURITY.md)"),
    Setting("pidfile", parse.some_text, ("--pidfile",), "FILE",
            "write the process number there, and remove it at the end"),
    Setting("metrics", exporting.metrics_endpoint, ("--metrics",), "[ADDR:]PORT",
            "metrics for Prometheus at /metrics, on loopback by default; or unix:PATH", True),
    Setting("otlp", exporting.otlp_url, ("--otlp",), "URL",
            "push metrics to an OTLP receiver: http, https, grpc or grpcs"),
    Setting("otlp_header", exporting.header, ("--otlp-header",), "NAME=VALUE",
            "sent with each push; may be repeated (a secret belongs into the file)", True),
    Setting("otlp_ca", parse.some_text, ("--otlp-ca",), "FILE",
            "certificates to trust (default: those of the system)"),
    Setting("otlp_interval", parse.seconds, ("--otlp-interval",), "S",
            "between two pushes (default: 60)"),
    Setting("otlp_temporality", exporting.temporality, ("--otlp-temporality",),
            "cumulative|delta", "sums since the start, or since the last push"),
    Setting("export_destinations", exporting.limit, ("--export-destinations",), "N",
            "with series of their own; others are added up (default: 100)"),
    Setting("export_bounds", exporting.bounds, ("--export-bounds",), "S[,S...]",
            "of histograms, in seconds (default: 14 within 0.0001 ... 10)"),
    Setting("export_names", exporting.names, ("--export-names",), "SOURCE[,SOURCE]",
            "names of destinations in metrics: hosts[:FILE], dns", True, True),
)  # fmt: skip

NO_SETTINGS = Settings()
"""The defaults."""

RENAMED = {"filter": "bpf_filter"}
"""Keys of a file by what they were called before; rows are filtered where they are shown."""

_BY_KEY = {setting.key: setting for setting in SETTINGS}


def make_settings(given: Mapping[str, Any], file_path: str | None) -> Settings:
    """The settings that a command line and a file make together.

    Args:
        given: values of the command line by key, read already.
        file_path: of the TOML file, if there is one.

    Raises:
        TrtopError: the file is wrong, or values contradict each other.
    """
    from_file = {} if file_path is None else read_file(file_path)
    settings = Settings(**{**from_file, **given})
    problem = _contradiction(settings)
    if problem:
        raise TrtopError(problem)
    return settings


def read_file(path: str) -> dict[str, Any]:
    """The values of a TOML file by key.

    Raises:
        TrtopError: it cannot be read, or a key or a value in it is wrong.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise TrtopError(f"{path}: is no configuration file: it is no regular file")
            data = stream.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise TrtopError(f"{path}: is too large for a configuration file")
        document = tomllib.loads(data.decode())
    except OSError as error:
        raise TrtopError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise TrtopError(f"{path}: is no text in UTF-8") from None
    except ValueError as error:  # also of a number with more digits than Python reads
        raise TrtopError(f"{path}: is no TOML: {error}") from None
    except RecursionError:
        raise TrtopError(f"{path}: is no TOML: too many brackets within each other") from None
    for old, new in RENAMED.items():
        if old in document:
            document.setdefault(new, document.pop(old))
    return {key: _value(path, key, value) for key, value in document.items()}


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for who writes to a pipe: nothing is counted meanwhile."""
    return os.open(path, flags | os.O_NONBLOCK)


def _value(path: str, key: str, value: Any) -> Any:
    setting = _BY_KEY.get(key)
    if setting is None:
        near = difflib.get_close_matches(key, _BY_KEY, N_SUGGESTIONS)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(_BY_KEY)}"
        raise TrtopError(f"{path}: unknown key {key!r}; {hint}")
    try:
        if not setting.metavar:
            if not isinstance(value, bool):
                raise ValueError("is true or false")
            return value
        if not setting.is_list:
            return setting.read(_text(value))
        return many(setting, value if isinstance(value, list) else [value])
    except ValueError as error:
        raise TrtopError(f"{path}: {key}: {error}") from None


def many(setting: Setting, values: list[Any]) -> tuple[Any, ...]:
    """The values of a list, read.

    Raises:
        ValueError: one of them is wrong.
    """
    read = [setting.read(_text(value)) for value in values]
    return tuple(item for part in read for item in part) if setting.is_spread else tuple(read)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{value!r} is neither text nor a number")
    return str(value)


def _contradiction(settings: Settings) -> str:
    """What is wrong with settings that are each right; empty if nothing."""
    if settings.server_key and not settings.authorized_keys:
        return "--server-key needs --authorized-keys DIR: the public keys of those who may connect"
    needing_otlp = [
        setting.flags[0]
        for setting in SETTINGS
        if setting.key.startswith("otlp_")
        and getattr(settings, setting.key) != getattr(NO_SETTINGS, setting.key)
    ]
    if needing_otlp and settings.otlp is None:
        return f"{needing_otlp[0]} goes with --otlp URL"
    if settings.authorized_keys and not settings.server_key:
        return "--authorized-keys needs --server-key FILE: this daemon's own secret key"
    try:
        settings.capture_config()
    except ValueError as error:
        return str(error)
    return ""
