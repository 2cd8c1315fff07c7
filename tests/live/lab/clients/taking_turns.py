"""Clients in Python of simple protocols: HTTP/1.1, Redis, SMTP; they know each turn they take."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lab.delays import BULK_BYTES, N_EVENTS, POLL_MS, delay_ms
from lab.measures import NS_PER_MS, Times, Truth, times_of
from lab.pairing import Client, Site, python, service_times

BATCH = 7
CLOSING = "\r\nContent-Length: 1\r\n\r\n."
LINE = "a line that comes back\n"

Script = Sequence[tuple[str, str]]
"""What to send and what the answer ends with, of each turn of a connection; nothing to send waits
for a banner."""


def take_turns(
    site: Site, scripts: Sequence[Script], service: Times | None = None, farewell: str = ""
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
    path = site.file("turns.json", json.dumps(job))
    times_ns = json.loads(site.run(*python("taking_turns.py", path)))["times_ns"]
    return Truth(len(times_ns), len(scripts), times_of(times_ns), service)


def use_http(site: Site) -> Truth:
    """Ask a web service."""
    ask = "GET /work HTTP/1.1\r\nHost: lab\r\n\r\n"
    scripts = [[(ask, "hello\n")] * share for share in site.work.shares()]
    return take_turns(site, scripts, service_times(site.work.requests))


def use_poll(site: Site) -> Truth:
    """Ask what takes long."""
    ask = "GET /poll HTTP/1.1\r\nHost: lab\r\n\r\n"
    scripts = [[(ask, "hello\n")] * share for share in site.work.shares()]
    return take_turns(site, scripts, Times(POLL_MS * NS_PER_MS, POLL_MS * NS_PER_MS))


def use_events(site: Site) -> Truth:
    """Ask for server-sent events, one request a connection."""
    ask = "GET /events HTTP/1.1\r\nHost: lab\r\n\r\n"
    scripts = [[(ask, f"data: {N_EVENTS - 1}\n\n")] for _ in site.work.shares()]
    return take_turns(site, scripts, service_times(site.work.connections))


def use_pipelined(site: Site) -> Truth:
    """Ask several times at once, the last one for something else: a batch is one request."""
    ask = "GET /work HTTP/1.1\r\nHost: lab\r\n\r\n"
    batch = ask * (BATCH - 1) + ask.replace("GET", "POST").replace("\r\n\r\n", CLOSING)
    scripts = [[(batch, "taken\n")] * share for share in site.work.shares()]
    return take_turns(site, scripts)


def use_bulk(site: Site) -> Truth:
    """Fetch large answers and send large bodies, one after the other."""
    ask = "GET /bulk HTTP/1.1\r\nHost: lab\r\n\r\n"
    head = f"POST /bulk HTTP/1.1\r\nHost: lab\r\nContent-Length: {BULK_BYTES}\r\n\r\n"
    turns = [(ask, "b\n"), (head + "p" * BULK_BYTES, "taken\n")]
    scripts = [[turns[number % 2] for number in range(share)] for share in site.work.shares()]
    return take_turns(site, scripts)


def use_once(site: Site) -> Truth:
    """Have one line sent back a connection."""
    return take_turns(site, [[(LINE, LINE)]] * site.work.connections)


def use_echo(site: Site) -> Truth:
    """Have lines sent back."""
    scripts = [[(LINE, LINE)] * share for share in site.work.shares()]
    return take_turns(site, scripts)


def use_redis(site: Site) -> Truth:
    """Let Redis sleep the laboratory's delays."""
    numbers = iter(range(site.work.requests))
    scripts = [
        [(f"DEBUG SLEEP {delay_ms(next(numbers)) / 1_000}\r\n", "+OK\r\n") for _ in range(share)]
        for share in site.work.shares()
    ]
    return take_turns(site, scripts, service_times(site.work.requests))


HTTP = Client("Python ssl, socket", (), use_http)
POLL = Client("Python socket", (), use_poll)
EVENTS = Client("Python socket", (), use_events)
PIPELINED = Client("Python socket", (), use_pipelined)
BULK = Client("Python socket, ssl", (), use_bulk)
ONCE = Client("Python ssl", (), use_once)
ECHO = Client("Python ssl", (), use_echo)
REDIS = Client("Python socket (RESP)", (), use_redis)
