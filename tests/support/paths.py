"""Where the repository, its example and the shared captures are, seen from wherever tests run."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

TESTS = ROOT / "tests"

EXAMPLE = ROOT / "examples" / "services.pcap"

CAPTURES = Path(os.environ.get("TRTOP_CAPTURES") or ROOT.parent / "shared" / "captures")
"""Real captures beside the repository; where they are not there, their tests are skipped."""
