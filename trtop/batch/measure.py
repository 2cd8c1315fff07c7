"""What a worker does: one host's captures → its snapshot as bytes; snapshots → one snapshot.

Takes and gives plain data that any executor can send. Keeps what it measured, under the hash of
the captures and of how they were read, so that the next run need not measure it again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from trtop._version import __version__
from trtop.batch.hosts import Host, filesystem_of, is_remote, reason
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import SEED_BYTES, Engine
from trtop_core.errors import TrtopError
from trtop_core.link_types import unsupported_lines
from trtop_core.merging.snapshots import merge
from trtop_core.sources import ORDER_SLACK_NS, OUT_OF_ORDER, open_capture, read_into
from trtop_core.view import View
from trtop_core.wire import WireError, decode_snapshot, encode_snapshot

COPY_BYTES = 1 << 20

MAX_ERROR_CHARS = 500

NEVER_NS = -(1 << 63)
"""Before all times."""


@dataclass(frozen=True, slots=True)
class Task:
    """One host to measure.

    Attributes:
        host: its captures.
        config: how they are read.
        folder: where what was measured is kept; None: nowhere.
    """

    host: Host
    config: EngineConfig
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a host's captures gave.

    Attributes:
        snapshot: as bytes (``wire.encode_snapshot``); all rows.
        errors: what could not be read, one line each, with its path.
        n_unread: captures of which nothing could be read.
        was_kept: it was measured by an earlier run.
    """

    snapshot: bytes
    errors: tuple[str, ...]
    n_unread: int
    was_kept: bool = False


def all_rows(config: EngineConfig) -> View:
    """The view of a snapshot that can be merged."""
    return View(group_by=config.group_by, sort="destination", descending=False)


def measure(task: Task) -> Measured:
    """Read a host's captures, one after the other.

    A capture that cannot be read costs itself: what came before it in the file counts, and the
    next one is read.
    """
    kept_at = None
    if task.folder is not None:
        kept_at = os.path.join(task.folder, f"{fingerprint(task)}.snapshot")
        kept = _kept(kept_at)
        if kept is not None:
            return Measured(kept, (), 0, was_kept=True)
    engine = Engine(task.config, os.urandom(SEED_BYTES))
    errors: list[str] = []
    n_unread = 0
    before = _Span()
    for path in task.host.paths:
        span = _Span()
        n_unread += not _read(engine, path, span, errors)
        if span.begins_before(before):
            errors.append(f"{path}: {OUT_OF_ORDER} (--host tells hosts apart)")
        before = before if span.last_ns == NEVER_NS else span
    engine.finish()
    errors += [f"{task.host.name}: {line}" for line in
               unsupported_lines(engine.unsupported_link_types)]  # fmt: skip
    snapshot = encode_snapshot(engine.snapshot(all_rows(task.config)))
    # What could not be read may be readable the next time.
    if kept_at is not None and not errors:
        _keep(kept_at, snapshot)
    return Measured(snapshot, tuple(text[:MAX_ERROR_CHARS] for text in errors), n_unread)


def merge_encoded(snapshots: Sequence[bytes], config: EngineConfig) -> bytes:
    """Snapshots of different hosts as one."""
    parts = [decode_snapshot(snapshot) for snapshot in snapshots]
    return encode_snapshot(merge(parts, all_rows(config)))


def fingerprint(task: Task) -> str:
    """A hash of what is measured and how: the captures' bytes in their order, and the settings.

    Of a remote capture it is the checksum that its store tells (an ETag), with its URL.
    """
    digest = hashlib.sha256(f"trtop {__version__} {task.config!r}".encode())
    for path in task.host.paths:
        digest.update(_hash_of(path))
    return digest.hexdigest()


def _hash_of(path: str) -> bytes:
    """The hash of a capture; of one that cannot be read, of its name."""
    try:
        if is_remote(path):
            system, name = filesystem_of(path)
            return hashlib.sha256(f"{path} {system.checksum(name)}".encode()).digest()
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except Exception:  # whatever it is, reading tells
        return hashlib.sha256(f"unreadable {path}".encode()).digest()


class _Span:
    """When the packets of one capture were captured; ``NEVER_NS`` until there are any.

    Attributes:
        first_ns: of the first.
        last_ns: of the last, as of yet.
    """

    def __init__(self) -> None:
        self.first_ns = self.last_ns = NEVER_NS

    def extend(self, batch: PacketBatch) -> bool:
        """Take a batch in; True, to be told of the next."""
        if len(batch.index):
            first_ns, self.last_ns = batch.index["ts_ns"][[0, -1]].tolist()
            self.first_ns = first_ns if self.first_ns == NEVER_NS else self.first_ns
        return True

    def begins_before(self, other: _Span) -> bool:
        """Whether it begins before the capture in front of it ended."""
        return NEVER_NS < self.first_ns < other.last_ns - ORDER_SLACK_NS


def _read(engine: Engine, path: str, span: _Span, errors: list[str]) -> bool:
    """Read one capture; whether any of it could be read."""
    try:
        with _local(path) as local, open_capture([local]) as source:
            result = read_into(engine, source, span.extend)
            said = [str(error) for error in source.errors]
    except TrtopError as error:
        errors.append(_with_path(str(error), path))
        return False
    except OSError as error:
        errors.append(f"{path}: {reason(error)}")
        return False
    errors += [_with_path(text.replace(local, path), path) for text in said]
    return not result.is_unusable


def _with_path(text: str, path: str) -> str:
    return text if path in text else f"{path}: {text}"


@contextmanager
def _local(path: str) -> Iterator[str]:
    """A capture as a local file; a remote one is copied for as long as it is read."""
    if not is_remote(path):
        yield path
        return
    system, name = filesystem_of(path)
    with tempfile.TemporaryFile() as copy:
        try:
            with system.open(name, "rb") as stream:
                shutil.copyfileobj(stream, copy, COPY_BYTES)
        except Exception as error:  # a file system of somebody else's
            raise OSError(reason(error)) from None
        copy.flush()
        yield f"/dev/fd/{copy.fileno()}"


def _kept(path: str) -> bytes | None:
    """What an earlier run kept; what cannot be decoded was not kept."""
    try:
        with open(path, "rb") as stream:
            data = stream.read()
        decode_snapshot(data)
    except (OSError, WireError):
        return None
    return data


def _keep(path: str, snapshot: bytes) -> None:
    """Keep a snapshot, whole or not at all; one that cannot be kept is measured again."""
    try:
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as part:
            part.write(snapshot)
        os.replace(part.name, path)
    except OSError:
        return
