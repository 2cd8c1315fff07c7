"""A gRPC service and a client of it, unary and streaming, with the laboratory's delays.

    python grpc_service.py serve JOB.json    python grpc_service.py use JOB.json

Messages are plain bytes, so that no generated code is needed. The client writes JSON: the time to
the first message of each answer, in ns.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from lab.delays import EVENT_PAUSE_MS, N_EVENTS, delay_ms

TIMEOUT_S = 30.0

OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]

_numbers = itertools.count()


def unary(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Answer once."""
    time.sleep(delay_ms(next(_numbers)) / 1_000)
    return request


def streaming(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    """Answer several times."""
    time.sleep(delay_ms(next(_numbers)) / 1_000)
    for _ in range(N_EVENTS):
        yield request
        time.sleep(EVENT_PAUSE_MS / 1_000)


def serve(job: dict) -> None:
    """Serve until killed."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Streaming": grpc.unary_stream_rpc_method_handler(streaming),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("lab.Lab", methods)])
    where = f"{job['address']}:{job['port']}"
    if job["tls"]:
        pair = (Path(job["key"]).read_bytes(), Path(job["certificate"]).read_bytes())
        server.add_secure_port(where, grpc.ssl_server_credentials([pair]))
    else:
        server.add_insecure_port(where)
    server.start()
    server.wait_for_termination()


def channel_of(job: dict) -> grpc.Channel:
    """Open a channel."""
    where = f"{job['address']}:{job['port']}"
    if job["tls"]:
        credentials = grpc.ssl_channel_credentials(Path(job["certificate"]).read_bytes())
        return grpc.secure_channel(where, credentials, OPTIONS)
    return grpc.insecure_channel(where, OPTIONS)


def use(job: dict) -> list[int]:
    """Call as often as there shall be calls, `parallel` at once; the ns to the first message."""
    times_ns: list[int] = []

    def call(channel: grpc.Channel) -> None:
        start_ns = time.perf_counter_ns()
        if job["mode"] == "streaming":
            answers = channel.unary_stream("/lab.Lab/Streaming")(b"hello", timeout=TIMEOUT_S)
            next(answers)
            times_ns.append(time.perf_counter_ns() - start_ns)
            list(answers)
        else:
            channel.unary_unary("/lab.Lab/Unary")(b"hello", timeout=TIMEOUT_S)
            times_ns.append(time.perf_counter_ns() - start_ns)

    for share in job["shares"]:
        with channel_of(job) as channel, futures.ThreadPoolExecutor(job["parallel"]) as pool:
            grpc.channel_ready_future(channel).result(TIMEOUT_S)
            list(pool.map(call, [channel] * share))
    return times_ns


def main() -> None:
    """Serve or call."""
    job = json.loads(Path(sys.argv[2]).read_text())
    if sys.argv[1] == "serve":
        serve(job)
    else:
        json.dump({"times_ns": use(job)}, sys.stdout)


if __name__ == "__main__":
    main()
