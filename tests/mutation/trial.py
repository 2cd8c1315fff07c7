"""``Trial``: a process in which a mutant is awake, until a test catches it or all have run."""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass, field

import psutil

from mutation.fates import DID_NOT_END, SURVIVED, UNREACHED

NO_PROGRESS_S = 20.0
SLOWER = 20.0
"""A test that takes so many times the processor's time that it took, and more than this, does not
end. Of the wall's time a busy machine takes any amount."""

STUCK_S = 600.0
"""A test that waits for so long does not end either."""


@dataclass
class Trial:
    """A process in which a mutant is awake.

    Attributes:
        number: of the mutant.
        child: the process.
        told: where it says which test begins.
        limits_s: what it runs, and after how long a test has no end.
    """

    number: int
    child: int
    told: int
    limits_s: dict[str, float]
    _at: int = 0
    _since_s: float = field(default_factory=time.monotonic)
    _cpu_s: float = 0.0

    @property
    def tests(self) -> list[str]:
        return list(self.limits_s)

    def look(self) -> str | None:
        """What became of it; None: it is not over."""
        while select.select([self.told], [], [], 0)[0]:
            data = os.read(self.told, 2)
            if not data:
                return self._end()
            self._at, self._since_s = int.from_bytes(data, "little"), time.monotonic()
            self._cpu_s = self._cpu_now_s()
        limit_s = self.limits_s[self.tests[self._at]] if self.tests else STUCK_S
        has_time = self._cpu_now_s() - self._cpu_s < limit_s
        if has_time and time.monotonic() - self._since_s < STUCK_S:
            return None
        os.killpg(self.child, signal.SIGKILL)
        self._end()
        return f"{DID_NOT_END}: {self.tests[self._at]}" if self.tests else UNREACHED

    def _cpu_now_s(self) -> float:
        times = psutil.Process(self.child).cpu_times()
        return times.user + times.system

    def _end(self) -> str:
        os.close(self.told)
        status = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        if status == 0:
            return SURVIVED if self.tests else UNREACHED
        how = "" if status == 1 else f"ended with {status}: "
        return how + self.tests[self._at]
