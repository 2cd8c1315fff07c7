"""``python -m trtop_daemon``: the same as the ``trtopd`` command."""

from __future__ import annotations

import sys

from trtop_daemon.cli import main

if __name__ == "__main__":
    sys.exit(main())
