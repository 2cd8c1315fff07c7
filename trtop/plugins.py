"""Parts of trtop that come from elsewhere: by name on the command line, from a module or a package.

Takes a kind and a name, gives an object of that kind. A name is, first match: one that is built
in; an entry point (``trtop.resolvers``, ``trtop.whitelists``, ``trtop.reporters``,
``trtop.collectors``, ``trtop.analyzers``); a Python file; a module that can be imported, also from
the working directory. A module has ``build()``, and ``clean_up()`` if it has something to clean.
Root runs files and modules that are root's alone, and of others none.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from enum import Enum
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from trtop_core.errors import TrtopError
from trtop_daemon.system.import_path import ROOT_ALONE, ROOT_UID, weakness

if TYPE_CHECKING:
    from trtop.filters.filter import Filter
    from trtop.names.base import BaseResolver
    from trtop.names.namer import Namer
    from trtop.names.whitelist import BaseWhitelist


class PartKind(Enum):
    """What can come from elsewhere; the value is its name."""

    ANALYZER = "analyzer"
    COLLECTOR = "collector"
    REPORTER = "reporter"
    RESOLVER = "resolver"
    WHITELIST = "whitelist"

    @property
    def group(self) -> str:
        """The group of its entry points."""
        return f"trtop.{self.value}s"


BUILT_IN: dict[PartKind, dict[str, str]] = {
    PartKind.ANALYZER: {"outgoing": "trtop.classic.analyzer:OutgoingTCPAnalyzer"},
    PartKind.COLLECTOR: {"file": "trtop.classic.collector:TCPDumpFileCollector"},
    PartKind.REPORTER: {
        "curses": "trtop.classic.reporter:CLICursesOutgoingTCPReporter",
        "events": "trtop.classic.reporter:make_event_reporter",
    },
    PartKind.RESOLVER: {
        "none": "trtop.names.resolvers:NoResolver",
        "dns": "trtop.plugins:_dns",
        "capture": "trtop.names.capture:CaptureResolver",
        "hosts": "trtop.names.resolvers:HostsResolver",
    },
    PartKind.WHITELIST: {"all": "trtop.names.whitelist:DefaultWhitelist"},
}

WITH_ARGUMENT = frozenset({"dns", "hosts"})
"""Built-in names that an argument may follow."""

DUTIES = {
    PartKind.ANALYZER: "analyse",
    PartKind.COLLECTOR: "start",
    PartKind.REPORTER: "start",
    PartKind.RESOLVER: "resolve",
    PartKind.WHITELIST: "allow",
}
"""The method that tells whether an object is what it should be."""


class NamingOptions(Protocol):
    """What a command line says of names and whitelists."""

    @property
    def names(self) -> tuple[str, ...]:
        """Resolvers by name, the first that knows a name wins."""

    @property
    def allow(self) -> tuple[str, ...]:
        """Rules of what is shown; none: everything."""

    @property
    def deny(self) -> tuple[str, ...]:
        """Rules of what is not shown."""

    @property
    def filter(self) -> Filter | None:
        """Which rows are shown; None: all."""

    @property
    def resolver(self) -> str | None:
        """A resolver of one's own, asked first."""

    @property
    def whitelist(self) -> str | None:
        """A whitelist of one's own."""


class Plugins:
    """Finds parts, and cleans up after them when the context ends."""

    def __init__(self) -> None:
        self._clean_ups: list[Callable[[], Any]] = []

    def __enter__(self) -> Plugins:
        return self

    def __exit__(self, *exc: object) -> None:
        self.clean_up()

    def make(self, kind: PartKind, name: str, *args: Any) -> Any:
        """An object of a kind.

        Args:
            kind: what it must be.
            name: see the module; behind a colon an argument for a built-in one (``hosts:FILE``).
            args: for a class or function; a module's ``build`` takes none.

        Raises:
            TrtopError: there is nothing of that name, or it cannot be made.
        """
        made = self._make(kind, name, args)
        if not callable(getattr(made, DUTIES[kind], None)):
            raise TrtopError(
                f"{kind.value} {name}: a {type(made).__name__} has no {DUTIES[kind]}()"
            )
        return made

    def clean_up(self) -> None:
        """Call the ``clean_up()`` of modules that have one, the last loaded first.

        Raises:
            TrtopError: one of them failed; the others were called all the same.
        """
        failures = []
        while self._clean_ups:
            try:
                self._clean_ups.pop()()
            except Exception as error:  # whoever wrote it decides what it raises
                failures.append(f"clean_up() failed: {_line(error)}")
        if failures:
            raise TrtopError("; ".join(failures))

    def _make(self, kind: PartKind, name: str, args: tuple[Any, ...]) -> Any:
        bare, _, argument = name.partition(":")
        found = BUILT_IN[kind].get(bare)
        if found is not None:
            if argument and bare not in WITH_ARGUMENT:
                raise TrtopError(f"{kind.value} {bare} takes nothing behind a colon")
            module, _, attribute = found.partition(":")
            maker = getattr(importlib.import_module(module), attribute)
            return maker(*args, *([argument] if argument else []))
        what = f"{kind.value} {name}"
        try:
            part = _load(kind, name)
            if hasattr(part, "build"):
                if hasattr(part, "clean_up"):
                    self._clean_ups.append(part.clean_up)
                return part.build()
            if callable(part):
                return part(*args)
        except TrtopError:
            raise
        except Exception as error:  # whoever wrote it decides what it raises
            raise TrtopError(f"{what}: {_line(error)}") from error
        raise TrtopError(f"{what}: has no build()")


def names_of(kind: PartKind) -> list[str]:
    """What can be had by name: what is built in, and the entry points that are installed."""
    import importlib.metadata  # noqa: PLC0415 - takes a while

    installed = importlib.metadata.entry_points(group=kind.group)
    return sorted({*BUILT_IN[kind], *(point.name for point in installed)})


def make_resolver(options: NamingOptions, plugins: Plugins) -> BaseResolver | None:
    """The resolver that the command line asks for; None where it asks for none."""
    names = [*([options.resolver] if options.resolver else []), *options.names]
    made = [plugins.make(PartKind.RESOLVER, name) for name in names]
    if len(made) < 2:
        return made[0] if made else None
    from trtop.names.resolvers import ChainResolver  # noqa: PLC0415 - seldom used

    return ChainResolver(made)


def make_whitelist(options: NamingOptions, plugins: Plugins) -> BaseWhitelist | None:
    """The whitelist that the command line asks for; None where it asks for none."""
    from trtop.names.whitelist import BothWhitelist, RuleWhitelist  # noqa: PLC0415 - seldom used

    rules = None
    if options.allow or options.deny:
        rules = RuleWhitelist(options.allow, options.deny)
    if not options.whitelist:
        return rules
    made: BaseWhitelist = plugins.make(PartKind.WHITELIST, options.whitelist)
    return made if rules is None else BothWhitelist(made, rules)


def make_namer(options: NamingOptions, plugins: Plugins) -> Namer | None:
    """Who names, leaves out and filters destinations; None where nobody needs to be asked."""
    asked = (options.names, options.resolver, options.allow, options.deny, options.whitelist)
    if not any(asked) and options.filter is None:
        return None
    from trtop.names.namer import Namer  # noqa: PLC0415 - seldom used

    namer = Namer(make_resolver(options, plugins), make_whitelist(options, plugins))
    namer.row_filter = options.filter
    return namer


def _load(kind: PartKind, name: str) -> Any:
    import importlib.metadata  # noqa: PLC0415 - takes a while

    points = importlib.metadata.entry_points(group=kind.group, name=name)
    for point in points:
        return point.load()
    if name.endswith(".py") or os.sep in name:
        return _load_file(name)
    return _import(kind, name)


def _load_file(path: str) -> ModuleType:
    import importlib.util  # noqa: PLC0415 - seldom used

    if not os.path.isfile(path):
        raise TrtopError(f"{path}: no such file")
    _check_owner(path)
    stem = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(stem, path)
    if spec is None or spec.loader is None:
        raise TrtopError(f"{path}: is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(stem, module)
    spec.loader.exec_module(module)
    return module


def _import(kind: PartKind, name: str) -> Any:
    """A module, or ``module:attribute``, from the path or the working directory."""
    module_name, _, attribute = name.partition(":")
    sys.path.append(os.getcwd())
    try:
        _check_owners(module_name)
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or module_name.partition(".")[0] != error.name.partition(".")[0]:
            raise
        raise TrtopError(
            f"no {kind.value} {name}; there are {', '.join(names_of(kind))}, "
            "and modules with build()"
        ) from None
    finally:
        sys.path.remove(os.getcwd())
    return getattr(module, attribute) if attribute else module


def _check_owners(module_name: str) -> None:
    """Names of a module and of the packages that it is in."""
    if os.geteuid() != ROOT_UID:
        return
    parts = module_name.split(".")
    for n_parts in range(1, len(parts) + 1):
        spec = importlib.util.find_spec(".".join(parts[:n_parts]))
        if spec is None:
            return
        for path in (spec.origin, *(spec.submodule_search_locations or ())):
            if path is not None and os.path.isabs(path):
                _check_owner(path)


def _check_owner(path: str) -> None:
    """Root runs what is root's alone.

    Raises:
        TrtopError: somebody else may write to it.
    """
    if os.geteuid() == ROOT_UID and (problem := weakness(path, ROOT_ALONE)):
        raise TrtopError(
            f"{os.path.basename(path)} is not run as root: {problem}; "
            "give it and its folders to root alone, or run without root"
        )


def _dns(server: str = "") -> BaseResolver:
    """``dns``, or ``dns:ADDRESS`` of a name server, or several with commas between them."""
    from trtop.names.dns import DNSResolver  # noqa: PLC0415 - dnspython takes a while

    return DNSResolver([part.strip() for part in server.split(",")] if server else None)


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
