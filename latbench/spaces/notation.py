"""The text of an architecture, for spaces that have no notation of their own.

The values of the variables that exist, in the order of the variables: ``depth=3;0.block=k3e6``;
the members of a set with a plus between them, and ``-`` for none: ``node=0+2``. Others write their
architectures as Python's or JSON's dictionaries and lists, which are read without running them.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from latbench.errors import ParseError, did_you_mean, quoted
from latbench.spaces.forest import Code, Forest
from latbench.spaces.space_config import written
from latbench.spaces.variables import NOTHING, One, Variable
from latbench.text import JOINED

_MOST = 100_000  # characters


class NamedNetworks(Protocol):
    """A space as its published names see it; a ``SearchSpace`` is one."""

    name: ClassVar[str]
    published: ClassVar[Mapping[str, str]]
    config: Any

    def settings_of(self, name: str) -> Mapping[str, Any]:
        """Returns the settings at which a published name is that network."""


def tight(text: str) -> str:
    """Removes white space around a text and around the signs between its parts.

    It is what people break and indent, and what a page's copy adds.
    """
    return re.sub(r" ?([|+~:;=]) ?", r"\1", " ".join(text.split()))


def read_literal(text: str) -> Any:
    """Reads Python's or JSON's lists, tuples and dictionaries of numbers, texts and None.

    A tuple becomes a list. Raises ParseError for anything else.
    """
    if len(text) > _MOST:
        raise ParseError(
            f"an architecture has at most {_MOST:,} characters, this text has {len(text):,}"
        )
    plain = text.translate(str.maketrans("'()", '"[]'))
    for ours, theirs in (("None", "null"), ("True", "true"), ("False", "false")):
        plain = re.sub(rf"(?<![\w\"]){ours}(?![\w\"])", theirs, plain)
    try:
        return json.loads(re.sub(r",\s*([\]}])", r"\1", plain))
    except (ValueError, RecursionError):
        raise ParseError(
            f"{quoted(text)} begins like a dictionary or a tuple of Python and is none; expected "
            "one of numbers and texts, whole"
        ) from None


def read_values(text: str) -> dict[str, Any]:
    """Reads a dictionary by texts, see ``read_literal``. Raises ParseError for anything else."""
    values = read_literal(text)
    if not isinstance(values, dict):
        raise ParseError(f"{quoted(text)} is no dictionary; expected {{'name': value, ...}}")
    return values


def text_of_values(values: Mapping[str, Any]) -> str:
    """Returns the text of values by the names of variables; the members of a set are a list."""
    return ";".join(
        f"{name}={(JOINED.join(map(str, value)) or NOTHING) if isinstance(value, list) else value}"
        for name, value in values.items()
    )


def whole_numbers(values: Mapping[str, Any], name: str, count: int) -> list[int]:
    """Returns a dictionary's list of so many whole numbers. Raises ParseError for any other."""
    found = values.get(name)
    if not isinstance(found, list) or len(found) != count or not all(type(v) is int for v in found):
        raise ParseError(
            f"the dictionary has {quoted(str(found))} as {name!r}; expected {count} whole numbers"
        )
    return found


def text_of(forest: Forest, code: Code) -> str:
    """Returns the canonical text of a code."""
    parts = []
    for v, value in zip(forest.variables, code, strict=True):
        if value < 0:
            continue
        if isinstance(v, One):
            parts.append(f"{v.name}={v.options[value]}")
        else:
            kept = [m for j, m in enumerate(v.options) if value >> j & 1]
            parts.append(f"{v.name}={JOINED.join(kept) or NOTHING}")
    return ";".join(parts)


def published_text(space: NamedNetworks, text: str) -> str:
    """Returns the text that a published name stands for, or the text itself.

    Raises ParseError for a name that is that of a network at other settings, and for what is
    neither, where a published name is near.
    """
    if text not in space.published:
        near = difflib.get_close_matches(text, space.published, n=1) if "=" not in text else []
        if near:
            raise ParseError(
                f"{space.name!r} has no published network {quoted(text)}; did you mean "
                f"{near[0]!r}? `latbench space {space.name}` lists them"
            )
        return text
    needed = space.settings_of(text)
    for name, value in needed.items():
        if getattr(space.config, name) != value:
            settings = ", ".join(f"{k}={written(v)}" for k, v in needed.items())
            raise ParseError(
                f"{text!r} is a network of {space.name}({settings}), and this space has "
                f"{name}={written(getattr(space.config, name))}; name that space, or give the text"
            )
    return space.published[text]


def code_of(forest: Forest, text: str) -> Code:
    """Parses what ``text_of`` wrote; the variables may come in any order.

    Raises ParseError naming the first thing that is wrong.
    """
    if len(text) > _MOST:
        raise ParseError(
            f"an architecture has at most {_MOST:,} characters, this text has {len(text):,}"
        )
    given: dict[str, str] = {}
    for part in tight(text).split(";"):
        name, equals, value = part.partition("=")
        if not equals:
            raise ParseError(
                f"{quoted(part)} is no value of an architecture of {forest.space!r}; expected "
                "'variable=option;variable=option;...'"
            )
        if name not in forest.index:
            near = did_you_mean(name, list(forest.index))
            raise ParseError(
                f"{forest.space!r} has no variable {quoted(name)}{near} it has "
                f"{', '.join(list(forest.index)[:12])}"
            )
        if name in given:
            raise ParseError(f"the text gives {name!r} twice; give it once")
        given[name] = value

    def choose(i: int) -> int:
        v = forest.variables[i]
        if v.name not in given:
            raise ParseError(f"the text gives no {v.name!r}; expected one of {_listed(v)}")
        return _value(v, given.pop(v.name))

    code = forest.grow(choose)
    if given:
        raise ParseError(
            f"{next(iter(given))!r} does not exist in this architecture of {forest.space!r}; "
            "leave it out"
        )
    return code


def _value(v: Variable, text: str) -> int:
    if isinstance(v, One):
        if text not in v.options:
            raise ParseError(f"{v.name} is {quoted(text)}; expected one of {_listed(v)}")
        return v.options.index(text)
    members = [] if text == NOTHING else text.split(JOINED)
    strange = [m for m in members if m not in v.options]
    if strange or len(set(members)) < len(members) or not v.least <= len(members) <= v.most:
        raise ParseError(
            f"{v.name} is {quoted(text)}; expected {v.least} to {v.most} different ones of "
            f"{_listed(v)}"
        )
    return sum(1 << v.options.index(m) for m in members)


def _listed(v: Variable) -> str:
    return ", ".join(v.options)
