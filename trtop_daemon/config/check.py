"""What could be captured here, and whether a daemon would start: looked at, not begun.

Takes settings, writes lines for people; gives an exit status. Leaves nothing behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

from trtop_core.errors import EXIT_OK, EXIT_UNUSABLE, TrtopError
from trtop_core.sources import open_capture
from trtop_core.wire.endpoint import Endpoint, default_listen
from trtop_daemon.capture.bpf_filter import check_filter
from trtop_daemon.config.arguments import Command
from trtop_daemon.config.exporting import missing_packages
from trtop_daemon.config.settings import Settings, make_settings
from trtop_daemon.keys import read_authorized, read_key_pair
from trtop_daemon.server.listener import refuse_unguarded
from trtop_daemon.system import sandbox
from trtop_daemon.system.interfaces import list_interfaces
from trtop_daemon.system.log import printable
from trtop_daemon.system.privileges import (
    CAP_NET_RAW,
    NO_RIGHT,
    Identity,
    choose_identity,
    has_permitted,
    name_of,
)
from trtop_daemon.system.socket_file import check_path


def print_interfaces(stdout: TextIO) -> int:
    """Write what ``-i`` may name, one per line: the name, its state, its addresses."""
    interfaces = list_interfaces()
    width = max(len(interface.name) for interface in interfaces)
    states = {None: "", True: "up", False: "down"}
    for interface in interfaces:
        addresses = " ".join(interface.addresses)
        line = f"{interface.name:{width}}  {states[interface.is_up]:4}  {addresses}"
        stdout.write(printable(line.rstrip()) + "\n")
    return EXIT_OK


def check(command: Command, stdout: TextIO, stderr: TextIO) -> int:
    """Say whether a daemon with these settings would start now, and all that is in its way.

    Raises:
        TrtopError: the settings themselves are wrong.
    """
    settings = make_settings(command.given, command.config_path)
    problems = list(_problems(settings))
    for problem in problems:
        stderr.write(f"trtopd: {printable(problem)}\n")
    if problems:
        return EXIT_UNUSABLE
    identity = choose_identity(settings.user, os.environ)
    what = (
        f"replay {' '.join(settings.read)}"
        if settings.read
        else (f"capture on {' '.join(settings.interface)}")
    )
    where = ", ".join(map(str, _endpoints(settings)))
    who = "" if identity is None else f", as {name_of(identity)}"
    more = "".join(f", metrics at {endpoint}" for endpoint in settings.metrics)
    more += "" if settings.otlp is None else f", pushing metrics to {settings.otlp}"
    stdout.write(printable(f"trtopd would {what}{who}, and listen on {where}{more}") + "\n")
    stdout.write(f"confined would be: {_confined(settings)}\n")
    return EXIT_OK


def _confined(settings: Settings) -> str:
    if settings.no_sandbox:
        return "nothing (--no-sandbox)"
    held = sandbox.available()
    return "; ".join(part for part in (str(held), held.lack) if part)


def _problems(settings: Settings) -> Iterator[str]:
    yield from _raised(partial(choose_identity, settings.user, os.environ))
    if settings.read:
        yield from _raised(lambda: open_capture(settings.read).close())
    else:
        yield from _capture_problems(settings)
    yield from _raised(lambda: _endpoints(settings))
    has_keys = settings.server_key is not None
    for endpoint in settings.listen:
        yield from _raised(partial(refuse_unguarded, endpoint, has_keys))
    yield from _path_problems(settings)
    yield from missing_packages(bool(settings.metrics), settings.otlp)
    if settings.server_key is not None and settings.authorized_keys is not None:
        server_key, folder = settings.server_key, settings.authorized_keys
        yield from _raised(lambda: read_key_pair(server_key))
        yield from _raised(lambda: read_authorized(folder))


def _capture_problems(settings: Settings) -> Iterator[str]:
    if not has_permitted(CAP_NET_RAW):
        yield NO_RIGHT
    names = {interface.name for interface in list_interfaces()}
    for name in settings.interface:
        if name not in names:
            yield f"there is no interface {name}; trtopd --list-interfaces shows what there is"
    if settings.bpf_filter is not None:
        expression = settings.bpf_filter
        yield from _raised(lambda: check_filter(expression))


def _path_problems(settings: Settings) -> Iterator[str]:
    try:
        identity = choose_identity(settings.user, os.environ)
    except TrtopError:
        return
    owner = identity or Identity(os.getuid(), os.getgid())
    for endpoint in (*settings.listen, *settings.metrics):
        if endpoint.path is not None:
            yield from _raised(partial(check_path, endpoint.path, owner.uid, owner.gid))
    if settings.pidfile is not None and not Path(settings.pidfile).parent.is_dir():
        yield f"{settings.pidfile}: cannot be written: there is no such folder"


def _endpoints(settings: Settings) -> tuple[Endpoint, ...]:
    if settings.listen:
        return settings.listen
    try:
        return (default_listen(os.environ, os.geteuid() == 0),)
    except ValueError as error:
        raise TrtopError(str(error)) from None


def _raised(step: Callable[[], object]) -> Iterator[str]:
    """What a step complains of."""
    try:
        step()
    except TrtopError as error:
        yield str(error)
