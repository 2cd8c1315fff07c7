"""HTTP clients of Python, timed from within: ``requests`` and ``httpx``.

    python python_http.py requests|httpx JOB.json

Writes JSON: the time from the request's last byte to the answer's first, in ns.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import sys
import time
import warnings
from pathlib import Path

TIMEOUT_S = 30.0


def client_context(version: str) -> ssl.SSLContext:
    """Give a context for one version of TLS that believes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version:
        wanted = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
        context.minimum_version = context.maximum_version = wanted
    return context


class Stopwatch:
    """Notes when a request had been sent and when its answer began, below the library."""

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self._sent_ns = 0
        send, read = http.client.HTTPConnection.endheaders, http.client.HTTPResponse._read_status

        def endheaders(connection: http.client.HTTPConnection, *args: object, **kw: object) -> None:
            send(connection, *args, **kw)
            self._sent_ns = time.perf_counter_ns()

        def read_status(response: http.client.HTTPResponse) -> tuple[str, int, str]:
            status = read(response)
            self.times_ns.append(time.perf_counter_ns() - self._sent_ns)
            return status

        http.client.HTTPConnection.endheaders = endheaders
        http.client.HTTPResponse._read_status = read_status


def use_requests(job: dict) -> list[int]:
    """Ask with ``requests``, each share over a session of its own."""
    import requests  # noqa: PLC0415 - only one of both is needed
    from requests.adapters import HTTPAdapter  # noqa: PLC0415

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: object, **kw: object) -> None:
            super().init_poolmanager(*args, ssl_context=client_context(job["tls"]), **kw)

    warnings.simplefilter("ignore")
    stopwatch = Stopwatch()
    for share in job["shares"]:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = False
            session.mount("https://", Adapter())
            for _ in range(share):
                assert session.get(job["url"], timeout=TIMEOUT_S).text == "hello\n"
    return stopwatch.times_ns


async def use_httpx(job: dict) -> list[int]:
    """Ask with ``httpx``, each share over a client of its own, some requests at once."""
    import httpx  # noqa: PLC0415

    times_ns: list[int] = []

    async def ask(client: httpx.AsyncClient) -> None:
        sent_ns = 0

        async def trace(event: str, info: dict) -> None:
            nonlocal sent_ns
            if event.endswith("send_request_body.complete"):
                sent_ns = time.perf_counter_ns()
            if event.endswith("receive_response_headers.complete"):
                times_ns.append(time.perf_counter_ns() - sent_ns)

        answer = await client.get(job["url"], extensions={"trace": trace})
        assert answer.text == "hello\n"

    for share in job["shares"]:
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(
            http1=not job["http2"],
            http2=job["http2"],
            verify=client_context(job["tls"]),
            limits=limits,
            timeout=TIMEOUT_S,
            trust_env=False,
        ) as client:
            await ask(client)
            left = share - 1
            while left > 0:
                now = min(left, job["parallel"])
                await asyncio.gather(*(ask(client) for _ in range(now)))
                left -= now
    return times_ns


def main() -> None:
    """Do a job."""
    job = json.loads(Path(sys.argv[2]).read_text())
    times_ns = use_requests(job) if sys.argv[1] == "requests" else asyncio.run(use_httpx(job))
    json.dump({"times_ns": times_ns}, sys.stdout)


if __name__ == "__main__":
    main()
