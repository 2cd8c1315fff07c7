"""GNU Wget (GnuTLS): one process a connection. It measures no answer, only counts are true."""

from __future__ import annotations

from lab.measures import Truth
from lab.pairing import Client, Site


def use(site: Site) -> Truth:
    """Send requests over keep-alive connections, one process each."""
    for share in site.work.shares():
        words = ["wget", "-q", "-O", "/dev/null", "--no-check-certificate", "--no-config"]
        if site.setup.tls:
            words.append(f"--secure-protocol=TLSv{site.setup.tls.replace('.', '_')}")
        site.run(*words, *(site.url(f"/work?{number}") for number in range(share)))
    return Truth(site.work.requests, site.work.connections)


WGET = Client("Wget (GnuTLS)", ("wget",), use)
