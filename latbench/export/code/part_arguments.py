"""The arguments of each part: the numbers in which its uses differ, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from latbench.export.code.layer_text import LayerCode
from latbench.export.code.repeated_parts import CodePart, PartStep


@dataclass(eq=False)
class Parameter:
    """An argument of a part's function or class; ``values`` has one for each use of the part."""

    name: str
    values: tuple[Any, ...]
    usual: Any
    width: bool


@dataclass
class Given:
    """The value of an argument in a call: a parameter of the body, half of one, or a constant."""

    name: str
    by_name: bool
    usual: Any
    constant: Any = None
    of: Parameter | None = None
    halved: bool = False

    @property
    def text(self) -> str:
        """Returns the argument as it is written, empty where it is left out."""
        if self.of is None and self.usual is not None and self.constant == self.usual:
            return ""
        value = repr(self.constant) if self.of is None else self.of.name
        value += " // 2" if self.halved else ""
        return f"{self.name}={value}" if self.by_name else value


@dataclass
class Signature:
    """A part's parameters, and what each step of its body is given."""

    parameters: list[Parameter] = field(default_factory=list)
    given: list[list[Given]] = field(default_factory=list)


@dataclass(frozen=True)
class _Column:
    """An argument of a step, over all uses of the body."""

    name: str
    values: tuple[Any, ...]
    usual: Any
    by_name: bool
    width: bool


def signatures(parts: Sequence[CodePart]) -> dict[int, Signature]:
    """Finds the parameters of parts, by ``id(part)``; inner parts come first."""
    found: dict[int, Signature] = {}
    for part in parts:
        found[id(part)] = _signature(part, found)
    return found


def _signature(part: CodePart, inner: dict[int, Signature]) -> Signature:
    made = Signature()
    widths: list[tuple[_Column, Parameter | None]] = []
    for step in part.body:
        given = []
        for column in _columns(step, inner):
            one = _given(column, made.parameters)
            given.append(one)
            if column.width:
                widths.append((column, one.of))
        made.given.append(given)
    _name(made.parameters, widths)
    made.parameters.sort(key=lambda p: (p.usual is not None, not p.width))
    return made


def _columns(step: PartStep, inner: dict[int, Signature]) -> list[_Column]:
    if isinstance(step.does, LayerCode):
        by_argument = zip(*step.values, strict=True)
        return [
            _Column(a.name, values, a.usual, a.by_name, a.width)
            for a, values in zip(step.does.arguments, by_argument, strict=True)
        ]
    return [
        _Column(p.name, tuple(p.values[use] for use in step.rows), p.usual, not p.width, p.width)
        for p in inner[id(step.does)].parameters
    ]


def _given(column: _Column, parameters: list[Parameter]) -> Given:
    """What a step is given for an argument; a parameter is added where there is none for it."""
    made = Given(column.name, column.by_name, column.usual)
    if len(set(column.values)) == 1:
        made.constant = column.values[0]
        return made
    for known in parameters:
        wide = column.width or column.name == "groups"  # as many as channels in a depthwise one
        alike = wide if known.width else column.name == known.name
        if alike and known.values == column.values:
            made.of = known
            return made
        kernel = known.name == "kernel_size" and column.name == "padding"
        if kernel and all(
            isinstance(k, int) and p == k // 2
            for p, k in zip(column.values, known.values, strict=True)
        ):
            made.of, made.halved = known, True
            return made
    usual = None if column.width else column.usual
    made.of = Parameter(column.name, column.values, usual, column.width)
    parameters.append(made.of)
    return made


def _name(parameters: list[Parameter], widths: Sequence[tuple[_Column, Parameter | None]]) -> None:
    """Names the numbers of channels by what they are, and numbers what has one name."""
    first = widths[0][1] if widths else None
    last = next((of for c, of in reversed(widths) if c.name != "in_channels"), None)
    seen: dict[str, int] = {}
    for one in parameters:
        if one.width:
            if one is first and one is last:
                one.name = "channels"
            elif one is first:
                one.name = "in_channels"
            else:
                one.name = "out_channels" if one is last else "hidden_channels"
        seen[one.name] = seen.get(one.name, 0) + 1
        if seen[one.name] > 1:
            one.name += str(seen[one.name])
