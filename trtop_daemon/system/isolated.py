"""What an isolated child of a privileged process runs first; see ``import_path.isolated``.

Takes the import path and a module's name as arguments before that module's own, and runs it. Is a
file to run by its path, not to import: ``python -I -S isolated.py PATH MODULE [ARGUMENT...]``.
"""

from __future__ import annotations

import os
import runpy
import sys

if __name__ == "__main__":
    sys.path[:] = sys.argv.pop(1).split(os.pathsep)
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
