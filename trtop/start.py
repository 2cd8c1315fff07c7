"""Started first: it loads the command, so that Ctrl-C while that is under way ends quietly."""

from __future__ import annotations

EXIT_INTERRUPTED = 130
"""128 and the number of SIGINT: the shells' convention."""


def main() -> int:
    """Run the command of this process's arguments; gives the exit status."""
    try:
        from trtop.cli.main import main as run  # noqa: PLC0415 - this is what takes the time
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return run()
