"""Where a daemon listens, as a user writes it: ``ipc:///path``, ``/path``, ``tcp://host:port``.

Takes text, environment and what exists as arguments; gives checked endpoints. Opens nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass

IPC = "ipc://"
TCP = "tcp://"

MAX_PATH_BYTES = 107
"""sun_path of a Unix socket, less its terminator (unix(7))."""

MAX_PORT = 65535

ANY_HOST = "*"

RUN_DIR = "/run/trtop"
"""Path of the socket of a daemon of the system."""

USER_DIR = "trtop"
"""Path below ``$XDG_RUNTIME_DIR`` of the socket of a daemon without root."""

SOCKET_NAME = "trtopd.sock"

EXAMPLES = f"{IPC}{RUN_DIR}/{SOCKET_NAME} or {TCP}192.0.2.7:7117"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to listen or to connect to; ``str()`` is its address in the form of ZeroMQ.

    Attributes:
        path: of the Unix socket, else None.
        host: name or address, ``*`` for all interfaces; empty for a Unix socket.
        port: 0 lets the system choose; 0 for a Unix socket.
    """

    path: str | None = None
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path is not None:
            return IPC + self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{TCP}{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Only processes of this machine can reach it."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_endpoint(text: str) -> Endpoint:
    """An endpoint from what a user wrote.

    Raises:
        ValueError: it is none; the message says what would be.
    """
    if text.startswith(TCP):
        return _tcp(text)
    path = text.removeprefix(IPC)
    if path == text and "/" not in text:
        raise ValueError(f"{text!r} is no endpoint, such as {EXAMPLES}")
    if path.startswith("@"):
        raise ValueError(f"{text!r}: abstract sockets have no permissions; use a path")
    if not path or path.endswith("/") or "\0" in path or "://" in path:
        raise ValueError(f"{text!r} names no socket file, such as {EXAMPLES}")
    n_bytes = len(path.encode(errors="surrogateescape"))
    if n_bytes > MAX_PATH_BYTES:
        raise ValueError(
            f"{text!r}: a socket's path has at most {MAX_PATH_BYTES} bytes, not {n_bytes}"
        )
    return Endpoint(path=path)


def default_listen(environ: Mapping[str, str], is_root: bool) -> Endpoint:
    """Where a daemon listens that is told nothing.

    Args:
        environ: of the process; systemd's ``RUNTIME_DIRECTORY`` goes before all else.
        is_root: whether it may use ``RUN_DIR``.

    Raises:
        ValueError: there is no such place.
    """
    if folder := environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        return parse_endpoint(f"{folder}/{SOCKET_NAME}")
    if is_root:
        return Endpoint(path=f"{RUN_DIR}/{SOCKET_NAME}")
    if folder := environ.get("XDG_RUNTIME_DIR", ""):
        return parse_endpoint(f"{folder}/{USER_DIR}/{SOCKET_NAME}")
    raise ValueError(
        "nowhere to listen: without root and XDG_RUNTIME_DIR, --listen ipc:///path says where"
    )


def default_connect(environ: Mapping[str, str], exists: Callable[[str], bool]) -> Endpoint:
    """Where a client looks that is told nothing: the user's own daemon first, then the system's.

    Args:
        environ: of the process.
        exists: whether there is a file of that name.
    """
    if folder := environ.get("XDG_RUNTIME_DIR", ""):
        path = f"{folder}/{USER_DIR}/{SOCKET_NAME}"
        if exists(path):
            return parse_endpoint(path)
    return Endpoint(path=f"{RUN_DIR}/{SOCKET_NAME}")


def _tcp(text: str) -> Endpoint:
    host, colon, port_text = text.removeprefix(TCP).rpartition(":")
    if not colon or not host:
        raise ValueError(f"{text!r} needs a host and a port, such as tcp://192.0.2.7:7117")
    is_number = port_text.isascii() and port_text.isdigit() and len(port_text) <= len(str(MAX_PORT))
    if not is_number or int(port_text) > MAX_PORT:
        raise ValueError(f"{text!r}: a port is a number within 0 … {MAX_PORT}")
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets: tcp://[::1]:7117")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not host.isprintable() or any(char in host for char in " /;@"):
        raise ValueError(f"{text!r} names no host")
    return Endpoint(host=host, port=int(port_text))
