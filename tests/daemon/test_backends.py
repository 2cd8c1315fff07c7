"""What a subprocess is told: the configuration comes back from JSON as it went in."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtop_core.config import EngineConfig
from trtop_daemon.capture.backends import BACKENDS, backend_of, from_json, to_json
from trtop_daemon.capture.replay import ReplayConfig
from trtop_daemon.ipc.feed import (
    MAX_BUFFER_BYTES,
    MAX_SNAPLEN_BYTES,
    MIN_BUFFER_BYTES,
    MIN_SNAPLEN_BYTES,
    CaptureConfig,
)

names = st.text(min_size=1, max_size=12)
replays = st.builds(
    ReplayConfig,
    st.lists(names, min_size=1, max_size=3).map(tuple),
    st.none() | st.floats(0.01, 1e6),
)
configs = st.builds(
    CaptureConfig,
    interfaces=st.lists(names.filter(lambda name: name != "any"), min_size=1, unique=True).map(
        tuple
    ),
    capture_filter=st.none() | names,
    snaplen_bytes=st.integers(MIN_SNAPLEN_BYTES, MAX_SNAPLEN_BYTES),
    buffer_bytes=st.integers(MIN_BUFFER_BYTES, MAX_BUFFER_BYTES),
    timeout_ms=st.integers(1, 1_000),
    fanout=st.integers(1, 64),
    user=st.none() | names,
    source=st.none() | replays,
    engine=st.builds(EngineConfig, decap=st.booleans()),
)


@given(configs)
def test_any_configuration_comes_back_as_it_was(config: CaptureConfig) -> None:
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


def test_of_the_engine_only_what_the_filter_needs_travels() -> None:
    config = CaptureConfig(engine=EngineConfig(decap=False, max_connections=7))
    assert from_json(to_json(config)) == replace(config, engine=EngineConfig(decap=False))


@pytest.mark.parametrize(
    ("source", "traits"),
    [(None, (True, True, False)), (ReplayConfig(("-",)), (False, False, True))],
)
def test_a_backend_is_chosen_by_what_is_to_be_read(
    source: object, traits: tuple[bool, bool, bool]
) -> None:
    backend = backend_of(CaptureConfig(source=source))
    assert (backend.needs_rights, backend.restarts, backend.ends) == traits
    assert backend.reads_stdin(CaptureConfig(source=source)) == (source is not None)


def test_every_backend_has_a_name_and_a_configuration_of_its_own() -> None:
    assert len({row.name for row in BACKENDS}) == len({row.config_type for row in BACKENDS}) == 2
