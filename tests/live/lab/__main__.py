"""Runs the laboratory: ``python -m lab [NAME …]``; see ``--help``."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from lab import LabError
from lab.measures import Outcome
from lab.run import lack, run, scratch
from lab.table import PAIRINGS


def main() -> int:
    """Run what was asked for; the exit status says whether all targets were met."""
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="pairings; default: all")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the captures there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    chosen = [one for one in PAIRINGS if not options.names or one.name in options.names]
    if options.list:
        for pairing in chosen:
            print(f"{pairing.name:32} {pairing.says:40} {lack(pairing)}")
        return 0
    n_failed = 0
    with scratch() as folder:
        kept = options.keep or folder
        kept.mkdir(parents=True, exist_ok=True)
        for pairing in chosen:
            start_s = time.monotonic()
            if missing := lack(pairing):
                print(f"skip {pairing.name}: {missing}")
                continue
            try:
                outcome = run(pairing, kept / f"{pairing.name}.pcap")
            except (LabError, AssertionError) as error:
                print(f"FAIL {pairing.name}: {error}")
                n_failed += 1
                continue
            n_failed += bool(outcome.failures)
            tell(pairing.name, outcome, time.monotonic() - start_s)
    return min(n_failed, 1)


def tell(name: str, outcome: Outcome, took_s: float) -> None:
    """Say how a pairing came out."""
    print(f"{'FAIL' if outcome.failures else 'pass'} {name} ({took_s:.1f} s)")
    for check in outcome.failures:
        if check.unit:
            print(f"       {check.what}: true {(check.true or 0) / 1e6:.2f} ms, shown {(check.shown or 0) / 1e6:.2f} ms")
        else:
            print(f"       {check.what}: true {check.true}, shown {check.shown}")


if __name__ == "__main__":
    sys.exit(main())
