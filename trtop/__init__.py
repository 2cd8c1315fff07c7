"""trtop: TCP Remote Top. One row per remote destination, from the packets themselves.

What a user touches: the ``trtop`` command and its reporters. Takes snapshots of ``trtop_core`` and
shows them; never decodes, counts or merges anything itself.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
