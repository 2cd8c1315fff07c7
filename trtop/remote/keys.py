"""``keys_of``: what each daemon is talked to with, read from the files of the options."""

from __future__ import annotations

from trtop.options.attach_options import AttachOptions
from trtop.remote.client import Keys
from trtop_daemon.keys import read_key_pair, read_public_key


def keys_of(options: AttachOptions) -> list[Keys | None]:
    """Keys by endpoint; None where there are none.

    Raises:
        TrtopError: a file cannot be read, or holds no key.
    """
    server_keys = [read_public_key(path) for path in options.server_keys]
    own = read_key_pair(options.key) if options.key else None
    found: list[Keys | None] = []
    n_tcp = 0
    for endpoint in options.endpoints:
        keys = None
        if endpoint.path is None:
            if own is not None:
                keys = Keys(own, server_keys[n_tcp if len(server_keys) > 1 else 0])
            n_tcp += 1
        found.append(keys)
    return found
