"""``trtop batch``: captures of many hosts, on all cores or on a cluster, as one report.

Takes options as ``trtop FILE`` does, and which captures belong together; writes one report. Errors
of the environment are raised, not printed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from typing import Any

from trtop.batch.analyze import Measurement, measure_hosts, ordered
from trtop.batch.engines import EngineKind, cluster, local_pools
from trtop.batch.hosts import find_hosts
from trtop.batch.run import DEFAULT_RETRIES, Progress, Running
from trtop.escape import escape
from trtop.names.engine import settled
from trtop.names.namer import Namer, named, wide
from trtop.options.parser import one_of
from trtop.options.report_arguments import make_parser as report_parser
from trtop.options.report_options import Options, parse
from trtop.plugins import Plugins, make_namer
from trtop.reporters.files import check_prefix, copy_report
from trtop.reporters.formats import Format, make_reporter
from trtop.runtime.config_file import read_config
from trtop.runtime.diagnostics import complain_of_filter, complain_of_nobody
from trtop.runtime.environment import Environment
from trtop.runtime.fail_on import fail_on
from trtop.table.style import TableStyle
from trtop_core import parse as readers
from trtop_core.argument_parser import UsageError, argument, new_parser
from trtop_core.errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_UNUSABLE
from trtop_core.records import GroupBy
from trtop_core.snapshot import Snapshot

USAGE = "trtop batch [OPTION...] PATTERN..."

DESCRIPTION = """\
Captures of many hosts as one report, hosts side by side on all cores or on a cluster. A PATTERN
is a file, a folder (captures in and below it), a glob, or a URL (s3://bucket/day/*.pcap.zst).
The captures of one host are read one after the other, in the order of their names.
"""

EPILOG = """\
examples:
  trtop batch /captures                           a folder for each host
  trtop batch --host '([^/]+)-[0-9]+\\.pcap' '/captures/*.pcap.zst'
  trtop batch --state ~/.cache/day1 --format html s3://bucket/day1 > day1.html
  trtop batch --engine ray --address auto /nfs/captures

A capture that cannot be read costs itself, and is named on stderr (status 2).
"""

CLEAR_LINE = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What the user asked for besides what ``trtop FILE`` knows.

    Attributes:
        host: what names a host in a path.
        state: folder of what is measured.
        kind: what runs tasks.
        address: of a cluster.
        n_workers: processes here; None: one for each core.
        retries: of a host whose worker failed.
    """

    host: str | None
    state: str | None
    kind: EngineKind
    address: str | None
    n_workers: int | None
    retries: int


def main(argv: Sequence[str], env: Environment) -> int:
    """Run the command.

    Raises:
        TrtopError: there is no capture, or nothing could be measured.
    """
    batch, rest = _split(argv)
    configured = read_config(env.environ, os.geteuid()).configured
    options = parse(rest, parser=make_parser(), configured=configured)
    _check(options, batch, env)
    hosts = find_hosts(options.inputs, batch.host)
    if options.out_prefix is not None:
        check_prefix(options.out_prefix)
    with Plugins() as plugins, closing(make_namer(options, plugins) or Namer()) as namer:
        config = options.engine
        if namer.needs_port:
            config = replace(config, group_by=GroupBy.ADDR_PORT)
        line = _ProgressLine(env, options.with_progress)
        with _executors(batch) as (make_executor, n_at_once):
            running = Running(make_executor, n_at_once, batch.retries, line.show)
            measured = measure_hosts(hosts, config, running, batch.state)
        line.clear()
        for error in measured.errors:
            env.stderr.write(f"trtop: {escape(error)}\n")
        return _report(measured, namer, options, env)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line; it raises ``UsageError`` where argparse would exit."""
    parser = report_parser("trtop batch", USAGE, DESCRIPTION, EPILOG)
    _add_batch(parser.add_argument_group("which captures belong together, and who reads them"))
    return parser


def _add_batch(group: argparse._ActionsContainer) -> None:
    add = group.add_argument
    add(
        "--host",
        metavar="REGEX",
        help="what its first group matches in a path names the host (default: the folder)",
    )
    add(
        "--state",
        metavar="DIR",
        help="keep what is measured there: captures with the same content are not read again",
    )
    add(
        "--engine",
        type=one_of({kind.value: kind for kind in EngineKind}),
        default=EngineKind.LOCAL,
        metavar="|".join(kind.value for kind in EngineKind),
        help="processes here (default), or an existing cluster",
    )
    add("--address", metavar="ADDRESS", help="of the cluster")
    add("--workers", type=argument(readers.whole), metavar="N",
        help="processes here (default: one for each core)")  # fmt: skip
    add("--retries", type=argument(readers.whole), default=DEFAULT_RETRIES, metavar="N",
        help="how often a host is tried again whose worker failed (default: 2)")  # fmt: skip


def _split(argv: Sequence[str]) -> tuple[BatchOptions, list[str]]:
    """This command's own options, and those that ``trtop FILE`` has too."""
    parser = new_parser("trtop batch", USAGE, "", "")
    _add_batch(parser)
    given, rest = parser.parse_known_args(list(argv))
    own = BatchOptions(
        given.host, given.state, given.engine, given.address, given.workers, given.retries
    )
    if own.n_workers == 0:
        raise UsageError("--workers is 1 or more")
    if own.address is not None and own.kind is EngineKind.LOCAL:
        raise UsageError("--address goes with --engine ray or dask")
    if own.n_workers is not None and own.kind is not EngineKind.LOCAL:
        raise UsageError("--workers goes with --engine local: a cluster has its own")
    return own, rest


def _check(options: Options, batch: BatchOptions, env: Environment) -> None:
    """Refuse what a batch cannot be.

    Raises:
        UsageError: it was asked for.
    """
    if options.parts.needs_session or options.follow or options.interval_s is not None:
        raise UsageError("trtop batch reads files once, and writes one report at the end")
    if options.n_jobs is not None:
        raise UsageError("trtop batch reads with --workers: leave out --jobs")
    if "capture" in options.names:
        raise UsageError("--names capture needs the packets: a batch has names of hosts and dns")
    if options.is_window_given:
        raise UsageError("trtop batch shows all of the time: leave out --window")
    is_page = options.report_format is Format.HTML
    if is_page and options.out_prefix is None and env.stdout.isatty():
        raise UsageError(
            "--format html is a page for a browser: add > report.html, or --out report"
        )


def _executors(batch: BatchOptions) -> AbstractContextManager[tuple[Any, int]]:
    if batch.kind is EngineKind.LOCAL:
        return local_pools(batch.n_workers)
    return cluster(batch.kind, batch.address)


def _report(measured: Measurement, namer: Namer, options: Options, env: Environment) -> int:
    """Write what was measured; the exit status."""
    if measured.is_unusable:
        return EXIT_UNUSABLE
    view = options.view

    def take() -> Snapshot:
        if not namer.shapes_rows:
            return ordered(measured.snapshot, replace(view, limit=None))
        rows = ordered(measured.snapshot, wide(view, namer.needs_port))
        return named(rows, replace(view, limit=None), namer)

    everything = settled(take, namer)
    snapshot = everything.limited(view.limit)
    if options.out_prefix is not None:
        style = TableStyle(thresholds=options.thresholds, columns=options.columns)
        page = (lambda _: None) if options.report_format is Format.HTML else None
        copy_report(snapshot, options.out_prefix, style, options.with_bins, page)
    if options.report_format is not Format.HTML or not env.stdout.isatty():
        style_of = lambda: env.table_style(options)  # noqa: E731
        make_reporter(options.report_format, env.stdout, style_of, options.with_bins).report(
            snapshot
        )
    complain_of_nobody(snapshot, options, env)
    complain_of_filter(snapshot, env)
    for failure in namer.failures:
        env.stderr.write(f"trtop: {escape(failure)}\n")
    found = fail_on(everything, options.fail_on, env) if options.fail_on is not None else EXIT_OK
    return found or (EXIT_INCOMPLETE if measured.errors else EXIT_OK)


class _ProgressLine:
    """Hosts that are done, on a terminal."""

    def __init__(self, env: Environment, is_wanted: bool) -> None:
        self._stream = env.stderr
        self._is_shown = is_wanted and env.stderr.isatty()

    def show(self, progress: Progress) -> None:
        """Draw the line anew."""
        if not self._is_shown:
            return
        text = f"{progress.n_done:,} of {progress.n_hosts:,} hosts"
        if progress.n_kept:
            text += f", {progress.n_kept:,} of an earlier run"
        if progress.n_errors:
            text += f", {progress.n_errors:,} not readable"
        self._stream.write(CLEAR_LINE + text)
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            self._stream.write(CLEAR_LINE)
            self._stream.flush()
