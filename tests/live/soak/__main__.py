"""Runs the soak: ``python -m soak --hours 6``, as root; says what was injected and lost."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from support.daemons import wait_for

from soak.faults import FAULTS, Soak
from soak.leg import TIMEOUT_S
from soak.legs import live_leg, replay_leg
from soak.traffic import MINUTE_S
from trtop.export.reader import MIN_AGE_S

MIB = 1 << 20

WARM_UP = 0.25
"""The part of a soak in which windows, histories and pools fill up."""

MAX_GROWTH_BYTES = 4 * MIB
"""Of a process, between the time after that and the end: what an allocator may still move."""


@dataclass
class Outcome:
    """What a soak has shown.

    Attributes:
        faults: how often each was injected.
        rss: memory of each process, by its daemon and name, minute by minute.
        packets: counted by each daemon.
        missed: packets that were sent while nothing was captured, as was said.
        lost: packets that the daemon counted as dropped.
        deaths: of capture processes, as counted.
        took_s: real time.
    """

    faults: Counter[str] = field(default_factory=Counter)
    rss: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    packets: dict[str, int] = field(default_factory=dict)
    missed: int = 0
    lost: int = 0
    deaths: int = 0
    took_s: float = 0.0

    def growth(self) -> Iterator[tuple[str, int, int]]:
        """Of each process: memory after the warm-up, and at the end; the medians of an eighth."""
        for name, samples in self.rss.items():
            n = max(1, len(samples) // 8)
            at = int(len(samples) * WARM_UP)
            yield name, median(samples[at : at + n]), median(samples[-n:])

    def grown(self) -> list[str]:
        """Processes whose memory is not flat."""
        return [name for name, first, last in self.growth() if last - first > MAX_GROWTH_BYTES]


def median(samples: list[int]) -> int:
    return sorted(samples)[len(samples) // 2]


def run(folder: Path, minutes: int, tell: bool = False) -> Outcome:
    """So many minutes of capture time, each with a fault; every minute the numbers are compared.

    Raises:
        MismatchError: a daemon did not say the truth.
    """
    outcome = Outcome()
    began_s = time.monotonic()
    with ExitStack() as stack:
        replay = stack.enter_context(replay_leg(folder / "replay"))
        live = stack.enter_context(live_leg(folder / "live"))
        soak = Soak(replay, live)
        for number in range(minutes):
            name = list(FAULTS)[number % len(FAULTS)]
            minute_s = time.monotonic()
            FAULTS[name](soak, number)
            shown = [leg.check() for leg in soak.legs]
            outcome.faults[name] += 1
            for kind, leg in (("replay", replay), ("live", live)):
                for process, taken in leg.rss_bytes().items():
                    outcome.rss[f"{kind} {process}"].append(taken)
            if tell:
                print(f"{number + 1:4} {name:28} {time.monotonic() - minute_s:6.2f} s", flush=True)
        check_exporters(soak, minutes)
        replay.end()
        replay.wait_until(lambda head, _: head.is_finished, "the end of the replay")
        shown = [leg.check() for leg in soak.legs]
        outcome.packets = {"replay": shown[0].health.packets, "live": shown[1].health.packets}
        outcome.missed, outcome.lost = live.n_missed, live.n_lost
        outcome.deaths = shown[1].health.interruptions
        if outcome.deaths != soak.n_deaths:
            raise AssertionError(f"{outcome.deaths} deaths were counted, not {soak.n_deaths}")
        for leg in soak.legs:
            if status := leg.daemon.stop():
                raise AssertionError(f"ended with {status}: {leg.daemon.log[-2000:]}")
    outcome.took_s = time.monotonic() - began_s
    return outcome


def check_exporters(soak: Soak, number: int) -> None:
    """One more minute: exporters that have been killed again and again tell what comes in it.

    Raises:
        TimeoutError: they do not.
    """
    before = []
    for leg in soak.legs:
        wait_for(lambda leg=leg: leg.scraped() >= 0, TIMEOUT_S)
        time.sleep(2 * MIN_AGE_S)  # what it told may be so old
        before.append((leg.scraped(), leg.check().totals.count("syn")))
    soak.offer(number)
    for leg, (told, n_syn) in zip(soak.legs, before, strict=True):
        wanted = told + leg.check().totals.count("syn") - n_syn
        wait_for(lambda leg=leg, wanted=wanted: leg.scraped() == wanted, TIMEOUT_S)


def report(outcome: Outcome, minutes: int) -> str:
    """What was shown, as tables of Markdown."""
    lines = [
        f"{minutes * MINUTE_S / 3600:g} h of capture time in {outcome.took_s / 60:.1f} min: "
        f"{outcome.packets['replay']:,} packets replayed, {outcome.packets['live']:,} captured, "
        f"{outcome.lost:,} counted as dropped, {outcome.missed:,} sent in the "
        f"{outcome.deaths} gaps that were counted.",
        "",
        "| fault | times |",
        "|---|---:|",
        *(f"| {name} | {n} |" for name, n in outcome.faults.items()),
        "",
        "| process | MiB after a quarter | MiB at the end |",
        "|---|---:|---:|",
    ]
    for name, first, last in outcome.growth():
        lines.append(f"| {name} | {first / MIB:.1f} | {last / MIB:.1f} |")
    return "\n".join(lines)


def main() -> int:
    """Do it; the exit status says whether numbers were exact and memory flat."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=6.0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and tidy up
    minutes = max(len(FAULTS), round(options.hours * 3600 / MINUTE_S))
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        outcome = run(Path(folder), minutes, tell=True)
    print(report(outcome, minutes))
    for name in (grown := outcome.grown()):
        print(f"the memory of {name} grows")
    return int(bool(grown))


if __name__ == "__main__":
    sys.exit(main())
