"""Apache httpd, in front of the laboratory's service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.pairing import Server, Site
from lab.servers.origin import backend

MODULES = "/usr/lib/apache2/modules"

CONFIG = """
ServerName lab
ServerRoot {folder}
PidFile {folder}/apache.pid
ErrorLog {folder}/apache.error.log
Mutex file:{folder}
User www-data
Group www-data
Listen {address}:{port}
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 30
{modules}
Protocols {protocols}
ProxyPass / http://{backend}/ keepalive=On
<VirtualHost *:{port}>
{tls}
</VirtualHost>
"""

TLS = """
SSLEngine on
SSLCertificateFile {certificate}
SSLCertificateKeyFile {key}
SSLProtocol -all +TLSv{version}
SSLSessionTickets {tickets}
"""

LOADED = ("mpm_event", "authz_core", "proxy", "proxy_http", "ssl", "socache_shmcb", "http2")


def _config(site: Site, upstream: str) -> str:
    setup = site.setup
    tls = TLS.format(
        certificate=site.certificate,
        key=site.key,
        version=setup.tls,
        tickets="on" if setup.tickets else "off",
    )
    return CONFIG.format(
        folder=site.folder,
        address=site.address,
        port=site.port,
        modules="\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in LOADED),
        protocols=("h2 h2c " if setup.http2 else "") + "http/1.1",
        backend=upstream,
        tls=tls if setup.tls else "",
    )


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve, with a backend of known delay."""
    with backend(site) as upstream:
        path = site.file("apache.conf", _config(site, upstream))
        with site.serving("apache2", "-DFOREGROUND", "-f", path):
            yield


APACHE = Server("Apache httpd", ("apache2",), serve)
