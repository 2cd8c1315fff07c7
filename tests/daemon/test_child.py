"""What the main process knows of a capture process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from trtop_daemon.processes.child import Child, Children

TIMEOUT_S = 120


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no pidfds here")
def test_a_process_that_ended_before_it_was_watched_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(TIMEOUT_S)  # and so nobody can ask the kernel for it any more
    reading, control = os.pipe()
    said, saying = os.pipe()
    os.write(saying, b"out of order\n")
    os.close(saying)
    child = Child(Children(None), process.pid, control, said)
    assert child.has_ended
    assert child.how_it_ended() == "out of order"
    child.end(grace_s=0)
    for fd in (control, said, child.pidfd):
        with pytest.raises(OSError):
            os.fstat(fd)
    os.close(reading)
