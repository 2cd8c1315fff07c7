"""A WebSocket service and a client of it that talk at the same time.

    python websocket.py serve JOB.json    python websocket.py use JOB.json

The server sends a tick every few ms and an echo of each message after the laboratory's delay; the
client sends a message every few ms and waits for nothing. Mode ``echo``: no ticks, and the client
waits for each echo. The client writes JSON: the time to each echo, in ns.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import sys
import time
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from lab.delays import TICK_MS, delay_ms

_numbers = itertools.count()


async def tick(connection: ServerConnection) -> None:
    """Talk unasked."""
    while True:
        await connection.send("tick")
        await asyncio.sleep(TICK_MS / 1_000)


async def echo(connection: ServerConnection, message: str | bytes) -> None:
    """Answer late."""
    await asyncio.sleep(delay_ms(next(_numbers)) / 1_000)
    await connection.send(message)


async def serve(job: dict) -> None:
    """Serve until killed."""

    async def talk(connection: ServerConnection) -> None:
        async with asyncio.TaskGroup() as tasks:
            ticking = None if job["mode"] == "echo" else tasks.create_task(tick(connection))
            async for message in connection:
                tasks.create_task(echo(connection, message))
            if ticking:
                ticking.cancel()

    context = None
    if job["tls"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(job["certificate"], job["key"])
    async with serve_websocket(talk, job["address"], job["port"], ssl=context, compression=None):
        await asyncio.Future()


async def use(job: dict) -> list[int]:
    """Send messages over as many connections as there shall be, all at once."""
    context = None
    if job["tls"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    url = f"{'wss' if job['tls'] else 'ws'}://{job['address']}:{job['port']}/"
    done = await asyncio.gather(*(talk(job, url, share, context) for share in job["shares"]))
    return [took for times_ns in done for took in times_ns]


async def talk(job: dict, url: str, share: int, context: ssl.SSLContext | None) -> list[int]:
    """Send messages over one connection; the ns to each echo."""
    times_ns: list[int] = []
    async with connect(url, ssl=context, compression=None, proxy=None) as connection:
        if job["mode"] == "echo":
            for _ in range(share):
                start_ns = time.perf_counter_ns()
                await connection.send(str(start_ns))
                await connection.recv()
                times_ns.append(time.perf_counter_ns() - start_ns)
            return times_ns

        async def listen() -> None:
            while len(times_ns) < share:
                message = await connection.recv()
                if message != "tick":
                    times_ns.append(time.perf_counter_ns() - int(message))

        listening = asyncio.create_task(listen())
        for _ in range(share):
            await connection.send(str(time.perf_counter_ns()))
            await asyncio.sleep(2 * TICK_MS / 1_000)
        await listening
    return times_ns


def main() -> None:
    """Serve or talk."""
    job = json.loads(Path(sys.argv[2]).read_text())
    if sys.argv[1] == "serve":
        asyncio.run(serve(job))
    else:
        json.dump({"times_ns": asyncio.run(use(job))}, sys.stdout)


if __name__ == "__main__":
    main()
