"""The ``trtop`` command: the one place where errors become a line on stderr and an exit status."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

# numpy starts a thread for each core as it is imported, for linear algebra that nobody here does.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from trtop.cli.meant import what_was_meant
from trtop.cli.report import run
from trtop.escape import escape
from trtop.options import commands
from trtop.options.report_options import parse
from trtop.runtime.config_file import read_config
from trtop.runtime.diagnostics import EXIT_SIGNALLED
from trtop.runtime.environment import Environment
from trtop_core.errors import EXIT_OK, EXIT_UNUSABLE, TrtopError


def main(argv: Sequence[str] | None = None, is_own_process: bool = False) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; None takes those of the process.
        is_own_process: nothing but the command runs here, so that it may confine the process.

    Returns:
        The exit status: 0, 1 (nothing measured) or 2 (a part could not be read), and 128 plus the
        signal's number when a signal ended the reading of files early. A signal is how a live
        capture usually ends: there it changes nothing.
    """
    _open_missing_streams()
    status = EXIT_OK
    try:
        status = _main(sys.argv[1:] if argv is None else argv, is_own_process)
        sys.stdout.flush()
    except BrokenPipeError:  # `trtop | head`: the reader has seen enough
        _silence_stdout()
    except OSError as error:
        _silence_stdout()
        return _fail(f"the report cannot be written: {error.strerror}", EXIT_UNUSABLE)
    return status


def _main(argv: Sequence[str], is_own_process: bool) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        env = Environment(is_own_process=is_own_process)
        if argv and argv[0] in commands.NAMES:
            command = import_module(f"trtop.cli.{argv[0]}")
            return int(command.main(argv[1:], env))
        if not argv and env.stdout.isatty():
            env.stdout.write(f"{commands.listing()}\n\ntrtop --help: all options\n")
            return EXIT_UNUSABLE
        configured = read_config(env.environ, os.geteuid()).configured
        options = parse(argv, configured=configured)
        for note in options.notes:
            env.stderr.write(f"trtop: {escape(note)}\n")
        if not options.follow and (line := what_was_meant(options.inputs)):
            raise TrtopError(line)
        if options.wants_screen and env.can_redraw() and not options.parts.needs_session:
            # A report does without the screen, which takes a while to import.
            from trtop.cli.view import view  # noqa: PLC0415
            from trtop.runtime.screen_setup import can_open_screen  # noqa: PLC0415

            if can_open_screen(options, env):
                return view(options, env)
        return run(options, env)
    except TrtopError as error:
        return _fail(str(error), error.exit_status)
    except KeyboardInterrupt:
        return EXIT_SIGNALLED + signal.SIGINT
    except SystemExit as done:  # argparse after --help and --version
        return int(done.code or EXIT_OK)


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"trtop: {escape(message)}\n")
    return status


def _open_missing_streams() -> None:
    """A stream that the shell closed (``2>&-``) swallows what is written to it."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - open to the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _silence_stdout() -> None:
    """Nobody reads any more: keep the interpreter from complaining about that when it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return
