"""``Feed``: where the event loop's packets come from, and what it is told once.

Says what the daemon's loop may ask of everything between a device, or a file that is replayed, and
the engines. Holds no process and no socket: ``trtop_daemon.processes.supervisor`` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import zmq

from trtop_core.config import EngineConfig
from trtop_core.health import Health
from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_core.wire.questions import Question, QuestionReply

if TYPE_CHECKING:  # capture processes do without what travels to clients
    from trtop_core.wire import Notice

ANY_INTERFACE = "any"
"""All interfaces at once, those that come later included."""

DEFAULT_SNAPLEN_BYTES = 128
"""Ethernet, a tag, IPv6 and TCP with full options take 118."""

MIN_SNAPLEN_BYTES = 68
MAX_SNAPLEN_BYTES = 262_144

DEFAULT_BUFFER_BYTES = 8 << 20
"""The kernel's ring: as ``tcpdump -B 8192``."""

MIN_BUFFER_BYTES = 1 << 20
MAX_BUFFER_BYTES = 2 << 30

DEFAULT_TIMEOUT_MS = 50
"""How long the kernel may collect packets before it hands them over: 20 wake-ups/s when idle links
wake, far below the second at which screens are drawn."""

MAX_TIMEOUT_MS = 1_000

MAX_FANOUT = 64

MAX_TAKE_S = 0.05
"""Time for packets before others have their turn: a twentieth of a refresh."""


@dataclass(frozen=True, slots=True)
class CaptureConfig:
    """How packets are captured, and how the engines read them.

    Attributes:
        interfaces: names; a capture subprocess for each.
        capture_filter: in pcap-filter(7)'s language; None: what can hold TCP, tunnels included.
        snaplen_bytes: of each packet so much is captured.
        buffer_bytes: the kernel's ring of each subprocess.
        timeout_ms: see ``DEFAULT_TIMEOUT_MS``.
        fanout: subprocesses, each with an engine of its own, that share each interface by flow.
        user: whom the subprocesses become: a name or number; None: the user trtop if there is one,
            else the caller of sudo, else nobody. Means nothing unless root starts them.
        source: what another backend reads instead, a dataclass of that backend; the fields above
            do not matter then, except for ``user``. None: the interfaces.
        is_confined: subprocesses give up what they do not need (``trtop_daemon.system.sandbox``).
        engine: how each engine reads packets. Where ``engine.local`` is empty, a live capture takes
            the addresses of this machine's interfaces and follows them.
        n_records: records of connections that are kept for clients, where engines make them.

    Raises:
        ValueError: a field is out of range.
    """

    interfaces: tuple[str, ...] = (ANY_INTERFACE,)
    capture_filter: str | None = None
    snaplen_bytes: int = DEFAULT_SNAPLEN_BYTES
    buffer_bytes: int = DEFAULT_BUFFER_BYTES
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    fanout: int = 1
    user: str | None = None
    source: Any = None
    is_confined: bool = True
    engine: EngineConfig = field(default_factory=EngineConfig)
    n_records: int = 0

    def __post_init__(self) -> None:
        if not self.interfaces:
            raise ValueError("a capture needs an interface")
        if len(set(self.interfaces)) < len(self.interfaces):
            raise ValueError("an interface is named twice")
        if ANY_INTERFACE in self.interfaces and len(self.interfaces) > 1:
            raise ValueError("the interface any holds all others: name it alone")
        for name, value, least, most in (
            ("snaplen", self.snaplen_bytes, MIN_SNAPLEN_BYTES, MAX_SNAPLEN_BYTES),
            ("buffer size", self.buffer_bytes, MIN_BUFFER_BYTES, MAX_BUFFER_BYTES),
            ("timeout", self.timeout_ms, 1, MAX_TIMEOUT_MS),
            ("fanout", self.fanout, 1, MAX_FANOUT),
        ):
            if not least <= value <= most:
                raise ValueError(f"the {name} is within {least:,} … {most:,}")


class Feed(Protocol):
    """Packets on their way into engines, as the event loop sees it.

    The loop polls ``sockets`` and ``filenos()`` for input (anew each time: both change), calls
    ``on_ready`` when one has some, and ``tick`` not later than the last ``tick`` asked for.

    Attributes:
        sockets: zmq sockets to poll for input.
        notices: conditions that hold now, the oldest first.
        is_finished: a replay has ended, and all of it is in the engines.
        is_capturing: at least one capture process captures, or a replay runs or has ended.
        failure: why nothing will be captured here any more, one line; empty while that is not so.
        exit_status: what the daemon should end with: 0, or that of what could not be replayed.
        folder: removed, with what is in it, by ``stop``; empty: there is none.
        child_pids: processes that ``stop`` may have to kill by their numbers.
    """

    @property
    def folder(self) -> str:
        """What ``stop`` removes; empty: nothing."""

    @property
    def child_pids(self) -> tuple[int, ...]:
        """Processes that ``stop`` may have to kill by their numbers."""

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Sockets to poll for input; they may change from call to call."""

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Conditions that hold now, the oldest first."""

    @property
    def is_finished(self) -> bool:
        """Whether a replay has ended, and all of it is in the engines."""

    @property
    def is_capturing(self) -> bool:
        """Whether something captures, or a replay runs or has ended."""

    @property
    def failure(self) -> str:
        """Why nothing will be captured any more; empty while that is not so."""

    @property
    def exit_status(self) -> int:
        """What the daemon should end with: 0, or that of what could not be replayed."""

    def filenos(self) -> dict[int, int]:
        """Descriptors to poll besides ``sockets``, and zmq poll flags for each."""

    def on_ready(self, budget_s: float) -> None:
        """Take what is there, a bounded amount of it, and feed the engines.

        Args:
            budget_s: what begins later than this is left for the next time.
        """

    def tick(self, now_s: float) -> float:
        """Run what is due.

        Args:
            now_s: ``time.monotonic()``.

        Returns:
            Seconds until there is something to do without input.
        """

    def snapshot(self, view: View) -> Snapshot:
        """What all engines know, as one.

        Raises:
            ValueError: the view asks for what is not kept.
        """

    def health(self) -> Health:
        """What all captures held, lost and could not read so far."""

    def answer(self, question: Question) -> QuestionReply:
        """What all engines know of something else, as one answer.

        Raises:
            ValueError: the question asks for what is not kept.
        """

    def reload(self, config: CaptureConfig) -> None:
        """Go on with another configuration, as far as that is possible; else a notice says so.

        Raises:
            TrtopError: it cannot be; nothing has changed then.
        """

    def stop(self) -> None:
        """Stop the capture, take what was captured, end the subprocesses. Safe to call twice."""
