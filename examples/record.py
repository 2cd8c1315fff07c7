"""Record ``services.pcap``: real servers and clients, in network namespaces of their own.

    sudo python examples/record.py

Needs Linux, root, ip(8), tcpdump and openssl. Nothing leaves the machine: the namespaces of clients
and servers are joined by a third one only, the path, and all are removed afterwards.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import path
import services

HERE = Path(__file__).parent
CAPTURE = HERE / "services.pcap"
SNAPLEN_BYTES = 128
CLIENTS, PATH, SERVERS = "trtop-clients", "trtop-path", "trtop-servers"
CLIENT_ADDRESSES = ("192.0.2.1/24", "2001:db8::1/64")
SERVER_MAC = "02:00:00:00:00:02"
SETTLE_S = 1.5
"""tcpdump hands packets over once a second."""
PATIENCE_S = 60


def run(*command: str) -> None:
    """Run a command; an error ends the recording."""
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)


@contextmanager
def namespaces() -> Iterator[None]:
    """Clients, path and servers, joined, with the addresses of all services but the absent one."""
    try:
        for name in (CLIENTS, PATH, SERVERS):
            run("ip", "netns", "add", name)
        for name, interface in ((CLIENTS, path.TO_CLIENTS), (SERVERS, path.TO_SERVERS)):
            run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", interface,
                "netns", PATH)  # fmt: skip
            run("ip", "-n", PATH, "link", "set", interface, "up")
        run("ip", "-n", SERVERS, "link", "set", "eth0", "address", SERVER_MAC)
        server_addresses = [f"{a}/{64 if ':' in a else 24}" for a in services.ADDRESSES]
        for name, addresses in ((CLIENTS, CLIENT_ADDRESSES), (SERVERS, server_addresses)):
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            for address in addresses:
                nodad = ["nodad"] if ":" in address else []
                run("ip", "-n", name, "addr", "add", address, "dev", "eth0", *nodad)
        # Without this the kernel would report the absent address as unreachable.
        run("ip", "-n", CLIENTS, "neigh", "add", services.ABSENT, "lladdr", SERVER_MAC,
            "dev", "eth0")  # fmt: skip
        yield
    finally:
        for name in (CLIENTS, PATH, SERVERS):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@contextmanager
def inside(name: str, *command: str, stdout: int | IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs in a namespace until the block ends."""
    process = subprocess.Popen(
        ["ip", "netns", "exec", name, *command],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def record(directory: Path) -> None:
    """Write the capture anew."""
    certificate = directory / "service.pem"
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650",
        "-subj", "/CN=service.example.com", "-keyout", str(certificate),
        "-out", str(directory / "certificate"))  # fmt: skip
    with certificate.open("ab") as file:
        file.write((directory / "certificate").read_bytes())
    tcpdump = ("tcpdump", "-i", "eth0", "-s", str(SNAPLEN_BYTES), "-U", "-w", "-", "tcp")
    python = (sys.executable, "-B")
    serve = (*python, str(HERE / "services.py"), str(certificate))
    call = (*python, str(HERE / "callers.py"))
    with (
        namespaces(),
        CAPTURE.open("wb") as capture,
        inside(PATH, *python, str(HERE / "path.py"), stdout=subprocess.PIPE) as between,
        inside(SERVERS, *serve, stdout=subprocess.PIPE) as servers,
    ):
        wait_for(between, "the path did not start")
        wait_for(servers, "the servers did not start")
        with inside(CLIENTS, *tcpdump, stdout=capture) as capturing:
            assert capturing.stderr is not None
            if b"listening" not in capturing.stderr.readline():
                sys.exit("record.py: tcpdump did not start")
            with inside(CLIENTS, *call, stdout=subprocess.PIPE) as calling:
                wait_for(calling, "the callers failed")
                time.sleep(SETTLE_S)
                # What still waits for an answer does so at the end of the capture.
                capturing.terminate()
                capturing.wait()


def wait_for(process: subprocess.Popen[bytes], otherwise: str) -> None:
    """Wait until a process is ready, or end with its errors."""
    assert process.stdout is not None
    assert process.stderr is not None
    if process.stdout.readline() != services.READY.encode():
        sys.exit(f"record.py: {otherwise}: {process.stderr.read().decode().strip()}")


def main() -> None:
    """Record, and say where."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            record(Path(directory))
        except FileNotFoundError as error:
            sys.exit(f"record.py: {error.filename} is missing; try: apt-get install iproute2 "
                     "tcpdump openssl")  # fmt: skip
        except subprocess.CalledProcessError as error:
            sys.exit(f"record.py: {' '.join(error.cmd)}: {error.stderr.decode().strip()}")
    sys.stdout.write(f"{CAPTURE}: {CAPTURE.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
