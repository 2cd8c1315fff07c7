"""What the command's own process keeps once it knows what it reads, shows and writes.

Takes options and environment; confines the process for good. Not where code of the user's own runs
in it, of which nobody knows what it needs; nor where the command is called from a program of
somebody else's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from trtop.options.report_options import STDIN, Options
from trtop.runtime.environment import Environment
from trtop_daemon.system import sandbox
from trtop_daemon.system.landlock import READ, WRITE, Access
from trtop_daemon.system.sandbox import DNS_PORT, NAME_FILES, Files, Grants, folder_of
from trtop_daemon.system.syscalls import Kind

if TYPE_CHECKING:  # what travels to daemons takes a while to import
    from trtop_core.wire.endpoint import Endpoint

TEMPORARY = "/tmp"
"""Where reports may be saved besides, unless ``TMPDIR`` says otherwise."""

OWN_NAMES = frozenset({"none", "dns", "capture", "hosts"})
"""Sources of names that are trtop's; any other is code of the user's own."""


class NamingOptions(Protocol):
    """What a command line says of names."""

    @property
    def names(self) -> tuple[str, ...]:
        """Resolvers by name."""

    @property
    def resolver(self) -> str | None:
        """A resolver of one's own."""

    @property
    def whitelist(self) -> str | None:
        """A whitelist of one's own."""

    @property
    def no_sandbox(self) -> bool:
        """The user wants nothing confined."""


def confine_reading(options: Options, env: Environment, has_screen: bool = False) -> None:
    """Confine a process that reads captures: to these, and to the reports that it writes.

    Args:
        options: of the command line; names are made, and their files read.
        env: whose process it is.
        has_screen: reports may be saved from it, beneath the working directory too.
    """
    if not _may_confine(options, env):
        return
    files = _captures(options.inputs, options.follow)
    if options.out_prefix is not None:
        files += ((folder_of(options.out_prefix), WRITE),)
    if has_screen:
        files += _shown(env)
    asks_dns = _asks_dns(options.names)
    if asks_dns:
        files += NAME_FILES
    connects = (DNS_PORT,) if asks_dns else ()
    grants = Grants(files, connects=connects, uses_internet=asks_dns)
    sandbox.confine(Kind.FILE, grants)


def confine_showing(
    options: NamingOptions,
    env: Environment,
    endpoints: Sequence[Endpoint],
    daemon_pids: tuple[int, ...] = (),
) -> None:
    """Confine a process that shows what daemons see: to these, and to the reports that it saves.

    Args:
        options: of the command line; names are made, and their files read.
        env: whose process it is.
        endpoints: of the daemons.
        daemon_pids: daemons that live for this process, which may have to end them.
    """
    if not _may_confine(options, env):
        return
    ports = tuple(endpoint.port for endpoint in endpoints if endpoint.path is None)
    asks_dns = _asks_dns(options.names)
    files = _shown(env)
    if daemon_pids:  # their socket's folder goes with this process
        for endpoint in endpoints:
            folder = folder_of(endpoint.path or "")
            files += ((folder, WRITE), (folder_of(folder), Access.REMOVE_DIR))
    if ports or asks_dns:
        files += NAME_FILES
    grants = Grants(
        files,
        connects=(*ports, DNS_PORT) if ports or asks_dns else (),
        uses_internet=bool(ports) or asks_dns,
        signals=daemon_pids,
    )
    sandbox.confine(Kind.SCREEN, grants)


def _may_confine(options: NamingOptions, env: Environment) -> bool:
    if not env.is_own_process or options.no_sandbox:
        return False
    has_own_code = options.resolver or options.whitelist
    return not has_own_code and all(_bare(name) in OWN_NAMES for name in options.names)


def _asks_dns(names: Iterable[str]) -> bool:
    return any(_bare(name) == "dns" for name in names)


def _bare(name: str) -> str:
    return name.partition(":")[0]


def _captures(paths: Sequence[str], follow: bool) -> Files:
    """The files; where one is followed, the next of its name comes into its folder."""
    named = [path for path in paths if path != STDIN]
    found = [(path, READ) for path in named]
    if follow:
        found += [(folder_of(path), READ) for path in named[-1:]]
    return tuple(found)


def _shown(env: Environment) -> Files:
    """What a screen takes: the terminal's description, and where its user saves reports."""
    folders = [env.environ.get("TMPDIR") or TEMPORARY]
    if os.path.isdir(".") and os.getcwd() != os.sep:
        folders.append(os.getcwd())
    return (*sandbox.terminal_files(env.environ), *((path, WRITE) for path in folders))
