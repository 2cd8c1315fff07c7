"""A daemon whose packets come from a file, read in its own process: for tests of what is around it.

``python tests/support/file_feed.py [OPTION...]`` is ``trtopd`` without a capture subprocess.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

import zmq

from trtop_core import Engine, Snapshot, TrtopError, View
from trtop_core.health import Health
from trtop_core.sources import Source, open_capture
from trtop_core.wire import Notice, Severity
from trtop_core.wire.questions import Question, QuestionReply, answered
from trtop_daemon.ipc.feed import CaptureConfig

BATCHES_PER_TURN = 4


class FileFeed:
    """Reads the captures of ``-r`` a few batches at a time."""

    def __init__(self, config: CaptureConfig, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.sockets: list[zmq.Socket[bytes]] = []
        self.notices: tuple[Notice, ...] = ()
        self.exit_status = 0
        self.is_capturing = True
        self.failure = ""
        self.is_finished = not config.source
        self.reloaded: list[CaptureConfig] = []
        self._engine = Engine(config.engine, os.urandom(16))
        self.folder = ""
        self.child_pids = ()
        self._batches = iter(_opened(config.source.paths)) if config.source else iter(())

    def filenos(self) -> dict[int, int]:
        return {}

    def on_ready(self, budget_s: float) -> None:
        raise AssertionError("there is nothing to be ready")

    def tick(self, now_s: float) -> float:
        for _ in range(BATCHES_PER_TURN):
            if self.is_finished:
                return 60.0
            try:
                self._engine.feed(next(self._batches))
            except StopIteration:
                self._finish()
            except TrtopError as error:
                self._finish()
                self.notices = (Notice(time.time_ns(), Severity.ERROR, str(error)),)
        return 0.0

    def _finish(self) -> None:
        self._engine.finish()
        self.is_finished = True

    def snapshot(self, view: View) -> Snapshot:
        return self._engine.snapshot(view)

    def health(self) -> Health:
        return self._engine.health()

    def answer(self, view: Question) -> QuestionReply:
        return answered([self._engine], view)

    def reload(self, config: CaptureConfig) -> None:
        self.reloaded.append(config)

    def stop(self) -> None:
        return


def _opened(paths: Sequence[str]) -> Source:
    """Captures that need no rights any more to be read."""
    files = {path: os.open(path, os.O_RDONLY) for path in paths}
    return open_capture(paths, opener=lambda path, flags: os.dup(files[path]))


if __name__ == "__main__":
    from trtop_daemon import cli

    sys.exit(cli.main(make_feed=FileFeed))
