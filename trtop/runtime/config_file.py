"""The configuration file of a user: where it is, and what it says.

Takes the environment, reads one TOML file. As root it reads none that others may write: under sudo
the home is often that of somebody else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from trtop.options.configured import ConfigError, Configured

NAME = os.path.join("trtop", "config.toml")

MAX_BYTES = 65_536

ROOT_UID = 0


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file.

    Attributes:
        path: where it is looked for.
        configured: what it says.
        state: whether it was read, and if not, why.
    """

    path: str
    configured: Configured
    state: str


def path_of(environ: Mapping[str, str]) -> str | None:
    """Where the file is looked for (XDG Base Directory Specification); None without a home."""
    base = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # the specification has relative ones ignored
        home = environ.get("HOME", "")
        if not os.path.isabs(home):
            return None
        base = os.path.join(home, ".config")
    return os.path.join(base, NAME)


def read_config(environ: Mapping[str, str], euid: int) -> ConfigFile:
    """The file, and what it says; without one it says nothing.

    Args:
        environ: environment variables.
        euid: the user whom this process acts as.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    path = path_of(environ)
    if path is None:
        return ConfigFile("", Configured(), "no home: HOME is not set")
    try:
        # Not blocking: a FIFO of that name is refused, not waited for.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ConfigFile(path, Configured(path), "not there")
    except PermissionError:
        return ConfigFile(path, Configured(path), "may not be read")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
        os.close(fd)
        raise ConfigError(f"{path}: is no file of at most {MAX_BYTES:,} bytes")
    with open(fd, "rb") as file:
        if euid == ROOT_UID and (status.st_uid != ROOT_UID or status.st_mode & 0o022):
            state = "not read: this is root, and others may write it"
            return ConfigFile(path, Configured(path), state)
        content = file.read(MAX_BYTES)
    import tomllib  # noqa: PLC0415 - most users have no such file

    try:
        values = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:  # also of a number with more digits than Python reads
        raise ConfigError(f"{path}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: has too many brackets within each other") from None
    return ConfigFile(path, Configured(path, values), "read")
