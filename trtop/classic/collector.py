"""Collectors of the classic API: where an analyzer's packets come from.

A collector reads files, a pipe or an interface, feeds an analyzer, and gives control back when the
capture ends or somebody calls ``stop``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from trtop.classic import command_line
from trtop.classic.analyzer import BaseAnalyser
from trtop_core.batch import PacketBatch
from trtop_core.errors import EXIT_OK, TrtopError
from trtop_core.sources import open_capture, read_into

__all__ = ["BaseCollector", "TCPDumpFileCollector"]

NO_INPUT = "no capture given; try: -i FILE.pcap, or tcpdump -w - | ... -i -"


class BaseCollector:
    """Subclass this and write ``start`` and ``stop``.

    Args:
        analyzer: who takes the packets: ``feed(batch)``, or ``analyse(packet)`` one by one.
    """

    def __init__(self, analyzer: BaseAnalyser) -> None:
        self.analyzer = analyzer

    def start(self) -> None:
        """Collect; return when there is nothing more to come."""

    def stop(self) -> None:
        """Make ``start`` return soon. May be called at any time, also from a signal's handler."""


class TCPDumpFileCollector(BaseCollector):
    """Reads captures that tcpdump and others wrote: pcap, pcapng, compressed ones, pipes.

    Needs no tcpdump itself.

    Args:
        analyzer: who takes the packets.
        input_file_name: a path, ``-`` for standard input, or several of them as one capture; None:
            what the command line says.
        follow: the (last) file is still being written.

    Attributes:
        errors: what could not be read, known after ``start``.
        stdin_fd: where standard input is; elsewhere when the keyboard has taken its place.
    """

    def __init__(
        self,
        analyzer: BaseAnalyser,
        input_file_name: str | os.PathLike[str] | Sequence[str] | None = None,
        follow: bool = False,
    ) -> None:
        super().__init__(analyzer)
        self.analyser = analyzer
        self.input_file_name = input_file_name
        self.follow = follow
        self.errors: list[TrtopError] = []
        self.stdin_fd: int | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Read to the end, or until ``stop``.

        Raises:
            TrtopError: nothing could be read.
        """
        paths = self._paths()
        if not paths:
            raise TrtopError(NO_INPUT)
        with open_capture(paths, follow=self.follow, stdin_fd=self.stdin_fd) as source:
            result = read_into(self.analyzer, source, self._between)
            if result.failure is not None and result.is_unusable:
                raise result.failure
        self.errors = list(source.errors)
        self.analyzer.end()

    def stop(self) -> None:
        """Stop after the batch at hand."""
        self._stopped.set()

    @property
    def exit_status(self) -> int:
        """What the program ends with: 0, or 2 where a part could not be read."""
        return max((error.exit_status for error in self.errors), default=EXIT_OK)

    def _between(self, batch: PacketBatch) -> bool:
        self.analyzer.tick()
        return not self._stopped.is_set()

    def _paths(self) -> list[str]:
        given = self.input_file_name
        if not given:
            return list(command_line.options().inputs)
        if isinstance(given, (str, os.PathLike)):
            return [os.fspath(given)]
        return [os.fspath(path) for path in given]
