"""A backend's options: its dataclass fields, checked when they come by name and kept as JSON.

Options arrive from a command line, a TOML table or a stored row, so they are treated as JSON
values: what JSON cannot hold is no option, and nothing is converted silently (``"4"`` is not 4,
1 is not true).
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from latbench.backends.base import Backend
from latbench.errors import UsageError, did_you_mean


def option_types(cls: type[Backend]) -> dict[str, Any]:
    """Returns a backend class's options and their types, in the order they are declared."""
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}


def type_text(hint: Any) -> str:
    """Writes a type as an error message shows it: ``int``, ``'cpu' or 'cuda'``."""
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(repr(value) for value in typing.get_args(hint))
    return hint.__name__ if isinstance(hint, type) else str(hint)


def checked_options(cls: type[Backend], options: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the options to the types that ``cls`` declares.

    Raises UsageError for an option that it does not have, naming those it has, and for a value of
    the wrong type.
    """
    types = option_types(cls)
    for key in options:
        if key not in types:
            known = ", ".join(f"{name}: {type_text(hint)}" for name, hint in types.items())
            raise UsageError(
                f"backend {cls.name!r} has no option {key!r}{did_you_mean(key, types)} it has "
                f"{known or 'no options'}"
            )
    return {key: _checked(cls, key, types[key], value) for key, value in options.items()}


def _checked(cls: type[Backend], key: str, hint: Any, value: Any) -> Any:
    # Here, because pydantic costs 50 ms (2026-11-24) and listing the backends does not need it.
    from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError
    from pydantic_core import PydanticSerializationError, to_json

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False))
        return adapter.validate_json(to_json(value), strict=True)
    except (ValidationError, PydanticSerializationError, PydanticSchemaGenerationError) as error:
        raise UsageError(
            f"option {key!r} of backend {cls.name!r} must be {type_text(hint)}, got {value!r}"
        ) from error


def options_of(backend: Backend) -> dict[str, Any]:
    """Returns every option with its value, defaults included, as JSON values.

    ``make_backend(name, **options_of(backend)) == backend``. Raises UsageError when an option is
    something that JSON cannot hold, such as a function.
    """
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    options = {}
    for key in option_types(type(backend)):
        value = getattr(backend, key)
        try:
            options[key] = to_jsonable_python(value)
        except PydanticSerializationError as error:
            raise UsageError(
                f"option {key!r} of backend {backend.name!r} is {value!r}, which cannot be stored; "
                "options must be numbers, texts, booleans or lists of them"
            ) from error
    return options
