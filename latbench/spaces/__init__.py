"""The search spaces by name, and how to make one from plain values (a TOML table, a store).

One of your own is named ``"module:Class"``, or registered in its distribution's metadata, in the
entry-point group ``latbench.spaces`` (see latbench.plugins). It is made by ``MySpace(config)``, and
by ``MySpace()`` with the default configuration, whose class says what can be set.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from latbench.errors import LatbenchError, UsageError, did_you_mean, quoted
from latbench.plugins import Registry, reference_of
from latbench.spaces.absent import AbsentSpace
from latbench.spaces.base import SearchSpace, SpaceConfig
from latbench.spaces.darts import DartsConfig, DartsSpace
from latbench.spaces.isolated import IsolatedConfig, IsolatedLayers
from latbench.spaces.nasbench201 import NasBench201Config, NasBench201Space

AnySpace = SearchSpace[Any, Any]

SPACES: dict[str, tuple[type[AnySpace], type[SpaceConfig]]] = {
    "darts": (DartsSpace, DartsConfig),
    "nasbench201": (NasBench201Space, NasBench201Config),
}

# Measured by workers like any other, but not offered: see latbench.spaces.isolated.
_INTERNAL: dict[str, tuple[type[AnySpace], type[SpaceConfig]]] = {
    "isolated_layers": (IsolatedLayers, IsolatedConfig),
}


_KNOWN = SPACES | _INTERNAL
_SPACE = re.compile(r"\s*([\w.-]+(?::\w+)?)\s*(?:\((.*)\))?\s*", re.ASCII)
ENTRY_POINT_GROUP = "latbench.spaces"
_REGISTRY = Registry(
    "space", ENTRY_POINT_GROUP, "latbench.spaces.base:SearchSpace",
    {name: reference_of(space) for name, (space, _) in SPACES.items()},
)  # fmt: skip


def space_names() -> tuple[str, ...]:
    """Every name that there is: ``SPACES`` and those of installed distributions."""
    return _REGISTRY.names()


def space_name(space: AnySpace) -> str:
    """The name that ``make_space`` takes: the registered one, or ``"module:Class"``."""
    cls = type(space)
    known = _KNOWN.get(cls.name)
    return cls.name if known and known[0] is cls else _REGISTRY.name_of(cls)


def make_space(
    name: str, config: Mapping[str, Any] | None = None, source: str | None = None
) -> AnySpace:
    """The space ``name`` with the given configuration values; the rest are its defaults.

    ``"module:Class"`` imports ``module``, unless the name was read from a file, ``source``: see
    latbench.plugins. Raises UsageError for an unknown space or key, or a value of the wrong type or
    out of range; ParseError for a file that names a module that is not imported.
    """
    space, config_type = _KNOWN.get(name) or _plugin(name, source)
    fields = [f.name for f in dataclasses.fields(config_type)]
    values = dict(config or {})
    for key in values:
        if key not in fields:
            raise UsageError(
                f"space {quoted(name)} has no setting {quoted(key)}{did_you_mean(key, fields)} it "
                f"has {', '.join(fields)}"
            )
    return _made(name, lambda: space(config_type(**values)))  # type: ignore[call-arg]


def _plugin(name: str, source: str | None) -> tuple[type[AnySpace], type[SpaceConfig]]:
    """The class of a space of others, and of its configuration."""
    space = _REGISTRY.find(name, source)
    config = getattr(_made(name, space), "config", None)
    if not dataclasses.is_dataclass(config):
        raise _unmakeable(name, f"its config must be a dataclass, got {config!r}")
    return space, type(config)  # type: ignore[return-value]


def _made(name: str, make: Callable[[], AnySpace]) -> AnySpace:
    """What ``make`` makes. The constructors are others' code, which may raise anything."""
    try:
        return make()
    except LatbenchError:
        raise
    except Exception as error:
        raise _unmakeable(name, f"{type(error).__name__}: {error}") from error


def _unmakeable(name: str, why: str) -> UsageError:
    cls = name.rpartition(":")[2]
    return UsageError(
        f"space {quoted(name)} cannot be made: {why}; it must be constructed by {cls}(config), and "
        f"by {cls}() with its default config"
    )


def parse_space(text: str, source: str | None = None) -> AnySpace:
    """The space that ``str(space)`` names: ``darts`` or ``darts(channels=16, cells=8)``.

    ``source`` is as in ``make_space``. Raises UsageError saying what is wrong.
    """
    match = _SPACE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{quoted(text)} is not a space; expected 'name' or 'name(key=value, ...)'"
        )
    config: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in (match[2] or "").split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise UsageError(f"{quoted(item)} is not a space setting; expected 'key=value'")
        config[key] = int(value) if re.fullmatch(r"-?[0-9]{1,9}", value) else value.strip("'\"")
    return make_space(match[1], config, source)


def space_from_identity(identity: Mapping[str, Any], source: str | None = "the file") -> AnySpace:
    """The space that ``SearchSpace.identity()`` described.

    ``source`` is the file that it was read from, None when this very program wrote it. Raises
    UsageError when it is no such description, or when this version of latbench encodes the space
    differently; ParseError when a file names a module that is not imported.
    """
    if not isinstance(identity.get("config"), Mapping):
        raise UsageError(f"{quoted(str(identity))} does not describe a space")
    space = make_space(str(identity.get("name")), identity.get("config"), source)
    if isinstance(space, IsolatedLayers):
        parse_space(space.config.of, source)
    if identity.get("encoding_version") != space.encoding_version:
        raise UsageError(
            f"the file was written with encoding {identity.get('encoding_version')} of space "
            f"{space.name!r}, this latbench has {space.encoding_version}; use the latbench "
            "version that wrote it"
        )
    return space


def shown_space(identity: Mapping[str, Any], source: str) -> AnySpace:
    """As ``space_from_identity``, for what only shows or copies a file: an ``AbsentSpace`` where
    the space's class is not installed, or where the file may not import its module."""
    try:
        return space_from_identity(identity, source)
    except UsageError as error:
        name, config = str(identity.get("name")), identity.get("config")
        if not isinstance(config, Mapping) or _is_here(name, config, source):
            raise
        return AbsentSpace(identity, str(error))


def _is_here(name: str, config: Mapping[str, Any], source: str) -> bool:
    """Whether the class of a space, and of the one whose layers it has, is to be had."""
    if name == IsolatedLayers.name:
        parent = _SPACE.fullmatch(str(config.get("of")))
        return parent is None or _is_here(parent[1], {}, source)
    try:
        return name in _KNOWN or bool(_REGISTRY.find(name, source))
    except UsageError:
        return False


def known_name(text: str) -> str:
    """The published name of the architecture that ``str`` wrote as ``text``, or the text itself.

    >>> known_name(str(darts().reference()))
    'DARTS_V2'
    """
    return _published_names().get(text, text)


@functools.cache
def _published_names() -> dict[str, str]:
    return {str(a): name for space, _ in SPACES.values() for name, a in space.published.items()}


def darts(**config: Any) -> DartsSpace:
    """The DARTS space; settings as in ``DartsConfig``."""
    space = make_space("darts", config)
    assert isinstance(space, DartsSpace)
    return space


def nasbench201(**config: Any) -> NasBench201Space:
    """The NAS-Bench-201 space; settings as in ``NasBench201Config``."""
    space = make_space("nasbench201", config)
    assert isinstance(space, NasBench201Space)
    return space
