"""Real servers and clients, a pairing of each kind: what trtop shows is what the client measured.

``make lab`` runs all pairings; here are those whose programs most machines have.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lab.measures import judge
from lab.pairing import Pairing
from lab.run import lack, read, record, watch
from lab.table import PAIRINGS

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes namespaces")

QUICK = (
    "curl-nginx-tls13-resumed",
    "requests-python",
    "python-python-tls12",
    "python-redis-tls13",
    "smtplib-postfix-tls13",
    "h2load-haproxy-h2c",
    "grpc-unary",
    "curl-nginx-h2",
    "websocket-turns",
    "fail-hello-python",
    "fail-version-haproxy",
    "loss-curl-nginx-tls12",
)

LIVE = ("python-python-tls13-resumed", "grpc-unary", "fail-hello-python")

BY_NAME = {pairing.name: pairing for pairing in PAIRINGS}


def pairings(names: tuple[str, ...]) -> list[object]:
    """Give pairings as parameters; one whose programs are missing is skipped and says so."""
    return [
        pytest.param(
            BY_NAME[name],
            id=name,
            marks=pytest.mark.skipif(bool(lack(BY_NAME[name])), reason=lack(BY_NAME[name]) or "-"),
        )
        for name in names
    ]


@pytest.mark.parametrize("pairing", pairings(QUICK))
def test_a_capture_shows_what_the_client_measured(pairing: Pairing, tmp_path: Path) -> None:
    capture = tmp_path / "lab.pcap"
    truth = record(pairing, capture)
    assert not judge(pairing.kind, truth, read(capture)).failures


@pytest.mark.parametrize("pairing", pairings(LIVE))
def test_a_daemon_shows_what_the_client_measured(pairing: Pairing) -> None:
    truth, row = watch(pairing)
    assert not judge(pairing.kind, truth, row).failures
