"""The text of a search method: ``gdas``, ``gdas(temperature=5)``, ``module:Class(draws=2)``.

Settings hold a method as its text until a search needs it. So a file of settings can be read, shown
and compared where the method is not installed, and reading it imports nothing that it names;
``latbench.search.methods`` makes the method of the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Protocol

from latbench.errors import UsageError, quoted

_TEXT = re.compile(r"\s*([\w.-]+(?::\w+)?)\s*(?:\((.*)\)\s*)?", re.ASCII | re.DOTALL)
_SETTING = re.compile(
    r"""\s*(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,"'()][^,"'()]*?)\s*(?:,|$)""", re.ASCII
)
_BARE = re.compile(r"[\w.:/+-]+", re.ASCII)
_PYTHONS = {"True": "true", "False": "false", "None": "null"}


class NamedMethod(Protocol):
    """A method, as far as settings know it: its text is what ``str`` gives."""

    name: ClassVar[str]


def split_method(text: str) -> tuple[str, dict[str, Any]]:
    """Returns the name in a method's text, and its settings by their names.

    A value is a number, true or false, none, or a text, which needs quotes where it has a comma, a
    bracket or a quote in it. Raises UsageError for what is no such text.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{quoted(text)} is not a search method; expected 'name' or 'name(key=value, ...)', "
            "such as 'gdas(temperature=5)'"
        )
    settings: dict[str, Any] = {}
    inner, at = (match[2] or "").strip(), 0
    while at < len(inner):
        item = _SETTING.match(inner, at)
        if item is None:
            raise UsageError(
                f"{quoted(inner[at:].strip())} in {quoted(text)} is not a method's setting; "
                "expected 'key=value'"
            )
        if item[1] in settings:
            raise UsageError(f"{quoted(text)} has the setting {item[1]!r} twice; give it once")
        settings[item[1]] = _value(item[2])
        at = item.end()
    return match[1], settings


def write_method(name: str, settings: Mapping[str, Any]) -> str:
    """Returns the text for which ``split_method`` gives the name and the settings.

    Raises UsageError for a value that is no number, truth value, text or None.
    """
    if not settings:
        return name
    return f"{name}({', '.join(f'{key}={_written(value)}' for key, value in settings.items())})"


def method_text(value: object) -> str:
    """Returns the text of a method that is given as a text, as a table with its ``name``, or as the
    method itself. Raises UsageError for anything else."""
    if isinstance(value, str):
        split_method(value)
        return value.strip()
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return write_method(value["name"], {k: v for k, v in value.items() if k != "name"})
    if not isinstance(value, (type, Mapping)) and isinstance(getattr(value, "name", None), str):
        return str(value)
    raise UsageError(
        f"method must be a text such as 'gdas(temperature=5)', a table with a name, or a method, "
        f"got {quoted(repr(value))}"
    )


class AsMethodText:
    """A note to pydantic on a setting's annotation: what is given becomes ``method_text`` of it."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        # Here, because pydantic costs 50 ms.
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(method_text)


MethodText = Annotated[str | NamedMethod, AsMethodText()]


def _value(text: str) -> Any:
    with suppress(ValueError):
        return json.loads(_PYTHONS.get(text, text))
    return text[1:-1] if text[0] == "'" else text


def _written(value: Any) -> str:
    if isinstance(value, str):
        bare = _BARE.fullmatch(value) and isinstance(_value(value), str)
        return value if bare else json.dumps(value)
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise UsageError(
        f"a method's setting must be a number, true or false, a text or none, got "
        f"{quoted(repr(value))}"
    )
