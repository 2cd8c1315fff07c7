"""The engine of a run, with names or without.

Takes who knows names, gives an engine, its final snapshot, and what went wrong with names. A run
without names does without their modules, which take a while to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trtop_core.engine import Engine

if TYPE_CHECKING:
    from trtop.names.engine import NamedEngine
    from trtop.names.namer import Namer
    from trtop_core.config import EngineConfig
    from trtop_core.snapshot import Snapshot
    from trtop_core.view import View


def make_engine(config: EngineConfig, seed: bytes, namer: Namer | None, n_jobs: int = 1) -> Engine:
    """An engine; one with names where there is somebody to ask."""
    if namer is None or namer.is_idle:
        return Engine(config, seed, n_jobs)
    from trtop.names.engine import NamedEngine  # noqa: PLC0415 - takes a while

    return NamedEngine(config, seed, namer, n_jobs)


def final_snapshot(engine: Engine, view: View) -> Snapshot:
    """The snapshot for a report that is made once: it waits a while for names."""
    named = _with_names(engine)
    return engine.snapshot(view) if named is None else named.settled_snapshot(view)


def name_failures(engine: Engine) -> list[str]:
    """One line for each resolver or whitelist that raised."""
    named = _with_names(engine)
    return [] if named is None else named.namer.failures


def namer_of(engine: Engine) -> Namer | None:
    """Who names an engine's rows; None: nobody."""
    named = _with_names(engine)
    return None if named is None else named.namer


def _with_names(engine: Engine) -> NamedEngine | None:
    if type(engine) is Engine:
        return None
    from trtop.names.engine import NamedEngine  # noqa: PLC0415 - takes a while

    return engine if isinstance(engine, NamedEngine) else None
