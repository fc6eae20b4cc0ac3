"""Dataclasses from plain values of a file or a command line, checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, make_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from latbench.errors import UsageError, did_you_mean


def _explain(error: dict[str, Any], settings: type) -> str:
    """One sentence from one of pydantic's error records on the dataclass ``settings``."""
    loc = error["loc"][1:]
    where = ".".join(str(part) for part in loc)
    kind, value = error["type"], error["input"]
    if kind == "unexpected_keyword_argument":
        near = did_you_mean(str(loc[-1]), _names(settings, loc[:-1]))
        return f"there is no setting {where!r}{near} docs/experiment.md lists them"
    if kind in ("missing", "missing_argument"):
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


def _names(kind: Any, path: Sequence[str | int]) -> list[str]:
    """The settings of the dataclass at a place within another one; none where it is no such."""
    for part in path:
        hints = get_type_hints(kind) if is_dataclass(kind) else {}
        found = hints.get(str(part))
        kind = next((k for k in (found, *get_args(found)) if is_dataclass(k)), None)
    return [field.name for field in fields(kind)] if is_dataclass(kind) else []


T = TypeVar("T")


def checked(kind: type[T], values: dict[str, Any], where: str) -> T:
    """A dataclass from plain values, unknown keys and wrong types refused.

    Raises UsageError with everything that is wrong; ``where`` is named in the message.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    # A dataclass takes pydantic's settings from the one that it is a field of.
    strict = {"__pydantic_config__": ConfigDict(extra="forbid", strict=True)}
    box = make_dataclass("Box", [("value", kind)], namespace=strict)
    try:
        found: Any = TypeAdapter(box).validate_json(json.dumps({"value": values}))
    except ValidationError as error:
        raise told(where, [_explain(dict(e), kind) for e in error.errors()]) from None
    value: T = found.value
    return value
