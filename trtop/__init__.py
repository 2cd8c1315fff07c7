"""trtop: TCP Remote Top. One row per remote destination, from the packets themselves.

What a user touches: the ``trtop`` command and its reporters, the classes of the classic API, and
``analyze`` and ``stream`` for notebooks. Takes snapshots of ``trtop_core`` and shows them; never
decodes, counts or merges anything itself.

The public names are those of the stub in the same folder, ``__init__.pyi``. A name is imported when
it is used. The command line is read when ``main``, a ``default_*`` or another of its values is
used, not by ``from trtop import *``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trtop._stub import PublicNames
    from trtop.classic.session import Session


def __getattr__(name: str) -> object:
    """A public name when it is first used."""
    import importlib  # noqa: PLC0415 - the command does without

    public = _public_names()
    if name == "__all__":
        value: object = list(public)
    elif name in public.homes:
        value = getattr(importlib.import_module(public.homes[name]), name)
    elif name in public.values:
        from lazy_object_proxy import Proxy  # noqa: PLC0415 - only scripts need it

        value = Proxy(lambda: getattr(_session(), name.removeprefix("default_")))
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_public_names())


@cache
def _public_names() -> PublicNames:
    from pathlib import Path  # noqa: PLC0415 - the command does without

    from trtop._stub import read_stub  # noqa: PLC0415 - the command does without

    return read_stub(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))


def _session() -> Session:
    from trtop.classic.session import session  # noqa: PLC0415 - reads the command line

    return session()
