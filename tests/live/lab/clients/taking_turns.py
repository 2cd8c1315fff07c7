"""Clients in Python of simple protocols: HTTP/1.1, Redis, SMTP; they know each turn they take."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lab.delays import delay_ms
from lab.measures import Times, Truth, times_of
from lab.pairing import Client, Site, python, service_times

Script = Sequence[tuple[str, str]]
"""What to send and what the answer ends with, of each turn of a connection; nothing to send waits
for a banner."""


def take_turns(
    site: Site, scripts: Sequence[Script], server_time: Times | None, farewell: str = ""
) -> Truth:
    """Run scripts, one connection after the other."""
    job = {
        "address": site.address,
        "port": site.port,
        "tls": site.setup.tls,
        "resume": site.setup.resume,
        "connections": scripts,
        "farewell": farewell,
    }
    path = site.file("job.json", json.dumps(job))
    times_ns = json.loads(site.run(*python("taking_turns.py", path)))["times_ns"]
    return Truth(len(times_ns), len(scripts), times_of(times_ns), server_time)


def use_http(site: Site) -> Truth:
    """Ask a web service."""
    ask = "GET /work HTTP/1.1\r\nHost: lab\r\n\r\n"
    scripts = [[(ask, "hello\n")] * share for share in site.work.shares()]
    return take_turns(site, scripts, service_times(site.work.requests))


def use_redis(site: Site) -> Truth:
    """Let Redis sleep the laboratory's delays."""
    numbers = iter(range(site.work.requests))
    scripts = [
        [(f"DEBUG SLEEP {delay_ms(next(numbers)) / 1_000}\r\n", "+OK\r\n") for _ in range(share)]
        for share in site.work.shares()
    ]
    return take_turns(site, scripts, service_times(site.work.requests))


HTTP = Client("Python ssl, socket", (), use_http)
REDIS = Client("Python socket (RESP)", (), use_redis)
