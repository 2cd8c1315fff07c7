"""nginx, in front of the laboratory's service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.pairing import Server, Site
from lab.servers.origin import backend

CONFIG = """
worker_processes 1;
daemon off;
user root;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    upstream backend {{
        server {backend};
        keepalive 64;
        keepalive_requests 1000000;
    }}
    server {{
        listen {port} {flags} backlog=1024;
        {tls}
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering {buffering};
        }}
        location = /static {{ return 200 "hello\\n"; }}
    }}
}}
"""

TLS = """
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv{version};
        ssl_session_cache {cache};
        ssl_session_tickets {tickets};
        ssl_early_data {early};
"""


def config(site: Site, upstream: str) -> str:
    """Give the configuration that a setup needs."""
    setup = site.setup
    tls = TLS.format(
        certificate=site.certificate,
        key=site.key,
        version=setup.tls,
        cache="off" if not setup.tickets else "shared:lab:1m",
        tickets="on" if setup.tickets else "off",
        early="on" if setup.early_data else "off",
    )
    return CONFIG.format(
        folder=site.folder,
        backend=upstream,
        port=site.port,
        flags=" ".join(["ssl"] * bool(setup.tls) + ["http2"] * setup.http2),
        tls=tls if setup.tls else "",
        buffering="off" if setup.mode == "events" else "on",
    )


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve, with a backend of known delay."""
    with backend(site) as upstream:
        path = site.file("nginx.conf", config(site, upstream))
        with site.serving("nginx", "-c", path, "-e", site.folder / "nginx.start.log"):
            yield


NGINX = Server("nginx", ("nginx",), serve)
