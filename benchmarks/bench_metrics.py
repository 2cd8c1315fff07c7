"""Measure scrapes of a live capture with many destinations: time, bytes, and drops. Needs root.

    python benchmarks/bench_metrics.py [--destinations N] [--seconds S] [--rates N,N,…]

A sender in one network namespace, ``trtopd --metrics`` in another, joined by veth. First each
destination gets connections with requests; then packets come at an even rate, once without a
scrape and once with one every second. Last the same numbers are pushed over OTLP.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import http.client
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bench_live
import screen

RATES = (50_000, 100_000, 200_000, 300_000)
"""Packets/s."""

LIMITS = (100, 1_000)
"""Destinations with series of their own."""

LOCAL = "192.0.2.1,10.83.0.0/16"
"""The clients of ``screen.traffic`` and of ``sender``."""

START_TIMEOUT_S = 30.0
TIMEOUT_S = 120.0


class Daemon:
    """A running ``trtopd`` in the near namespace."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.path = folder / "metrics.sock"
        self._log = folder / "log"
        command = [
            *(sys.executable, "-m", "trtop_daemon", "-i", "near0", "--local", LOCAL),
            *("--user", "root", "--listen", str(folder / "s.sock"), *options),
        ]
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                ["ip", "netns", "exec", bench_live.NEAR, *command], stderr=log
            )
        end_s = time.monotonic() + START_TIMEOUT_S
        while "listening on" not in self._log.read_text():
            if self._process.poll() is not None or time.monotonic() > end_s:
                sys.exit(f"bench_metrics.py: trtopd does not start: {self._log.read_text()}")
            time.sleep(0.05)

    def scrape(self) -> bytes:
        """One exposition, compressed as Prometheus asks for it."""
        connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(TIMEOUT_S)
        with contextlib.closing(connection):
            connection.sock.connect(str(self.path))
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            response = connection.getresponse()
            body = response.read()
            if response.status != http.client.OK:
                sys.exit(f"bench_metrics.py: {response.status}: {body[:200]!r}")
            return body

    def number(self, name: str) -> float:
        """One number of a family without labels."""
        text = gzip.decompress(self.scrape()).decode()
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(TIMEOUT_S)


@contextlib.contextmanager
def running(*options: str) -> Iterator[Daemon]:
    """A daemon, ended afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        daemon = Daemon(path, "--metrics", f"unix:{path / 'metrics.sock'}", *options)
        try:
            yield daemon
        finally:
            daemon.stop()


def introduce(n_destinations: int) -> None:
    """Send the connections of ``screen.traffic`` once, in their order; run in the far namespace."""
    batch = screen.traffic(n_destinations, screen.SEED, screen.FIRST_NS, screen.SPAN_S)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sending:
        sending.bind(("far0", 0))
        ends = batch.index["offset"] + batch.index["caplen"]
        data = memoryview(batch.data)
        for start, end in zip(batch.index["offset"].tolist(), ends.tolist(), strict=True):
            sending.send(data[start:end])


class Scraper(threading.Thread):
    """Scrapes once a second until it is told to stop."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon=True)
        self.times_ms: list[float] = []
        self.n_bytes = 0
        self.over = threading.Event()
        self._daemon = daemon

    def run(self) -> None:
        """Scrape."""
        while not self.over.is_set():
            start_s = time.perf_counter()
            self.n_bytes = len(self._daemon.scrape())
            took_s = time.perf_counter() - start_s
            self.times_ms.append(1000 * took_s)
            self.over.wait(max(0.0, 1.0 - took_s))


def measure_drops(daemon: Daemon, rates: list[int], seconds: float) -> None:
    """Drops at each rate, without scrapes and with them."""
    print(f"{'rate/s':>9} {'scrapes':>8}{'sent/s':>9}{'dropped':>9}  ms per scrape: median, most")
    for rate in rates:
        for is_scraped in (False, True):
            before = daemon.number("trtop_packets_kernel_dropped_total")
            scraper = Scraper(daemon)
            if is_scraped:
                scraper.start()
            sent = bench_live.send(rate, seconds)
            scraper.over.set()
            if is_scraped:
                scraper.join(TIMEOUT_S)
            time.sleep(bench_live.SETTLE_S)
            dropped = daemon.number("trtop_packets_kernel_dropped_total") - before
            times = scraper.times_ms
            shown = f"{statistics.median(times):.0f}, {max(times):.0f}" if times else ""
            per_s = sent["sent"] / sent["seconds"]
            print(f"{rate:>9,} {len(times):>8}{per_s:>9,.0f}{dropped:>9,.0f}  {shown}", flush=True)


def measure_scrapes(daemon: Daemon, label: str) -> None:
    """Time and bytes while nothing else happens."""
    times_ms, body = [], b""
    for _ in range(5):
        time.sleep(1.1)  # what is younger is not asked for again
        start_s = time.perf_counter()
        body = daemon.scrape()
        times_ms.append(1000 * (time.perf_counter() - start_s))
    plain = gzip.decompress(body)
    asking_ms = 1000 * daemon.number("trtop_snapshot_duration_seconds")
    n_known = daemon.number("trtop_destinations")
    print(
        f"{label}: {n_known:,.0f} destinations known; {statistics.median(times_ms):,.0f} ms "
        f"(asking the daemon {asking_ms:.0f} ms), {plain.count(10):,} lines, "
        f"{len(plain):,} bytes, {len(body):,} compressed",
        flush=True,
    )


def measure_push(n_destinations: int) -> None:
    """Requests and bytes of one push of all destinations that have series."""
    bodies: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        """Takes everything."""

        def do_POST(self) -> None:
            """Count."""
            bodies.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(http.client.OK)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    from trtop.export.otlp_points import PointMaker  # noqa: PLC0415 - an extra
    from trtop.export.receiver import make_transport  # noqa: PLC0415 - of the extra
    from trtop_daemon.ipc.export_orders import OtlpOrders  # noqa: PLC0415 - of the extra

    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    from support.export import START_NS, collected_of  # noqa: PLC0415 - found by the line before

    from trtop.export.ledger import Ledger  # noqa: PLC0415 - only here
    from trtop_core import Engine, EngineConfig, View  # noqa: PLC0415 - only here
    from trtop_core.records import GroupBy  # noqa: PLC0415 - only here

    engine = Engine(EngineConfig(group_by=GroupBy.ADDR_PORT), bytes(16))
    engine.feed(screen.traffic(n_destinations, screen.SEED, screen.FIRST_NS, screen.SPAN_S))
    table = engine.snapshot(View(group_by=GroupBy.ADDR_PORT)).table
    transport = make_transport(OtlpOrders(f"http://127.0.0.1:{server.server_address[1]}"))
    for limit in LIMITS:
        collected = collected_of(table, None, Ledger(limit, START_NS))
        bodies.clear()
        start_s = time.perf_counter()
        batches = PointMaker("near0", START_NS, False).requests(collected)
        made_ms = 1000 * (time.perf_counter() - start_s)
        for batch in batches:
            transport.send(batch.data)
        took_ms = 1000 * (time.perf_counter() - start_s)
        n_points = sum(batch.n_points for batch in batches)
        print(
            f"OTLP, {limit:,} of {n_destinations:,} destinations: {took_ms:.0f} ms "
            f"(making it {made_ms:.0f} ms), {n_points:,} points in {len(batches)} requests, "
            f"{sum(len(batch.data) for batch in batches):,} bytes, {sum(bodies):,} compressed"
        )
    transport.close()
    server.shutdown()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure scrapes of a live capture.")
    parser.add_argument("--destinations", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rates", default=",".join(map(str, RATES)), help="packets/s")
    parser.add_argument("--introduce", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.introduce:
        introduce(args.destinations)
        return 0
    if os.geteuid() or not shutil.which("ip"):
        sys.exit("bench_metrics.py: needs root and ip (iproute2)")
    bench_live.NEAR, bench_live.FAR = f"metrics-near{os.getpid()}", f"metrics-far{os.getpid()}"
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    introducing = [sys.executable, __file__, "--introduce", f"--destinations={args.destinations}"]
    rates = [int(part) for part in args.rates.split(",")]
    for limit in LIMITS:
        with bench_live.hosts(), running(f"--export-destinations={limit}") as daemon:
            subprocess.run(
                ["ip", "netns", "exec", bench_live.FAR, *introducing], check=True, timeout=TIMEOUT_S
            )
            measure_scrapes(daemon, f"{limit:,} with series")
            measure_drops(daemon, rates, args.seconds)
    measure_push(args.destinations)
    return 0


if __name__ == "__main__":
    sys.exit(main())
