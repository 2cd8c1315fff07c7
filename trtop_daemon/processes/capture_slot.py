"""``Post``: a place where a capture subprocess must be, whatever becomes of the one that is there.

Takes messages and the time, starts subprocesses when they are due, tells what was lost meanwhile
as increments for the engine, and keeps the conditions that people must know. Feeds no engine.
"""

from __future__ import annotations

import time
from dataclasses import replace

from trtop_core.batch import CaptureCounters
from trtop_core.errors import TrtopError
from trtop_core.records import NS_PER_S
from trtop_daemon.ipc.batch_message import Kind, Message, Totals
from trtop_daemon.ipc.feed import ANY_INTERFACE, CaptureConfig, Severity
from trtop_daemon.processes.child import Orders, Role, Worker, Workers
from trtop_daemon.processes.notices import Conditions
from trtop_daemon.system import interfaces as links
from trtop_daemon.system.privileges import Identity

FIRST_BACK_OFF_S = 0.5
MAX_BACK_OFF_S = 30.0

SOUND_S = 30.0
"""A subprocess that captured for so long was sound: the next back-off is the first one again."""

SILENCE_S = 2.0
"""A subprocess that says nothing for ten of its reports is stopped, or starved."""

NOTHING = CaptureCounters()


class Post:
    """One role, filled again and again.

    Args:
        role: what its subprocess does.
        workers: who starts subprocesses.
        endpoint: where the subprocess sends to.
        config: how to capture.
        conditions: where to say what is wrong.

    Attributes:
        worker: the subprocess, None while there is none.
        starts_s: when the next one starts, None while there is one or none is wanted.
        has_ended: the last message came: nothing follows, and nothing is started.
    """

    def __init__(
        self,
        role: Role,
        workers: Workers,
        endpoint: str,
        config: CaptureConfig,
        conditions: Conditions,
    ) -> None:
        self.role = role
        self._workers = workers
        self.worker: Worker | None = None
        self.starts_s: float | None = 0.0
        self.has_ended = False
        self._endpoint = endpoint
        self._config = config
        self._conditions = conditions
        self._generation = 0
        self._totals: dict[int, Totals] = {}
        self._back_off_s = FIRST_BACK_OFF_S
        self._started_s = 0.0
        self._heard_s = 0.0
        self._has_spoken = False
        self._next_sequence = 0
        self._until_ns = 0
        self._link_index = 0
        self._gone_since_ns: int | None = None
        self._gap_ns: tuple[int, int] | None = None
        self._how = ""

    @property
    def name(self) -> str:
        """What people are told."""
        return self.role.label

    @property
    def has_spoken(self) -> bool:
        """The present subprocess has sent something: it captures."""
        return self._has_spoken

    @property
    def is_watched(self) -> bool:
        """Whether it captures on one interface, which can vanish."""
        return self._config.replay is None and self.role.interface != ANY_INTERFACE

    def start(self, identity: Identity | None, now_s: float) -> None:
        """Start a subprocess.

        Raises:
            TrtopError: it cannot be started.
        """
        self.starts_s = None
        self._has_spoken = False
        self._next_sequence = 0
        self._started_s = self._heard_s = now_s
        if self.is_watched:
            self._link_index = links.index_of(self.role.interface)
        self.worker = self._workers.start(
            Orders(self.role, self._generation, self._endpoint, self._config, identity)
        )
        self._totals = {
            generation: totals
            for generation, totals in self._totals.items()
            if generation == self._generation - 1
        }
        self._totals[self._generation] = Totals()
        self._generation += 1

    def has_started(self, generation: int) -> bool:
        """Whether such a subprocess ran here not long ago: it may have been the one before."""
        return generation in self._totals

    def take(self, message: Message, now_s: float) -> tuple[CaptureCounters, int]:
        """Account for a message.

        Returns:
            What the engine must add, and how many packets without time were skipped.
        """
        before = self._totals[message.generation]
        self._totals[message.generation] = message.totals
        counters = NOTHING if message.totals == before else message.totals.since(before)
        n_untimed = message.totals.untimed - before.untimed
        if message.generation != self._generation - 1:
            return counters, max(0, n_untimed)
        if message.sequence != self._next_sequence:
            self._say(
                "messages",
                Severity.ERROR,
                f"messages of {self.name} were lost on their way: numbers are too low",
            )
        self._next_sequence = message.sequence + 1
        self._heard_s = now_s
        self._conditions.clear((self.role.number, "silent"))
        self._until_ns = max(self._until_ns, message.until_ns)
        self.has_ended |= message.kind is Kind.END
        if not self._has_spoken:
            self._has_spoken = True
            counters = self._resume(counters, now_s)
        return counters, max(0, n_untimed)

    def look(self, now_s: float) -> CaptureCounters:
        """Whether the subprocess has died; if so, what the engine must add."""
        if self.worker is None or not self.worker.has_ended:
            return NOTHING
        how = self.worker.how_it_ended()
        self.worker.end(0)
        self.worker = None
        if self.has_ended or self._config.replay is not None:
            self._how = how
            return NOTHING
        if now_s - self._started_s > SOUND_S and self._has_spoken:
            self._back_off_s = FIRST_BACK_OFF_S
        if self.is_watched and not links.index_of(self.role.interface):
            self._lose_link()
            return NOTHING
        if self._gone_since_ns is not None:  # the interface came back as another one
            self.starts_s = now_s
            return NOTHING
        return self._mourn(how, now_s)

    def tick(self, identity: Identity | None, now_s: float) -> CaptureCounters:
        """Start what is due, say who is silent; gives what the engine must add."""
        if self.starts_s is not None and self.starts_s <= now_s:
            try:
                self.start(identity, now_s)
            except TrtopError as error:
                self._retry(str(error), now_s)
        if self.is_silent(now_s):
            self._say(
                "silent",
                Severity.WARNING,
                f"capture on {self.name} does not answer; packets wait in the kernel",
            )
        if self._gap_ns is None:
            return NOTHING
        return CaptureCounters(interrupted_ns=self._lengthen_gap())

    def look_at_link(self, now_s: float) -> None:
        """The machine's interfaces have changed, perhaps this one."""
        if not self.is_watched:
            return
        name = self.role.interface
        index = links.index_of(name)
        if self.worker is None:
            if self.starts_s is not None and links.is_up(name):
                self.starts_s = now_s
            if self._gone_since_ns is not None and index and self.starts_s is None:
                self._begin_gap(time.time_ns())
                self.starts_s = now_s
            return
        if index != self._link_index:
            self._lose_link()
            self.worker.ask_to_stop()
        elif not links.is_up(name):
            self._conditions.set(
                ("link", name), Severity.WARNING, f"{name} is down", time.time_ns()
            )
        else:
            self._conditions.clear(("link", name))

    def is_silent(self, now_s: float) -> bool:
        """A subprocess runs and has said nothing for long."""
        return self.worker is not None and now_s - self._heard_s > SILENCE_S

    def how_it_ended(self) -> str:
        """What became of the last subprocess of a replay."""
        return self._how

    def _say(self, what: str, severity: Severity, text: str) -> None:
        self._conditions.set((self.role.number, what), severity, text, time.time_ns())

    def _mourn(self, how: str, now_s: float) -> CaptureCounters:
        """It died: count the interruption once, and start another one in a while."""
        is_first = self._gap_ns is None
        self._begin_gap(self._until_ns or time.time_ns())
        self._retry(
            f"capture on {self.name} "
            + (f"died ({how})" if self._has_spoken else f"failed ({how})"),
            now_s,
        )
        self._has_spoken = False
        return CaptureCounters(interruptions=int(is_first), interrupted_ns=self._lengthen_gap())

    def _retry(self, what: str, now_s: float) -> None:
        wait_s = self._back_off_s
        self._back_off_s = min(2 * wait_s, MAX_BACK_OFF_S)
        self.starts_s = now_s + wait_s
        self._how = what
        self._say("worker", Severity.ERROR, f"{what}, restarting in {wait_s:g} s")

    def _resume(self, counters: CaptureCounters, now_s: float) -> CaptureCounters:
        """It captures again: the gap ends."""
        key = (self.role.number, "worker")
        gone_ns, self._gone_since_ns = self._gone_since_ns, None
        if self._gap_ns is None:
            return counters
        interrupted_ns = self._lengthen_gap()
        span_s = (self._gap_ns[1] - self._gap_ns[0]) / NS_PER_S
        self._gap_ns = None
        now_ns = time.time_ns()
        if gone_ns is not None:
            text = f"{self.role.interface} was gone for {(now_ns - gone_ns) / NS_PER_S:.1f} s"
        else:
            text = f"{self._how}; nothing was captured there for {span_s:.1f} s"
        self._conditions.pass_over(key, Severity.WARNING, text, now_ns, now_s)
        return replace(counters, interrupted_ns=counters.interrupted_ns + interrupted_ns)

    def _lose_link(self) -> None:
        """Nothing is missed while there is no interface: the gap begins when it is back."""
        if self._gone_since_ns is None:
            self._gone_since_ns = time.time_ns()
        self._conditions.clear(("link", self.role.interface))
        self._say(
            "worker",
            Severity.ERROR,
            f"{self.role.interface} is gone; capturing goes on when it is back",
        )

    def _begin_gap(self, from_ns: int) -> None:
        if self._gap_ns is None:
            self._gap_ns = (from_ns, from_ns)

    def _lengthen_gap(self) -> int:
        """How much longer the gap is than when this was asked last."""
        if self._gap_ns is None:
            return 0
        begun_ns, counted_ns = self._gap_ns
        now_ns = max(counted_ns, time.time_ns())
        self._gap_ns = (begun_ns, now_ns)
        return now_ns - counted_ns
