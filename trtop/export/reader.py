"""``Reader``: asks the daemon, as any client does, and keeps the accounts of what is exported.

Takes a client and a ledger; gives ``Collected``, at most once in a while however often it is asked,
from any thread. The daemon's event loop answers two questions for each: of all time, and of the
last minute; everything else is done here, in the exporter's process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import zmq

from trtop._version import __version__
from trtop.escape import escape
from trtop.export.collected import Collected, labels_of
from trtop.export.ledger import Ledger
from trtop.names.namer import Namer
from trtop.remote.client import Client, Reception
from trtop_core.errors import TrtopError
from trtop_core.records import DestinationKind, GroupBy, Window
from trtop_core.snapshot import Snapshot
from trtop_core.table import Table, address_name
from trtop_core.verdicts.causes import WORDS
from trtop_core.verdicts.rules import verdicts
from trtop_core.view import View
from trtop_daemon.ipc.export_orders import Orders

MIN_AGE_S = 1.0
"""What is younger is not asked for again: however many scrape, the daemon answers once."""

TIMEOUT_S = 8.0
"""A daemon that has not answered by then is called silent: Prometheus itself waits for 10 s."""

VERDICT_WINDOW = Window.LAST_60_S

OwnCounts = Callable[[], dict[tuple[str, str], float]]


class Reader:
    """Collects.

    Args:
        client: of the daemon.
        orders: what to export.
        namer: who knows names; None: nobody.
        from_now: what was counted before has been told already.

    Attributes:
        own_counts: functions that give counts of the exporter's own, by name and label.
        rendering: held by who makes text of what was collected, so that it is made once.
    """

    def __init__(
        self, client: Client, orders: Orders, namer: Namer | None = None, from_now: bool = False
    ) -> None:
        self.from_now = from_now
        self.own_counts: list[OwnCounts] = []
        self.rendering = threading.Lock()
        self._client = client
        self._orders = orders
        self._namer = namer
        self._names: dict[tuple[str, int], str] = {}
        self._ledger = Ledger(orders.limit, orders.start_ns, from_now)
        self._lock = threading.Lock()
        self._latest: Collected | None = None
        self._collected_s = 0.0
        self._poller = zmq.Poller()
        for socket in client.sockets:
            self._poller.register(socket, zmq.POLLIN)

    def collect(self) -> Collected:
        """What there is now, ``MIN_AGE_S`` old at most.

        Raises:
            TrtopError: the daemon does not answer.
        """
        with self._lock:
            now_s = time.monotonic()
            if self._latest is None or now_s - self._collected_s >= MIN_AGE_S:
                self._latest = self._collect(now_s)
                self._collected_s = now_s
            return self._latest

    def _collect(self, start_s: float) -> Collected:
        group_by = GroupBy.ADDR_PORT if self._orders.by_port else GroupBy.ADDR
        whole = View(group_by=group_by, sort="destination")
        # The last minute first: what of all time has no row in it yet has come since.
        recent = self._ask(replace(whole, window=VERDICT_WINDOW), start_s).snapshot
        reception = self._ask(whole, start_s)
        duration_s = time.monotonic() - start_s
        snapshot, time_ns = reception.snapshot, time.time_ns()
        accounts = self._ledger.update(snapshot.table, recent.table, start_s, time_ns)
        rows = accounts.rows
        self._look_up(rows)
        notices = dict.fromkeys(("info", "warning", "error"), 0)
        for notice in reception.head.notices:
            notices[notice.severity.value] += 1
        collected = Collected(
            accounts=accounts,
            labels=labels_of(rows, self._names),
            verdicts=_words(rows, recent),
            health=snapshot.health,
            n_destinations=snapshot.n_destinations,
            host=escape(reception.head.host),
            is_capturing=reception.head.is_capturing,
            notices=notices,
            clock_ns=snapshot.clock_ns,
            time_ns=time_ns,
            duration_s=duration_s,
        )
        return replace(collected, own=self._own(collected))

    def _ask(self, view: View, start_s: float) -> Reception:
        """An answer that was asked for now.

        Raises:
            TrtopError: there is none in time.
        """
        client, n_before = self._client, self._client.n_answers
        while True:
            now_s = time.monotonic()
            client.ask(view, now_s)
            newest = client.newest
            if client.n_answers > n_before and newest is not None and newest.snapshot.view == view:
                return newest
            if now_s - start_s > TIMEOUT_S:
                why = client.trouble(now_s) or "no answer in time"
                raise TrtopError(f"the daemon does not answer: {why}")
            self._poller.poll(100)
            client.take(time.monotonic())

    def _look_up(self, rows: Table) -> None:
        """Ask for names; one that has come stays, since another would be another series."""
        if self._namer is None:
            return
        is_one = rows.keys["kind"] != DestinationKind.OTHER
        known: dict[tuple[str, int], str] = {}
        for key in rows.keys[is_one]:
            addr, port = address_name(key["addr"].tobytes()), int(key["port"])
            name = self._names.get((addr, port)) or escape(self._namer.name(addr, port) or "")
            if name:
                known[addr, port] = name
        self._names = known

    def _own(self, collected: Collected) -> dict[tuple[str, str], float]:
        """The exporter's own numbers; several labels of one series are parted by NUL."""
        point = f"{collected.host}\0{escape(self._orders.observation_point)}"
        own: dict[tuple[str, str], float] = {
            ("build_info", __version__): 1,
            ("capture_info", point): 1,
            ("capturing", ""): int(collected.is_capturing),
            **{("notices", severity): n for severity, n in collected.notices.items()},
            ("destinations", ""): collected.n_destinations,
            ("destinations_folded", ""): collected.accounts.n_folded,
            ("destinations_limit", ""): self._orders.limit,
            ("destination_series_started", ""): self._ledger.n_started,
            ("destination_series_ended", ""): self._ledger.n_ended,
            ("snapshot_duration_seconds", ""): collected.duration_s,
        }
        if collected.clock_ns is not None:
            own["capture_clock_seconds", ""] = collected.clock_ns / 1e9
        for counts in self.own_counts:
            own.update(counts())
        return own


def _words(rows: Table, recent: Snapshot) -> tuple[str, ...]:
    """The verdict of the last minute of each row but the last; empty where nothing happened."""
    table = recent.table
    loss = recent.window_health.loss
    causes = verdicts(table.counters, table.sketches, loss, waits_ns=table.waits_ns)
    place = {key.tobytes(): WORDS[cause] for key, cause in zip(table.keys, causes, strict=True)}
    found = (place.get(key.tobytes(), "") for key in rows.keys[:-1])
    return tuple("" if word == "-" else word for word in found)
