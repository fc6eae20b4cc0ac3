"""The search spaces by name, and how to make one from plain values (a TOML table, a store)."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

from latbench.errors import UsageError, did_you_mean, quoted, unknown
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


def make_space(name: str, config: Mapping[str, Any] | None = None) -> AnySpace:
    """The space ``name`` with the given configuration values; the rest are its defaults.

    Raises UsageError for an unknown space or key, or a value of the wrong type or out of range.
    """
    known = SPACES | _INTERNAL
    if name not in known:
        raise UsageError(unknown("space", name, SPACES))
    space, config_type = known[name]
    fields = [f.name for f in dataclasses.fields(config_type)]
    values = dict(config or {})
    for key in values:
        if key not in fields:
            raise UsageError(
                f"space {name!r} has no setting {quoted(key)}{did_you_mean(key, fields)} it "
                f"has {', '.join(fields)}"
            )
    return space(config_type(**values))  # type: ignore[call-arg]


def parse_space(text: str) -> AnySpace:
    """The space that ``str(space)`` names: ``darts`` or ``darts(channels=16, cells=8)``.

    Raises UsageError saying what is wrong.
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", text, re.ASCII)
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
    return make_space(match[1], config)


def space_from_identity(identity: Mapping[str, Any]) -> AnySpace:
    """The space that ``SearchSpace.identity()`` described.

    Raises UsageError when it is no such description, or when this version of latbench encodes the
    space differently.
    """
    if not isinstance(identity.get("config"), Mapping):
        raise UsageError(f"{quoted(str(identity))} does not describe a space")
    space = make_space(str(identity.get("name")), identity.get("config"))
    if identity.get("encoding_version") != space.encoding_version:
        raise UsageError(
            f"the file was written with encoding {identity.get('encoding_version')} of space "
            f"{space.name!r}, this latbench has {space.encoding_version}; use the latbench "
            "version that wrote it"
        )
    return space


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
