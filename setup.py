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
    "_sketch",
    "_columns",
    "_text",
    "_destinations",
    "_holes",
    "_sides",
    "_table",
    "_state",
    "_flows",
)

SHARED = "trtop_core._cyutility"
"""The module that holds the code of typed memoryviews, which all kernels would repeat otherwise."""

# TRTOP_CHECKED=1 builds the same kernels with bounds checks on; TRTOP_SANITIZE=1
# with AddressSanitizer and UndefinedBehaviorSanitizer (see CONTRIBUTING.md).
CHECKED = os.environ.get("TRTOP_CHECKED") == "1"
SANITIZE = os.environ.get("TRTOP_SANITIZE") == "1"

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
    """One extension per kernel."""
    import numpy as np
    from Cython.Build import cythonize

    # Builds that look for mistakes need not be fast, but are built often.
    level = "-O1" if CHECKED or SANITIZE else "-O3"
    compile_args = [level, "-g0", "-fno-strict-aliasing", "-Wno-unused-function"]
    link_args = ["-s"]
    if SANITIZE:
        sanitizers = [
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=undefined",
            "-g",
        ]
        compile_args += sanitizers
        link_args += ["-fsanitize=address,undefined"]
    kernels = [
        Extension(
            f"trtop_core.{name}",
            [f"ext/trtop_core/{name}.pyx"],
            include_dirs=["ext", np.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
            extra_compile_args=compile_args,
            extra_link_args=link_args,
        )
        for name in KERNELS
    ]
    kernels.append(
        Extension(
            SHARED,
            ["ext/trtop_core/_cyutility.c"],
            extra_compile_args=compile_args,
            extra_link_args=link_args,
        )
    )
    return cythonize(
        kernels,
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
    setup(ext_modules=extensions(), options={"build_ext": {"parallel": N_JOBS}})
