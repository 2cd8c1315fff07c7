"""Runs one pairing: network, server, capture, client; then reads the capture and compares."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab import LabError
from lab.capture import capturing, settle
from lab.forwarder import read_log
from lab.live import Row, watching
from lab.measures import Kind, Truth, less
from lab.network import FAR, network
from lab.pairing import Pairing, Site
from lab.processes import lacking, wait_until
from lab.retransmissions import passed_again

TRTOP = [sys.executable, "-m", "trtop"]
READ_TIMEOUT_S = 60.0
ROW_TIMEOUT_S = 10.0

NS_PER_US = 1_000

NEEDS = ("ip", "nsenter", "unshare", "setpriv", "tcpdump", "openssl")
"""Commands without which nothing runs."""


def lack(pairing: Pairing) -> str:
    """Say why a pairing cannot run here; empty if it can."""
    if os.geteuid():
        return "needs root, to make network namespaces"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun"
    missing = lacking([*NEEDS, *pairing.server.needs, *pairing.client.needs])
    modules = (*pairing.server.modules, *pairing.client.modules)
    missing += [f"Python's {name}" for name in modules if not importlib.util.find_spec(name)]
    return f"needs {', '.join(missing)}" if missing else ""


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate of the server's name and address; gives it and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "30", "-subj", "/CN=lab", "-keyout", key, "-out", certificate]
    command += ["-addext", f"subjectAltName=DNS:lab,IP:{FAR}"]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    key.chmod(0o644)
    return certificate, key


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder that any user of this host may enter, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="trtop-lab-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def record(pairing: Pairing, capture: Path) -> Truth:
    """Run a pairing into a capture; what was true."""
    with site_of(pairing) as site, pairing.server.serve(site):
        ends = (site.near, site.far)
        watched, other = ends[::-1] if pairing.capture_far else ends
        with capturing(watched, other, site.folder / "capture.pcap"):
            truth = pairing.client.use(site)
        shutil.copyfile(site.folder / "capture.pcap", capture)
        return on_the_path(pairing, truth, site.path_log)


def watch(pairing: Pairing) -> tuple[Truth, Mapping[str, Any]]:
    """Run a pairing under the eyes of ``trtopd``; what was true, and what it showed."""
    with site_of(pairing) as site, pairing.server.serve(site):
        with watching(site.near, site.folder) as ask:
            truth = pairing.client.use(site)
            settle(site.near, site.far)
            row = wait_for_row(ask, site.address)
        return on_the_path(pairing, truth, site.path_log), row


def on_the_path(pairing: Pairing, truth: Truth, log: Path) -> Truth:
    """Give what was true, with what the path adds to it."""
    round_trip_ns = 2 * pairing.link.delay_us * NS_PER_US
    truth = replace(truth, server_time=less(truth.response_time, round_trip_ns))
    return passed_again(truth, read_log(log)) if pairing.kind is Kind.LOSSY else truth


def wait_for_row(ask: Callable[[str], Row], address: str) -> Row:
    """Ask until no connection is open any more: the last packets may still be on their way."""
    rows: list[Row] = []

    def is_over() -> bool:
        rows.append(ask(address))
        return not rows[-1]["active"]

    with contextlib.suppress(LabError):
        wait_until(is_over, ROW_TIMEOUT_S, "connections end")
    return rows[-1]


@contextlib.contextmanager
def site_of(pairing: Pairing) -> Iterator[Site]:
    """Make where a pairing runs."""
    with scratch() as folder, network(pairing.link, folder) as hosts:
        certificate, key = make_certificate(folder)
        yield Site(
            hosts.near,
            hosts.far,
            folder,
            certificate,
            key,
            pairing.port,
            pairing.setup,
            pairing.work,
            hosts.log,
        )


def read(capture: Path, address: str = FAR) -> Mapping[str, Any]:
    """Read the row of a destination out of a capture.

    Raises:
        LabError: the capture cannot be read, or holds no such destination.
    """
    command = [*TRTOP, "--format", "json", str(capture)]
    done = subprocess.run(command, capture_output=True, timeout=READ_TIMEOUT_S, check=False)
    if done.returncode:
        raise LabError(f"trtop: {done.stderr.decode(errors='replace').strip()}")
    rows = json.loads(done.stdout)["destinations"]
    for row in rows:
        if row["destination"] == address:
            return row
    raise LabError(f"{capture.name} holds no {address}: {[row['destination'] for row in rows]}")
