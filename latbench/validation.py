"""Settings are dataclasses, and pydantic checks them against their annotations.

``check_fields`` checks one that somebody made, ``checked`` makes one from the plain values of a
file or a command line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass, make_dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Lt

from latbench.errors import UsageError, did_you_mean

Count = Annotated[int, Ge(1)]
Natural = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Lt(1)]
# The lowest temperature of a softmax: its gradient goes with the reciprocal, and logits of some
# tens over it must stay far from float32's largest number.
COLDEST = 1e-6
Temperature = Annotated[float, Ge(COLDEST)]
_TUPLES = {
    int: "integers, as (1 2)",
    float: "numbers, as (0.75 1.0)",
    str: "texts, as (a b)",
    bool: "truth values, as (True False)",
}


@lru_cache(maxsize=128)
def _adapters(kind: type[Any]) -> list[tuple[str, Any, Any, Any]]:
    """The name, annotation, default and check of each field of a dataclass; without those, in a
    plug-in, whose annotation names what is not imported, or which pydantic does not know."""
    # Here, because pydantic costs 50 ms, and the command line starts without it.
    from pydantic import ConfigDict, InstanceOf, PydanticUserError, TypeAdapter

    config = ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True)
    instance: Any = InstanceOf
    found = []
    for field in fields(kind):
        with suppress(NameError, PydanticUserError):
            hint = get_type_hints(kind, include_extras=True)[field.name]
            asked: Any = instance[hint] if is_dataclass(hint) else hint  # it has checked itself
            adapter = TypeAdapter(asked, config=None if is_dataclass(hint) else config)
            found += [(field.name, hint, field.default, adapter)] if field.init else []
    return found


def check_fields(settings: object, where: str = "") -> None:
    """Raises UsageError for the first field of a dataclass whose value is not what its annotation
    asks for; nothing is converted (True is no number).

    ``where`` is put before the field's name in the message, such as ``"protocol."``.
    """
    from pydantic import ValidationError

    kind: Any = type(settings)
    for name, hint, default, adapter in _adapters(kind):
        value = getattr(settings, name)
        try:
            if value is not default:
                adapter.validate_python(value, strict=True)
        except ValidationError as error:
            said = _expected(hint, dict(error.errors()[0]))
            raise UsageError(f"{where}{name} must be {said}, got {value!r}") from None


def _expected(hint: Any, error: dict[str, Any]) -> str:
    """What one of pydantic's error records says that a value must be."""
    limits = error.get("ctx", {})
    for key, word in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
        if key in limits:
            return f"{word} {limits[key]:g}"
    if error["type"] == "finite_number":
        return "a finite number"
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if get_origin(hint) is tuple and get_args(hint)[1:] == (Ellipsis,):
        part = get_args(hint)[0]
        while get_origin(part) is Annotated:
            part = get_args(part)[0]
        if part in _TUPLES:
            return f"a tuple of {_TUPLES[part]} in the text of a space"
    words = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}
    return words.get(hint) or f"of type {getattr(hint, '__name__', hint)}"


def _explain(error: dict[str, Any], settings: type) -> str:
    """One sentence from one of pydantic's error records on the dataclass ``settings``."""
    loc = error["loc"][1:]
    where = ".".join(str(part) for part in loc)
    kind, value = error["type"], error["input"]
    if kind == "unexpected_keyword_argument":
        if hint := getattr(_within(settings, loc[:-1]), "ELSEWHERE", {}).get(loc[-1]):
            return f"there is no setting {where!r}; {hint}"
        near = did_you_mean(str(loc[-1]), _names(settings, loc[:-1]))
        return f"there is no setting {where!r}{near} docs/experiment.md lists them"
    if kind in ("missing", "missing_argument"):
        return f"the setting {where!r} is missing"
    reason = str(error.get("ctx", {}).get("error", error["msg"]))
    if {"ge", "gt", "le", "lt"} & set(error.get("ctx", {})):
        reason = f"must be {_expected(None, error)}"
    prefix = f"[{where}] " if where else ""
    if not isinstance(value, dict | list):
        prefix = f"{where} = {value!r}: "
    return f"{prefix}{reason[0].lower()}{reason[1:]}"


def told(where: str, mistakes: Sequence[str]) -> UsageError:
    """Returns the error that says everything that is wrong with ``where``, in a sentence or a list.

    ``mistakes`` has at least one.
    """
    if len(mistakes) == 1:
        return UsageError(f"{where}: {mistakes[0]}")
    return UsageError("\n- ".join((f"{where}: {len(mistakes)} mistakes", *mistakes)))


def _names(kind: Any, path: Sequence[str | int]) -> list[str]:
    """The settings of the dataclass at a place within another one; none where it is no such."""
    kind = _within(kind, path)
    return [field.name for field in fields(kind)] if is_dataclass(kind) else []


def _within(kind: Any, path: Sequence[str | int]) -> Any:
    for part in path:
        hints = get_type_hints(kind) if is_dataclass(kind) else {}
        found = hints.get(str(part))
        kind = next((k for k in (found, *get_args(found)) if is_dataclass(k)), None)
    return kind


T = TypeVar("T")


def checked(kind: type[T], values: dict[str, Any], where: str) -> T:
    """Makes a dataclass from plain values; refuses unknown keys and wrong types.

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
