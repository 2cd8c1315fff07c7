"""Write the captures that the benchmarks read, and beside each what a monitor must find in it.

    python benchmarks/generate.py [--quick] [--seed N] [--out DIR] [NAME ...]

Seeded and vectorised: the same command writes the same bytes. ``--quick`` divides packets,
destinations and connections by 20.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from generator.frames import PCAP_HEADER, Endpoints, render
from generator.profile import Profile
from generator.segments import PLAN, SYN, Event, Truth
from generator.traffic import Traffic

DATA_DIR = Path(__file__).parent / "data"
QUICK = 20
SEED = 20
FORMAT = 1
"""Version of what is generated; rises with every change of the bytes, so that old files go."""

PROFILES = {
    "churn": Profile(
        n_packets=10_000_000,
        n_destinations=1_000,
        n_flows=2_000,
        n_clients=4,
        share_v6=0.2,
        ramp_us=500_000,
        slice_us=2_000_000,
        rtt_median_us=800,
        think_mean_us=20_000,
        close_share=0.2,
    ),
    "brief": Profile(
        n_packets=10_000_000,
        n_destinations=200,
        n_flows=500,
        n_clients=4,
        share_v6=0.2,
        ramp_us=500_000,
        slice_us=2_000_000,
        rtt_median_us=800,
        think_mean_us=60_000,
        close_share=1.0,
    ),
    "churn-wide": Profile(
        n_packets=10_000_000,
        n_destinations=50_000,
        n_flows=500_000,
        n_clients=64,
        share_v6=0.2,
        ramp_us=20_000_000,
        slice_us=2_000_000,
        rtt_median_us=15_000,
        think_mean_us=8_000_000,
        close_share=0.2,
    ),
    "mid": Profile(
        n_packets=20_000_000,
        n_destinations=1_000,
        n_flows=2_000,
        n_clients=4,
        share_v6=0.0,
        ramp_us=500_000,
        slice_us=5_000_000,
        rtt_median_us=800,
        think_mean_us=40_000,
        close_share=0.01,
    ),
    "wide": Profile(
        n_packets=20_000_000,
        n_destinations=50_000,
        n_flows=500_000,
        n_clients=64,
        share_v6=0.2,
        ramp_us=60_000_000,
        slice_us=5_000_000,
        rtt_median_us=15_000,
        think_mean_us=30_000_000,
        close_share=0.03,
    ),
}

PROFILES["tls"] = replace(PROFILES["churn"], tls=True)

FLOOD_PACKETS = 5_000_000
FLOOD_PER_S = 500_000
FLOOD_SLICE = 500_000
FLOOD_VICTIMS = 4
FLOOD_NET = 0xC6120000
FLOODS = {"synflood": FLOOD_VICTIMS, "synflood-spread": None}
"""Destinations of each flood; None: every SYN has its own."""

NAMES = (*PROFILES, *FLOODS)


def ensure(name: str, out_dir: Path = DATA_DIR, quick: bool = False, seed: int = SEED) -> Path:
    """The capture's path; it is written first unless this very one is there."""
    path = out_dir / f"{name}{'-quick' if quick else ''}.pcap"
    truth_path = path.with_suffix(".json")
    if path.exists() and truth_path.exists():
        known = json.loads(truth_path.read_text())
        if (known["format"], known["seed"]) == (FORMAT, seed):
            return path
    out_dir.mkdir(parents=True, exist_ok=True)
    truth_path.unlink(missing_ok=True)
    write: Callable[[Path, str, bool, int], Truth] = (
        _write_traffic if name in PROFILES else _write_flood
    )
    truth = write(path, name, quick, seed)
    record = {"format": FORMAT, "seed": seed, "name": name, **truth.record()}
    if name in FLOODS:
        # The table is bounded: what it evicts, or is still asking, is not for the generator to say.
        for field in ("timeouts", "active"):
            del record["totals"][field]
        if FLOODS[name] is None:
            del record["n_destinations"]
    truth_path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def _write_traffic(path: Path, name: str, quick: bool, seed: int) -> Truth:
    profile = PROFILES[name]
    if quick:
        profile = replace(
            profile,
            n_packets=profile.n_packets // QUICK,
            n_destinations=profile.n_destinations // QUICK,
            n_flows=profile.n_flows // QUICK,
        )
    traffic, truth = Traffic(profile, seed), Truth()
    with path.open("wb") as file:
        file.write(PCAP_HEADER)
        for plan in traffic.slices():
            ends = traffic.endpoints(plan)
            file.write(render(plan, ends, truth.packets).data)
            truth.add(plan, ends.server)
    return truth


def _write_flood(path: Path, name: str, quick: bool, seed: int) -> Truth:
    rng, truth = np.random.default_rng(seed), Truth()
    n_packets = FLOOD_PACKETS // (QUICK if quick else 1)
    n_victims = FLOODS[name]
    with path.open("wb") as file:
        file.write(PCAP_HEADER)
        for first in range(0, n_packets, FLOOD_SLICE):
            n = min(FLOOD_SLICE, n_packets - first)
            plan = np.zeros(n, PLAN)
            plan["time_us"] = (first + np.arange(n)) * (1_000_000 // FLOOD_PER_S)
            plan["seq"] = rng.integers(0, 1 << 32, n, dtype=np.uint32)
            plan["client_port"] = rng.integers(1024, 1 << 16, n)
            plan["flags"] = SYN
            plan["events"] = int(Event.SYN)
            ends = _flood_ends(n, n_victims, rng)
            file.write(render(plan, ends, first).data)
            truth.add(plan, ends.server.astype(np.int64) if n_victims else np.zeros(n, np.int64))
    return truth


def _flood_ends(n: int, n_victims: int | None, rng: np.random.Generator) -> Endpoints:
    def anyone() -> np.ndarray[Any, np.dtype[np.uint32]]:
        return rng.integers(0x01000000, 0xDF000000, n, dtype=np.uint32)

    if n_victims is None:
        server = anyone()
    else:
        server = FLOOD_NET + rng.integers(0, n_victims, n, dtype=np.uint32)
    return Endpoints(
        client=anyone(),
        server=server,
        server_port=np.full(n, 80, np.uint16),
        rtt_us=np.zeros(n, np.int64),
        is_v6=np.zeros(n, np.bool_),
        raw_addresses=True,
    )


def main() -> None:
    """Write the captures that are asked for and missing."""
    parser = argparse.ArgumentParser(description="Write the benchmarks' captures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help=f"1/{QUICK} of the size")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=DATA_DIR, metavar="DIR")
    args = parser.parse_args()
    for name in args.names or NAMES:
        if name not in NAMES:
            parser.error(f"no capture is called {name!r}; there are: {', '.join(NAMES)}")
        started = time.monotonic()
        path = ensure(name, args.out, args.quick, args.seed)
        size_mb = path.stat().st_size / 1e6
        print(f"{path}  {size_mb:,.0f} MB  {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
