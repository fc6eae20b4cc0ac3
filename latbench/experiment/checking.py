"""Dataclasses from plain values of a file or a command line, checked."""

from __future__ import annotations

import json
from dataclasses import make_dataclass
from typing import Any, TypeVar

from latbench.errors import UsageError


def _explain(error: dict[str, Any], path: str) -> str:
    """One sentence from one of pydantic's error records."""
    where = ".".join(str(part) for part in error["loc"][1:])
    kind, value = error["type"], error["input"]
    if kind == "unexpected_keyword_argument":
        return f"{path}: there is no setting {where!r}; check its spelling (docs/experiment.md)"
    if kind in ("missing", "missing_argument"):
        return f"{path}: the setting {where!r} is missing"
    reason = str(error.get("ctx", {}).get("error", error["msg"]))
    prefix = f"[{where}] " if where else ""
    if not isinstance(value, dict | list):
        prefix = f"{where} = {value!r}: "
    return f"{path}: {prefix}{reason[0].lower()}{reason[1:]}"


T = TypeVar("T")


def checked(kind: type[T], values: dict[str, Any], where: str) -> T:
    """A dataclass from plain values, unknown keys and wrong types refused.

    Raises UsageError for the first thing that is wrong; ``where`` is named in the message.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    # A dataclass takes pydantic's settings from the one that it is a field of.
    strict = {"__pydantic_config__": ConfigDict(extra="forbid", strict=True)}
    box = make_dataclass("Box", [("value", kind)], namespace=strict)
    try:
        found: Any = TypeAdapter(box).validate_json(json.dumps({"value": values}))
    except ValidationError as error:
        raise UsageError(_explain(dict(error.errors()[0]), where)) from None
    value: T = found.value
    return value
