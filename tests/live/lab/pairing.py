"""The words in which the laboratory's table is written: server, client, setup, pairing."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from support.netns import Host

from lab import LabError, processes
from lab.delays import FAST_MS, SLOW_EVERY, SLOW_MS, delay_ms
from lab.measures import NS_PER_MS, Kind, Times, Truth, times_of
from lab.network import FAR, LAB, Link

CLIENT_TIMEOUT_S = 120.0

PROGRAMS = LAB / "programs"


@dataclass(frozen=True)
class Setup:
    """What client and server agree on.

    Attributes:
        tls: version of TLS, "1.2" or "1.3"; empty for none.
        tickets: the server gives session tickets.
        resume: connections after the first resume its session.
        early_data: resumed connections send their request as early data.
        http2: HTTP/2 instead of HTTP/1.1.
        mode: what else client and server must know, in the words of their recipes.
    """

    tls: str = ""
    tickets: bool = True
    resume: bool = False
    early_data: bool = False
    http2: bool = False
    mode: str = ""


@dataclass(frozen=True)
class Work:
    """What a client is to do.

    Attributes:
        connections: to open.
        requests: to send, over all connections.
        parallel: requests under way at once, where the client can.
    """

    connections: int = 5
    requests: int = 23
    parallel: int = 1

    def shares(self) -> list[int]:
        """Give the requests of each connection."""
        least, more = divmod(self.requests, self.connections)
        return [least + (number < more) for number in range(self.connections)]


def service_times(n_requests: int) -> Times | None:
    """Give the percentiles of the service's own time over its first requests."""
    return times_of(delay_ms(number) * NS_PER_MS for number in range(n_requests))


@dataclass(frozen=True)
class Site:
    """Where a pairing runs.

    Attributes:
        near, far: the client's host and the server's.
        folder: for files of this run; anybody may read and enter it.
        certificate, key: of the server, files in PEM, for the name "lab" and its address.
        port: where the server listens.
        setup, work: what is agreed on, what is to do.
        path_log: what the path has carried.
    """

    near: Host
    far: Host
    folder: Path
    certificate: Path
    key: Path
    port: int
    setup: Setup
    work: Work
    path_log: Path

    address: str = FAR

    def url(self, path: str = "/") -> str:
        """Give the address of a page."""
        return f"{'https' if self.setup.tls else 'http'}://{self.address}:{self.port}{path}"

    @contextlib.contextmanager
    def serving(
        self,
        *command: str | Path,
        port: int | None = None,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Iterator[None]:
        """Run a server until the end of the context, from when it listens at its port."""
        log = self.folder / f"{Path(command[0]).name}.{port or self.port}.log"
        with processes.running(self.far, command, log, user, env) as process:
            processes.wait_for_port(self.far, port or self.port, process, log)
            yield

    def run(
        self,
        *command: str | Path,
        said: str = "",
        env: Mapping[str, str] | None = None,
        may_fail: bool = False,
    ) -> str:
        """Run a client to its end; what it wrote."""
        return processes.run(
            self.near, command, CLIENT_TIMEOUT_S, env=env, said=said, may_fail=may_fail
        )

    def run_until(self, done: Callable[[], object], *command: str | Path) -> None:
        """Run a client that does not end by itself until something is so."""
        log = self.folder / f"{Path(command[0]).name}.client.log"
        with processes.running(self.near, command, log):
            processes.wait_until(done, CLIENT_TIMEOUT_S, f"{Path(command[0]).name} is done")

    def file(self, name: str, text: str) -> Path:
        """Write a file for a program, e.g. its configuration."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def job(self) -> Path:
        """Write what the laboratory's own programs must know."""
        job = {
            "address": self.address,
            "port": self.port,
            "url": self.url("/work"),
            "certificate": str(self.certificate),
            "key": str(self.key),
            "shares": self.work.shares(),
            "parallel": self.work.parallel,
            "fast_ms": FAST_MS,
            "slow_ms": SLOW_MS,
            "slow_every": SLOW_EVERY,
            **asdict(self.setup),
        }
        return self.file("job.json", json.dumps(job))

    def timed(self, out: str) -> Truth:
        """Give what was true, by the times that a program of the laboratory wrote."""
        last = out.splitlines()[-1] if out.strip() else ""
        try:
            times_ns = json.loads(last)["times_ns"]
        except ValueError:
            raise LabError(f"a client wrote no result but {out[-300:]!r}") from None
        return Truth(
            len(times_ns),
            self.work.connections,
            times_of(times_ns),
            service_times(len(times_ns)),
        )


def python(program: str, *words: str | Path | int) -> list[str]:
    """Give the command line of one of the laboratory's own programs in Python."""
    return [sys.executable, str(PROGRAMS / program), *(str(word) for word in words)]


@dataclass(frozen=True)
class Server:
    """A server's recipe.

    Attributes:
        name: as the table calls it.
        needs: commands without which it cannot run.
        serve: runs it; a context.
        port: where it listens without TLS, and with it.
        modules: of Python, without which it cannot run.
    """

    name: str
    needs: tuple[str, ...]
    serve: Callable[[Site], contextlib.AbstractContextManager[None]]
    port: tuple[int, int] = (80, 443)
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Client:
    """A client's recipe.

    Attributes:
        name: as the table calls it.
        needs: commands without which it cannot run.
        use: does the work; what was true.
        modules: of Python, without which it cannot run.
    """

    name: str
    needs: tuple[str, ...]
    use: Callable[[Site], Truth]
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pairing:
    """One row of the laboratory's table.

    Attributes:
        name: its own, also of its files.
        client, server: who talks to whom.
        says: the protocol, in words.
        kind: what it is judged by.
        setup, work, link: the particulars.
        capture_far: captured at the server's host instead of the client's.
    """

    name: str
    client: Client
    server: Server
    says: str
    kind: Kind = Kind.ALTERNATING
    setup: Setup = field(default_factory=Setup)
    work: Work = field(default_factory=Work)
    link: Link = field(default_factory=Link)
    capture_far: bool = False

    @property
    def port(self) -> int:
        """Where its server listens."""
        return self.server.port[bool(self.setup.tls)]
