"""curl: one process a connection, its own clock is the truth.

Time to first byte is ``time_starttransfer - time_pretransfer``: from when the request could be
sent to the first byte of the answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from lab.measures import Truth, times_of
from lab.pairing import Client, Site, service_times

NS_PER_S = 1_000_000_000


def _options(site: Site) -> list[str]:
    setup = site.setup
    lines = ["silent", "show-error", "fail", "insecure"]
    if setup.tls:
        lines += [f"tlsv{setup.tls}", f'tls-max = "{setup.tls}"']
    if setup.http2:
        lines.append("http2" if setup.tls else "http2-prior-knowledge")
    else:
        lines.append("http1.1")
    return lines


def _transfers(site: Site, path: str, n_requests: int, headers: Iterable[str] = ()) -> list[dict]:
    """Run curl once for some transfers; what it measured of each."""
    lines = []
    for number in range(n_requests):
        lines += ["next"] if number else []
        lines += [*_options(site), f'url = "{site.url(path)}"', "output = /dev/null"]
        lines += [f'header = "{header}"' for header in headers]
        lines += ['write-out = "%{json}\\n"']
    out = site.run("curl", "-q", "-K", "-", said="\n".join(lines) + "\n")
    return [json.loads(line) for line in out.splitlines()]


def first_bytes_ns(transfers: Iterable[dict]) -> list[float]:
    """Give the times to the first byte."""
    return [(one["time_starttransfer"] - one["time_pretransfer"]) * NS_PER_S for one in transfers]


def use(site: Site) -> Truth:
    """Send requests over as many connections as there shall be, one after the other."""
    if site.setup.resume:
        return _use_resuming(site)
    done = []
    for share in site.work.shares():
        done += _transfers(site, "/work", share)
    return _truth(site, done)


def _use_resuming(site: Site) -> Truth:
    """Send each request over a connection of its own; the process resumes its first session."""
    return _truth(site, _transfers(site, "/work", site.work.connections, ["Connection: close"]))


def _truth(site: Site, done: list[dict]) -> Truth:
    return Truth(
        len(done),
        sum(one["num_connects"] for one in done),
        times_of(first_bytes_ns(done)),
        service_times(len(done)),
    )


CURL = Client("curl (OpenSSL)", ("curl",), use)
