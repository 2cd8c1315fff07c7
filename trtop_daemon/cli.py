"""The ``trtopd`` command: the one place of the daemon where errors become a line and a status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# numpy starts a thread for each core as it is imported, which nobody here needs, and which would
# keep what the thread that starts it gives up later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from trtop_core.errors import EXIT_OK, EXIT_UNUSABLE, TrtopError, reason_of
from trtop_daemon.config.arguments import parse
from trtop_daemon.config.check import check, print_interfaces
from trtop_daemon.daemon import FeedMaker, run
from trtop_daemon.processes import supervisor
from trtop_daemon.system.log import printable

EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None, make_feed: FeedMaker = supervisor.make_feed) -> int:
    """Run the daemon.

    Args:
        argv: arguments without the program's name; None takes those of the process.
        make_feed: where packets come from; replaced in tests.

    Returns:
        The exit status: 0 after SIGINT or SIGTERM, 1 where it could not start or go on.
    """
    _open_missing_streams()
    try:
        command = parse(sys.argv[1:] if argv is None else argv)
        if command.list_interfaces:
            return print_interfaces(sys.stdout)
        if command.check:
            for note in command.notes:
                sys.stderr.write(f"trtopd: {note}\n")
            return check(command, sys.stdout, sys.stderr)
        return run(command, make_feed)
    except TrtopError as error:
        sys.stderr.write(f"trtopd: {printable(str(error))}\n")
        return error.exit_status
    except OSError as error:  # of the system's own: a full disk, no descriptors left
        sys.stderr.write(f"trtopd: {printable(reason_of(error))}\n")
        return EXIT_UNUSABLE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SystemExit as done:  # argparse after --help and --version
        return int(done.code or EXIT_OK)


def _open_missing_streams() -> None:
    """A stream that was closed (``2>&-``) swallows what is written to it, a child's too.

    A child that found its place free would have another file of its own there.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - open to the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
