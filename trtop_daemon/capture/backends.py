"""The table of backends: each a name, what its configuration is, and the backend.

Takes how packets are captured, gives the backend for it; and turns that configuration into JSON for
a subprocess, and back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from trtop_core.config import EngineConfig
from trtop_daemon.capture.backend import Backend
from trtop_daemon.capture.device import DeviceBackend
from trtop_daemon.capture.replay import ReplayBackend, ReplayConfig
from trtop_daemon.ipc.feed import CaptureConfig


@dataclass(frozen=True, slots=True)
class Row:
    """One backend.

    Attributes:
        name: in what a subprocess is told.
        config_type: of ``CaptureConfig.source``, by which it is chosen; None: it needs none.
        backend: the backend itself.
    """

    name: str
    config_type: type | None
    backend: Backend


BACKENDS = (
    Row("device", None, DeviceBackend()),
    Row("replay", ReplayConfig, ReplayBackend()),
)


def backend_of(config: CaptureConfig) -> Backend:
    """The backend that captures as a configuration says."""
    return _row_of(config).backend


def to_json(config: CaptureConfig) -> dict[str, Any]:
    """A configuration as JSON can hold it; of the engine's only whether tunnels count."""
    told = {
        item.name: getattr(config, item.name)
        for item in fields(config)
        if item.name not in ("engine", "source")
    }
    source = None if config.source is None else asdict(config.source)
    return {**told, "backend": _row_of(config).name, "source": source, "decap": config.engine.decap}


def from_json(told: dict[str, Any]) -> CaptureConfig:
    """The configuration that ``to_json`` was given."""
    told = {key: _frozen(value) for key, value in told.items()}
    name, source, decap = told.pop("backend"), told.pop("source"), told.pop("decap")
    row = next(row for row in BACKENDS if row.name == name)
    if row.config_type is not None:
        source = row.config_type(**{key: _frozen(value) for key, value in source.items()})
    return CaptureConfig(**told, source=source, engine=EngineConfig(decap=decap))


def _row_of(config: CaptureConfig) -> Row:
    kind = None if config.source is None else type(config.source)
    return next(row for row in BACKENDS if row.config_type is kind)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
