"""Build the kernels with mutants in them: ``python -m mutation.build TREE [--mutants 200]``.

Chooses mutants of the counting rules by a seed, spread over the kernels, builds all kernels with
all of them, asleep, and writes which there are to ``TREE/mutants.json``. Run in the folder of
``setup.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import runpy
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

import Cython.Build
from Cython.Compiler import Main, Parsing
from Cython.Compiler.Errors import init_thread
from Cython.Compiler.Scanning import PyrexScanner, StringSourceDescriptor
from Cython.Compiler.Symtab import ModuleScope

from mutation.mutants import SWITCH, Mutant, Mutator, Site

KERNELS = Path("ext/trtop_core")

RULES = (
    *("_client_turns", "_connection", "_connection_log", "_context", "_cursor", "_decode"),
    *("_direction", "_duplicates", "_ends", "_eviction", "_flows", "_handshake", "_history"),
    *("_holes", "_http2", "_ingest", "_latency", "_links", "_multiplex", "_opening", "_responses"),
    *("_segment", "_server_turns", "_shards", "_sketch", "_slots", "_state", "_tickets"),
    *("_timeline", "_timers", "_tls", "_tls_handshake", "_tunnels", "_turns", "_waiting"),
    *("_walk", "_window"),
)
"""Files that decide what counts. The others find rows, keep memory and write text."""

HEADER = """
#ifndef TRTOP_MUTANT_H
#define TRTOP_MUTANT_H
extern int trtop_mutant;
extern unsigned char trtop_reached[];
static inline int trtop_mutant_is(int number) {
    trtop_reached[number] = 1;
    return __builtin_expect(trtop_mutant == number, 0);
}
#endif
"""

MAX_MUTANTS = 10_000

LIBRARY = f"""
#include <stdlib.h>
int trtop_mutant = -1;
unsigned char trtop_reached[{MAX_MUTANTS}];
__attribute__((constructor)) static void read_mutant(void) {{
    const char *text = getenv("TRTOP_MUTANT");
    if (text) trtop_mutant = atoi(text);
}}
"""
"""What all kernels share: loaded before them, so that one place says which mutant is alive."""

DECLARATION = f"""
cdef extern from "trtop_mutant.h":
    bint {SWITCH}(int number) noexcept nogil
"""


def files_of_rules() -> Iterator[Path]:
    """The sources of the counting rules that there are."""
    for name in RULES:
        for suffix in (".pxd", ".pyx"):
            path = KERNELS / f"{name}{suffix}"
            if path.exists():
                yield path


def context() -> Any:
    """A compiler that finds the kernels' own declarations."""
    init_thread()
    options = Main.CompilationOptions(
        Main.default_options, include_path=["ext"], compiler_directives={"language_level": 3}
    )
    return Main.Context.from_options(options)


def mutants_of(path: Path, parse: Any) -> list[Mutant]:
    """All mutants of a file."""
    mutator = Mutator(path.name)
    source = Main.FileSourceDescriptor(str(path), str(path))
    scope = ModuleScope(path.stem, None, context())
    mutator.walk_module(parse(context(), source, scope, path.suffix == ".pxd", path.stem))
    return mutator.found


def choose(candidates: list[Mutant], n: int, seed: int) -> list[Mutant]:
    """So many mutants: one of every file, then each kind in turn."""
    chance = random.Random(seed)
    left = list(candidates)
    chance.shuffle(left)
    chosen = list({mutant.site.file: mutant for mutant in left}.values())
    by_kind = defaultdict(list)
    for mutant in left:
        if mutant not in chosen:
            by_kind[mutant.kind].append(mutant)
    while len(chosen) < min(n, len(candidates)):
        chosen += [mutants.pop() for mutants in by_kind.values() if mutants]
    return sorted(chosen[:n], key=lambda mutant: mutant.site)


def described(mutant: Mutant) -> dict[str, Any]:
    """A mutant as people know it: by what its line says, not by where the line stands."""
    path = KERNELS / mutant.site.file
    text = path.read_text().splitlines()[mutant.site.line - 1].strip()
    before = text_before(path, mutant.site)
    where = f"{mutant.site.file} {mutant.function}: {text} [{mutant.site.change}{before}]"
    return {**asdict(mutant), "name": where}


def text_before(path: Path, site: Site) -> str:
    """Which of several places of a line that could be changed alike, if it is not the first."""
    line = path.read_text().splitlines()[site.line - 1]
    token = site.change.split(" ")[0].removesuffix("=")
    place = line[: site.column].count(token) + 1 if token else 1
    return f", place {place}" if place > 1 else ""


def put_in(chosen: dict[Site, int], tree: Path, parse: Any) -> Any:
    """The compiler's parser, with the chosen mutants put into all that it reads."""
    files = {site.file for site in chosen}

    def parse_with_mutants(
        self: Any, source_desc: Any, scope: Any, pxd: Any, full_module_name: str
    ) -> Any:
        module = parse(self, source_desc, scope, pxd, full_module_name)
        path = Path(source_desc.get_filenametable_entry())
        if path.name in files:
            Mutator(path.name, chosen).walk_module(module)
            has_declared = not pxd and path.with_suffix(".pxd").name in files
            if not has_declared:
                declare(self, module, scope)
        return module

    return parse_with_mutants


def declare(compiler: Any, module: Any, scope: Any) -> None:
    """Let a module call the switch."""
    scanner = PyrexScanner(
        StringIO(DECLARATION),
        StringSourceDescriptor("mutants", DECLARATION),
        source_encoding="UTF-8",
        scope=scope,
        context=compiler,
    )
    parsed = Parsing.p_module(scanner, 1, "mutants").body
    stats = getattr(parsed, "stats", [parsed])
    if not hasattr(module.body, "stats"):
        module.body = type(parsed)(module.body.pos, stats=[module.body])
    module.body.stats[:0] = stats


def build(chosen: dict[Site, int], tree: Path) -> None:
    """Build the kernels with mutants into ``tree/lib``, and what they share beside them."""
    include = (tree / "include").resolve()
    include.mkdir(parents=True, exist_ok=True)
    (include / "trtop_mutant.h").write_text(HEADER)
    library = tree / "switch.c"
    library.write_text(LIBRARY)
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", str(tree / "switch.so"), str(library)],
        check=True,
    )
    Main.Context.parse = put_in(chosen, tree, Main.Context.parse)
    cythonize = Cython.Build.cythonize

    def cythonize_mutants(extensions: Any, **options: Any) -> Any:
        for extension in extensions:
            extension.extra_compile_args = ["-O1", "-g0", "-fno-strict-aliasing", f"-I{include}"]
        options.update(build_dir=str(tree / "c"), force=True)
        return cythonize(extensions, **options)

    Cython.Build.cythonize = cythonize_mutants
    sys.argv = ["setup.py", "build", "--build-base", str(tree), "--build-lib", str(tree / "lib")]
    runpy.run_path("setup.py", run_name="__main__")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="list all candidates, build nothing")
    options = parser.parse_args()
    parse = Main.Context.parse
    candidates = [one for path in files_of_rules() for one in mutants_of(path, parse)]
    chosen = choose(candidates, options.mutants, options.seed)
    if options.list:
        for mutant in candidates:
            print(described(mutant)["name"])
        print(len(candidates), Counter(m.kind for m in candidates))
        return
    shutil.rmtree(options.tree, ignore_errors=True)
    options.tree.mkdir(parents=True)
    shown = [described(mutant) for mutant in chosen]
    (options.tree / "mutants.json").write_text(json.dumps(shown, indent=1, ensure_ascii=False))
    build({mutant.site: number for number, mutant in enumerate(chosen)}, options.tree)


if __name__ == "__main__":
    main()
