"""The servers that TLS libraries bring along: ``gnutls-serv`` and ``openssl s_server``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.pairing import Server, Site

GNUTLS_VERSIONS = {
    "1.2": "NORMAL:-VERS-ALL:+VERS-TLS1.2",
    "1.3": "NORMAL:-VERS-ALL:+VERS-TLS1.3",
}


@contextlib.contextmanager
def serve_gnutls(site: Site) -> Iterator[None]:
    """Send back what comes, at once."""
    asks = site.setup.mode == "certificate"
    words = ["gnutls-serv", "--echo", "--port", str(site.port)]
    words += ["--require-client-cert" if asks else "--disable-client-cert"]
    words += ["--x509certfile", str(site.certificate), "--x509keyfile", str(site.key)]
    words += ["--priority", GNUTLS_VERSIONS[site.setup.tls]]
    words += ["--noticket"] * (not site.setup.tickets)
    words += ["--earlydata"] * site.setup.early_data
    with site.serving(*words):
        yield


@contextlib.contextmanager
def serve_openssl(site: Site) -> Iterator[None]:
    """Send each line back reversed, at once."""
    asks = site.setup.mode == "certificate"
    words = ["openssl", "s_server", "-rev", "-accept", f"{site.address}:{site.port}"]
    words += ["-cert", str(site.certificate), "-key", str(site.key)]
    words += [f"-tls{site.setup.tls.replace('.', '_')}"]
    words += ["-num_tickets", "0"] * (not site.setup.tickets)
    words += ["-Verify", "1", "-verify_return_error"] * asks
    with site.serving(*words):
        yield


GNUTLS = Server("gnutls-serv", ("gnutls-serv",), serve_gnutls)
OPENSSL = Server("openssl s_server", ("openssl",), serve_openssl)
