"""What a process with privileges imports: nothing that others may write, wherever it stands."""

import grp
import json
import os
import pwd
import signal
import struct
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.daemons import TIMEOUT_S, environment
from support.paths import EXAMPLE, ROOT

from trtop.plugins import PartKind, Plugins
from trtop_core import TrtopError
from trtop_daemon.system import import_path
from trtop_daemon.system.import_path import close_import_path, isolated, weakness

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root trusts less than everything")

NOBODY = pwd.getpwnam("nobody")

ROOT_ALONE = frozenset({0})

TRAP = (
    "import os\nos.close(os.open({!r}, os.O_CREAT | os.O_WRONLY))\nraise RuntimeError('trapped')\n"
)

TRTOP = [sys.executable, "-P", "-m", "trtop"]
TRTOPD = [sys.executable, "-P", "-m", "trtop_daemon"]
LIVE = ["live", "-r", str(EXAMPLE), "--speed=max", "--format=json", "--user=root"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of root's that everybody may look into."""
    with tempfile.TemporaryDirectory(prefix="trtop-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def trap(folder: Path) -> tuple[Path, Path]:
    """A folder of another user's in which a package waits to be imported, and its mark."""
    mark = folder / "mark"
    trapped = folder / "trapped"
    trapped.mkdir()
    for name in ("numpy", "zmq", "msgspec", "pcapy", "psutil", "runpy", "argparse", "json"):
        (trapped / f"{name}.py").write_text(TRAP.format(str(mark)))
    give(trapped)
    return trapped, mark


def give(path: Path) -> None:
    """Make a file or folder, and all that it holds, another user's."""
    for one in (path, *path.rglob("*")):
        os.chown(one, NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)


def run(command: list[str], cwd: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a command, ``trtop live`` until its first report."""
    wanted = {key: value for key, value in environment(**env).items() if key != "PYTHONSAFEPATH"}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=cwd, env=wanted, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    if "live" in command:
        process.send_signal(signal.SIGTERM)
    rest, said = process.communicate(timeout=TIMEOUT_S)
    return subprocess.CompletedProcess(command, process.returncode, first + rest, said)


@as_root
def test_live_imports_nothing_from_the_folder_it_is_started_in(trap: tuple[Path, Path]) -> None:
    done = run([*TRTOP, *LIVE], trap[0])
    assert not trap[1].exists()
    assert "192.0.2.15" in done.stdout, done.stderr


@as_root
@pytest.mark.parametrize("command", [[*TRTOP, *LIVE], [*TRTOPD, "--list-interfaces"],
                                     [*TRTOP, "--format=json", str(EXAMPLE)]])  # fmt: skip
def test_what_others_may_write_is_left_out_of_pythonpath(
    trap: tuple[Path, Path], command: list[str]
) -> None:
    own = os.environ.get("PYTHONPATH") or str(ROOT)
    done = run(command, ROOT, PYTHONPATH=f"{own}:{trap[0]}:")
    assert not trap[1].exists()
    assert done.returncode in (0, 143), done.stderr


@as_root
def test_the_users_own_packages_are_left_out_and_what_is_then_missing_is_one_line(
    folder: Path, trap: tuple[Path, Path]
) -> None:
    """The case of a sudo that keeps HOME, with an interpreter of no virtual environment."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "home" / ".local" / "lib" / version / "site-packages"
    site.parent.mkdir(parents=True)
    trap[0].rename(site)
    give(folder / "home")
    installed = folder / "installed"  # all that is needed but for one package
    installed.mkdir()
    for entry in sysconfig.get_paths()["platlib"], sysconfig.get_paths()["purelib"]:
        for path in Path(entry).iterdir():
            if not path.name.startswith("msgspec") and not (installed / path.name).exists():
                (installed / path.name).symlink_to(path)
    own = os.environ.get("PYTHONPATH") or str(ROOT)
    done = run(
        [sys._base_executable, "-P", "-m", "trtop", "attach", "--once"],  # type: ignore[attr-defined]
        folder,
        HOME=str(folder / "home"),
        PYTHONPATH=f"{own}:{installed}",
    )
    assert not trap[1].exists()
    assert (done.returncode, done.stderr) == (1, "trtop: No module named 'msgspec'\n")


@as_root
@pytest.mark.parametrize("name", ["trtop", "trtop_daemon"])
def test_a_program_that_others_may_change_is_refused_in_one_line(folder: Path, name: str) -> None:
    given = folder / "theirs"
    given.mkdir()
    source = Path(import_path.__file__).parents[2]
    for package in ("trtop", "trtop_core", "trtop_daemon"):
        subprocess.run(["cp", "-a", source / package, given], check=True)
    give(given)
    done = run([sys.executable, "-P", "-m", name, "--help"], folder, PYTHONPATH=str(given))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "others could change what runs" in done.stderr
    assert "belongs to nobody" in done.stderr


@as_root
def test_a_path_is_sound_only_if_every_folder_and_link_on_it_is(folder: Path) -> None:
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    assert weakness(str(inner), ROOT_ALONE) == ""
    assert weakness(str(inner / "missing" / "too"), ROOT_ALONE) == ""
    os.chmod(folder / "a", 0o777)
    assert weakness(str(inner), ROOT_ALONE) == f"{folder / 'a'} may be written by everybody"
    os.chmod(folder / "a", 0o1777)
    assert weakness(str(inner), ROOT_ALONE) == ""
    assert "may be written by everybody" in weakness(str(folder / "a"), ROOT_ALONE)
    assert "is missing, and" in weakness(str(folder / "a" / "missing"), ROOT_ALONE)
    os.chmod(folder / "a", 0o755)
    os.chown(folder / "a", NOBODY.pw_uid, 0)
    assert weakness(str(inner), ROOT_ALONE) == f"{folder / 'a'} belongs to nobody"
    assert weakness(str(inner), ROOT_ALONE | {NOBODY.pw_uid}) == ""
    sound, link = folder / "sound", folder / "link"
    sound.mkdir()
    link.symlink_to("a/../a/b/../..")
    assert weakness(str(link / "sound"), ROOT_ALONE) == f"{folder / 'a'} belongs to nobody"
    os.chown(folder / "a", 0, 0)
    assert weakness(str(link / "sound"), ROOT_ALONE) == ""
    link.unlink()
    link.symlink_to(sound)
    os.chown(link, NOBODY.pw_uid, 0, follow_symlinks=False)
    assert weakness(str(link), ROOT_ALONE) == f"{link} belongs to nobody"


@as_root
def test_links_in_a_circle_are_no_sound_path(folder: Path) -> None:
    (folder / "one").symlink_to(folder / "two")
    (folder / "two").symlink_to(folder / "one")
    assert "leads in a circle" in weakness(str(folder / "one"), ROOT_ALONE)


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with alice, who has a group of her own, and bob, who is in hers and in another."""
    people = {"root": 0, "alice": 1001, "bob": 1002}
    entries = [SimpleNamespace(pw_name=name, pw_uid=uid, pw_gid=uid)
               for name, uid in people.items()]  # fmt: skip
    members = {0: [], 1001: ["alice"], 1002: [], 1003: ["alice", "bob"], 1004: []}
    monkeypatch.setattr(pwd, "getpwall", lambda: entries)
    monkeypatch.setattr(
        grp, "getgrgid", lambda gid: SimpleNamespace(gr_name=f"g{gid}", gr_mem=members[gid])
    )


@as_root
@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    ("gid", "is_sound"), [(0, True), (1001, True), (1002, False), (1003, False), (1004, True)]
)
def test_a_group_may_write_if_it_has_trusted_members_alone(
    folder: Path, gid: int, is_sound: bool
) -> None:
    os.chown(folder, 0, gid)
    os.chmod(folder, 0o775)
    expected = "" if is_sound else f"{folder} may be written by the group g{gid}"
    assert weakness(str(folder), ROOT_ALONE | {1001}) == expected


@as_root
def test_an_access_list_that_lets_more_than_the_group_write_is_not_sound(folder: Path) -> None:
    os.chmod(folder, 0o775)
    assert weakness(str(folder), ROOT_ALONE) == ""
    # acl(5): version 2; the owner rwx, the user 1002 rwx, the group r-x, the mask rwx, others r-x.
    rows = [(1, 7, -1), (2, 7, 1002), (4, 5, -1), (16, 7, -1), (32, 5, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *row) for row in rows)
    try:
        os.setxattr(folder, "system.posix_acl_access", acl)
    except OSError as error:
        pytest.skip(f"no access lists here: {error}")
    assert "may be written by the group root" in weakness(str(folder), ROOT_ALONE)


@as_root
def test_a_virtual_environment_of_another_user_works_as_sudo_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bin").mkdir()
    (folder / "lib").mkdir()
    (folder / "home").mkdir()
    give(folder)
    monkeypatch.setattr(sys, "executable", str(folder / "bin" / "python"))
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder / "lib")])
    close_import_path()
    assert sys.path[-1] == str(folder / "lib")
    os.chmod(folder / "lib", 0o777)
    close_import_path()
    assert str(folder / "lib") not in sys.path


def test_a_child_imports_from_where_its_parent_does_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise RuntimeError")
    (tmp_path / "asked.py").write_text("import json, sys; print(json.dumps([sys.path, sys.argv]))")
    monkeypatch.syspath_prepend(str(tmp_path))
    command = isolated("asked", "-x", "y z")
    (tmp_path / "json.py").unlink()
    done = subprocess.run(command, capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": "/nonexistent", "HOME": str(tmp_path)})  # fmt: skip
    path, argv = json.loads(done.stdout)
    assert path[0] == str(tmp_path)
    assert "/nonexistent" not in path
    assert argv[1:] == ["-x", "y z"]


@as_root
@pytest.mark.parametrize("form", ["file", "module"])
def test_root_runs_no_part_that_others_may_write(
    folder: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = folder / "mark"
    part = folder / "part_of_theirs.py"
    part.write_text(f"open({str(mark)!r}, 'w').close()\nclass R:\n    resolve = None\nbuild = R\n")
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, part.stem, raising=False)
    name = str(part) if form == "file" else "part_of_theirs"
    with Plugins() as plugins:
        os.chown(part, NOBODY.pw_uid, 0)
        with pytest.raises(TrtopError, match=r"part_of_theirs\.py belongs to nobody"):
            plugins.make(PartKind.RESOLVER, name)
        os.chown(part, 0, 0)
        os.chmod(folder, 0o777)
        with pytest.raises(TrtopError, match="may be written by everybody"):
            plugins.make(PartKind.RESOLVER, name)
        assert not mark.exists()
        os.chmod(folder, 0o755)
        with pytest.raises(TrtopError, match=r"has no resolve\(\)"):
            plugins.make(PartKind.RESOLVER, name)
        assert mark.exists()
