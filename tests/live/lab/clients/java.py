"""Java: HttpURLConnection, and HttpClient for HTTP/2."""

from __future__ import annotations

from lab.builds import java_classes
from lab.measures import Truth
from lab.pairing import Client, Site


def use(site: Site) -> Truth:
    """Send requests: over one connection, or with HTTP/2 each share over one of its own."""
    work = site.work
    shares = ",".join(map(str, work.shares())) if site.setup.http2 else str(work.requests)
    verb = "http2" if site.setup.http2 else "use"
    words = [verb, site.url("/work"), site.setup.tls, shares]
    return site.timed(site.run("java", "-cp", java_classes(), "Lab", *words))


JAVA = Client("Java", ("java", "javac"), use)
