"""The laboratory's table: who talks to whom, about what."""

from __future__ import annotations

from lab.clients import curl, taking_turns
from lab.pairing import Pairing, Setup
from lab.servers import nginx, origin, redis

PAIRINGS: tuple[Pairing, ...] = (
    Pairing("curl-nginx", curl.CURL, nginx.NGINX, "HTTP/1.1"),
    Pairing("curl-nginx-tls13", curl.CURL, nginx.NGINX, "HTTP/1.1, TLS 1.3", setup=Setup("1.3")),
    Pairing("python-python-tls12", taking_turns.HTTP, origin.PYTHON, "HTTP/1.1, TLS 1.2", setup=Setup("1.2")),
    Pairing("python-redis", taking_turns.REDIS, redis.REDIS, "RESP"),
)
