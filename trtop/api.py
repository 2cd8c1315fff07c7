"""``analyze``, ``connections``, ``stream``: captures as arrays, for notebooks and programs.

Takes paths and open files, gives numpy arrays, data frames and snapshots. Reads no command line,
prints nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from trtop.filters.filter import parse_filter
from trtop.filters.snapshots import filtered
from trtop.metrics import lookup
from trtop.names.base import BaseResolver
from trtop.names.engine_factory import final_snapshot, make_engine
from trtop.names.namer import Namer
from trtop.names.whitelist import BaseWhitelist
from trtop.notebook.inputs import Inputs, as_paths, listed
from trtop.notebook.result import Result
from trtop.table.health import unmatched_local
from trtop_core import parse
from trtop_core.config import EngineConfig, engine_config
from trtop_core.engine import SEED_BYTES, Engine
from trtop_core.link_types import unsupported_lines
from trtop_core.moments import moment
from trtop_core.pace import TimedFeed, read_timed
from trtop_core.records import NS_PER_S, Window
from trtop_core.snapshot import Snapshot
from trtop_core.sources import IDLE, Batches, Source, open_capture
from trtop_core.timing import Timing
from trtop_core.view import DEFAULT_PERCENTILE, View

DEFAULT_EVERY_S = 1.0

BETWEEN = "between"
"""A window of ``stream``: each snapshot covers what came after the one before."""


def analyze(  # noqa: PLR0913 - all but the first are options
    paths: Inputs,
    *,
    local: str | Sequence[str] = (),
    direction: str = "out",
    group_by: str = "addr",
    window: str = "all",
    sort: str = "syn",
    limit: int | None = None,
    start: str | None = None,
    end: str | None = None,
    decap: bool = True,
    resolver: BaseResolver | None = None,
    whitelist: BaseWhitelist | None = None,
) -> Result:
    """Read captures to the end.

    Args:
        paths: one or several, read one after the other; also files opened with mode ``rb``.
        local: local networks; none: every connection is outgoing.
        direction: ``out``, ``in`` or ``both``.
        group_by: ``addr`` or ``addr,port``.
        window: ``10s``, ``60s``, ``5min`` (the last of the capture) or ``all``.
        sort: a field name or a heading; the largest first.
        limit: at most so many destinations; totals are of all.
        start: count from here on: ``14:03`` (UTC), ``+90s`` after the first packet, an ISO time.
        end: count up to here; what comes later is not read.
        decap: whether TCP inside tunnels counts.
        resolver: what destinations are called; slow ones are waited for, up to 10 s.
        whitelist: which destinations are shown and counted in the totals.

    Raises:
        TrtopError: nothing could be read.
        ValueError: an argument makes no sense.
    """
    config, view = settings(local, direction, group_by, window, decap)
    view = replace(view, sort=lookup.column(sort), limit=limit)
    namer = Namer(resolver, whitelist)
    engine = make_engine(config, os.urandom(SEED_BYTES), namer)
    with (
        closing(namer),
        as_paths(listed(paths)) as names,
        open_capture(names) as source,
    ):
        result = read_timed(engine, source, _timing(start, end))
        if result.failure is not None and result.is_unusable:
            raise result.failure
        errors = [str(error) for error in source.errors]
        errors += unsupported_lines(engine.unsupported_link_types)
        snapshot = final_snapshot(engine, view)
        if view.window is Window.ALL and whitelist is None:
            errors += unmatched_local(snapshot, config, "local")
        return Result(snapshot, tuple(errors))


def connections(
    paths: Inputs,
    *,
    local: str | Sequence[str] = (),
    direction: str = "out",
    decap: bool = True,
) -> Iterator[npt.NDArray[Any]]:
    """Records of a capture's connections, in blocks, while it is read.

    They come in the order in which nothing could count in them any more; those that are still
    remembered when the capture ends come last. Together they add up to the destinations of
    ``analyze``, counter for counter.

    Args:
        paths: as ``analyze``.
        local: as ``analyze``.
        direction: as ``analyze``.
        decap: as ``analyze``.

    Yields:
        Shape (n,), dtype ``trtop_core.connection_records.CONNECTION_RECORD``, n above 0.

    Raises:
        TrtopError: a capture could not be read (to the end): raised after all that could.
        ValueError: an argument makes no sense.
    """
    config, _ = settings(local, direction, "addr", "all", decap)
    engine = Engine(replace(config, keeps_connections=True), os.urandom(SEED_BYTES))
    with as_paths(listed(paths)) as names, open_capture(names) as source:
        batches = Batches(source)
        for batch in batches:
            if batch.holds_anything:
                engine.feed(batch)
            records = engine.take_connections()
            if len(records):
                yield records
    engine.finish()
    for records in (engine.take_connections(), *engine.remaining_connections()):
        if len(records):
            yield records
    if batches.result.failure is not None:
        raise batches.result.failure


def stream(  # noqa: PLR0913 - all but the first are options
    paths: Inputs,
    *,
    every_s: float = DEFAULT_EVERY_S,
    start: str | None = None,
    end: str | None = None,
    follow: bool = False,
    local: str | Sequence[str] = (),
    direction: str = "out",
    group_by: str = "addr",
    window: str = "all",
    percentile: float = DEFAULT_PERCENTILE,
    decap: bool = True,
    resolver: BaseResolver | None = None,
    whitelist: BaseWhitelist | None = None,
    filter: str = "",  # noqa: A002 - as the option is called
) -> Iterator[Snapshot]:
    """Snapshots of a capture as its time goes by.

    There is one after every ``every_s`` seconds of *capture* time, of all packets before that
    moment, and one at the end: the same capture gives the same snapshots, at any speed of reading.
    The grid is even: a silence has its moments too, unless it is longer than a day (a clock that
    was set). While a pipe or a followed file has nothing, there is one every ``every_s`` seconds of
    real time.

    Args:
        paths: one or several; ``-`` is standard input.
        every_s: seconds between snapshots.
        start: as ``analyze``; the grid begins there.
        end: as ``analyze``; the last snapshot is as of it.
        follow: the last file is still being written; the stream has no end.
        local: as ``analyze``.
        direction: as ``analyze``.
        group_by: as ``analyze``.
        window: what each snapshot covers; ``between``: what came after the one before.
        percentile: what ``snapshot.view.percentile`` says to whoever draws it.
        decap: as ``analyze``.
        resolver: names that are under way are addresses in a snapshot.
        whitelist: as ``analyze``.
        filter: only these rows, in the language of docs/filter.md; one that asks for ports has them
            by address and port. Totals are of all rows.

    Raises:
        TrtopError: a capture could not be read (to the end): raised after all that could.
        ValueError: an argument makes no sense.
    """
    if every_s <= 0:
        raise ValueError("every_s is above 0")
    chosen = parse_filter(filter)
    rows_by = "addr,port" if chosen is not None and chosen.needs_ports else group_by
    is_between = window == BETWEEN
    config, view = settings(local, direction, rows_by, "all" if is_between else window, decap)
    view = replace(view, percentile=percentile)
    every_ns = max(1, round(every_s * NS_PER_S))
    timing = Timing(*_timing(start, end)[:2], every_ns, is_between)
    with ExitStack() as stack:
        names = stack.enter_context(as_paths(listed(paths)))
        source = stack.enter_context(open_capture(names, follow=follow))
        namer = stack.enter_context(closing(Namer(resolver, whitelist)))
        kept = stack.pop_all()
    snapshots = _snapshots((config, namer), view, source, timing, kept)
    return snapshots if chosen is None else (filtered(one, chosen) for one in snapshots)


def _snapshots(
    told: tuple[EngineConfig, Namer], view: View, source: Source, timing: Timing, kept: ExitStack
) -> Iterator[Snapshot]:
    config, namer = told
    engine = make_engine(config, os.urandom(SEED_BYTES), namer)
    timed = TimedFeed(engine, timing)
    every_s = (timing.every_ns or 0) / NS_PER_S
    shown_s = time.monotonic()
    batches = Batches(source)
    with kept:
        for batch in batches:
            if batch is IDLE:
                for _ in timed.stops(None):
                    pass
                if time.monotonic() - shown_s >= every_s:
                    yield engine.snapshot(view)
                    shown_s = time.monotonic()
                continue
            for _ in timed.stops(batch):
                yield engine.snapshot(view)
                shown_s = time.monotonic()
            if timed.is_over:
                return
        if not batches.result.is_unusable:
            for _ in timed.last_stops():
                yield engine.snapshot(view)
            if not timed.is_over:
                yield final_snapshot(engine, view)
    if batches.result.failure is not None:
        raise batches.result.failure


def _timing(start: str | None, end: str | None) -> Timing:
    """Which part of a capture counts.

    Raises:
        ValueError: one of them is no time.
    """
    return Timing(None if start is None else moment(start), None if end is None else moment(end))


def settings(
    local: str | Sequence[str], direction: str, group_by: str, window: str, decap: bool
) -> tuple[EngineConfig, View]:
    """An engine's configuration and a view, of arguments as ``analyze`` has them.

    Raises:
        ValueError: an argument makes no sense.
    """
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
