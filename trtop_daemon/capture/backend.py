"""``Backend``: a way to get packets, and what the daemon must know of it.

Takes what a capture subprocess is told to open, gives something open that hands packets over. The
main process asks a backend what its subprocesses are and what becomes of one that ends; only a
subprocess opens. Knows no backend: ``trtop_daemon.capture.backends`` lists them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trtop_daemon.capture.batch_sender import BatchSender
from trtop_daemon.capture.control import Control
from trtop_daemon.ipc.batch_message import Totals
from trtop_daemon.ipc.feed import CaptureConfig


@dataclass(frozen=True, slots=True)
class OpenConfig:
    """What one subprocess opens.

    Attributes:
        target: an interface, or what the backend calls what it reads.
        fanout_group: number of the PACKET_FANOUT group to join, or None.
        capture: how to capture; of the engine's configuration only ``decap`` matters here.
    """

    target: str
    fanout_group: int | None
    capture: CaptureConfig


class Opened(Protocol):
    """Something open that gives packets, in a subprocess that has no rights any more."""

    def run(self, sender: BatchSender, control: Control) -> None:
        """Hand packets over until there are no more, or the main process orders a stop.

        Raises:
            TrtopError: it cannot go on, or a part could not be read; what could be was sent.
            ProcessLookupError: the main process is gone.
        """

    def final_totals(self) -> Totals:
        """What was counted, known after ``run``."""

    def close(self) -> None:
        """Free everything."""


class Backend:
    """Subclass this, write ``open`` and ``targets``, and say what differs.

    Attributes:
        needs_rights: opening takes CAP_NET_RAW, also when a subprocess is started anew; else it is
            opened as whoever started the daemon, once.
        restarts: a subprocess that ends unasked is started anew, and the time between is a gap.
        ends: the packets come to an end by themselves, and the feed is finished then. They are no
            traffic of this machine now: its addresses and interfaces mean nothing.
        on_interfaces: a target is a network interface, which may vanish and come back.
    """

    needs_rights = False
    restarts = False
    ends = True
    on_interfaces = False

    def open(self, config: OpenConfig) -> Opened:
        """Open a target.

        Raises:
            TrtopError: it cannot be.
        """
        raise NotImplementedError

    def targets(self, config: CaptureConfig) -> Sequence[str]:
        """What is opened, each by a subprocess, or by several that share it."""
        raise NotImplementedError

    def check(self, config: CaptureConfig) -> None:
        """Refuse what cannot be captured, before anything is opened.

        Raises:
            TrtopError: there is something wrong.
        """

    def reads_stdin(self, config: CaptureConfig) -> bool:
        """Whether a subprocess needs the daemon's standard input."""
        return False
