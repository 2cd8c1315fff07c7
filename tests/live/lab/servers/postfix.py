"""Postfix: takes mail for anybody and throws it away; with STARTTLS."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from lab.pairing import Server, Site

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
inet_interfaces = {address}
inet_protocols = ipv4
myhostname = lab.test
mydestination = lab.test
mynetworks = 0.0.0.0/0
local_transport = discard
default_transport = discard
local_recipient_maps =
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_tls_security_level = {tls}
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_protocols = {versions}
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
maillog_file = {folder}/postfix.maillog
maillog_file_prefixes = {folder}
"""

MASTER = """
{address}:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve a mail server of its own folders."""
    config = site.folder / "postfix"
    for name in ("postfix", "queue", "data"):
        (site.folder / name).mkdir()
    shutil.chown(site.folder / "data", "postfix")
    version = site.setup.tls or "1.3"
    main = MAIN.format(
        folder=site.folder,
        address=site.address,
        tls="may" if site.setup.tls else "none",
        certificate=site.certificate,
        key=site.key,
        versions=f">=TLSv{version}, <=TLSv{version}",
    )
    (config / "main.cf").write_text(main)
    (config / "master.cf").write_text(MASTER.format(address=site.address, port=site.port))
    command = ["postfix", "-c", str(config), "start-fg"]
    with site.serving(*command):
        yield


POSTFIX = Server("Postfix", ("postfix",), serve, (25, 25))
