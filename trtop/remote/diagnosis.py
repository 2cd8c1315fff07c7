"""Why nobody can be reached at an endpoint, found out by trying.

Takes an endpoint, gives one line that says what to do, or nothing where all looks well.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat

from trtop_core.wire.endpoint import Endpoint

START_HINT = "start one: sudo trtopd"


def diagnose(endpoint: Endpoint) -> str:
    """What stands between us and a daemon on this machine; empty if nothing can be seen."""
    if endpoint.path is None:
        return ""
    if os.path.exists(endpoint.path) and not _is_socket(endpoint.path):
        what = "a folder" if os.path.isdir(endpoint.path) else "a file"
        return f"it is {what}, not a daemon's socket; to read a capture: trtop {endpoint.path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(endpoint.path)
        except FileNotFoundError:
            return f"no daemon runs there; {START_HINT}"
        except ConnectionRefusedError:
            return f"the daemon that was there is dead; {START_HINT}"
        except PermissionError:
            return f"permission denied{_owner(endpoint.path)}"
        except OSError:
            return ""
    return ""


def _is_socket(path: str) -> bool:
    """Whether a path that is there is a socket; what cannot be looked at may be one."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return True


def _owner(path: str) -> str:
    """Who may use a socket, as a hint."""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    try:
        user = pwd.getpwuid(found.st_uid).pw_name
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        return ""
    return f": it is for the user {user} and the group {group}"
