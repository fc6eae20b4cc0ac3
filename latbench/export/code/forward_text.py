"""The lines of a ``forward``: one a step, with as few names as can be followed."""

from __future__ import annotations

from collections.abc import Sequence

from latbench.export.code.part_modules import Row
from latbench.export.code.repeated_parts import CodePart, PartStep
from latbench.export.torch_code import LayerCode

_NAMES = ("x", "y", "z", "u", "v", "w")


def argument_names(count: int) -> list[str]:
    """Returns the names of a forward's inputs."""
    return [_name(i) for i in range(count)]


def _name(number: int) -> str:
    return _NAMES[number] if number < len(_NAMES) else f"x{number}"


class _Line:
    """What one line computes: an expression over earlier values."""

    def __init__(self, step: int, template: str, inputs: Sequence[int], call: bool) -> None:
        self.step, self.template, self.inputs, self.call = step, template, list(inputs), call


def forward_lines(part: CodePart, rows: Sequence[Row]) -> list[str]:
    """Returns the lines of the body of a part's ``forward``."""
    lines = _inlined(_lines(part.body, rows))
    if not lines:
        return ["return x"]
    last = {value: i for i, line in enumerate(lines) for value in line.inputs}
    names = {~i: name for i, name in enumerate(argument_names(part.arguments))}
    found: list[str] = []
    for i, line in enumerate(lines):
        text = line.template.format(*(names[value] for value in line.inputs))
        dying = [value for value in dict.fromkeys(line.inputs) if last[value] == i]
        if i == len(lines) - 1:
            found.append(f"return {text}")
            break
        kept = {names[v] for v in names if v not in dying}
        own = [names[v] for v in dying]
        free = own or [n for n in map(_name, range(len(names) + 1)) if n not in kept]
        for value in dying:
            del names[value]
        names[line.step] = free[0]
        found.append(f"{free[0]} = {text}")
    return found


def _lines(body: Sequence[PartStep], rows: Sequence[Row]) -> list[_Line]:
    ends = {row.last: row for row in rows}
    inside = {i for row in rows for i in range(row.first, row.last)}
    found = []
    for i, step in enumerate(body):
        if i in inside:
            continue
        row = ends.get(i)
        own = f"self.{row.name}" if row else ""
        inputs = body[row.first].inputs if row else step.inputs
        called = isinstance(step.does, CodePart) or not step.does.forward
        if called:
            listed = ", ".join(f"{{{k}}}" for k in range(len(inputs)))
            found.append(_Line(i, f"{own}({listed})", inputs, True))
        else:
            assert isinstance(step.does, LayerCode)
            template = step.does.forward.replace("{self}", own)
            found.append(_Line(i, template, inputs, False))
    return found


def _inlined(lines: list[_Line]) -> list[_Line]:
    """The lines with the calls of modules that an expression reads, and nothing else, within it."""
    uses = [value for line in lines for value in line.inputs]
    calls = {line.step: line for line in lines if line.call and uses.count(line.step) == 1}
    gone: set[int] = set()
    for line in lines:
        if line.call:
            continue
        parts, inputs = list[str](), list[int]()
        for value in line.inputs:
            inner = calls.get(value)
            own = inner.inputs if inner else [value]
            numbers = [f"{{{len(inputs) + k}}}" for k in range(len(own))]
            parts.append(inner.template.format(*numbers) if inner else numbers[0])
            inputs += own
            gone |= {value} if inner else set()
        line.template, line.inputs = line.template.format(*parts), inputs
    return [line for line in lines if line.step not in gone]
