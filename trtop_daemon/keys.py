"""CurveZMQ keys in files, as ``trtop keygen`` writes them (the ZPL form of zmq.auth).

Takes paths, gives keys, or one line that says what is wrong with a file. A secret that others can
read is refused, as ssh does.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth
from zmq.utils import z85

from trtop_core.errors import TrtopError

PUBLIC_SUFFIX = ".key"
SECRET_SUFFIX = ".key_secret"

KEY_BYTES = 32

MAX_KEY_FILE_BYTES = 1 << 16

READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Keys in their printable form (Z85).

    Attributes:
        public: may be known to everyone.
        secret: of its owner alone; not shown.
    """

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"KeyPair({self.public.decode()})"


def read_key_pair(path: str) -> KeyPair:
    """The keys of a secret file.

    Raises:
        TrtopError: it cannot be read, others can read it, or it holds no pair.
    """
    public, secret = _read(path)
    if secret is None:
        raise TrtopError(f"{path}: holds no secret key; {SECRET_SUFFIX} files do")
    mode = os.stat(path).st_mode
    if mode & READABLE_BY_OTHERS:
        raise TrtopError(f"{path}: others may read this secret; do: chmod 600 {path}")
    if zmq.curve_public(secret) != public:
        raise TrtopError(f"{path}: the public key does not belong to the secret one")
    return KeyPair(public, secret)


def read_public_key(path: str) -> bytes:
    """The public key of a file, which may hold the secret one too.

    Raises:
        TrtopError: it cannot be read, or holds none.
    """
    return _read(path)[0]


def read_authorized(folder: str) -> tuple[frozenset[bytes], list[TrtopError]]:
    """The public keys of all ``*.key`` files of a folder, and what could not be read of them.

    Raises:
        TrtopError: there is no such folder.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(PUBLIC_SUFFIX))
    except OSError as error:
        raise TrtopError(f"{folder}: cannot be read: {error.strerror}") from error
    keys, errors = set(), []
    for name in names:
        try:
            keys.add(read_public_key(os.path.join(folder, name)))
        except TrtopError as error:
            errors.append(error)
    return frozenset(keys), errors


def write_key_pair(folder: str, name: str) -> tuple[str, str]:
    """Make a new pair: ``NAME.key`` for others, ``NAME.key_secret`` for its owner alone.

    Returns:
        The paths of the two files.

    Raises:
        TrtopError: one of them exists, or cannot be written.
    """
    paths = [os.path.join(folder, name + suffix) for suffix in (PUBLIC_SUFFIX, SECRET_SUFFIX)]
    for path in paths:
        if os.path.lexists(path):
            raise TrtopError(f"{path}: exists already, and a key is never overwritten")
    umask = os.umask(0o077)
    try:
        public, secret = zmq.auth.create_certificates(folder, name)
        os.chmod(public, 0o644)
    except OSError as error:
        raise TrtopError(f"{error.filename or folder}: cannot be written: {error.strerror}") from (
            error
        )
    finally:
        os.umask(umask)
    return str(public), str(secret)


def _read(path: str) -> tuple[bytes, bytes | None]:
    try:
        found = Path(path).stat()
        # A pipe would be waited for, a device read without end.
        if not stat.S_ISREG(found.st_mode):
            raise TrtopError(f"{path}: is no key file: it is no regular file")
        if found.st_size > MAX_KEY_FILE_BYTES:
            raise TrtopError(f"{path}: is no key file: it is too large")
        with open(path, "rb"):
            public, secret = zmq.auth.load_certificate(path)
    except OSError as error:
        raise TrtopError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError:
        raise TrtopError(f"{path}: holds no key; make one with: trtop keygen") from None
    for key in (public, secret):
        if key is not None and not _is_key(key):
            raise TrtopError(f"{path}: holds a damaged key")
    return public, secret


def _is_key(key: bytes) -> bool:
    try:
        return len(z85.decode(key)) == KEY_BYTES
    except (ValueError, KeyError, IndexError):
        return False
