"""Runs ``trtopd`` at a host of the laboratory, and asks it what it saw."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from support.netns import Host

from lab import LabError
from lab.processes import run, running, wait_until

START_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 30.0
SNAPLEN_BYTES = 4_096
"""Whole packets: cleartext HTTP/2 is followed by all of its frames."""

Row = Mapping[str, Any]


@contextlib.contextmanager
def watching(host: Host, folder: Path) -> Iterator[Callable[[str], Row]]:
    """Capture at a host's interface; gives a function that asks for a destination's row."""
    log, socket = folder / "trtopd.log", folder / "trtopd.sock"
    words = ["-i", host.link, "--listen", f"ipc://{socket}", "--user", "root"]
    words += ["--snaplen", str(SNAPLEN_BYTES), "--interval", "0.1"]
    with running(host, [sys.executable, "-m", "trtop_daemon", *words], log):
        wait_until(lambda: b"listening on" in log.read_bytes(), START_TIMEOUT_S, "trtopd starts")

        def ask(address: str) -> Row:
            command = [sys.executable, "-m", "trtop", "attach", "--once", "--format", "json"]
            out = run(host, [*command, f"ipc://{socket}"], ANSWER_TIMEOUT_S)
            rows = {row["destination"]: row for row in json.loads(out)["destinations"]}
            if address not in rows:
                raise LabError(f"trtopd has not seen {address}: {list(rows)}")
            return rows[address]

        yield ask
