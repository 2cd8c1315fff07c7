"""The ``trtop`` command, and ``python -m trtop``: loads the command and runs it.

Loading takes a while: Ctrl-C meanwhile ends it quietly. With privileges it is done only after the
import path was closed.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable

from trtop_daemon.system.import_path import UntrustedPathError, close_import_path

EXIT_UNUSABLE = 1
EXIT_INTERRUPTED = 130
"""128 and the number of SIGINT: the shells' convention."""


def main() -> int:
    """Run the command of this process's arguments; gives the exit status."""
    try:
        close_import_path()
        return _load()(is_own_process=True)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (UntrustedPathError, ModuleNotFoundError) as error:
        sys.stderr.write(f"trtop: {error}\n")
        return EXIT_UNUSABLE


def _load() -> Callable[..., int]:
    """Import the command. Nothing that this makes is garbage: the collector need not look at it.

    Nothing here multiplies matrices: numpy's library for that need not start a thread per core.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()
    try:
        from trtop.cli.main import main as run  # noqa: PLC0415 - this is what takes the time

        return run
    finally:
        gc.freeze()
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
