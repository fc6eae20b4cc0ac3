"""The making of a space from plain values: a TOML table, an option's text, a store's identity."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from latbench.errors import LatbenchError, UsageError, did_you_mean, quoted
from latbench.files import parse_toml
from latbench.plugins import registry
from latbench.spaces.absent import AbsentSpace
from latbench.spaces.base import AnySpace
from latbench.spaces.space_config import SpaceConfig, read_settings

_SPACE = re.compile(r"\s*([\w.-]+(?::\w+)?)\s*(?:\((.*)\))?\s*", re.ASCII)


def space_names() -> tuple[str, ...]:
    """Returns every name that there is: ``latbench.spaces.SPACES`` and those of installed
    distributions."""
    return registry("space").names()


def make_space(
    name: str, config: Mapping[str, Any] | None = None, source: str | None = None
) -> AnySpace:
    """Makes the space ``name`` with the given configuration values; the rest are its defaults.

    ``"module:Class"`` imports ``module``, unless the name was read from a file, ``source``: see
    latbench.plugins. Raises UsageError for an unknown space or key, or a value of the wrong type or
    out of range; ParseError for a file that names a module that is not imported.
    """
    space, config_type = _classes(name, source)
    fields = [f.name for f in dataclasses.fields(config_type)]
    values = dict(config or {})
    for key in values:
        if key not in fields:
            raise UsageError(
                f"space {quoted(name)} has no setting {quoted(key)}{did_you_mean(key, fields)} it "
                f"has {', '.join(fields)}"
            )
    return _made(name, lambda: space(config_type(**values)))  # type: ignore[call-arg]


def _classes(name: str, source: str | None) -> tuple[type[AnySpace], type[SpaceConfig]]:
    """The class of a space, and of its configuration."""
    space = registry("space").find(name, source)
    config = getattr(_made(name, space), "config", None)
    if not dataclasses.is_dataclass(config):
        raise _unmakeable(name, f"its config must be a dataclass, got {config!r}")
    return space, type(config)  # type: ignore[return-value]


def _made(name: str, make: Callable[[], AnySpace]) -> AnySpace:
    """Returns what ``make`` makes. The constructors are others' code, which may raise anything."""
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
    """Makes the space that ``str(space)`` names, ``darts`` or ``darts(channels=16, cells=8)``, or
    that the table ``[space]`` of a TOML file says, ``pools/onnxruntime.toml``.

    ``source`` is as in ``make_space``. Raises UsageError saying what is wrong.
    """
    if source is None and text.strip().endswith(".toml"):
        return _of_file(Path(text.strip()))
    match = _SPACE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{quoted(text)} is not a space; expected 'name' or 'name(key=value, ...)'"
        )
    return make_space(match[1], read_settings(match[2] or ""), source)


def _of_file(path: Path) -> AnySpace:
    """The space of a file. Raises UsageError for a file that says none."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the space of {path}: {error}") from error
    table = parse_toml(text, path).get("space")
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise UsageError(f"{path} has no table [space] with a 'name'; expected one")
    settings = {key: value for key, value in table.items() if key != "name"}
    return make_space(table["name"], settings, str(path))


def space_from_identity(identity: Mapping[str, Any], source: str | None = "the file") -> AnySpace:
    """Makes the space that ``SearchSpace.identity()`` described.

    ``source`` is the file that it was read from, None when this very program wrote it. Raises
    UsageError when it is no such description, or when this version of latbench encodes the space
    differently; ParseError when a file names a module that is not imported.
    """
    if not isinstance(identity.get("config"), Mapping):
        raise UsageError(f"{quoted(str(identity))} does not describe a space")
    space = make_space(str(identity.get("name")), identity.get("config"), source)
    if (of := getattr(space.config, "of", None)) and _is_internal(space.name):
        parse_space(of, source)  # the space whose layers it has
    if identity.get("encoding_version") != space.encoding_version:
        raise UsageError(
            f"the file was written with encoding {identity.get('encoding_version')} of space "
            f"{space.name!r}, this latbench has {space.encoding_version}; use the latbench "
            "version that wrote it"
        )
    return space


def shown_space(identity: Mapping[str, Any], source: str) -> AnySpace:
    """Makes a space as ``space_from_identity`` does, to show or copy a file only.

    It is an ``AbsentSpace`` where the space's class is not installed, where the file may not import
    its module, or where the model whose widths it has is gone.
    """
    try:
        return space_from_identity(identity, source)
    except UsageError as error:
        name, config = str(identity.get("name")), identity.get("config")
        if not isinstance(config, Mapping) or _is_here(name, config, source):
            raise
        return AbsentSpace(identity, str(error))


def _is_here(name: str, config: Mapping[str, Any], source: str) -> bool:
    """Returns whether the class of a space, and of the one whose layers it has, can be imported
    here. Widths are of a model, which nothing is known of where it cannot be read."""
    if "model" in config and _is_internal(name):
        return False
    if "of" in config and _is_internal(name):
        parent = _SPACE.fullmatch(str(config["of"]))
        return parent is None or _is_here(parent[1], {}, source)
    try:
        return bool(registry("space").find(name, source))
    except UsageError:
        return False


def _is_internal(name: str) -> bool:
    return name in registry("space").internal


def known_name(text: str) -> str:
    """Returns the published name of the architecture that ``str`` wrote as ``text``, or the text
    itself."""
    return _published_names().get(text, text)


@functools.cache
def _published_names() -> dict[str, str]:
    spaces = registry("space")
    classes = [spaces.find(name) for name in spaces.built_in]
    return {
        text: name
        for space in classes
        for name, text in space.published.items()
        if not space.settings_of(name)  # else a text is that network in one space alone
    }
