"""``Target``: what one fuzz target is, and the table of them. Data only.

A target is a function of bytes that returns for every input; what it raises is a finding. It runs
without a fuzzer too: the tests run every seed and every finding through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Target:
    """One function that is fuzzed.

    Attributes:
        run: takes an input; raises an exception where the program breaks its word.
        seeds: gives the inputs that fuzzing starts from.
        max_bytes: of an input, so that one takes milliseconds on a sanitizer build.
        words: what inputs are made of, for the fuzzer to put in.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    max_bytes: int
    words: tuple[bytes, ...] = ()


class Watch(NamedTuple):
    """What of a target is watched for coverage.

    Attributes:
        has_kernels: kernels, which count their coverage themselves and run under AddressSanitizer
            and UndefinedBehaviorSanitizer.
        packages: their Python is told of each branch that it takes, which slows it down: nothing
            else is.
    """

    has_kernels: bool
    packages: tuple[str, ...] = ()


TARGETS = {
    "savefile": Watch(True, ("trtop_core.savefile.pcapng",)),
    "engine": Watch(True),
    "names": Watch(True, ("trtop.names.capture",)),
    "wire": Watch(True, ("trtop_core.wire",)),
    "filter": Watch(False, ("trtop.filters",)),
    "config": Watch(
        False, ("trtop.options", "trtop.runtime.config_file", "trtop_daemon.config", "tomllib")
    ),
    "export": Watch(False, ("trtop.export", "trtop_core.sketch")),
}
"""Targets by name; each is the module ``fuzz_NAME``."""


def load(name: str) -> Target:
    """The target of a name.

    Raises:
        KeyError: there is none.
    """
    TARGETS[name]
    target = import_module(f"fuzz_{name}").TARGET
    assert isinstance(target, Target)
    return target
