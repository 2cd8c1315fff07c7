"""Started first: it loads the command, so that Ctrl-C while that is under way ends quietly.

With privileges it does so only after it has closed the import path.
"""

from __future__ import annotations

import sys

from trtop_daemon.system.import_path import UntrustedPathError, close_import_path

EXIT_UNUSABLE = 1
EXIT_INTERRUPTED = 130
"""128 and the number of SIGINT: the shells' convention."""


def main() -> int:
    """Run the command of this process's arguments; gives the exit status."""
    try:
        close_import_path()
        from trtop.cli.main import main as run  # noqa: PLC0415 - this is what takes the time

        return run()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (UntrustedPathError, ModuleNotFoundError) as error:
        sys.stderr.write(f"trtop: {error}\n")
        return EXIT_UNUSABLE
