"""``Notices``: what holds now and whoever looks at the numbers must know.

Takes conditions under a key, gives them as notices, the oldest first. A condition that has passed
stays to be read for a while.
"""

from __future__ import annotations

from collections.abc import Hashable

from trtop_core.wire import Notice, Severity

LINGER_S = 60.0
"""How long a condition that has passed is still shown: several screens long."""


class Notices:
    """Notices by key."""

    def __init__(self) -> None:
        self._notices: dict[Hashable, Notice] = {}
        self._ends_s: dict[Hashable, float] = {}

    def set(self, key: Hashable, severity: Severity, text: str, time_ns: int) -> None:
        """Note that a condition holds from now on; with the same text it has held since before."""
        self._ends_s.pop(key, None)
        known = self._notices.get(key)
        if known is None or (known.severity, known.text) != (severity, text):
            self._notices[key] = Notice(time_ns, severity, text)

    def pass_over(
        self, key: Hashable, severity: Severity, text: str, time_ns: int, now_s: float
    ) -> None:
        """Note that a condition has passed; the text says what it was."""
        self.set(key, severity, text, time_ns)
        self._ends_s[key] = now_s + LINGER_S

    def clear(self, key: Hashable) -> None:
        """Drop a condition that does not hold and is not worth telling."""
        self._notices.pop(key, None)
        self._ends_s.pop(key, None)

    def holds(self, key: Hashable) -> bool:
        """Whether a condition holds: it was set and has not passed."""
        return key in self._notices and key not in self._ends_s

    def expire(self, now_s: float) -> None:
        """Forget what has passed long ago."""
        for key in [key for key, end_s in self._ends_s.items() if end_s <= now_s]:
            self.clear(key)

    def listed(self) -> tuple[Notice, ...]:
        """What is worth telling, the oldest first."""
        return tuple(sorted(self._notices.values(), key=lambda notice: notice.time_ns))
