"""``trtop live``: a daemon and a client for it in one command; nothing is left when it ends.

Takes options of both, starts ``trtopd`` with a socket of its own in a new folder, and shows what it
sees. The two are tied by a socket pair: however this process ends, the daemon sees it end and
stops; a daemon that ends first is said with its own words.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from typing import IO

from trtop.cli.attach import attach
from trtop.options.attach_options import AttachOptions, add_display, make_options
from trtop.options.configured import parse_args
from trtop.options.old_spellings import respell_capture_filter
from trtop.options.parser import add_every
from trtop.reporters.arrow_batches import need_pyarrow
from trtop.reporters.formats import COLUMNAR, Per
from trtop.reporters.html_page.reporter import load_parts
from trtop.runtime.config_file import read_config
from trtop.runtime.environment import Environment
from trtop.runtime.signals import Interrupt
from trtop_core.argument_parser import argument, new_parser
from trtop_core.errors import EXIT_OK, TrtopError, reason_of
from trtop_core.wire.endpoint import SOCKET_NAME, Endpoint
from trtop_daemon.config.arguments import CAPTURING, MEASURING, add_settings, arguments_for
from trtop_daemon.processes.runtime_dir import PUBLIC_FOLDER
from trtop_daemon.system.import_path import isolated
from trtop_daemon.system.privileges import (
    ROOT_UID,
    Identity,
    caller_of_sudo,
    can_become,
    choose_identity,
    drop_to,
)
from trtop_daemon.system.socket_file import acting_as, user_name

USAGE = "trtop live [OPTION...]"

DESCRIPTION = """\
Captures and shows, in one command; needs the right to capture (sudo).
"""

EPILOG = """\
examples:
  sudo trtop live                     all interfaces
  sudo trtop live -i eth0 --sort rtt  the slowest services first
  trtop live -r incident.pcap         watch a capture at its own pace
  sudo trtop live --per connection --format ndjson

For more than one viewer, or for days, run trtopd and use trtop attach.
"""

START_TIMEOUT_S = 20.0
"""A daemon that has not begun by then never will."""

STOP_TIMEOUT_S = 10.0
"""A daemon that has not ended by then is killed."""

STDERR_TAIL_BYTES = 4096

OWN_PREFIX = "trtopd: "
"""Start of the one line in which a daemon says why it could not start or go on."""

LATER = (
    "encodings.idna",
    "importlib.metadata",
    "importlib.util",
    "trtop.names.resolvers",
    "trtop.reporters.csv_rows",
    "trtop.reporters.json_document",
    "trtop.reporters.json_lines",
    "trtop.reporters.text_table",
    "trtop.table.redraw",
)
"""Modules that the screen, or a report, imports only when it needs them."""

LATER_OF_ARROW = ("pyarrow.compute", "pyarrow.parquet")
"""Modules that pyarrow imports only when it needs them."""

PREFIX = "trtop-live-"

SLICE_S = 0.1

N_RECORDS = 1 << 18
"""Records of connections that the daemon keeps for this process: 200 MB, if so many wait."""

SETTINGS_HERE = (
    *CAPTURING,
    *(key for key in MEASURING if key != "group_by"),
    "user",
    "no_sandbox",
)
"""Settings of the daemon that are options here; ``--group-by`` belongs to the table."""


def main(argv: Sequence[str], env: Environment) -> int:
    """Run the command.

    Raises:
        TrtopError: wrong options, or the capture cannot begin or go on.
    """
    argv, notes = respell_capture_filter(argv)
    for note in notes:
        env.stderr.write(f"trtop: {note}\n")
    configured = read_config(env.environ, os.geteuid()).configured
    given = parse_args(make_parser(), argv, configured)
    options = make_options(given, ())
    arguments = arguments_for(vars(given), SETTINGS_HERE)
    if options.per is Per.CONNECTION and getattr(given, "connections", None) is None:
        arguments.append(f"--connections={N_RECORDS}")
    with ExitStack() as stack:
        interrupt = stack.enter_context(Interrupt(env.monotonic_s, 0))
        identity = _identity(getattr(given, "user", None), env.environ)
        if identity is not None:
            arguments.append(f"--user={identity.uid}:{identity.gid}")
        folder = _make_folder(identity)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        endpoint = Endpoint(path=os.path.join(folder, SOCKET_NAME))
        daemon = stack.enter_context(_Daemon([*arguments, f"--listen={endpoint}"]))
        if not daemon.wait_until_ready(lambda: interrupt.signal is not None):
            return EXIT_OK
        if os.geteuid() == ROOT_UID:
            _import_all(options)
            drop_to(identity)  # what only shows needs no rights
            if identity is not None:  # said before files of users are out of reach
                options = replace(options, writes_as=user_name(identity.uid))
        shown = replace(options, endpoints=(endpoint,), timeout_s=START_TIMEOUT_S)
        status = EXIT_OK
        try:
            status = attach(shown, env, daemon.has_ended, (daemon.pid,), daemon.stop)
        except TrtopError:
            if not daemon.has_ended():
                raise
        if daemon.has_failed():
            raise TrtopError(daemon.stderr_tail())
    return status if options.per is Per.CONNECTION else EXIT_OK


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line; it raises ``UsageError`` where argparse would exit."""
    parser = new_parser("trtop live", USAGE, DESCRIPTION, EPILOG)
    capturing = parser.add_argument_group("what to capture")
    add_settings(capturing, [key for key in SETTINGS_HERE if key not in MEASURING], True)
    capturing.add_argument("-h", "--help", action="help", help="show this help and exit")
    measuring = parser.add_argument_group("what to measure")
    add_settings(measuring, [key for key in SETTINGS_HERE if key in MEASURING], True)
    add_display(parser)
    add_every(parser.add_argument_group("which time"), ", as time goes on")
    for option in ("--from", "--to"):
        parser.add_argument(option, type=argument(_refused), help=argparse.SUPPRESS)
    return parser


def _refused(text: str) -> None:
    """The value of an option that makes no sense here.

    Raises:
        ValueError: always.
    """
    raise ValueError(
        f"{text}: trtop live begins now; the past is in a daemon (trtop attach --from) or a file"
    )


def _identity(user: str | None, environ: Mapping[str, str]) -> Identity | None:
    """Whom root becomes for the daemon and for the screen, which saves reports as the caller.

    Raises:
        TrtopError: there is no such user, or root cannot become them.
    """
    caller = caller_of_sudo(environ)
    if user is None and caller is not None:
        user = f"{caller.uid}:{caller.gid}"
        if os.geteuid() == ROOT_UID and not can_become(caller):
            return None
    return choose_identity(user, environ)


def _make_folder(identity: Identity | None) -> str:
    """A new folder of the user whom the daemon becomes."""
    uid, gid = (os.geteuid(), os.getegid()) if identity is None else (identity.uid, identity.gid)
    with acting_as(uid, gid):
        try:
            return tempfile.mkdtemp(prefix=PREFIX)
        except OSError:  # root's own TMPDIR may be a place where that user cannot go
            try:
                return tempfile.mkdtemp(prefix=PREFIX, dir=PUBLIC_FOLDER)
            except OSError as error:
                who = user_name(uid)
                raise TrtopError(f"no folder for the user {who}: {reason_of(error)}") from None


def _import_all(options: AttachOptions) -> None:
    """Import what is else imported when it is used: nobody may not read a Python in root's home.

    The same holds for the parts of the page that the screen saves.
    """
    load_parts()
    for name in LATER:
        import_module(name)
    if options.report_format in COLUMNAR:
        need_pyarrow()
        for name in LATER_OF_ARROW:
            import_module(name)
    if options.names:
        import_module("trtop.names.dns")
        import_module("dns.rdata").load_all_types()


class _Daemon:
    """A ``trtopd`` that lives as long as this object is open.

    Args:
        arguments: its command line, without the lifeline.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
        self._is_stopping = False
        self._lifeline, theirs = socket.socketpair()
        command = isolated("trtop_daemon", *arguments)
        with theirs:
            self._process = subprocess.Popen(
                [*command, f"--lifeline={theirs.fileno()}"],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is for us: we end it
            )

    def __enter__(self) -> _Daemon:
        return self

    def __exit__(self, *exc: object) -> None:
        """End the daemon; after a while with force."""
        self._lifeline.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return self._process.pid

    def has_ended(self) -> bool:
        """The daemon's process is no more."""
        return self._process.poll() is not None

    def has_failed(self) -> bool:
        """The daemon's process has ended, and not because it was told to."""
        return self.has_ended() and (not self._is_stopping or self._process.returncode != 0)

    def stop(self) -> None:
        """Tell the daemon that nobody wants it any more; it has last answers to give."""
        self._is_stopping = True
        self._lifeline.close()

    def wait_until_ready(self, is_over: Callable[[], bool]) -> bool:
        """Wait until clients are answered; False if the user had enough first.

        Raises:
            TrtopError: it did not start.
        """
        self._lifeline.settimeout(SLICE_S)
        end_s = time.monotonic() + START_TIMEOUT_S
        while not is_over():
            try:
                is_ready = bool(self._lifeline.recv(1))
            except TimeoutError:
                if time.monotonic() > end_s:
                    raise TrtopError(
                        f"trtopd has not started within {START_TIMEOUT_S:.0f} s"
                    ) from None
                continue
            except ConnectionError:
                is_ready = False
            if is_ready:
                return True
            self._process.wait(STOP_TIMEOUT_S)
            raise TrtopError(self.stderr_tail())
        return False

    def stderr_tail(self) -> str:
        """What the daemon said at its end."""
        self._log.seek(max(0, os.fstat(self._log.fileno()).st_size - STDERR_TAIL_BYTES))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        errors = [line.removeprefix(OWN_PREFIX) for line in lines if line.startswith(OWN_PREFIX)]
        if errors:
            return errors[-1]
        said = f": {lines[-1]}" if lines else ""
        return f"trtopd has ended with status {self._process.returncode}{said}"
