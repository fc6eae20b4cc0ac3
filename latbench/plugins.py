"""Classes by name: built in, of an installed distribution, or ``"module:Class"``.

A name is given by a user, or read from a file. A user who gives ``module:Class`` asks for the
module to be imported, which runs its code. A file that a stranger sent must run none: a
``module:Class`` in it is used only when the module is imported already, or named in the environment
variable ``LATBENCH_TRUST``. An entry point is trusted by the installation of its distribution.

Whoever resolves a name says where it is from, as ``source``:

- None: an argument, an option, or the experiment file that a user asks to *run*.
- "the store x", "the card of x", ...: everything else that is read, be it to list, report, merge,
  predict, search or measure. That includes an experiment's folder that is only reported, and a
  backend that a model's card names where no option does.

What only shows a file does without the class where it must not, or cannot, be had: options as they
are stored, architectures by their numbers (``latbench.spaces.absent``).
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from latbench.errors import LatbenchError, ParseError, UsageError, quoted, unknown

TRUST = "LATBENCH_TRUST"
_REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)", re.ASCII)


def trusted_modules() -> set[str]:
    """Returns the modules that ``LATBENCH_TRUST`` lists, separated by commas."""
    return set(filter(None, map(str.strip, os.environ.get(TRUST, "").split(","))))


def reference_of(cls: type) -> str:
    """Returns ``"module:Class"`` of a class."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _owner(point: importlib.metadata.EntryPoint) -> str:
    """The distribution that an entry point is of."""
    return point.dist.metadata["Name"] if point.dist else "an unknown distribution"


def _plain_attribute(module: Any, name: str) -> Any:
    """``getattr`` that runs no ``__getattr__`` of the module, which may import others."""
    if name not in vars(module):
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
    return vars(module)[name]


_REGISTRIES: dict[str, Registry] = {}


def registry(kind: str) -> Registry:
    """Returns the registry of a kind. It names classes by strings, and so they can ask it."""
    return _REGISTRIES[kind]


@dataclass(frozen=True)
class Registry:
    """The classes of one ``kind`` ("predictor"): ``built_in`` by name, entry points of ``group``.

    ``base`` is the reference of the class that they derive from; ``error`` is raised for a name
    that leads to none. A built-in name cannot be taken over; ``internal`` ones are found as well,
    but not listed. A class says its own ``name``, unless the kind is not ``titled``.
    """

    kind: str
    group: str
    base: str
    built_in: Mapping[str, str]
    error: type[LatbenchError] = UsageError
    internal: Mapping[str, str] = field(default_factory=dict)
    titled: bool = True

    def __post_init__(self) -> None:
        _REGISTRIES[self.kind] = self

    def __hash__(self) -> int:
        return hash(self.group)

    def plugins(self) -> dict[str, list[importlib.metadata.EntryPoint]]:
        """Returns third parties' entry points by name, without those of built-in names.

        Two distributions may claim the same one.
        """
        found: dict[str, list[importlib.metadata.EntryPoint]] = defaultdict(list)
        for point in importlib.metadata.entry_points(group=self.group):
            known = [(p.value, _owner(p)) for p in found[point.name]]
            own = point.name in self.built_in or point.name in self.internal
            if not own and (point.value, _owner(point)) not in known:
                found[point.name].append(point)
        return {name: points for name, points in found.items() if points}

    def names(self) -> tuple[str, ...]:
        """Returns every known name, the built-in ones first, as they are listed."""
        return (*self.built_in, *sorted(self.plugins()))

    def find(self, name: str, source: str | None = None) -> type[Any]:
        """Returns the class of a registered name or ``"module:Class"``.

        ``source`` is the file that the name was read from ("the store x"), None when a user named
        it. Raises ``error`` when it is unknown, cannot be imported or is no such class, ParseError
        when a file names a module that it must not import.
        """
        what = f"the {self.kind} {quoted(name)}"
        own = {**self.built_in, **self.internal}
        if name in own:
            return self._import(own[name], what, "reinstall latbench")
        if ":" in name:
            remedy = "check the spelling and that the module can be found"
            if source is None:
                return self._import(name, what, remedy)
            self._require_trust(name, source)
            return self._import(name, what, remedy, _plain_attribute)
        points = self.plugins().get(name, [])
        if not points:
            known = unknown(self.kind, name, self.names())
            raise self.error(f"{known}, or module:Class for one of your own")
        owners = " and ".join(sorted(map(_owner, points)))
        if len(points) > 1:
            raise self.error(f"{what} is registered more than once, by {owners}; uninstall one")
        what, remedy = f"{what} of the distribution {owners}", f"update or uninstall {owners}"
        cls = self._import(points[0].value, what, remedy)
        if self.titled and cls.name != name:
            raise self.error(f"{what} calls itself {cls.name!r}, not as it is registered; {remedy}")
        return cls

    def _require_trust(self, name: str, source: str) -> None:
        match = _REFERENCE.fullmatch(name)
        if match is None:
            raise ParseError(f"{source} names the {self.kind} {quoted(name)}, no module:Class")
        module = match[1]
        if module not in sys.modules and module not in trusted_modules():
            raise ParseError(
                f"{source} names the {self.kind} {quoted(name)}, whose module is not imported, and "
                f"a file may run no code; import {module} first, or set {TRUST}={module}"
            )

    def _import(
        self, reference: str, what: str, remedy: str, get: Callable[[Any, str], Any] = getattr
    ) -> type[Any]:
        """The class at ``module:Class``. A module may raise anything while it is imported."""
        home, _, root = self.base.partition(":")
        base = getattr(importlib.import_module(home), root)
        module, _, attribute = reference.partition(":")
        try:
            cls = get(importlib.import_module(module), attribute)
        except Exception as cause:
            raise self.error(
                f"{what} cannot be imported ({type(cause).__name__}: {cause}); {remedy}"
            ) from cause
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise self.error(
                f"{what} is {quoted(repr(cls))}, which is no {base.__name__}; {remedy}"
            )
        if self.titled and not isinstance(getattr(cls, "name", None), str):
            raise self.error(f"{what} has no name; give the class a text 'name'")
        return cls

    @functools.lru_cache(maxsize=256)  # noqa: B019 (there are few registries, and they stay)
    def name_of(self, cls: type[Any]) -> str:
        """Returns the name that ``find`` has ``cls`` by: the registered one or
        ``"module:Class"``."""
        try:
            registered = self.find(cls.name) is cls if ":" not in cls.name else False
        except LatbenchError:
            registered = False
        return cls.name if registered else reference_of(cls)
