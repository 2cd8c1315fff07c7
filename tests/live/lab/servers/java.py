"""Java: com.sun.net.httpserver."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from lab.builds import java_classes
from lab.delays import FAST_MS, SLOW_EVERY, SLOW_MS
from lab.pairing import Server, Site


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve with the laboratory's delays."""
    store = site.folder / "key.p12"
    command = ["openssl", "pkcs12", "-export", "-in", site.certificate, "-inkey", site.key]
    command += ["-out", store, "-passout", "pass:laboratory"]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    words = ["serve", site.address, site.port, site.setup.tls or "-", store]
    words += [FAST_MS, SLOW_MS, SLOW_EVERY]
    with site.serving("java", "-cp", java_classes(), "Lab", *map(str, words)):
        yield


JAVA = Server("Java httpserver", ("java", "javac"), serve)
