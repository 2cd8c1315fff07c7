"""Fuzz target: any bytes give a report or a ``TrtopError``.

Bytes go through the reader in pieces, the engine with small tables and all windows, and end as a
record. Runs with a mutator of its own, or under atheris (coverage-guided, where it is installed)::

    python fuzz/fuzz_capture.py CORPUS… --seconds 60 [--seed 1]
    python fuzz/fuzz_capture.py --atheris CORPUS_FOLDER [libFuzzer options]

The first byte of an input chooses how it is cut into pieces and how the engine is set up. A finding
is an exception, a sanitizer's abort or a broken invariant; its input is kept.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import random
import struct
import sys
import time
from pathlib import Path

from seeds import MAX_INPUT_BYTES, read_seeds

from trtop_core import Engine, EngineConfig, TrtopError, View, engine
from trtop_core.metrics import COUNTERS, GAUGES
from trtop_core.records import Direction, GroupBy, Window
from trtop_core.savefile import CaptureReader

PIECES = (1, 7, 64, 1000, 1 << 20)
MAX_PIECES = 500
WINDOWS = (Window.LAST_10_S, Window.LAST_60_S, Window.LAST_300_S)
LOCAL = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("192.168.0.0/16"))

INPUT = Path("fuzz-input.bin")
"""The input at hand: what is left of it when a sanitizer ends the process."""


SKETCH_PAGES = (1 << 12, 8)
MIN_HOLES = 16
"""Memory for bins and holes: little, so that it runs out, and an engine is made fast."""


def configs() -> list[EngineConfig]:
    """Engines that differ in what they keep; tables so small that they overflow."""
    return [
        EngineConfig(max_connections=7, max_destinations=3, windows=WINDOWS),
        EngineConfig(max_connections=100, group_by=GroupBy.ADDR_PORT, windows=WINDOWS[:1]),
        EngineConfig(max_connections=1, local=LOCAL, direction=Direction.BOTH, decap=False),
        EngineConfig(max_connections=1000, idle_timeout_ns=1_000_000, direction=Direction.IN),
    ]


CONFIGS = configs()

WORDS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HALVES = (0, 1, 20, 40, 0x4500, 0x0800, 0x86DD, 0xFFFF)
"""What lengths, versions and types are overwritten with."""


def run_one(data: bytes) -> bool:
    """One input; True if it was read to its end.

    Raises:
        Exception: a finding, unless it is a ``TrtopError``.
    """
    if not data:
        return False
    choice, content = data[0], data[1:]
    config = CONFIGS[choice % len(CONFIGS)]
    piece = max(PIECES[choice // len(CONFIGS) % len(PIECES)], len(content) // MAX_PIECES)
    own = small_engine(config, SKETCH_PAGES[choice // 64 % 2])
    reader = CaptureReader()
    said = ""
    try:
        for at in range(0, len(content), piece):
            for batch in reader.feed(content[at : at + piece]):
                own.feed(batch)
        reader.finish()
    except TrtopError as error:
        said = str(error)
    assert "\n" not in said
    windows = (Window.ALL, *config.windows)
    window = windows[choice // 16 % len(windows)]
    check(own, View(window=window, group_by=config.group_by, sort="net_rtt"), False)
    own.finish()
    check(own, View(group_by=config.group_by), with_record=choice > 0xF0)
    return not said


def small_engine(config: EngineConfig, n_pages: int) -> Engine:
    """An engine with little memory; others, made later in this process, have all of theirs."""
    before = engine.MAX_SKETCH_PAGES, engine.MIN_HOLES
    engine.MAX_SKETCH_PAGES, engine.MIN_HOLES = n_pages, MIN_HOLES
    try:
        return Engine(config, bytes(range(16)))
    finally:
        engine.MAX_SKETCH_PAGES, engine.MIN_HOLES = before


def check(own: Engine, view: View, with_record: bool) -> None:
    """A snapshot keeps its invariants and can be written down."""
    snapshot = own.snapshot(view)
    for table in (snapshot.table, snapshot.total):
        counters = table.counters
        for name in COUNTERS + GAUGES:
            assert (counters[name] < 1 << 62).all(), name
        assert (counters["refused"] <= counters["rst_in"]).all()
        assert (counters["rst"] == counters["rst_in"] + counters["rst_out"]).all()
        if view.window is Window.ALL:
            assert (counters["responses"] <= counters["requests"]).all()
        for name, column in table.sketches.items():
            n_unbinned = column.stats["count"].sum() - column.counts.sum()
            assert 0 <= n_unbinned <= snapshot.health.samples_unbinned, name
    if with_record:
        json.dumps(snapshot.record(with_bins=True), allow_nan=False)


def mutate(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """A variation of an input: bytes, words, blocks moved, cut, repeated or taken from another."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not out:
            return bytes([rng.randrange(256)])
        at = rng.randrange(len(out))
        kind = rng.randrange(8)
        if kind == 0:
            out[at] = rng.randrange(256)
        elif kind == 1:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            word = rng.choice((*WORDS, len(out), rng.getrandbits(32)))
            out[at : at + 4] = struct.pack(rng.choice(("<I", ">I")), word)
        elif kind == 3:
            del out[at : at + rng.randrange(1, 64)]
        elif kind == 4:
            block = out[at : at + rng.randrange(1, 512)]
            to = rng.randrange(len(out) + 1)
            out[to:to] = block
        elif kind == 5:
            del out[at:]
        elif kind == 6:
            other = rng.choice(others)
            start = rng.randrange(len(other) or 1)
            out[at : at + rng.randrange(1, 256)] = other[start : start + rng.randrange(1, 256)]
        else:
            out[at : at + 2] = struct.pack(">H", rng.choice(HALVES))
    if out and rng.random() < 0.3:
        out[0] = rng.randrange(256)
    return bytes(out[:MAX_INPUT_BYTES])


def run_mutator(paths: list[Path], seconds: float, seed: int) -> int:
    """Mutate a corpus for a while; the exit status."""
    rng = random.Random(seed)
    corpus = read_seeds(paths)
    if not corpus:
        sys.exit("fuzz_capture: no captures to start from")
    print(f"fuzz_capture: {len(corpus):,} seeds", flush=True)
    n_runs = n_whole = 0
    start_s = last_s = time.monotonic()
    for data in corpus:
        run_one(data)
    while (now_s := time.monotonic()) - start_s < seconds:
        data = mutate(rng, rng.choice(corpus), corpus)
        INPUT.write_bytes(data)
        try:
            n_whole += run_one(data)
        except BaseException:
            print(f"fuzz_capture: finding after {n_runs:,} runs, kept in {INPUT}")
            raise
        n_runs += 1
        # An input that was read to its end is worth varying again.
        if rng.random() < 0.01:
            corpus[rng.randrange(len(corpus))] = data
        if now_s - last_s > 60:
            last_s = now_s
            print(f"{n_runs:,} runs, {n_whole:,} read whole, {now_s - start_s:.0f} s", flush=True)
    INPUT.unlink(missing_ok=True)
    print(f"no finding: {n_runs:,} runs, {n_whole:,} read whole, {seconds:.0f} s, seed {seed}")
    return 0


def main() -> int:
    """Choose between atheris and the mutator."""
    if sys.argv[1:2] == ["--atheris"]:
        import atheris  # noqa: PLC0415 - the mutator does without

        atheris.Setup([sys.argv[0], *sys.argv[2:]], lambda data: run_one(data) and None)
        atheris.Fuzz()
        return 0
    parser = argparse.ArgumentParser(description="Fuzz the readers, the decoder and the engine.")
    parser.add_argument("corpus", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    return run_mutator(options.corpus, options.seconds, options.seed)


if __name__ == "__main__":
    sys.exit(main())
