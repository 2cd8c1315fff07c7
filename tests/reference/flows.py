"""The table of connections: from packets to a report.

Takes packets in the order of the file, or a clock to move to; gives the report of all
destinations. Never reads files. Slow by design: a table walk per timer that runs out, a deep copy
per final report.
"""

from __future__ import annotations

import copy
import ipaddress
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from .clock import NS_PER_S, Change, Clock, Moment
from .connection import Connection
from .life import Endpoint
from .measure import Measurements
from .opening import Opening
from .packets.decode import Segment, Undecoded, Verdict, decode
from .packets.reader import Packet
from .rows import Row, merged

DUPLICATE_NS = 1_000_000
N_RECENT = 16
# Of the whole capture, the segments that a duplicate is looked for among.
N_SEEN = 1 << 12
# Services listen below; from here on ports are handed out to clients (Linux's default range).
MAX_SYSTEM_PORT = 1023
MIN_EPHEMERAL_PORT = 32_768

DIRECTIONS = ("out", "in", "both")
GROUPS = ("addr", "addr,port")
Key = tuple[Endpoint, Endpoint]


class Twin:
    """Feed it packets, then ask for a report."""

    def __init__(
        self,
        local: Iterable[str] = (),
        direction: str = "out",
        group_by: str = "addr",
        idle_timeout_s: float = 300,
        max_connections: int | None = None,
        decap: bool = True,
    ) -> None:
        if direction not in DIRECTIONS:
            raise ValueError(f"direction must be one of {DIRECTIONS}, not {direction!r}")
        if group_by not in GROUPS:
            raise ValueError(f"group_by must be one of {GROUPS}, not {group_by!r}")
        self._local = [ipaddress.ip_network(net, strict=False) for net in local]
        self._direction = direction
        self._with_port = group_by == "addr,port"
        self._idle_timeout_ns = int(idle_timeout_s * NS_PER_S)
        self._max_connections = max_connections
        self._decap = decap
        self._rows: dict[str, Row] = {}
        # Connections that nobody asked for count here, unseen.
        self._elsewhere = Row()
        self._table: dict[Key, Connection] = {}
        self._clock = Clock()
        self._measurements = Measurements(self._clock)
        # The connection of the packet that waits to be believed.
        self._waiting: Connection | None = None
        self._next_due_ns: int | None = None
        self._undecoded: Counter[str] = Counter()
        self._n_packets = self._n_not_tcp = self._n_duplicates = self._n_evicted = 0
        self._n_segments = 0

    @property
    def samples(self) -> dict[str, dict[str, list[int]]]:
        """Every sample of every distribution so far, per destination, in order of arrival."""
        return {
            name: {k: list(v) for k, v in row.samples.items()} for name, row in self._rows.items()
        }

    def feed(self, packet: Packet) -> None:
        """Count one packet."""
        self._n_packets += 1
        moment = self._clock.number(packet.ts_ns)
        self._move_clock(moment)
        decoded = decode(replace(packet, ts_ns=moment.ns), self._decap)
        if isinstance(decoded, Undecoded):
            self._undecoded[decoded.value] += 1
        elif isinstance(decoded, Verdict):
            self._n_not_tcp += 1
        else:
            self._ingest(decoded, moment)

    def advance(self, now_ns: int) -> None:
        """Let a live clock go on by itself: it never goes back."""
        self._clock.advance(now_ns)
        if self._clock.waiting is None:
            self._settle()
        self._run_timers()

    def _move_clock(self, moment: Moment) -> None:
        change = self._clock.settle(moment)
        if change is Change.WAS_STRAY and self._waiting is not None:
            assert self._clock.now_ns is not None
            self._waiting.clamp(self._clock.now_ns)
            self._watch(self._waiting)
        self._settle()
        if change is not Change.WAS_BELIEVED:
            change = self._clock.take(moment)
        if change is Change.STEPPED_BACK:
            assert self._clock.now_ns is not None
            for connection in self._table.values():
                connection.clamp(self._clock.now_ns)
                self._watch(connection)
        self._run_timers()

    def _settle(self) -> None:
        self._waiting = None
        self._measurements.settle()

    def _run_timers(self) -> None:
        """Run what is due by the clock."""
        now_ns = self._clock.now_ns
        if now_ns is None or self._next_due_ns is None or now_ns < self._next_due_ns:
            return
        self._next_due_ns = None
        for key, connection in list(self._table.items()):
            self._run_timers_of(key, connection, now_ns)

    def _run_timers_of(self, key: Key, connection: Connection, now_ns: int) -> None:
        if connection.run_timers(now_ns, self._idle_timeout_ns):
            del self._table[key]
        else:
            self._watch(connection)

    def _end(self) -> None:
        """The capture ends."""
        self._clock.end()
        self._settle()
        self._run_timers()
        for connection in self._table.values():
            connection.finish()

    def ended(self) -> Twin:
        """Return a copy for which the capture ends here."""
        twin = copy.deepcopy(self)
        twin._end()
        return twin

    def report(self, final: bool = True) -> dict[str, Any]:
        """Return what was counted up to the clock, or (`final`) as if the capture ended here."""
        if final:
            return self.ended().report(final=False)
        rows = {name: merged([row]) for name, row in self._rows.items()}
        for connection in self._table.values():
            shown = rows.get(self._row_name(connection.client, connection.server) or "")
            if shown is not None:
                shown.add("active", connection.is_active)
                shown.add("pending", connection.opening.is_waiting)
                shown.add("pending_retrans", connection.opening.waits_again)
                shown.add("waiting", connection.n_waiting(self._clock.now_ns or 0))
                shown.add("waiting_long", connection.n_waiting_long(self._clock.now_ns or 0))
        shapes = {name: row.as_dict() for name, row in sorted(rows.items())}
        report: dict[str, Any] = {
            "destinations": {name: shape for name, shape in shapes.items() if shape},
            "totals": merged(rows.values()).as_dict(),
            "undecoded": {reason: n for reason, n in sorted(self._undecoded.items()) if n},
            "not_tcp": self._n_not_tcp,
            "duplicates": self._n_duplicates,
            "packets": self._n_packets,
            "clock_steps": self._clock.n_steps,
            "stray_times": self._clock.n_strays,
            "span_ns": self._clock.span_ns,
        }
        if self._n_evicted:
            report["evicted"] = self._n_evicted
        return report

    def _watch(self, connection: Connection) -> None:
        due_ns = connection.due_ns(self._idle_timeout_ns)
        if self._next_due_ns is None or due_ns < self._next_due_ns:
            self._next_due_ns = due_ns

    def _ingest(self, segment: Segment, moment: Moment) -> None:
        now_ns = self._clock.now_ns
        assert now_ns is not None
        sender, receiver = (segment.src, segment.sport), (segment.dst, segment.dport)
        key = (min(sender, receiver), max(sender, receiver))
        if self._clock.waiting is moment:
            # Nobody else believes in this time yet.
            now_ns = moment.ns
            if key in self._table:
                self._run_timers_of(key, self._table[key], now_ns)
        connection = self._table.get(key)
        if connection is not None and self._is_duplicate(connection, sender, segment):
            self._n_duplicates += 1
            self._n_segments += 1
            return
        if connection is None or self._opens_anew(connection, sender, segment):
            connection = self._open(key, segment, moment, now_ns)
        elif connection.is_turned_by(sender, segment):
            connection.swap_roles(self._row(receiver, sender))
        self._n_segments += 1
        connection.last_order = self._n_segments
        recent = connection.recent[sender]
        recent.append((self._n_segments, segment.ts_ns, _fingerprint(segment)))
        del recent[:-N_RECENT]
        connection.take(sender, segment, moment, now_ns)
        if self._clock.waiting is moment:
            self._waiting = connection
        self._watch(connection)

    def _is_duplicate(self, connection: Connection, sender: Endpoint, segment: Segment) -> bool:
        fingerprint = _fingerprint(segment)
        return any(
            fingerprint == earlier
            and 0 <= segment.ts_ns - ts_ns <= DUPLICATE_NS
            and self._n_segments - order < N_SEEN
            for order, ts_ns, earlier in connection.recent[sender]
        )

    @staticmethod
    def _opens_anew(connection: Connection, sender: Endpoint, segment: Segment) -> bool:
        if not segment.is_syn or segment.is_rst:
            return False
        if not segment.is_ack:
            return not connection.repeats_syn(sender, segment)
        return not connection.accepts_synack(sender, segment)

    def _open(self, key: Key, segment: Segment, moment: Moment, now_ns: int) -> Connection:
        sender, receiver = (segment.src, segment.sport), (segment.dst, segment.dport)
        old = self._table.get(key)
        if old is not None:
            old.supersede()
            del self._table[key]
        elif self._max_connections is not None and len(self._table) >= self._max_connections:
            self._evict()
        client, server = sender, receiver
        if not self._sender_is_client(sender, receiver, segment):
            client, server = receiver, sender
        row = self._row(client, server)
        opening = Opening(segment, moment, now_ns)
        connection = Connection((client, server), opening, row, self._measurements, now_ns)
        if old is not None:
            connection.recent = old.recent
        self._table[key] = connection
        return connection

    def _evict(self) -> None:
        key = min(self._table, key=lambda key: self._table[key].eviction_order)
        connection = self._table.pop(key)
        connection.evict()
        self._n_evicted += 1

    def _sender_is_client(self, sender: Endpoint, receiver: Endpoint, segment: Segment) -> bool:
        if segment.is_syn and not segment.is_rst:
            return not segment.is_ack
        sender_local, receiver_local = self._is_local(sender), self._is_local(receiver)
        if sender_local != receiver_local:
            return sender_local
        low, high = sorted((sender[1], receiver[1]))
        if low != high and (low <= MAX_SYSTEM_PORT or high >= MIN_EPHEMERAL_PORT):
            return receiver[1] == low
        return True

    def _is_local(self, endpoint: Endpoint) -> bool:
        address = ipaddress.ip_address(endpoint[0])
        return any(address in net for net in self._local)

    def _row(self, client: Endpoint, server: Endpoint) -> Row:
        name = self._row_name(client, server)
        return self._elsewhere if name is None else self._rows.setdefault(name, Row())

    def _row_name(self, client: Endpoint, server: Endpoint) -> str | None:
        """Name the destination of a connection; None if its direction was not asked for."""
        is_outgoing = not self._local or self._is_local(client)
        is_incoming = not self._local or self._is_local(server)
        if self._direction != "in" and is_outgoing:
            return self._name(server, server[1])
        if self._direction != "out" and is_incoming:
            return self._name(client, server[1])
        return None

    def _name(self, endpoint: Endpoint, port: int) -> str:
        address = ipaddress.ip_address(endpoint[0])
        if not self._with_port:
            return str(address)
        return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _fingerprint(segment: Segment) -> tuple[int, ...]:
    identity = (segment.window, segment.checksum) if not segment.ip_id else (segment.ip_id,)
    return (segment.seq, segment.ack, segment.flags, segment.payload_len, *identity)
