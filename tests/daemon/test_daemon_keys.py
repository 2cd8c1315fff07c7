"""Over TCP: who has a key that the daemon knows, and knows the daemon's, gets in; nobody else."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemons import Daemon, finished, peer, trtop, wait_for
from support.paths import EXAMPLE
from test_daemon_life import refused

from trtop_core.errors import TrtopError
from trtop_daemon.keys import read_authorized, read_key_pair, read_public_key, write_key_pair

LOOPBACK = "tcp://127.0.0.1:0"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Pairs for a daemon and three people, of whom the daemon knows alice and bob."""
    folder = tmp_path / "keys"
    known = folder / "known"
    known.mkdir(parents=True)
    for name in ("web1", "alice", "bob", "mallory"):
        write_key_pair(str(folder), name)
    for name in ("alice", "bob"):
        (known / f"{name}.key").write_bytes((folder / f"{name}.key").read_bytes())
    return folder


@pytest.fixture
def daemon(tmp_path: Path, keys: Path) -> Iterator[Daemon]:
    with guarded(tmp_path, keys) as running:
        yield running


def guarded(tmp_path: Path, keys: Path) -> Daemon:
    return Daemon(
        tmp_path / "run",
        "-r",
        EXAMPLE,
        "--listen",
        LOOPBACK,
        "--server-key",
        keys / "web1.key_secret",
        "--authorized-keys",
        keys / "known",
    )


REFUSED_S = 6
"""Who is refused asks again for as long."""


def attach(
    daemon: Daemon, keys: Path, own: str, server: str, timeout_s: int = 100
) -> tuple[int, str, str]:
    options = ["--key", keys / f"{own}.key_secret", "--server-key", keys / f"{server}.key"]
    once = ("--once", "--format=csv", f"--timeout={timeout_s}")
    done = trtop("attach", *once, *options, daemon.addresses[0])
    return done.returncode, done.stdout, done.stderr


def test_who_has_a_known_key_gets_in(daemon: Daemon, keys: Path) -> None:
    for own in ("alice", "bob"):
        status, out, err = attach(daemon, keys, own, "web1")
        assert (status, err) == (0, "")
        assert out.startswith("clock_ns,destination")


def test_who_has_an_unknown_key_is_told_so(daemon: Daemon, keys: Path) -> None:
    status, out, err = attach(daemon, keys, "mallory", "web1", REFUSED_S)
    assert (status, out) == (1, "")
    assert "it does not accept this key" in err
    wait_for(lambda: "without an authorized key refused, the last from 127.0.0.1" in daemon.log)


def test_who_takes_another_for_the_daemon_is_not_answered(daemon: Daemon, keys: Path) -> None:
    status, out, err = attach(daemon, keys, "alice", "mallory", timeout_s=3)
    assert (status, out) == (1, "")
    assert "is --server-key the key of this daemon?" in err


def test_who_has_no_key_is_told_what_is_missing(daemon: Daemon) -> None:
    done = trtop("attach", "--once", "--timeout=3", daemon.addresses[0])
    assert (done.returncode, done.stdout) == (1, "")
    assert "tcp:// needs --key and --server-key" in done.stderr


def test_a_key_that_is_added_lets_in_after_sighup_and_a_removed_one_no_more(
    daemon: Daemon, keys: Path
) -> None:
    assert attach(daemon, keys, "mallory", "web1", REFUSED_S)[0] == 1
    (keys / "known" / "mallory.key").write_bytes((keys / "mallory.key").read_bytes())
    (keys / "known" / "bob.key").unlink()
    (keys / "known" / "odd.key").write_text("nothing")
    daemon.send(signal.SIGHUP)
    wait_for(lambda: "reloaded" in daemon.log)
    assert f"{keys}/known/odd.key: holds no key" in daemon.log
    assert attach(daemon, keys, "mallory", "web1")[0] == 0
    assert attach(daemon, keys, "bob", "web1", REFUSED_S)[0] == 1


def test_a_local_socket_beside_needs_no_key(tmp_path: Path, keys: Path) -> None:
    path = tmp_path / "s.sock"
    options = ["--server-key", keys / "web1.key_secret", "--authorized-keys", keys / "known"]
    both = [f"--listen={path}", f"--listen={LOOPBACK}"]
    with Daemon(tmp_path / "run", "-r", EXAMPLE, *both, *options) as daemon:
        with peer(path) as client:
            finished(client)
        daemon.addresses.reverse()
        assert trtop("attach", "--once", "--timeout=1", daemon.addresses[1]).returncode == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "*", "[::]", "192.0.2.1"])
def test_without_keys_the_network_is_refused_with_the_reason(host: str) -> None:
    said = refused("--listen", f"tcp://{host}:0")
    assert said.startswith(f"tcp://{host}:0: refused: without keys everyone on the network could")


def test_without_keys_this_machine_alone_is_served_with_a_warning(tmp_path: Path) -> None:
    with Daemon(tmp_path, "-r", EXAMPLE, "--listen", "tcp://localhost:0") as daemon:
        assert "warning: tcp://127.0.0.1:" in daemon.log
        with peer(daemon.addresses[0]) as client:
            finished(client)


def test_ipv6_is_listened_to(tmp_path: Path) -> None:
    with Daemon(tmp_path, "-r", EXAMPLE, "--listen", "tcp://[::1]:0") as daemon:
        done = trtop("attach", "--once", "--format=csv", daemon.addresses[0])
        assert (done.returncode, done.stderr) == (0, "")


def test_half_of_the_keys_is_refused(keys: Path) -> None:
    assert "--authorized-keys" in refused("--server-key", keys / "web1.key_secret")
    assert "--server-key" in refused("--authorized-keys", keys / "known")
    wrong = ("--server-key", keys / "web1.key", "--authorized-keys", keys / "known")
    assert "holds no secret key" in refused(*wrong)


def test_a_secret_is_written_for_its_owner_alone_and_never_over_another(tmp_path: Path) -> None:
    done = trtop("keygen", "-d", tmp_path, "web1")
    assert (done.returncode, done.stderr) == (0, "")
    secret = tmp_path / "web1.key_secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "web1.key").stat().st_mode) == 0o644
    before = secret.read_bytes()
    again = trtop("keygen", "-d", tmp_path, "web1")
    assert again.returncode == 1
    assert again.stderr == f"trtop: {tmp_path}/web1.key: exists already, and a key is never " + (
        "overwritten\n"
    )
    assert secret.read_bytes() == before
    pair = read_key_pair(str(secret))
    assert read_public_key(str(tmp_path / "web1.key")) == pair.public
    assert pair.secret.decode() not in repr(pair)
    assert pair.secret not in (tmp_path / "web1.key").read_bytes()


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", ".."])
def test_odd_names_for_keys_are_refused(tmp_path: Path, name: str) -> None:
    done = trtop("keygen", "-d", tmp_path, name)
    assert done.returncode == 1
    assert os.listdir(tmp_path) == []


def test_a_secret_that_others_can_read_is_refused(keys: Path) -> None:
    secret = keys / "alice.key_secret"
    secret.chmod(0o640)
    with pytest.raises(TrtopError, match="chmod 600"):
        read_key_pair(str(secret))


@pytest.mark.parametrize(
    "text", ["", "public-key = 'short'", "public-key = '" + "é" * 40 + "'", "\0" * 100]
)
def test_a_damaged_key_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.key"
    path.write_text(text)
    with pytest.raises(TrtopError, match=r"holds (no|a damaged) key"):
        read_public_key(str(path))
    keys, errors = read_authorized(str(tmp_path))
    assert (len(keys), len(errors)) == (0, 1)


def test_a_secret_of_another_pair_is_noticed(keys: Path) -> None:
    mixed = keys / "mixed.key_secret"
    lines = (keys / "alice.key_secret").read_text().splitlines()
    other = read_public_key(str(keys / "bob.key")).decode()
    mixed.write_text(
        "\n".join(f'    public-key = "{other}"' if "public-key" in li else li for li in lines)
    )
    mixed.chmod(0o600)
    with pytest.raises(TrtopError, match="does not belong"):
        read_key_pair(str(mixed))


def test_pipes_devices_and_folders_among_the_keys_are_named_and_not_read(keys: Path) -> None:
    known = keys / "known"
    os.mkfifo(known / "pipe.key")
    (known / "device.key").symlink_to("/dev/zero")
    (known / "folder.key").mkdir()
    found, errors = read_authorized(str(known))
    assert found == {read_public_key(str(keys / f"{name}.key")) for name in ("alice", "bob")}
    assert [str(error) for error in errors] == [
        f"{known / name}: is no key file: it is no regular file"
        for name in ("device.key", "folder.key", "pipe.key")
    ]
