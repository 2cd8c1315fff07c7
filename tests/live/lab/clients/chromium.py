"""Chromium, headless: loads a page that fetches a known number of times and reports how it went."""

from __future__ import annotations

import json

from lab.delays import REPORT
from lab.forwarder import read_log
from lab.measures import NS_PER_MS, Truth, times_of
from lab.pairing import Client, Site
from lab.retransmissions import SYN

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--ignore-certificate-errors",
)


def use(site: Site) -> Truth:
    """Let a page fetch; the browser's own resource timings, which it sends back, are the truth."""
    report = site.folder / REPORT
    page = site.url(f"/page?{site.work.requests}")
    words = ["chromium", *FLAGS, f"--user-data-dir={site.folder / 'chromium'}", page]
    site.run_until(report.exists, *words)
    times = times_of(time_ms * NS_PER_MS for time_ms in json.loads(report.read_text()))
    # The page and its report are requests too. A browser opens more connections than it uses.
    opened = {one.sport for one in read_log(site.path_log) if one.is_out and one.flags & SYN}
    used = site.work.connections
    return Truth(site.work.requests + 2, used, times, idle_connections=len(opened) - used)


CHROMIUM = Client("Chromium", ("chromium",), use)
