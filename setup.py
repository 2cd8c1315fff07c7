"""Lists the Cython kernels of trtop_core; everything else is in pyproject.toml."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

KERNELS = (
    "_records",
    "_index",
    "_decode",
    "_name_hints",
    "_window",
    "_history",
    "_sketch",
    "_columns",
    "_text",
    "_destinations",
    "_holes",
    "_sides",
    "_connection_log",
    "_community_id",
    "_connection",
    "_table",
    "_state",
    "_flows",
    "_shards",
    "_waits",
)

SHARED = "trtop_core._cyutility"
"""The module that holds the code of typed memoryviews, which all kernels would repeat otherwise."""

# TRTOP_CHECKED=1 builds the same kernels with bounds checks on; TRTOP_SANITIZE=1 with
# AddressSanitizer and UndefinedBehaviorSanitizer; TRTOP_RACES=1 with ThreadSanitizer; TRTOP_FUZZ=1
# with the first two and libFuzzer's counters of coverage, by clang (see CONTRIBUTING.md).
CHECKED = os.environ.get("TRTOP_CHECKED") == "1"
FUZZ = os.environ.get("TRTOP_FUZZ") == "1"
RACES = os.environ.get("TRTOP_RACES") == "1"
SANITIZE = FUZZ or os.environ.get("TRTOP_SANITIZE") == "1"

# `make` installs without kernels and builds them itself: pip would compile all of them, every time.
WITHOUT_KERNELS = os.environ.get("TRTOP_WITHOUT_KERNELS") == "1"

N_JOBS = os.cpu_count() or 1
"""Kernels compiled at a time."""


def complain_about_missing_tools() -> None:
    """Stop with one line that says what to install, before a page of compiler errors."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(compiler):
        sys.exit(f"trtop: no C compiler ({compiler}) found; install one, e.g.: apt-get install gcc")
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    if not header.exists():
        sys.exit(
            f"trtop: {header} is missing; install Python's headers, e.g.: "
            "apt-get install python3-dev"
        )


def extensions() -> list[Extension]:
    """One extension per kernel, and the shared one."""
    from Cython.Build import cythonize

    # Builds that look for mistakes need not be fast, but are built often. With -O3 the loop over
    # packets takes 2 % more instructions and 5 % more time (gcc 12).
    level = "-O1" if CHECKED or SANITIZE or RACES else "-O2"
    compile_args = [level, "-fno-strict-aliasing", "-Wno-unused-function"]
    if SANITIZE:
        link_args = ["-fsanitize=address,undefined"]
        compile_args += [*link_args, "-fno-sanitize-recover=undefined", "-g"]
        if FUZZ:
            compile_args += ["-fsanitize=fuzzer-no-link"]
    elif RACES:
        link_args = ["-fsanitize=thread"]
        compile_args += [*link_args, "-g"]
    else:
        # Python's own flags ask for debugging information, which is two thirds of the bytes.
        link_args = ["-s"]
        compile_args += ["-g0"]
    # Cython writes the shared module's source.
    sources = {f"trtop_core.{name}": f"ext/trtop_core/{name}.pyx" for name in KERNELS}
    sources[SHARED] = "ext/trtop_core/_cyutility.c"
    return cythonize(
        [
            Extension(name, [source], extra_compile_args=compile_args, extra_link_args=link_args)
            for name, source in sources.items()
        ],
        include_path=["ext"],
        nthreads=N_JOBS,
        shared_utility_qualified_name=SHARED,
        build_dir="build/checked" if CHECKED else "build/kernels",
        compiler_directives={
            "language_level": 3,
            "boundscheck": CHECKED,
            "wraparound": False,
            "initializedcheck": CHECKED,
            "cdivision": not CHECKED,
            "embedsignature": True,
            "freethreading_compatible": False,
        },
    )


if __name__ == "__main__":
    complain_about_missing_tools()
    setup(
        ext_modules=[] if WITHOUT_KERNELS else extensions(),
        options={"build_ext": {"parallel": N_JOBS}},
    )
