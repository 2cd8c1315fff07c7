"""``EventLog``: what clients see of a capture's troubles, in the log, for those who look later.

Takes notices and the capture's health again and again, with the time; logs what is new. What comes
again and again is logged with its number, once in a while. Each line has fields for the journal.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

from trtop_core.health import SUSPECT_LOSS, Health
from trtop_core.wire import Notice, Severity
from trtop_daemon.system.log import printable

LOG = logging.getLogger(__name__)

SAME_S = 10.0
"""Notices that differ in their numbers alone are logged once in this time."""

COUNTERS_S = 60.0
"""What a counter has gained is logged once in this time."""

LOSS_SPAN_S = 10.0
"""Packets lost are a share of those of so long a time, or of the time since they were last told."""

MAX_KINDS = 256
"""Kinds of notices remembered; names of interfaces and files may be any."""

LEVELS = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ERROR: logging.ERROR,
}

_NUMBERS = re.compile(r"[0-9][0-9.,]*")


@dataclass(frozen=True, slots=True)
class Counted:
    """A counter of ``Health`` that should not rise.

    Attributes:
        name: of the field; one that this version of ``Health`` does not have is passed over.
        says: the line, with ``{n}`` for what it has gained.
    """

    name: str
    says: str


COUNTED = (
    Counted("evicted", "{n} connections were forgotten: the table is full (see --max-connections)"),
    Counted("holes_unkept", "{n} holes were judged at once: the memory for holes is full"),
    Counted("samples_unbinned", "{n} latencies are in no percentile: the memory for bins is full"),
    Counted("read_lost", "{n} packets were lost when an interface went down"),
    Counted("untimed", "{n} packets without a time were skipped"),
    Counted("clock_steps", "the clock of the packets stepped {n} times"),
)


class EventLog:
    """Remembers what has been logged.

    Args:
        log: where to.
    """

    def __init__(self, log: logging.Logger = LOG) -> None:
        self._log = log
        self._seen: frozenset[Notice] = frozenset()
        self._told_s: dict[str, float] = {}
        self._held_back: dict[str, int] = {}
        self._counters: dict[str, tuple[int, float]] = {}
        self._base: tuple[Health, float] | None = None
        self._next_loss_s = 0.0

    def look(self, notices: Sequence[Notice], health: Health, now_s: float) -> None:
        """Log what is new."""
        for notice in notices:
            if notice not in self._seen:
                self._tell_notice(notice, now_s)
        self._seen = frozenset(notices)
        for counted in COUNTED:
            self._look_at_counter(counted, getattr(health, counted.name, None) or 0, now_s)
        self._look_at_loss(health, now_s)

    def _tell_notice(self, notice: Notice, now_s: float) -> None:
        kind = _NUMBERS.sub("#", notice.text)
        told_s = self._told_s.get(kind)
        if told_s is not None and now_s - told_s < SAME_S:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return
        n_more = self._held_back.pop(kind, 0)
        if len(self._told_s) >= MAX_KINDS:
            self._told_s.clear()
            self._held_back.clear()
        self._told_s[kind] = now_s
        more = f" (and {n_more:,} alike before)" if n_more else ""
        told = {"event": "notice", "since_ns": notice.time_ns}
        text = printable(notice.text)
        self._log.log(LEVELS[notice.severity], "%s%s", text, more, extra={"fields": told})

    def _look_at_counter(self, counted: Counted, n_now: int, now_s: float) -> None:
        n_told, next_s = self._counters.get(counted.name, (0, 0.0))
        if n_now == n_told or now_s < next_s:
            return
        n_new = n_now - n_told
        self._counters[counted.name] = n_now, now_s + COUNTERS_S
        told = {"event": counted.name, counted.name: n_now, "new": n_new}
        text = counted.says.format(n=f"{n_new:,}")
        self._log.warning("%s", text, extra={"fields": told})

    def _look_at_loss(self, health: Health, now_s: float) -> None:
        if self._base is None:
            self._base = health, now_s
            return
        before, before_s = self._base
        if now_s - before_s < LOSS_SPAN_S:
            return
        since = _since(health, before)
        if since.loss is None or since.loss <= SUSPECT_LOSS:
            self._base = health, now_s
            return
        if now_s < self._next_loss_s:
            return
        self._base = health, now_s
        self._next_loss_s = now_s + COUNTERS_S
        names = ("received", "kernel_dropped", "interface_dropped", "read_lost")
        told = {name: getattr(since, name) for name in names}
        self._log.warning(
            "%.2f %% of the packets of the last %.0f s were lost: of %s received the kernel "
            "dropped %s, the interface %s; numbers are too low (see --buffer-size, --snaplen)",
            since.loss * 100,
            now_s - before_s,
            *(_shown(told[name]) for name in ("received", "kernel_dropped", "interface_dropped")),
            extra={"fields": {"event": "loss", **told}},
        )


def _since(now: Health, before: Health) -> Health:
    """What of loss was counted between two looks."""
    return Health(
        packets=now.packets - before.packets,
        received=_gained(now.received, before.received),
        kernel_dropped=_gained(now.kernel_dropped, before.kernel_dropped),
        interface_dropped=_gained(now.interface_dropped, before.interface_dropped),
        read_lost=now.read_lost - before.read_lost,
    )


def _gained(now: int | None, before: int | None) -> int | None:
    return None if now is None else now - (before or 0)


def _shown(count: int | None) -> str:
    return "an unknown number" if count is None else f"{count:,}"
