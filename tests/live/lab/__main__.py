"""Runs the laboratory: ``python -m lab [NAME …]``; see ``--help``."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import time
from collections.abc import Iterable

from lab import LabError
from lab.builds import BUILT, ROOT
from lab.measures import NS_PER_MS, Check, judge
from lab.pairing import Pairing
from lab.report import Result, page
from lab.run import lack, read, record
from lab.store import keep, recall
from lab.table import PAIRINGS

RECORDS = BUILT / "records"
SKIPPED = RECORDS / "skipped"
"""Why pairings could not run, when they were last tried: JSON."""

PAGE = ROOT / "docs" / "accuracy.md"

CAPTURES = ROOT / "tests" / "captures"
MAX_KEPT_BYTES = 60_000
"""Size up to which a capture goes along with the tests."""


def main() -> int:
    """Do what was asked for; the exit status says whether all targets were met."""
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="pairings; default: all")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--again", action="store_true", help="compare what was recorded before")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    parser.add_argument(
        "--keep", action="store_true", help=f"put small captures into {CAPTURES.relative_to(ROOT)}"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    chosen = [one for one in PAIRINGS if not options.names or one.name in options.names]
    if unknown := set(options.names) - {one.name for one in chosen}:
        parser.error(f"no such pairing: {', '.join(sorted(unknown))}")
    if options.list:
        for pairing in chosen:
            print(f"{pairing.name:32} {pairing.says:48} {lack(pairing)}")
        return 0
    RECORDS.mkdir(parents=True, exist_ok=True)
    failed = [] if options.again else run(chosen)
    results = compare({pairing.name for pairing in chosen} - set(failed))
    if options.write:
        skipped = json.loads(SKIPPED.read_text()) if SKIPPED.exists() else {}
        PAGE.write_text(page(compare_all(), skipped))
    if options.keep:
        keep_small(results)
    return int(bool(failed) or any(result.outcome.failures for result in results))


def run(pairings: Iterable[Pairing]) -> list[str]:
    """Run pairings, keep what they give; the names of those that failed or cannot run here."""
    failed = []
    skipped = {}
    for pairing in pairings:
        start_s = time.monotonic()
        if missing := lack(pairing):
            skipped[pairing.name] = missing
            print(f"skip {pairing.name}: {missing}", flush=True)
            continue
        capture = RECORDS / f"{pairing.name}.pcap"
        try:
            keep(pairing, record(pairing, capture), capture)
        except (LabError, AssertionError, OSError) as error:
            print(f"FAIL {pairing.name}: {error}", flush=True)
            failed.append(pairing.name)
            continue
        print(f"ran  {pairing.name} ({time.monotonic() - start_s:.1f} s)", flush=True)
    SKIPPED.write_text(json.dumps(skipped))
    return failed + list(skipped)


def compare(names: set[str]) -> list[Result]:
    """Compare what was recorded, and say how it came out."""
    results = [result for result in compare_all() if result.record.name in names]
    for result in results:
        failures = result.outcome.failures
        print(f"{'FAIL' if failures else 'pass'} {result.record.name}")
        for check in failures:
            print(
                f"       {check.what}: true {_value(check, check.true)}, "
                f"shown {_value(check, check.shown)}"
            )
    n_met = sum(not result.outcome.failures for result in results)
    print(f"{n_met} of {len(results)} meet their targets")
    return results


def compare_all() -> list[Result]:
    """Compare all that was ever recorded, in the order of the table."""
    order = {pairing.name: number for number, pairing in enumerate(PAIRINGS)}
    records = [record for record in recall(RECORDS) if record.name in order]
    records.sort(key=lambda record: order[record.name])
    return [Result(one, judge(one.kind, one.truth, read(one.capture))) for one in records]


def keep_small(results: Iterable[Result]) -> None:
    """Copy the small captures to where the tests find them."""
    CAPTURES.mkdir(exist_ok=True)
    for result in results:
        capture = result.record.capture
        if capture.stat().st_size <= MAX_KEPT_BYTES:
            shutil.copyfile(capture, CAPTURES / capture.name)
            shutil.copyfile(capture.with_suffix(".json"), CAPTURES / f"{capture.stem}.json")


def _value(check: Check, value: float | str | None) -> str:
    if value is None or isinstance(value, str) or not check.unit:
        return str(value)
    return f"{value / NS_PER_MS:.2f} ms"


if __name__ == "__main__":
    sys.exit(main())
