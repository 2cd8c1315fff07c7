"""MariaDB: ``SLEEP`` is the known delay."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator

from lab.pairing import Server, Site


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve a new, empty database that believes everybody; in clear or over TLS."""
    folder = site.folder / "mariadb"
    folder.mkdir()
    shutil.chown(folder, "mysql")
    command = ["mariadb-install-db", "--no-defaults", f"--datadir={folder}", "--user=mysql"]
    command += ["--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    words = ["mariadbd", "--no-defaults", f"--datadir={folder}", f"--bind-address={site.address}"]
    words += [f"--port={site.port}", f"--socket={folder}/mariadb.sock", "--user=mysql"]
    words += ["--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0", "--skip-grant-tables"]
    if site.setup.tls:
        words += [f"--ssl-cert={site.certificate}", f"--ssl-key={site.key}"]
        words += [f"--tls-version=TLSv{site.setup.tls}"]
    with site.serving(*words):
        yield


MARIADB = Server("MariaDB", ("mariadbd", "mariadb-install-db"), serve, (3306, 3306))
