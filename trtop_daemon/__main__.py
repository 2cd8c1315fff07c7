"""The ``trtopd`` command, and ``python -m trtop_daemon``: closes the import path, then runs."""

from __future__ import annotations

import sys

from trtop_daemon.system.import_path import UntrustedPathError, close_import_path

EXIT_UNUSABLE = 1
EXIT_INTERRUPTED = 130
"""128 and the number of SIGINT: the shells' convention."""


def main() -> int:
    """Run the daemon with this process's arguments; gives the exit status."""
    try:
        close_import_path()
        from trtop_daemon.cli import main as run  # noqa: PLC0415 - only now is it safe

        return run()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (UntrustedPathError, ModuleNotFoundError) as error:
        sys.stderr.write(f"trtopd: {error}\n")
        return EXIT_UNUSABLE


if __name__ == "__main__":
    sys.exit(main())
