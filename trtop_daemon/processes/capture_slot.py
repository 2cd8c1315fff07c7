"""``CaptureSlot``: a place where a capture subprocess must be, whatever becomes of its present one.

Takes messages and the time, hands packets and counters on to the engine of its assignment, starts
subprocesses when they are due, counts what was lost meanwhile, and says what people must know.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass, replace

from trtop_core.batch import CaptureCounters
from trtop_core.errors import EXIT_OK, TrtopError
from trtop_core.records import NS_PER_S
from trtop_core.wire import Severity
from trtop_daemon.capture.backends import backend_of
from trtop_daemon.ipc.batch_message import Message, MessageKind, Totals
from trtop_daemon.ipc.feed import ANY_INTERFACE, CaptureConfig
from trtop_daemon.processes.assignments import Assignment
from trtop_daemon.processes.child import Child, Children, Orders
from trtop_daemon.processes.engines import Engines
from trtop_daemon.processes.notices import Notices
from trtop_daemon.system import interfaces
from trtop_daemon.system.privileges import Identity

FIRST_BACK_OFF_S = 0.5
MAX_BACK_OFF_S = 30.0

SOUND_S = 30.0
"""A subprocess that captured for so long was sound: the next back-off is the first one again."""

SILENCE_S = 2.0
"""A subprocess that says nothing for ten of its reports is stopped, or starved."""

NOTHING = CaptureCounters()


@dataclass(frozen=True, slots=True)
class Shared:
    """What all slots of a supervisor use.

    Attributes:
        children: who starts subprocesses.
        engines: where packets and counters go.
        notices: where to say what is wrong.
    """

    children: Children
    engines: Engines
    notices: Notices


class CaptureSlot:
    """One assignment, filled again and again.

    Args:
        assignment: what its subprocess does.
        config: how to capture.
        endpoint: where the subprocess sends to.
        shared: what it shares with the others.

    Attributes:
        child: the subprocess, None while there is none.
        starts_s: when the next one starts, None while there is one or none is wanted.
        has_ended: the last message came: nothing follows, and nothing is started.
    """

    def __init__(
        self,
        assignment: Assignment,
        config: CaptureConfig,
        endpoint: str,
        shared: Shared,
    ) -> None:
        self.assignment = assignment
        self._backend = backend_of(config)
        self._shared = shared
        self.child: Child | None = None
        self.starts_s: float | None = 0.0
        self.has_ended = False
        self._endpoint = endpoint
        self._config = config
        self._generation = 0
        self._totals: dict[int, Totals] = {}
        self._back_off_s = FIRST_BACK_OFF_S
        self._started_s = 0.0
        self._heard_s = 0.0
        self._was_silent = False
        self._has_spoken = False
        self._next_sequence = 0
        self._until_ns = 0
        self._interface_index = 0
        self._gone_since_ns: int | None = None
        self._gap_ns: tuple[int, int] | None = None
        self._how = ""
        shared.engines.join(assignment)

    @property
    def name(self) -> str:
        """What people are told."""
        return self.assignment.label

    @property
    def has_spoken(self) -> bool:
        """The present subprocess has sent something: it captures."""
        return self._has_spoken

    @property
    def is_capturing(self) -> bool:
        """Numbers are of now: a subprocess captures and answers, or there is no interface."""
        return self._gap_ns is None and not self._was_silent

    @property
    def ends_by_itself(self) -> bool:
        """Its subprocess replays, and ends when all is read."""
        return self._backend.ends

    @property
    def is_watched(self) -> bool:
        """Whether it captures on one interface, which can vanish."""
        return self._backend.on_interfaces and self.assignment.target != ANY_INTERFACE

    def start(self, identity: Identity | None, now_s: float) -> None:
        """Start a subprocess.

        Raises:
            TrtopError: it cannot be started.
        """
        self.starts_s = None
        self._has_spoken = self.has_ended = self._was_silent = False
        self._next_sequence = 0
        self._started_s = self._heard_s = now_s
        if self.is_watched:
            self._interface_index = interfaces.index_of(self.assignment.target)
        self.child = self._shared.children.start(
            Orders(self.assignment, self._generation, self._endpoint, self._config, identity)
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

    def take(self, message: Message, now_s: float) -> None:
        """Feed a message to the engine, and account for it."""
        before = self._totals[message.generation]
        self._totals[message.generation] = message.totals
        counters = NOTHING if message.totals == before else message.totals.since(before)
        if message.generation == self._generation - 1:
            counters = self._hear(message, counters, now_s)
        self._shared.engines.deliver(self.assignment, message)
        self._count(counters, max(0, message.totals.untimed - before.untimed))
        if message.kind is MessageKind.END:
            self._shared.engines.leave(self.assignment)

    def look(self, now_s: float) -> None:
        """Handle the end of the subprocess, if it has ended."""
        if self.child is None or not self.child.has_ended:
            return
        how = self.child.how_it_ended()
        self.child.end(0)
        self.child = None
        self._handle_exit(how, now_s)
        self._shared.engines.leave(self.assignment)

    def tick(self, identity: Identity | None, now_s: float) -> None:
        """Start what is due, say who is silent, count the time of a gap."""
        if self.starts_s is not None and self.starts_s <= now_s:
            try:
                self.start(identity, now_s)
            except TrtopError as error:
                self._retry(str(error), now_s)
        if self._gap_ns is not None:
            self._shared.engines.count_gap(self.assignment, 0, self._lengthen_gap())
        if self.is_silent(now_s):
            self._was_silent = True
            self._say(
                "silent",
                Severity.WARNING,
                f"capture on {self.name} does not answer; "
                "packets wait in the kernel while its buffer lasts",
            )
            self._shared.engines.leave(self.assignment)

    def look_at_interface(self, now_s: float) -> None:
        """Handle a change of the machine's interfaces, which may be that of this slot."""
        if not self.is_watched:
            return
        name = self.assignment.target
        index = interfaces.index_of(name)
        if self.child is None:
            if self.starts_s is not None and interfaces.is_up(name):
                self.starts_s = now_s
            if self._gone_since_ns is not None and index and self.starts_s is None:
                self._begin_gap(time.time_ns())
                self.starts_s = now_s
            return
        if index != self._interface_index:
            self._lose_interface()
            self.child.ask_to_stop()
        elif not interfaces.is_up(name):
            self._shared.notices.set(
                ("link", name), Severity.WARNING, f"{name} is down", time.time_ns()
            )
        else:
            self._pass_over(("link", name), f"{name} is up again", now_s)

    def is_silent(self, now_s: float) -> bool:
        """A subprocess runs and has said nothing for long."""
        return self.child is not None and now_s - self._heard_s > SILENCE_S

    def give_up(self, now_s: float) -> None:
        """Settle that no other subprocess can be started."""
        self.look(now_s)
        if self.child is None:
            self.starts_s = None
            self._begin_gap(time.time_ns())
            self._say("child", Severity.ERROR, f"nothing is captured on {self.name} any more")

    def how_it_ended(self) -> str:
        """What became of the last subprocess of a replay."""
        return self._how

    def _say(self, what: str, severity: Severity, text: str) -> None:
        self._shared.notices.set((self.assignment.number, what), severity, text, time.time_ns())

    def _pass_over(self, key: Hashable, text: str, now_s: float) -> None:
        """Say that a condition has passed, if it held."""
        if self._shared.notices.holds(key):
            self._shared.notices.pass_over(key, Severity.INFO, text, time.time_ns(), now_s)

    def _hear(self, message: Message, counters: CaptureCounters, now_s: float) -> CaptureCounters:
        """A message of the present subprocess; gives what the engine must add."""
        if message.sequence != self._next_sequence:
            self._say(
                "messages",
                Severity.ERROR,
                f"messages of {self.name} were lost on their way: numbers are too low",
            )
        self._next_sequence = message.sequence + 1
        self._heard_s = now_s
        self._was_silent = False
        silent = self.assignment.number, "silent"
        self._pass_over(silent, f"capture on {self.name} answers again", now_s)
        self._until_ns = max(self._until_ns, message.until_ns)
        # A device that failed must be opened anew: more follows, from the next subprocess.
        is_failure = message.code != EXIT_OK and self._backend.restarts
        self.has_ended |= message.kind is MessageKind.END and not is_failure
        if self._has_spoken:
            return counters
        self._has_spoken = True
        return self._resume(counters, now_s)

    def _handle_exit(self, how: str, now_s: float) -> None:
        if self.has_ended or not self._backend.restarts:
            self._how = how
            return
        if now_s - self._started_s > SOUND_S and self._has_spoken:
            self._back_off_s = FIRST_BACK_OFF_S
        if self.is_watched and not interfaces.index_of(self.assignment.target):
            self._lose_interface()
            return
        if self._gone_since_ns is not None:  # the interface came back as another one
            self.starts_s = now_s
            return
        self._handle_death(how, now_s)

    def _handle_death(self, how: str, now_s: float) -> None:
        """Count the interruption once, and plan another subprocess."""
        is_first = self._gap_ns is None
        self._begin_gap(self._until_ns or time.time_ns())
        self._retry(
            f"capture on {self.name} "
            + (f"died ({how})" if self._has_spoken else f"failed ({how})"),
            now_s,
        )
        self._has_spoken = False
        self._shared.engines.count_gap(self.assignment, int(is_first), self._lengthen_gap())

    def _count(self, counters: CaptureCounters, n_untimed: int = 0) -> None:
        if counters != NOTHING or n_untimed:
            self._shared.engines.count(self.assignment, counters, n_untimed)

    def _retry(self, what: str, now_s: float) -> None:
        wait_s = self._back_off_s
        self._back_off_s = min(2 * wait_s, MAX_BACK_OFF_S)
        self.starts_s = now_s + wait_s
        self._how = what
        self._say("child", Severity.ERROR, f"{what}, restarting in {wait_s:g} s")

    def _resume(self, counters: CaptureCounters, now_s: float) -> CaptureCounters:
        """End the gap: there is a capture again. Gives what the engine must add."""
        key = (self.assignment.number, "child")
        gone_ns, self._gone_since_ns = self._gone_since_ns, None
        if self._gap_ns is None:
            return counters
        interrupted_ns = self._lengthen_gap()
        span_s = (self._gap_ns[1] - self._gap_ns[0]) / NS_PER_S
        self._gap_ns = None
        now_ns = time.time_ns()
        if gone_ns is not None:
            text = f"{self.assignment.target} was gone for {(now_ns - gone_ns) / NS_PER_S:.1f} s"
        else:
            text = f"{self._how}; nothing was captured there for {span_s:.1f} s"
        self._shared.notices.pass_over(key, Severity.WARNING, text, now_ns, now_s)
        return replace(counters, interrupted_ns=counters.interrupted_ns + interrupted_ns)

    def _lose_interface(self) -> None:
        """Say that the interface is gone; a gap begins when it is back, not before."""
        if self._gone_since_ns is None:
            self._gone_since_ns = time.time_ns()
        self._shared.notices.clear(("link", self.assignment.target))
        self._say(
            "child",
            Severity.ERROR,
            f"{self.assignment.target} is gone; capturing goes on when it is back",
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
