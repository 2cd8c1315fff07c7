"""``analyze`` and ``stream``: captures as arrays and snapshots, for notebooks and programs.

Takes paths, gives numpy arrays, data frames and snapshots. Reads no command line, prints nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trtop.metrics import lookup
from trtop.names.base import BaseResolver
from trtop.names.engine_factory import final_snapshot, make_engine
from trtop.names.namer import Namer
from trtop.names.whitelist import BaseWhitelist
from trtop.table.rows import quick_rows
from trtop_core import parse
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig, engine_config
from trtop_core.engine import SEED_BYTES
from trtop_core.errors import TrtopError
from trtop_core.health import Health
from trtop_core.link_types import unsupported_lines
from trtop_core.metrics import COUNTERS, DERIVED, GAUGES, METRIC_OF, SKETCHES
from trtop_core.records import NS_PER_S, TS_LIMIT_NS
from trtop_core.snapshot import DETAIL_PERCENTILES, Row, Snapshot, percentile_key
from trtop_core.sources import IDLE, Batches, Source, open_capture, read_into
from trtop_core.table import NOWHERE, RowOrigin, Table
from trtop_core.verdicts.rules import WORDS
from trtop_core.view import DEFAULT_PERCENTILE, View

if TYPE_CHECKING:
    import pandas
    import pyarrow

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

DEFAULT_EVERY_S = 1.0

MAX_ADDRESS_CHARS = 45
"""An IPv6 address whose last four bytes are written as an IPv4 one."""


@dataclass(frozen=True, slots=True)
class Result:
    """The numbers of a capture, as arrays.

    Attributes:
        snapshot: everything, as the engine gave it.
        errors: what could not be read, one line each; empty where all was read.
    """

    snapshot: Snapshot
    errors: tuple[str, ...] = ()

    @property
    def destinations(self) -> npt.NDArray[Any]:
        """One row per destination, shape (n,), a structured array.

        Fields, as in JSON and CSV reports: ``destination`` (str); ``address`` and ``name`` (str;
        empty where there is none, or several), ``port`` (0 where rows are not kept by port); every
        counter and gauge (uint64);
        ``syn_rate`` and ``est_rate`` (per second); ``completeness`` (0 … 1); ``suspect`` (bool);
        ``verdict`` and ``because`` (str; empty where nothing is wrong); and of each latency ``L``
        ``L_count`` (samples), ``L_sum_ns``, ``L_min_ns``, ``L_max_ns``,
        ``L_p50_ns``, ``L_p90_ns``, ``L_p95_ns``, ``L_p99_ns``, ``L_p999_ns`` (float64,
        nanoseconds; NaN without samples; sums beyond 2**53 ns, 104 days, are rounded). ``reuse`` is
        responses per connection, without ``_ns``. Unknown numbers are NaN.
        """
        table = self.snapshot.table
        return _array(table, list(quick_rows(self.snapshot)), table.row_origins())

    @property
    def totals(self) -> np.void:
        """All destinations together, one record with the fields of ``destinations``."""
        record: np.void = _array(self.snapshot.total, [self.snapshot.totals], [NOWHERE])[0]
        return record

    @property
    def health(self) -> Health:
        """May the numbers be trusted? What the capture held, lost and could not read."""
        return self.snapshot.health

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame, one row per destination, which is its index.

        Raises:
            TrtopError: pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - optional
        except ImportError:
            raise TrtopError("to_pandas() needs pandas: pip install pandas") from None
        rows = self.destinations
        columns = {name: rows[name] for name in rows.dtype.names or ()}
        return pd.DataFrame(columns).set_index("destination")

    def to_arrow(self) -> pyarrow.Table:
        """An Arrow table, one row per destination; unknown numbers are null.

        Raises:
            TrtopError: pyarrow is not installed.
        """
        try:
            import pyarrow as pa  # noqa: PLC0415 - optional
        except ImportError:
            raise TrtopError("to_arrow() needs pyarrow: pip install pyarrow") from None
        rows = self.destinations
        columns = {
            name: pa.array(np.ascontiguousarray(rows[name]), from_pandas=True)
            for name in rows.dtype.names or ()
        }
        return pa.table(columns)


def analyze(  # noqa: PLR0913 - all but the first are options
    paths: Paths,
    *,
    local: str | Sequence[str] = (),
    direction: str = "out",
    group_by: str = "addr",
    window: str = "all",
    sort: str = "syn",
    limit: int | None = None,
    decap: bool = True,
    resolver: BaseResolver | None = None,
    whitelist: BaseWhitelist | None = None,
) -> Result:
    """Read captures to the end.

    Args:
        paths: one or several, read one after the other.
        local: local networks; none: every connection is outgoing.
        direction: ``out``, ``in`` or ``both``.
        group_by: ``addr`` or ``addr,port``.
        window: ``10s``, ``60s``, ``5min`` (the last of the capture) or ``all``.
        sort: a field name or a heading; the largest first.
        limit: at most so many destinations; totals are of all.
        decap: whether TCP inside tunnels counts.
        resolver: what destinations are called; slow ones are waited for, up to 10 s.
        whitelist: which destinations are shown and counted in the totals.

    Raises:
        TrtopError: nothing could be read.
        ValueError: an argument makes no sense.
    """
    config, view = _told(local, direction, group_by, window, decap)
    view = replace(view, sort=lookup.column(sort), limit=limit)
    namer = Namer(resolver, whitelist)
    engine = make_engine(config, os.urandom(SEED_BYTES), namer)
    with closing(namer), open_capture(_listed(paths)) as source:
        result = read_into(engine, source)
        if result.failure is not None and result.is_unusable:
            raise result.failure
        errors = [str(error) for error in source.errors]
        engine.finish()
        errors += unsupported_lines(engine.unsupported_link_types)
        return Result(final_snapshot(engine, view), tuple(errors))


def stream(  # noqa: PLR0913 - all but the first are options
    paths: Paths,
    *,
    every_s: float = DEFAULT_EVERY_S,
    follow: bool = False,
    local: str | Sequence[str] = (),
    direction: str = "out",
    group_by: str = "addr",
    window: str = "all",
    percentile: float = DEFAULT_PERCENTILE,
    decap: bool = True,
    resolver: BaseResolver | None = None,
    whitelist: BaseWhitelist | None = None,
) -> Iterator[Snapshot]:
    """Snapshots of a capture as its time goes by.

    There is one after every ``every_s`` seconds of *capture* time, of all packets before that
    moment, and one at the end: the same capture gives the same snapshots, at any speed of reading.
    Of a silence that lasts longer there is one snapshot. While a pipe or a followed file has
    nothing, there is one every ``every_s`` seconds of real time.

    Args:
        paths: one or several; ``-`` is standard input.
        every_s: seconds between snapshots.
        follow: the last file is still being written; the stream has no end.
        local: as ``analyze``.
        direction: as ``analyze``.
        group_by: as ``analyze``.
        window: what each snapshot covers.
        percentile: what ``snapshot.view.percentile`` says to whoever draws it.
        decap: as ``analyze``.
        resolver: names that are under way are addresses in a snapshot.
        whitelist: as ``analyze``.

    Raises:
        TrtopError: a capture could not be read (to the end): raised after all that could.
        ValueError: an argument makes no sense.
    """
    if every_s <= 0:
        raise ValueError("every_s is above 0")
    config, view = _told(local, direction, group_by, window, decap)
    view = replace(view, percentile=percentile)
    return _snapshots(
        config,
        view,
        Namer(resolver, whitelist),
        open_capture(_listed(paths), follow=follow),
        round(every_s * NS_PER_S),
    )


def _snapshots(
    config: EngineConfig, view: View, namer: Namer, source: Source, every_ns: int
) -> Iterator[Snapshot]:
    pace, engine = _Pace(every_ns), make_engine(config, os.urandom(SEED_BYTES), namer)
    shown_s = time.monotonic()
    batches = Batches(source)
    with closing(namer), source:
        for batch in batches:
            if batch is IDLE:
                if time.monotonic() - shown_s >= every_ns / NS_PER_S:
                    yield engine.snapshot(view)
                    shown_s = time.monotonic()
                continue
            for part, moment_ns in pace.cut(batch):
                engine.feed(part)
                if moment_ns is not None:
                    engine.advance(moment_ns)
                    yield engine.snapshot(view)
                    shown_s = time.monotonic()
        engine.finish()
        if not batches.result.is_unusable:
            yield final_snapshot(engine, view)
    if batches.result.failure is not None:
        raise batches.result.failure


class _Pace:
    """Where batches are cut, so that a snapshot falls on its moment of capture time.

    Args:
        every_ns: between snapshots.
    """

    def __init__(self, every_ns: int) -> None:
        self._every_ns = every_ns
        self._clock_ns: int | None = None
        self._next_ns = 0

    def cut(self, batch: PacketBatch) -> Iterator[tuple[PacketBatch, int | None]]:
        """Parts of a batch, each with the moment that comes after it, None after the last."""
        if not len(batch):
            yield batch, None
            return
        clock = np.maximum.accumulate(np.clip(batch.index["ts_ns"], -TS_LIMIT_NS, TS_LIMIT_NS))
        if self._clock_ns is None:
            self._next_ns = int(clock[0]) + self._every_ns
        start = 0
        while True:
            end = start + int(np.searchsorted(clock[start:], self._next_ns, side="left"))
            if end == len(batch):
                break
            yield PacketBatch(batch.data, batch.index[start:end]), self._next_ns
            # A silence is shown once: the next snapshot is the first after the packet that ends it.
            late = int(clock[end]) - self._next_ns
            self._next_ns += (late // self._every_ns + 1) * self._every_ns
            start = end
        self._clock_ns = int(clock[-1])
        yield replace(batch, index=batch.index[start:]), None


def _told(
    local: str | Sequence[str], direction: str, group_by: str, window: str, decap: bool
) -> tuple[EngineConfig, View]:
    texts = [local] if isinstance(local, str) else list(local)
    try:
        grouping, way = parse.GROUPINGS[group_by.replace(" ", "")], parse.DIRECTIONS[direction]
    except KeyError as error:
        raise ValueError(
            f"no {error}; group_by is {' or '.join(parse.GROUPINGS)}, "
            f"direction is {', '.join(parse.DIRECTIONS)}"
        ) from None
    shown = parse.window(window)
    config = engine_config(
        local=(network for text in texts for network in parse.networks(text)),
        direction=way,
        group_by=grouping,
        decap=decap,
        windows=(shown,),
    )
    return config, View(window=shown, group_by=grouping)


def _listed(paths: Paths) -> list[str]:
    if isinstance(paths, (str, os.PathLike)):
        return [os.fspath(paths)]
    return [os.fspath(path) for path in paths]


def _dtype(n_chars: int, n_reason_chars: int) -> np.dtype[np.void]:
    fields = [("destination", f"U{max(1, n_chars)}"), ("address", f"U{MAX_ADDRESS_CHARS}")]
    fields += [("port", "<u2"), ("name", f"U{max(1, n_chars)}")]
    fields += [(name, "<u8") for name in COUNTERS + GAUGES]
    fields += [*((name, "<f8") for name in DERIVED), ("suspect", "?")]
    fields += [("verdict", f"U{max(map(len, WORDS))}"), ("because", f"U{max(1, n_reason_chars)}")]
    for sketch in SKETCHES:
        unit = METRIC_OF[sketch].unit.suffix
        fields.append((f"{sketch}_count", "<u8"))
        names = ["sum", "min", "max", *map(percentile_key, DETAIL_PERCENTILES)]
        fields += [(f"{sketch}_{name}{unit}", "<f8") for name in names]
    return np.dtype(fields)


def _array(table: Table, rows: Sequence[Row], origins: Sequence[RowOrigin]) -> npt.NDArray[Any]:
    """The rows of a table as a structured array."""
    judged = [row.judged() for row in rows]
    n_chars = max((len(row.name) for row in rows), default=1)
    n_reason_chars = max((len(reason or "") for _, reason in judged), default=1)
    array = np.zeros(len(rows), _dtype(n_chars, n_reason_chars))
    array["destination"] = [row.name for row in rows]
    array["address"] = [origin.address or "" for origin in origins]
    array["port"] = [origin.port or 0 for origin in origins]
    array["name"] = [origin.name or "" for origin in origins]
    for name in COUNTERS + GAUGES:
        array[name] = table.counters[name]
    for name in DERIVED:
        values = (row.derived(name) for row in rows)
        array[name] = [np.nan if value is None else value for value in values]
    array["suspect"] = [row.suspect for row in rows]
    array["verdict"] = [word for word, _ in judged]
    array["because"] = [reason or "" for _, reason in judged]
    for sketch in SKETCHES:
        column, unit = table.sketches[sketch], METRIC_OF[sketch].unit.suffix
        counts = column.stats["count"]
        array[f"{sketch}_count"] = counts
        array[f"{sketch}_sum{unit}"] = column.sums()
        for name in ("min", "max"):
            array[f"{sketch}_{name}{unit}"] = np.where(counts > 0, column.stats[name], np.nan)
        for percentile in DETAIL_PERCENTILES:
            found = column.quantiles(percentile)
            array[f"{sketch}_{percentile_key(percentile)}{unit}"] = np.where(
                found >= 0, found, np.nan
            )
    return array
