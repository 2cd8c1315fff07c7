"""Checks that a wheel installs where there is no compiler, and measures an example there.

    python packaging/check_wheel.py dist/trtop-*.whl    in a new environment, from wheels alone
    python packaging/check_wheel.py --content WHEEL     name, size, files: on any machine
    python packaging/check_wheel.py --installed         what this Python has installed already

Says what was checked; ends with 1 and a line at what is not so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

EXAMPLE = ROOT / "examples" / "services.pcap"

N_PACKETS, N_DESTINATIONS = 1_559, 10
"""What the example holds."""

MAX_WHEEL_BYTES = 6_000_000
"""What a wheel may weigh: it is copied to many hosts."""

MAX_INSTALL_S = 20.0
"""How long an installation may take, the download of what trtop needs included."""

TIMEOUT_S = 300

PLATFORM = re.compile(r"-(manylinux|musllinux)[\w.]+\.whl$")
"""A platform that other machines have too; ``linux_x86_64`` is this machine alone."""

COMPILERS = ("cc", "gcc", "clang", "c99", "c++", "g++")


def main() -> int:
    """Check a wheel or an installation; gives an exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", nargs="?", type=Path)
    parser.add_argument("--installed", action="store_true")
    parser.add_argument("--content", action="store_true")
    args = parser.parse_args()
    if args.installed == bool(args.wheel):
        parser.error("a wheel or --installed")
    try:
        if args.installed:
            check_program(Path(sys.executable).parent)
        else:
            check_wheel(args.wheel.resolve(), is_content_only=args.content)
    except WheelError as error:
        sys.stderr.write(f"check_wheel: {error}\n")
        return 1
    return 0


class WheelError(Exception):
    """What a wheel should be and is not."""


def check_wheel(wheel: Path, is_content_only: bool) -> None:
    """Check a wheel's name, size and content, then install and use it (unless told not to)."""
    if not PLATFORM.search(wheel.name):
        raise WheelError(
            f"{wheel.name} is for this machine alone: auditwheel repair has not seen it"
        )
    n_bytes = wheel.stat().st_size
    if n_bytes >= MAX_WHEEL_BYTES:
        raise WheelError(f"{wheel.name} has {n_bytes:,} bytes, more than {MAX_WHEEL_BYTES:,}")
    check_content(zipfile.ZipFile(wheel).namelist())
    if is_content_only:
        print(f"{wheel.name}: {n_bytes:,} bytes")
        return
    # Beside the repository: as root trtopd imports nothing from below /tmp, where others may write.
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wheel-", dir=ROOT / "build") as folder:
        venv.create(folder, with_pip=True)
        programs = Path(folder, "bin")
        took_s = install(programs, wheel)
        check_program(programs)
    print(f"{wheel.name}: {n_bytes:,} bytes, installed in {took_s:.1f} s without a compiler")


def check_content(names: list[str]) -> None:
    """Look for the files that users need besides modules."""
    kernels = {path.stem for path in (ROOT / "ext" / "trtop_core").glob("*.pyx")}
    for kernel in kernels:
        if not any(name.startswith(f"trtop_core/{kernel}.") for name in names):
            raise WheelError(f"the kernel {kernel} is missing")
    for wanted in ("share/man/man1/trtop.1", "completions/trtop", "trtop/py.typed"):
        if not any(name.endswith(wanted) for name in names):
            raise WheelError(f"{wanted} is missing")


def install(programs: Path, wheel: Path) -> float:
    """Install a wheel, and others that it needs; gives the seconds that took."""
    start_s = time.monotonic()
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
    run([*pip, "--only-binary", ":all:", str(wheel)], bare_environment(programs))
    took_s = time.monotonic() - start_s
    if took_s >= MAX_INSTALL_S:
        raise WheelError(f"installing took {took_s:.1f} s, more than {MAX_INSTALL_S:.0f} s")
    return took_s


def bare_environment(programs: Path) -> dict[str, str]:
    """The environment without compilers, and without Python's own variables."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "CC", "CFLAGS"))}
    env["PATH"] = str(programs)
    for compiler in COMPILERS:
        if shutil.which(compiler, path=env["PATH"]):
            raise WheelError(f"there is a compiler: {compiler}")
    return env


def check_program(programs: Path) -> None:
    """Measure the example with the installed ``trtop``, and start ``trtopd`` for its version."""
    env = bare_environment(programs) if Path(programs, "trtop").exists() else dict(os.environ)
    said = json.loads(run([str(programs / "trtop"), str(EXAMPLE), "--format", "json"], env))
    found = said["health"]["packets"], len(said["destinations"])
    if found != (N_PACKETS, N_DESTINATIONS):
        raise WheelError(f"packets and destinations of the example: {found}")
    run([str(programs / "trtopd"), "--version"], env)
    print(f"{programs / 'trtop'}: {found[0]:,} packets, {found[1]} destinations")


def run(command: list[str], env: dict[str, str]) -> str:
    """What a command writes; away from the repository, whose modules must not be found."""
    done = subprocess.run(
        command,
        cwd="/",
        env=env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise WheelError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
