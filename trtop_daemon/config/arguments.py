"""The command line of ``trtopd``: its options come from the table of settings.

Gives what was asked for, or ``UsageError`` with one line. Opens nothing.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from trtop_core.argument_parser import argument, new_parser
from trtop_daemon.config.settings import SETTINGS, Setting

DESCRIPTION = """\
Captures packets and measures TCP connections; `trtop attach` shows what it sees.
It stays in the foreground and logs to standard error.
"""

USAGE = "trtopd [OPTION...]"

EPILOG = """\
examples:
  sudo trtopd                                     all interfaces; then: trtop attach
  sudo trtopd -i eth0 -i eth1 --fanout 2          a busy gateway
  trtopd -r incident.pcap --speed max             replay a capture
  sudo trtopd --metrics 9464                      metrics for Prometheus
  trtopd --config /etc/trtop/trtopd.toml --check  try a configuration

The keys of the file are the long options, with _ for -. SIGHUP reads the file again.
exit status: 0 stopped by SIGINT or SIGTERM; 1 could not start, or the capture is over for good;
2 a part of a replay could not be read.
"""

CAPTURING = ("interface", "bpf_filter", "snaplen", "buffer_size", "fanout", "read", "speed")
EXPORTING = (
    *("metrics", "export_destinations", "export_bounds", "export_names"),
    *("otlp", "otlp_header", "otlp_ca", "otlp_interval", "otlp_temporality"),
)
MEASURING = (
    "local",
    "direction",
    "group_by",
    "max_connections",
    "history",
    "connections",
    "idle_timeout",
    "no_decap",
)


FILTER_NOTE = "--filter is --bpf-filter now: it says what is captured; rows are filtered by clients"

_RENAMED = re.compile(r"^(?:-f|--filter)(=.*)?$", re.DOTALL)
"""The spelling of ``--bpf-filter`` before rows had filters; it goes on for one version."""

HELP_COLUMN = 30
"""Where the help of an option begins: the daemon's have long names."""


@dataclass(frozen=True, slots=True)
class Command:
    """What the command line says.

    Attributes:
        given: settings by key.
        config_path: the file of settings.
        check: only say whether it would start.
        list_interfaces: only say what there is to capture on.
        lifeline_fd: a socket whose other end lives as long as the daemon is wanted.
        notes: what the user should know of how the command line was read.
    """

    given: dict[str, Any] = field(default_factory=dict)
    config_path: str | None = None
    check: bool = False
    list_interfaces: bool = False
    lifeline_fd: int | None = None
    notes: tuple[str, ...] = ()


def parse(argv: Sequence[str]) -> Command:
    """Read the command line.

    Raises:
        UsageError: it makes no sense.
        SystemExit: ``--help`` or ``--version`` was printed.
    """
    respelled = [_RENAMED.sub(r"--bpf-filter\1", text) for text in argv]
    notes = (FILTER_NOTE,) if respelled != list(argv) else ()
    found = vars(make_parser().parse_args(respelled))
    actions = {key: value for key, value in found.items() if key in _ACTIONS}
    return Command(given=settings_in(found), notes=notes, **actions)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line; what is not given is not in its result."""
    parser = new_parser("trtopd", USAGE, DESCRIPTION, EPILOG, HELP_COLUMN)
    parser.argument_default = argparse.SUPPRESS
    add_settings(parser.add_argument_group("what to capture"), CAPTURING)
    add_settings(parser.add_argument_group("what to measure"), MEASURING)
    shown = (*CAPTURING, *MEASURING, *EXPORTING)
    rest = [setting.key for setting in SETTINGS if setting.key not in shown]
    add_settings(parser.add_argument_group("how to serve it"), rest)
    add_settings(parser.add_argument_group("metrics for other systems"), EXPORTING)
    _add_actions(parser.add_argument_group("others"))
    return parser


def add_settings(
    group: argparse._ArgumentGroup, keys: Sequence[str], keep_text: bool = False
) -> None:
    """Options for some settings, without defaults.

    Args:
        group: where to.
        keys: of the settings.
        keep_text: check the values, but give them as they were written.
    """
    by_key = {setting.key: setting for setting in SETTINGS}
    for key in keys:
        setting = by_key[key]
        if not setting.metavar:
            group.add_argument(
                *setting.flags,
                dest=key,
                action="store_true",
                help=setting.help,
                default=argparse.SUPPRESS,
            )
            continue
        group.add_argument(
            *setting.flags,
            dest=key,
            type=_reader(setting, keep_text),
            action="append" if setting.is_list else "store",
            metavar=setting.metavar,
            help=setting.help,
            default=argparse.SUPPRESS,
        )


def settings_in(found: dict[str, Any]) -> dict[str, Any]:
    """The settings among what a parser found, lists as tuples."""
    given = {}
    for setting in SETTINGS:
        if setting.key not in found:
            continue
        value = found[setting.key]
        if setting.is_spread:
            value = tuple(item for part in value for item in part)
        given[setting.key] = tuple(value) if setting.is_list else value
    return given


_ACTIONS = ("config_path", "check", "list_interfaces", "lifeline_fd")


def _add_actions(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("-c", "--config", dest="config_path", metavar="FILE.toml",
        help="settings; the command line goes before them")  # fmt: skip
    add("--check", action="store_true", help="say whether it would start, and exit")
    add("-D", "--list-interfaces", action="store_true", help="say what -i may name, and exit")
    add("--foreground", action="store_true", help="nothing: it never goes to the background")
    add("--lifeline", dest="lifeline_fd", type=int, help=argparse.SUPPRESS)
    add("-h", "--help", action="help", help="show this help and exit")
    add("-V", "--version", action="version", version=f"trtopd {_version()}",
        help="show the version and exit")  # fmt: skip


def arguments_for(found: dict[str, Any], keys: Sequence[str]) -> list[str]:
    """The command line that says what a parser found of some settings, kept as text."""
    arguments = []
    for setting in SETTINGS:
        if setting.key not in keys or setting.key not in found:
            continue
        value = found[setting.key]
        if not setting.metavar:
            arguments.append(setting.flags[-1])
            continue
        for text in value if setting.is_list else [value]:
            arguments.append(f"{setting.flags[-1]}={text}")
    return arguments


def _reader(setting: Setting, keep_text: bool) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        value = setting.read(text)
        return text if keep_text else value

    return argument(read)


def _version() -> str:
    try:
        return version("trtop")
    except PackageNotFoundError:
        return "(not installed)"
