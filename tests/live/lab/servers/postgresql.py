"""PostgreSQL: ``pg_sleep`` is the known delay."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator

from lab import LabError
from lab.pairing import Server, Site

BIN = "/usr/lib/postgresql/15/bin"


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve a new, empty database that believes everybody; in clear or over TLS."""
    folder = site.folder / "postgresql"
    folder.mkdir()
    shutil.chown(folder, "postgres")
    words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", _tool("initdb")]
    words += ["-D", str(folder), "-U", "lab", "-A", "trust", "--no-sync", "--no-instructions"]
    subprocess.run(words, check=True, capture_output=True, timeout=60, cwd=folder)
    with open(folder / "pg_hba.conf", "a") as rules:
        rules.write("host all all 0.0.0.0/0 trust\n")
    options = {
        "listen_addresses": site.address,
        "port": site.port,
        "unix_socket_directories": folder,
        "fsync": "off",
        "max_connections": 100,
    }
    if site.setup.tls:
        key = folder / "key.pem"
        shutil.copyfile(site.key, key)
        shutil.chown(key, "postgres")
        key.chmod(0o600)
        version = f"TLSv{site.setup.tls}"
        options |= {"ssl": "on", "ssl_cert_file": site.certificate, "ssl_key_file": key}
        options |= {"ssl_min_protocol_version": version, "ssl_max_protocol_version": version}
    command = [_tool("postgres"), "-D", str(folder)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    with site.serving(*command, user="postgres"):
        yield


def _tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=BIN)
    if not found:
        raise LabError(f"{name} is missing")
    return found


POSTGRESQL = Server("PostgreSQL", ("initdb", "postgres"), serve, (5432, 5432))
