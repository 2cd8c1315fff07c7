"""Clients of databases: pgbench, psycopg, PyMySQL, redis-benchmark, publish and subscribe.

Requests are what each protocol has turns: its opening counts too. PostgreSQL: one turn to start,
one more to ask for TLS. MariaDB: one to log in, one to set names, one more to ask for TLS, which
its server answers with the handshake's first flight.
"""

from __future__ import annotations

from dataclasses import replace

from lab.delays import FAST_MS, SLOW_EVERY, SLOW_MS
from lab.measures import NS_PER_MS, Times, Truth, times_of
from lab.pairing import Client, Site, python, service_times

NS_PER_US = 1_000

PGBENCH_SCRIPT = f"""
\\set late_us case when :i % {SLOW_EVERY} = {SLOW_EVERY - 1} then {SLOW_MS}000 else {FAST_MS}000 end
\\set i :i + 1
select pg_sleep(:late_us / 1000000.0);
"""


def use_pgbench(site: Site) -> Truth:
    """Run pgbench; its log has the time of each transaction. It opens one connection of its own."""
    work = site.work
    share = work.requests // work.connections
    script = site.file("pgbench.sql", PGBENCH_SCRIPT)
    words = ["-n", "-f", script, "-D", "i=0", "-c", work.connections, "-t", share, "-j", 1]
    words += ["-l", f"--log-prefix={site.folder}/pgbench"]
    words += ["-h", site.address, "-p", site.port, "-U", "lab", "postgres"]
    mode = "require" if site.setup.tls else "disable"
    env = {"PGSSLMODE": mode, "PGGSSENCMODE": "disable"}
    site.run("pgbench", *map(str, words), env=env)
    times_ns = [
        int(line.split()[2]) * NS_PER_US
        for log in site.folder.glob("pgbench.*")
        if log.suffix != ".sql"
        for line in log.read_text().splitlines()
    ]
    assert len(times_ns) == share * work.connections, times_ns
    n_connections = work.connections + 1
    n_opening = n_connections * (2 if site.setup.tls else 1)
    return Truth(
        len(times_ns) + n_opening,
        n_connections,
        times_of(times_ns),
        service_times(share),
        farewells=n_connections,
    )


def use_python(site: Site) -> Truth:
    """Run queries with the library of Python that the setup's mode names."""
    truth = site.timed(site.run(*python("python_sql.py", site.setup.mode, site.job())))
    opening = (2 if site.setup.tls else 1) + (site.setup.mode == "pymysql")
    n_requests = truth.requests + truth.connections * opening
    return replace(truth, requests=n_requests, farewells=truth.connections)


def use_redis_benchmark(site: Site) -> Truth:
    """Run redis-benchmark; its report has percentiles, a batch of its pipeline is one request.

    It opens one more connection at first, to ask for the server's settings, in one batch.
    """
    work = site.work
    batch = work.parallel
    words = ["redis-benchmark", "-h", site.address, "-p", site.port, "-n", work.requests * batch]
    words += ["-c", work.connections, "-P", batch, "--csv", "-t", "ping_mbulk"]
    if site.setup.tls:
        words += ["--tls", "--insecure"]
    out = site.run(*map(str, words))
    values = [value.strip('"') for value in out.splitlines()[-1].split(",")]
    p50_ms, p95_ms = float(values[4]), float(values[5])
    times = Times(round(p50_ms * NS_PER_MS), round(p95_ms * NS_PER_MS))
    return Truth(work.requests + 1, work.connections + 1, times)


def use_pgbench_once(site: Site) -> Truth:
    """Run pgbench so that each transaction has a connection of its own."""
    work = site.work
    script = site.file("pgbench.sql", "select 1;")
    words = ["-n", "-C", "-f", script, "-c", 1, "-t", work.requests]
    words += ["-h", site.address, "-p", site.port, "-U", "lab", "postgres"]
    env = {"PGSSLMODE": "require", "PGGSSENCMODE": "disable"}
    site.run("pgbench", *map(str, words), env=env)
    return Truth(work.requests, work.connections + 1)


def use_redis_benchmark_once(site: Site) -> Truth:
    """Run redis-benchmark so that each request has a connection of its own."""
    work = site.work
    words = ["redis-benchmark", "-h", site.address, "-p", site.port, "-n", work.requests]
    words += ["-c", "1", "-k", "0", "-t", "ping_mbulk", "--tls", "--insecure", "--csv"]
    site.run(*map(str, words))
    return Truth(work.requests, work.connections + 1)


def use_pubsub(site: Site) -> Truth:
    """Publish messages that subscribers get; theirs are answers to nothing."""
    out = site.run(*python("pubsub.py", site.job()))
    return site.timed(out)


PGBENCH = Client("pgbench", ("pgbench",), use_pgbench)
PGBENCH_ONCE = Client("pgbench -C", ("pgbench",), use_pgbench_once)
REDIS_BENCHMARK_ONCE = Client(
    "redis-benchmark -k 0", ("redis-benchmark",), use_redis_benchmark_once
)
PSYCOPG = Client("psycopg", (), use_python, ("psycopg",))
PYMYSQL = Client("PyMySQL", (), use_python, ("pymysql",))
REDIS_BENCHMARK = Client("redis-benchmark", ("redis-benchmark",), use_redis_benchmark)
PUBSUB = Client("Python socket (RESP)", (), use_pubsub)
