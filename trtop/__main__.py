"""``python -m trtop``: the same as the ``trtop`` command."""

from __future__ import annotations

import sys

from trtop.start import main

if __name__ == "__main__":
    sys.exit(main())
