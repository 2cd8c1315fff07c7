"""``Engine``: batches in, snapshots out; decode, flows, destinations and sketches as one object.

Takes packets, capture time and a seed; gives snapshots. Has no clock, reads no file. The same
packets in the same order give the same numbers, however they are cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from trtop_core._destinations import DestinationTable
from trtop_core._flows import Flows, Prepared
from trtop_core._sketch import MAX_DESTINATIONS_LIMIT
from trtop_core._state import NETWORK, State
from trtop_core._waits import longest_waits
from trtop_core._window import EPOCH_NS, LEVELS
from trtop_core.baseline import Baseline
from trtop_core.batch import CaptureCounters, PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.errors import TrtopError
from trtop_core.groups import SketchState
from trtop_core.health import Health
from trtop_core.query import Candidates, Choose, Exported, Picking, pick_rows
from trtop_core.records import UNDECODED, GroupBy, Verdict, Wait, Window
from trtop_core.snapshot import Snapshot
from trtop_core.view import Period, View

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from trtop_core.activity import Activity, ActivityView
    from trtop_core.detail import Detail, DetailView
    from trtop_core.history.asking import PeriodRows
    from trtop_core.history.log import History
    from trtop_core.history.slots import Slot
    from trtop_core.shards import ShardedFlows
    from trtop_core.timeline import Timeline, TimelineView
    from trtop_core.trends import Trends, TrendView

N_HASH_TABLES = 2
N_HASH_WORDS = 10

SEED_BYTES = 8 * N_HASH_TABLES * N_HASH_WORDS
"""A seed of so many bytes is what the hash tables need."""

MIN_SEED_BYTES = 16
"""A shorter seed is stretched; to load what does that takes 2 ms."""

ChooseOf: TypeAlias = Callable[[Candidates, int, float | None], npt.NDArray[np.bool_]]
"""Which rows are wanted, by the rows, the capture time that they cover, and the capture's loss."""

MAX_SKETCH_PAGES = 1 << 22
"""Bound on bins, in pages of 64 bytes: 256 MiB. Touched memory only is in use."""

MIN_HOLES = 1 << 16

REMAINING_BLOCK = 1 << 14
"""Connections of which records are made at a time, 750 bytes each."""

LATE_MODULES = (
    "numpy.ma",  # numpy.unique's
    "trtop_core.activity",
    "trtop_core.connection_records",
    "trtop_core.detail_query",
    "trtop_core.history.active",
    "trtop_core.history.asking",
    "trtop_core.history.log",
    "trtop_core.slow_connections",
    "trtop_core.trend_query",
)


def import_answers() -> None:
    """Import now what an engine imports when it is first asked for what a report has no need of.

    A process that gives up its rights may not be able to read it afterwards.
    """
    for name in LATE_MODULES:
        import_module(name)


class Engine:
    """Counts what a capture shows, one row per destination.

    Args:
        config: what to keep and how to group it.
        seed: ``SEED_BYTES`` secret random bytes, at least ``MIN_SEED_BYTES``, so that nobody can
            craft packets that collide in the hash tables. Numbers do not depend on it.
        n_jobs: threads that count, the caller's included; numbers do not depend on it. Those that
            keep windows, or do without them for want of memory, count in one. With more than one
            an engine answers snapshots, and takes batches that it goes on counting meanwhile: what
            they refer to must not change until something was asked.

    Raises:
        ValueError: the seed is too short, or ``max_destinations`` too large.
        TrtopError: the system has no memory for so many connections.
    """

    def __init__(self, config: EngineConfig, seed: bytes, n_jobs: int = 1) -> None:
        if len(seed) < MIN_SEED_BYTES:
            raise ValueError(f"a seed has at least {MIN_SEED_BYTES} bytes")
        if config.max_destinations + 2 > MAX_DESTINATIONS_LIMIT:
            raise ValueError(f"max_destinations is at most {MAX_DESTINATIONS_LIMIT - 2:,}")
        self._config = config
        self._windows = {window for window in config.windows if window is not Window.ALL}
        self._known_counters = {"received": False, "kernel": False, "interface": False}
        self._history: History | None = None
        if config.history_bytes:
            from trtop_core.history.log import History  # noqa: PLC0415 - a report needs none

            self._history = History(
                config.history_bytes,
                config.max_destinations + 2,
                MAX_SKETCH_PAGES,
                config.is_paced,
                config.history_credit_ns,
            )
        words = np.frombuffer(_stretched(seed), np.uint64)
        words = words.reshape(N_HASH_TABLES, N_HASH_WORDS)
        self._shards: ShardedFlows | None = None
        if n_jobs > 1 and not self._windows:
            self._shards = self._sharded(words, n_jobs)
        if self._shards is None:
            self._state = self._new_state(words, None)
            self._flows: Flows | ShardedFlows = Flows(self._state, config.decap)
        else:
            self._state = self._shards.states[0]
            self._flows = self._shards
        self._baseline: Baseline | None = None
        self._exported: Exported | None = None

    def _new_state(self, words: npt.NDArray[Any], numbering: DestinationTable | None) -> State:
        """Tables of their own.

        Raises:
            TrtopError: the system has no memory for so many connections.
        """
        config = self._config
        try:
            return State(
                config,
                words,
                _networks(config.local),
                {int(window) for window in self._windows},
                (MAX_SKETCH_PAGES, max(MIN_HOLES, config.max_connections)),
                self._history,
                numbering,
            )
        except MemoryError:
            n = config.max_connections
            raise TrtopError(f"not enough memory for {n:,} connections; allow fewer") from None

    def _sharded(self, words: npt.NDArray[Any], n_jobs: int) -> ShardedFlows | None:
        """Tables for each of several shards; None if there is no memory for them."""
        from trtop_core.shards import MAX_SHARDS, ShardedFlows  # noqa: PLC0415 - seldom used

        max_rows = self._config.max_destinations
        try:
            numbering = DestinationTable(max_rows, words[1], set())
            states = [self._new_state(words, numbering) for _ in range(min(n_jobs, MAX_SHARDS))]
        except (MemoryError, TrtopError):
            return None
        return ShardedFlows(states, self._config.decap, max_rows, n_jobs)

    @property
    def is_sharded(self) -> bool:
        """Whether several threads count: batches need not be prepared."""
        return self._shards is not None

    @property
    def clock_ns(self) -> int | None:
        """Capture time now; None before the first packet."""
        clock = self._flows.clock
        return None if clock is None else int(clock[0])

    @property
    def unsupported_link_types(self) -> dict[int, int]:
        """LINKTYPE_ values that are not decoded, and how many packets had each."""
        return self._flows.unsupported_link_types()

    def prepare(self, batch: PacketBatch) -> Prepared:
        """Decode a batch ahead of its turn; another thread may feed the engine meanwhile.

        Raises:
            ValueError: a packet of the index lies outside the batch's data, or ``is_sharded``.
        """
        return self._single_flows().prepare(batch.data, batch.index)

    def feed(self, batch: PacketBatch, prepared: Prepared | None = None) -> None:
        """Count the packets of a batch.

        Args:
            batch: the packets.
            prepared: what ``prepare`` gave of it; None: that is done now.

        Raises:
            ValueError: a packet of the index lies outside the batch's data, or another engine
                prepared it.
        """
        self._exported = None
        if prepared is None:
            self._flows.feed(batch.data, batch.index)
        else:
            self._single_flows().feed_prepared(prepared)
        counters = batch.counters
        if counters is None and not batch.n_untimed:
            return
        counters = counters or CaptureCounters()
        received, kernel = counters.received, counters.kernel_dropped
        interface = counters.interface_dropped
        for name, value in (("received", received), ("kernel", kernel), ("interface", interface)):
            self._known_counters[name] |= value is not None
        self._flows.add_counters(batch.n_untimed, received or 0, kernel or 0, interface or 0)
        if counters.read_lost or counters.interruptions or counters.interrupted_ns:
            self._flows.add_lost(
                counters.read_lost, counters.interruptions, counters.interrupted_ns
            )

    @property
    def has_begun(self) -> bool:
        """Whether a packet came: before it there is no capture time."""
        return self._flows.clock is not None

    def set_local(self, local: tuple[IPv4Network | IPv6Network, ...]) -> None:
        """Take other networks as local from now on; connections that are known keep their row."""
        self._exported = None
        for state in self._states():
            state.set_local(_networks(local))

    def advance(self, now_ns: int) -> None:
        """Let capture time go on (never back) and run the timers that are due by then."""
        self._exported = None
        self._flows.advance(now_ns)

    def start_period(self) -> None:
        """Let ``Window.ALL`` begin now: counters, sketches and health are those from here on.

        Everything that is known of connections stays, as for a window; least and greatest of the
        sketches are those of the period.
        """
        self._flows.settle()
        keys, counters = self._all_rows()
        self._baseline = Baseline.taken(
            counters,
            SketchState(*self._all_sketches(len(keys))),
            self._raw_health(None),
            (self.clock_ns, self._flows.span_ns),
        )
        if self._shards is not None:
            self._shards.forget_extremes()

    def finish(self) -> None:
        """The capture ends: judge the holes and connections that are still open."""
        self._exported = None
        self._flows.finish()

    def snapshot(self, view: View) -> Snapshot:
        """What is known at this moment of capture time.

        Raises:
            ValueError: the view asks for a window that is not kept, or for a finer grouping.
        """
        if view.period is not None:
            return self._past(view, view.period, None)
        return self._now(view, None)

    def chosen_snapshot(self, view: View, choose: ChooseOf) -> Snapshot:
        """A snapshot of those of its rows that are wanted, of which a limit keeps the first.

        Nothing is written out of the others. ``n_destinations`` is how many there are of all.

        Args:
            view: what is asked for of these rows.
            choose: takes rows, the capture time that they cover in ns, and the share of packets
                that the capture lost meanwhile (None: unknown), gives which are wanted.

        Raises:
            ValueError: as ``snapshot``.
        """
        if view.period is not None:
            return self._past(view, view.period, choose)
        return self._now(view, choose)

    def _now(self, view: View, choose: ChooseOf | None) -> Snapshot:
        """What is known at this moment, of all rows or of some."""
        exported = self._export(view.window, view.group_by)
        clock_ns, first_ns = self._flows.clock or (None, None)
        health = self._health(None)
        window_health = health if exported.level is None else self._health(exported.level)
        chosen = _choosing(choose, exported.span_ns, window_health.loss)
        regroup = view.group_by is not self._config.group_by
        table, total, n_destinations = pick_rows(
            exported.keys,
            exported.counters,
            exported.state,
            view,
            regroup,
            Picking(self._waits(), chosen),
        )
        began = self._baseline
        return Snapshot(
            view=view,
            clock_ns=clock_ns,
            first_ns=first_ns if began is None else began.clock_ns,
            span_ns=exported.span_ns,
            table=table,
            total=total,
            n_destinations=n_destinations,
            health=health,
            window_health=window_health,
            is_period=began is not None,
        )

    def take_connections(self) -> npt.NDArray[Any]:
        """The connections that were forgotten since this was last asked.

        A connection is forgotten 60 s after it closed, when nothing can count in it any more;
        300 s after its SYN was not answered; at a SYN that takes its 4-tuple; for want of room.

        Returns:
            Shape (n,), dtype ``connection_records.CONNECTION_RECORD``, in the order in which they
            were forgotten, those that time ran out for together in that of their opening; none if
            the engine does not keep connections.
        """
        from trtop_core.connection_records import CONNECTION_RECORD, in_order  # noqa: PLC0415

        log = self._state.log
        if log is None:
            return np.zeros(0, CONNECTION_RECORD)
        return in_order([log.take()]) if self._shards is None else self._shards.take_records()

    def remaining_connections(self) -> Iterator[npt.NDArray[Any]]:
        """The connections that are still remembered when the capture has ended, in blocks.

        They are in the order of their opening. Together with those that ``take_connections`` gave
        before they add up to the destinations' counters. Asked for once, behind ``finish`` and a
        last ``take_connections``.
        """
        if self._state.log is None:
            return
        if self._shards is not None:
            yield from self._shards.remaining_records(REMAINING_BLOCK)
            return
        numbers, opened = self._state.table.remembered()
        numbers = numbers[np.argsort(opened)]
        for first in range(0, len(numbers), REMAINING_BLOCK):
            self._single_flows().log_remembered(numbers[first : first + REMAINING_BLOCK])
            yield self.take_connections()

    @property
    def n_lost_connections(self) -> int:
        """Connections for whose records there was no memory."""
        return sum(state.log.n_lost for state in self._states() if state.log is not None)

    def health(self) -> Health:
        """What the capture held, lost and could not read so far."""
        return self._health(None)

    def detail(self, view: DetailView) -> Detail:
        """What is known of one destination at this moment of capture time.

        Raises:
            ValueError: as ``snapshot``.
        """
        from trtop_core.detail_query import answer_detail  # noqa: PLC0415 - a report needs none

        if view.period is None:
            exported = self._export(view.window, view.group_by)
        else:
            exported = self._of_period(view.period, view.group_by).exported
        levels = {spec[0]: i for i, spec in enumerate(LEVELS) if Window(spec[0]) in self._windows}
        waits_ns = self._waits() if view.period is None else None
        return answer_detail(self._state, self._single_flows(), exported, view, levels, waits_ns)

    def trends(self, view: TrendView) -> Trends:
        """How some rows went until this moment of capture time.

        Raises:
            ValueError: as ``snapshot``.
        """
        from trtop_core.trend_query import answer_trends  # noqa: PLC0415 - a report needs none

        self._check(view.window, view.group_by)
        self._flows.settle()
        return answer_trends(self._state, self._single_flows(), view, _level_of(view.window))

    @property
    def keys(self) -> npt.NDArray[Any]:
        """Of all rows that are counted, shape (n,), dtype ``records.DESTINATION_KEY``."""
        return self._all_rows()[0]

    def timeline(self, view: TimelineView) -> Timeline:
        """All of the history in columns; none where no history is kept."""
        from trtop_core.history.asking import Bounds, timeline_of  # noqa: PLC0415 - likewise

        slots = self._slots()
        memory = (
            (0, 0) if self._history is None else (self._history.n_bytes, self._history.max_bytes)
        )
        now_ns, first_ns, _ = self._flows.window_clock
        return timeline_of(slots, view, Bounds(first_ns, now_ns), memory)

    def activity(self, view: ActivityView) -> Activity:
        """What all rows and some of them did, and when, as far as a history is kept."""
        from trtop_core.activity import Activity  # noqa: PLC0415 - likewise
        from trtop_core.history.active import told_of  # noqa: PLC0415
        from trtop_core.history.asking import Bounds  # noqa: PLC0415
        from trtop_core.slow_connections import slow_of_rows  # noqa: PLC0415

        slots = self._slots()
        now_ns, first_ns, _ = self._flows.window_clock
        told = told_of(slots, view, self._state, Bounds(first_ns, now_ns))
        return Activity(view, *told, *slow_of_rows(self._state, self.clock_ns or 0, view))

    def _slots(self) -> list[Slot]:
        """The slots of the history by time, the open one included."""
        self._flows.settle()
        if self._history is None or self._flows.clock is None:
            return []
        now_ns = self._flows.window_clock[0]
        health = self._flows.export_health(None)
        opened = self._history.open_slot(self._state, now_ns // EPOCH_NS, health)
        return [*self._history.slots(), *([] if opened is None else [opened])]

    def _waits(self) -> npt.NDArray[np.int64]:
        """For how long attempts and requests of each row wait; see ``Table.waits_ns``."""
        _, counters = self._all_rows()
        waits_ns = np.zeros((len(counters), len(Wait)), np.int64)
        # An attempt that timed out may still be tried.
        gauges = ("pending", "waiting", "timeouts")
        is_wanted = np.logical_or.reduce([counters[name] != 0 for name in gauges])
        if is_wanted.any():
            for state in self._states():
                longest_waits(state, is_wanted.view(np.uint8), waits_ns)
        return waits_ns

    def _past(self, view: View, period: Period, choose: ChooseOf | None) -> Snapshot:
        """What is known of a span in the past, of all rows or of some."""
        found = self._of_period(period, view.group_by)
        exported = found.exported
        health = self._health_of(found.health_after)
        if found.health_before is not None:
            health = health.since(self._health_of(found.health_before))
        table, total, n_destinations = pick_rows(
            exported.keys,
            exported.counters,
            exported.state,
            view,
            view.group_by is not self._config.group_by,
            Picking(None, _choosing(choose, exported.span_ns, health.loss)),
        )
        return Snapshot(
            view=view,
            clock_ns=found.end_ns,
            first_ns=found.start_ns,
            span_ns=exported.span_ns,
            table=table,
            total=total,
            n_destinations=n_destinations,
            health=health,
            window_health=health,
            is_period=True,
        )

    def _of_period(self, period: Period, group_by: GroupBy) -> PeriodRows:
        """Every row of a span in the past."""
        from trtop_core.history.asking import Bounds, rows_of  # noqa: PLC0415 - a report needs none

        self._check_grouping(group_by)
        if self._history is None:
            raise ValueError("no history is kept")
        slots = self._slots()
        now_ns, first_ns, _ = self._flows.window_clock
        return rows_of(slots, period, self._state, Bounds(first_ns, now_ns))

    def _check(self, window: Window, group_by: GroupBy) -> None:
        """Refuse what is not kept.

        Raises:
            ValueError: it is not.
        """
        if window is not Window.ALL and window not in self._windows:
            raise ValueError(f"the window of {int(window)} s is not kept")
        self._check_grouping(group_by)

    def _check_grouping(self, group_by: GroupBy) -> None:
        if group_by is GroupBy.ADDR_PORT and self._config.group_by is GroupBy.ADDR:
            raise ValueError("rows are kept by address only")

    def _export(self, window: Window, group_by: GroupBy) -> Exported:
        """Every row of a window, settled."""
        self._check(window, group_by)
        self._flows.settle()
        clock = self._flows.clock
        if window is Window.ALL or clock is None:
            keys, counters = self._all_rows()
            state = self._sketch_state(*self._all_sketches(len(keys)))
            everything = Exported(keys, counters, state, self._flows.span_ns, None)
            return everything if self._baseline is None else self._baseline.since(everything)
        level = _level_of(window)
        # A screen asks for rows, then for more about one of them, and nothing comes in between.
        if self._exported is None or self._exported.level != level:
            keys, counters, state, first_epoch = self._window(level)
            now_ns, first_ns, _ = self._flows.window_clock
            span_ns = min(self._flows.span_ns, now_ns - max(first_ns, first_epoch * EPOCH_NS))
            self._exported = Exported(keys, counters, state, span_ns, level)
        return self._exported

    def _window(self, level: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], SketchState, int]:
        """Keys, counters and sketches of a window, and the epoch at which it begins."""
        destinations, sketches = self._state.destinations, self._state.sketches
        first_slot = max(destinations.first_slot(level), sketches.first_slot(level))
        first_epoch = first_slot * LEVELS[level][1]
        keys, counters = destinations.export_window(level, first_slot, first_epoch)
        exported = sketches.export_window(len(keys), level, first_slot, first_epoch)
        state = self._sketch_state(*exported)
        return keys, counters, state, first_epoch

    def _sketch_state(
        self,
        stats: npt.NDArray[Any],
        page_keys: npt.NDArray[np.uint32],
        pages: npt.NDArray[np.uint64],
    ) -> SketchState:
        return SketchState(stats, page_keys, pages, not self._n_unbinned())

    def _single_flows(self) -> Flows:
        """The loop, where there is one.

        Raises:
            ValueError: there are several.
        """
        if not isinstance(self._flows, Flows):
            raise ValueError("an engine of several jobs answers snapshots only")
        return self._flows

    def _states(self) -> Sequence[State]:
        """The tables, of each shard where there are several; nothing waits to be counted."""
        return [self._state] if self._shards is None else self._shards.states

    def _all_rows(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Keys and counters of all rows."""
        return self._state.destinations.export() if self._shards is None else self._shards.rows()

    def _all_sketches(
        self, n_rows: int
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint32], npt.NDArray[np.uint64]]:
        """The sketches of the first rows, in the form of a store."""
        if self._shards is None:
            return self._state.sketches.export(n_rows)
        return self._shards.sketches(n_rows).export(n_rows)

    def _n_unbinned(self) -> int:
        """Samples that found no room for their bin."""
        if self._shards is None:
            return self._state.sketches.n_unbinned
        return self._shards.n_unbinned

    def _health(self, level: int | None) -> Health:
        health = self._raw_health(level)
        if level is not None or self._baseline is None:
            return health
        return health.since(self._baseline.health)

    def _raw_health(self, level: int | None) -> Health:
        return self._health_of(self._flows.export_health(level))

    def _health_of(self, raw: npt.NDArray[np.void]) -> Health:
        known = self._known_counters
        return Health(
            packets=int(raw["verdicts"].sum()),
            not_tcp=int(raw["verdicts"][Verdict.NOT_TCP]),
            undecoded={
                verdict.name.lower(): int(raw["verdicts"][verdict])
                for verdict in UNDECODED
                if raw["verdicts"][verdict]
            },
            duplicates=int(raw["duplicates"]),
            untimed=int(raw["untimed"]),
            evicted=int(raw["evicted"]),
            holes_unkept=sum(state.holes.n_unkept for state in self._states()),
            samples_unbinned=self._n_unbinned(),
            received=int(raw["received"]) if known["received"] else None,
            kernel_dropped=int(raw["kernel_dropped"]) if known["kernel"] else None,
            interface_dropped=int(raw["interface_dropped"]) if known["interface"] else None,
            read_lost=int(raw["read_lost"]),
            interruptions=int(raw["interruptions"]),
            interrupted_ns=int(raw["interrupted_ns"]),
            clock_steps=int(raw["clock_steps"]),
            stray_times=int(raw["stray_times"]),
        )


def _choosing(choose: ChooseOf | None, span_ns: int, loss: float | None) -> Choose | None:
    """Who chooses rows that cover so much capture time, of a capture with that loss."""
    return None if choose is None else lambda rows: choose(rows, span_ns, loss)


def _level_of(window: Window) -> int:
    """Which of the kernel's windows it is."""
    return next(i for i, spec in enumerate(LEVELS) if spec[0] == int(window))


def _networks(local: tuple[IPv4Network | IPv6Network, ...]) -> npt.NDArray[Any]:
    """Networks as masked words; IPv4 is mapped into IPv6."""
    networks = np.zeros(len(local), NETWORK)
    for network, entry in zip(local, networks, strict=True):
        address, mask = network.network_address.packed, network.netmask.packed
        if network.version == 4:
            address = bytes(10) + b"\xff\xff" + address
            mask = b"\xff" * 12 + mask
        entry["address"] = np.frombuffer(address, np.uint64)
        entry["mask"] = np.frombuffer(mask, np.uint64)
    return networks


def _stretched(seed: bytes) -> bytes:
    """``SEED_BYTES`` of a seed: its first ones, or what SHAKE-256 makes of a shorter one."""
    if len(seed) >= SEED_BYTES:
        return seed[:SEED_BYTES]
    from hashlib import shake_256  # noqa: PLC0415 - a process draws the whole seed

    return shake_256(seed).digest(SEED_BYTES)
