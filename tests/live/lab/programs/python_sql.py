"""Database clients of Python, timed around each query: ``psycopg`` and ``PyMySQL``.

    python python_sql.py psycopg|pymysql JOB.json

Writes JSON: the time of each query, whose answer is small, in ns.
"""

from __future__ import annotations

import itertools
import json
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from lab.delays import delay_ms


def connect_psycopg(job: dict) -> Any:
    """Open a connection to PostgreSQL."""
    import psycopg  # noqa: PLC0415 - only one of both is needed

    return psycopg.connect(
        host=job["address"],
        port=job["port"],
        user="lab",
        dbname="postgres",
        sslmode="require" if job["tls"] else "disable",
        gssencmode="disable",
        autocommit=True,
    )


def connect_pymysql(job: dict) -> Any:
    """Open a connection to MariaDB."""
    import pymysql  # noqa: PLC0415

    context = None
    if job["tls"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # None: it changes the mode by a query of its own only if told otherwise.
    return pymysql.connect(
        host=job["address"], port=job["port"], user="root", ssl=context, autocommit=None
    )


def run(job: dict, connect: Callable[[dict], Any], query: str) -> list[int]:
    """Sleep in the database."""
    times_ns = []
    numbers = itertools.count()
    for share in job["shares"]:
        with closing(connect(job)) as connection, closing(connection.cursor()) as cursor:
            for _ in range(share):
                late_s = delay_ms(next(numbers)) / 1_000
                start_ns = time.perf_counter_ns()
                cursor.execute(query.format(late_s))
                cursor.fetchall()
                times_ns.append(time.perf_counter_ns() - start_ns)
    return times_ns


def main() -> None:
    """Do a job."""
    job = json.loads(Path(sys.argv[2]).read_text())
    if sys.argv[1] == "psycopg":
        times_ns = run(job, connect_psycopg, "select pg_sleep({})")
    else:
        times_ns = run(job, connect_pymysql, "select sleep({})")
    json.dump({"times_ns": times_ns}, sys.stdout)


if __name__ == "__main__":
    main()
