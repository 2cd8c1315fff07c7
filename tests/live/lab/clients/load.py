"""Load generators: wrk, ab, h2load, nghttp. Their own reports are the truth."""

from __future__ import annotations

import re

from lab.measures import NS_PER_MS, Times, Truth, times_of
from lab.pairing import Client, Site, service_times

NS_PER_US = 1_000

WRK_DURATION_S = 4
"""Time that wrk always takes; its share is done well before."""

WRK_SCRIPT = """
local share = {share}
local left = share
local threads = {{}}
function setup(thread) table.insert(threads, thread) end
function response()
    left = left - 1
    if left == 0 then wrk.thread:stop() end
end
function done(summary, latency, requests)
    io.write(string.format("lab %d %d %d\\n", summary.requests, latency:percentile(50),
                           latency:percentile(95)))
end
"""


def use_wrk(site: Site) -> Truth:
    """Run wrk: one connection a thread, each stops after its share, so that none is cut off.

    It opens one more at first, to see whether anybody is there.
    """
    n_threads = site.work.connections
    share = site.work.requests // n_threads
    script = site.file("wrk.lua", WRK_SCRIPT.format(share=share))
    words = [
        "-t",
        n_threads,
        "-c",
        n_threads,
        "-d",
        WRK_DURATION_S,
        "--timeout",
        "30",
        "-s",
        script,
    ]
    out = site.run("wrk", *map(str, words), site.url("/work"))
    found = re.search(r"^lab (\d+) (\d+) (\d+)$", out, re.MULTILINE)
    assert found, out
    n_requests, p50_us, p95_us = (int(group) for group in found.groups())
    times = Times(p50_us * NS_PER_US, p95_us * NS_PER_US)
    return Truth(n_requests, n_threads + 1, times, service_times(n_requests))


def use_ab(site: Site) -> Truth:
    """Run ab with keep-alive, or without: then each request has a connection of its own.

    Its log has whole ms: half of one is the mean of what it leaves off. Over TLS its clock of a
    request starts within the handshake: no times.
    """
    log = site.folder / "ab.tsv"
    work = site.work
    words = ["ab", "-q", "-n", str(work.requests), "-c", str(work.parallel), "-g", str(log)]
    keeps = work.connections < work.requests
    out = site.run(*words, *(["-k"] * keeps), site.url("/work"))
    assert f"Complete requests:      {work.requests}\n" in out, out
    assert "Failed requests:        0\n" in out, out
    waits_ms = [int(line.split("\t")[5]) for line in log.read_text().splitlines()[1:]]
    times = times_of((wait_ms + 0.5) * NS_PER_MS for wait_ms in waits_ms)
    if site.setup.tls:
        return Truth(work.requests, work.connections)
    return Truth(work.requests, work.connections, times, service_times(work.requests))


def use_h2load(site: Site) -> Truth:
    """Run h2load; its log has the time of each request, to the last byte of a small answer."""
    work = site.work
    log = site.folder / "h2load.log"
    words = ["-n", work.requests, "-c", work.connections, "-m", work.parallel]
    words += [f"--log-file={log}"]
    if site.setup.tls:
        words += ["--npn-list=h2"] if site.setup.http2 else ["--h1"]
    else:
        words += ["-p", "h2c"] if site.setup.http2 else ["--h1"]
    site.run("h2load", *map(str, words), site.url("/work"))
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    assert all(line[1] == "200" for line in lines), lines
    times = times_of(int(line[2]) * NS_PER_US for line in lines)
    return Truth(len(lines), work.connections, times, service_times(len(lines)))


def use_nghttp(site: Site) -> Truth:
    """Run nghttp once a connection; its table has begin of request and of response."""
    times_ns = []
    for share in site.work.shares():
        urls = [site.url(f"/work?{number}") for number in range(share)]
        out = site.run("nghttp", "-n", "-s", "--no-verify-peer", *urls)
        for ended, began in re.findall(r"^ *\d+ +\+(\S+) +\+?\s*(\S+) ", out, re.MULTILINE):
            times_ns.append(_ns(ended) - _ns(began))
    return Truth(
        len(times_ns), site.work.connections, times_of(times_ns), service_times(len(times_ns))
    )


def _ns(text: str) -> float:
    number, unit = re.fullmatch(r"\+?([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1e3, "ms": 1e6, "s": 1e9}[unit]


def use_ab_static(site: Site) -> Truth:
    """Run ab against a page without delay, one request a connection."""
    work = site.work
    words = ["ab", "-q", "-n", str(work.requests), "-c", "1", site.url("/static")]
    out = site.run(*words)
    assert f"Complete requests:      {work.requests}\n" in out, out
    return Truth(work.requests, work.connections)


WRK = Client("wrk", ("wrk",), use_wrk)
AB = Client("ab", ("ab",), use_ab)
AB_STATIC = Client("ab", ("ab",), use_ab_static)
H2LOAD = Client("h2load", ("h2load",), use_h2load)
NGHTTP = Client("nghttp", ("nghttp",), use_nghttp)
