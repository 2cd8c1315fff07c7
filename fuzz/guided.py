"""One target under libFuzzer, guided by the coverage of its kernels and of its Python.

Runs in a process of its own, on the fuzzing build, with libFuzzer and AddressSanitizer preloaded;
``run.py`` starts it::

    python fuzz/guided.py NAME FOLDER [options of libFuzzer]

``FOLDER/NAME`` keeps the corpus, and gets the seeds first.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from target import TARGETS, Target, load

WORDS = "words.txt"


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    import atheris  # noqa: PLC0415 - nothing else here needs it

    name, folder, *options = sys.argv[1:]
    with watching(TARGETS[name].packages):
        target = load(name)
    own = Path(folder) / name
    corpus = own / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    write_seeds(target, corpus)
    words = own / WORDS
    words.write_text("".join(f'"{escaped(word)}"\n' for word in target.words))
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_len={target.max_bytes}",
            f"-dict={words}",
            "-len_control=20",
            *options,
            str(corpus),
        ],
        target.run,
    )
    atheris.Fuzz()


def watching(packages: Sequence[str]) -> AbstractContextManager[object]:
    """What is imported in it is watched for coverage, as far as it is of these packages."""
    if not packages:  # which atheris takes for all there are
        return nullcontext()
    import atheris  # noqa: PLC0415 - nothing else here needs it

    found: AbstractContextManager[object] = atheris.instrument_imports(include=list(packages))
    return found


def write_seeds(target: Target, corpus: Path) -> None:
    """Put the seeds into a corpus, each under the name that libFuzzer would give it."""
    for seed in target.seeds():
        content = seed[: target.max_bytes]
        (corpus / hashlib.sha1(content, usedforsecurity=False).hexdigest()).write_bytes(content)


def escaped(word: bytes) -> str:
    """A word as a dictionary of libFuzzer spells it."""
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
