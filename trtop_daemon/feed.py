"""``Feed``: everything from the devices to the engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import zmq

from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_core.wire import Notice


class Feed(Protocol):
    sockets: list[zmq.Socket[bytes]]
    notices: tuple[Notice, ...]
    is_finished: bool

    def filenos(self) -> dict[int, int]: ...
    def on_ready(self) -> None: ...
    def tick(self, now_s: float) -> float: ...
    def snapshot(self, view: View) -> Snapshot: ...
    def reload(self, config: Any) -> None: ...
    def stop(self) -> None: ...
