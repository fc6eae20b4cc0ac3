"""Dataclasses from plain values of a file or a command line, checked."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from latbench.errors import UsageError, did_you_mean


def _settings_at(kind: Any, path: Sequence[object]) -> list[str]:
    """Names of the settings in the table at ``path``; none where there is no such table."""
    for part in (*path, None):
        inner = [k for k in (kind, *typing.get_args(kind)) if dataclasses.is_dataclass(k)]
        if not inner:
            return []
        if part is None:
            return [field.name for field in dataclasses.fields(inner[0])]
        kind = typing.get_type_hints(inner[0]).get(str(part))
    return []


def _explain(error: dict[str, Any], kind: Any) -> str:
    """One sentence from one of pydantic's error records about a ``kind``."""
    path = error["loc"][1:]
    where = ".".join(map(str, path))
    reason, value = error["type"], error["input"]
    if reason == "unexpected_keyword_argument":
        near = did_you_mean(str(path[-1]), _settings_at(kind, path[:-1]))
        told = "; check its spelling" if near == ";" else near
        return f"there is no setting {where!r}{told} (docs/experiment.md)"
    if reason in ("missing", "missing_argument"):
        return f"the setting {where!r} is missing"
    reason = str(error.get("ctx", {}).get("error", error["msg"]))
    prefix = f"[{where}] " if where else ""
    if not isinstance(value, dict | list):
        prefix = f"{where} = {value!r}: "
    return f"{prefix}{reason[0].lower()}{reason[1:]}"


def told(where: str, mistakes: Sequence[str]) -> UsageError:
    """The error that says everything that is wrong with ``where``: in one sentence, or in a list.

    ``mistakes`` has at least one.
    """
    if len(mistakes) == 1:
        return UsageError(f"{where}: {mistakes[0]}")
    return UsageError("\n- ".join((f"{where}: {len(mistakes)} mistakes", *mistakes)))


T = TypeVar("T")


def checked(kind: type[T], values: dict[str, Any], where: str) -> T:
    """A dataclass from plain values, unknown keys and wrong types refused.

    Raises UsageError with everything that is wrong; ``where`` is named in the message.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    # A dataclass takes pydantic's settings from the one that it is a field of.
    strict = {"__pydantic_config__": ConfigDict(extra="forbid", strict=True)}
    box = dataclasses.make_dataclass("Box", [("value", kind)], namespace=strict)
    try:
        found: Any = TypeAdapter(box).validate_json(json.dumps({"value": values}))
    except ValidationError as error:
        raise told(where, [_explain(dict(e), kind) for e in error.errors()]) from None
    value: T = found.value
    return value
