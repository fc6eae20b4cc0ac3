"""The lines of a ``forward``: one a step, with as few names as can be followed."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence

from latbench.export.code.layer_text import LayerCode
from latbench.export.code.part_modules import Row
from latbench.export.code.repeated_parts import CodePart, PartStep
from latbench.networks.network import Network
from latbench.networks.ops import Input

_NAMES = ("x", "y", "z", "u", "v", "w")
_TAKEN = ("self", "torch", "nn", "F", "float", "average_pool")
# Methods and indices alone, which read well one after another.
_CHAIN = re.compile(r"\{0\}(\.\w+\([^()]*\)|\[[^\[\]{}]*\])+")
_LONGEST_CHAIN = 50
_LONGEST = 24  # characters of an input's name


def argument_names(count: int) -> list[str]:
    """Returns the names of a block's inputs."""
    return [_name(i) for i in range(count)]


def input_names(network: Network) -> list[str]:
    """Returns the names of a network's inputs: those of its file as identifiers, but ``x`` for one
    of floats."""
    ops = [network.layers[i].op for i in network.inputs]
    if len(ops) == 1 and network.types[0] == "float32":
        return argument_names(1)
    found: list[str] = []
    for i, op in enumerate(ops):
        assert isinstance(op, Input)
        name = re.sub(r"\W", "_", op.name, flags=re.ASCII).strip("_")[:_LONGEST] or _name(i)
        name = f"x{name}" if name[0].isdigit() else name
        while name in found or name in _TAKEN or keyword.iskeyword(name):
            name += "_"
        found.append(name)
    return found


def _name(number: int) -> str:
    return _NAMES[number] if number < len(_NAMES) else f"x{number}"


class _Line:
    """What one line computes: an expression over earlier values, of which a ``call`` is that of a
    module alone."""

    def __init__(self, step: int, template: str, inputs: Sequence[int], call: bool) -> None:
        self.step, self.template, self.inputs, self.call = step, template, list(inputs), call
        self.chained = _CHAIN.fullmatch(template) is not None

    @property
    def constant(self) -> bool:
        """Returns whether it is but the name of a tensor of the module."""
        return not self.call and not self.inputs


def forward_lines(part: CodePart, rows: Sequence[Row], given: Sequence[str]) -> list[str]:
    """Returns the lines of the body of a part's ``forward``, whose inputs are called ``given``."""
    lines = _inlined(_lines(part.body, rows))
    if not lines:
        return [f"return {given[0]}"]
    last = {value: i for i, line in enumerate(lines) for value in line.inputs}
    names = {~i: name for i, name in enumerate(given)}
    lasting = {*given} - {*argument_names(len(given))}  # a name that says what it is stays it
    found: list[str] = []
    for i, line in enumerate(lines):
        text = line.template.format(*(names[value] for value in line.inputs))
        dying = [value for value in dict.fromkeys(line.inputs) if last[value] == i]
        if i == len(lines) - 1:
            found.append(f"return {text}")
            break
        kept = {names[v] for v in names if v not in dying} | lasting
        own = [names[v] for v in dying if names[v] not in lasting]
        free = own or [n for n in map(_name, range(len(kept) + 1)) if n not in kept]
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
    """The lines with the calls of modules that an expression reads once, and nothing else, within
    it; with short chains of methods in one; and with a module's tensors wherever they are read."""
    uses = [value for line in lines for value in line.inputs]
    single = {line.step: line for line in lines if uses.count(line.step) == 1}
    constants = {line.step: line for line in lines[:-1] if line.constant}
    gone = set[int](constants)
    for line in lines:
        parts, inputs = list[str](), list[int]()
        for k, value in enumerate(line.inputs):
            once = not line.call and line.template.count(f"{{{k}}}") == 1
            inner = constants.get(value) or (single.get(value) if once else None)
            inner = inner if inner and _within(inner, line) else None
            own = inner.inputs if inner else [value]
            numbers = [f"{{{len(inputs) + j}}}" for j in range(len(own))]
            parts.append(inner.template.format(*numbers) if inner else numbers[0])
            inputs += own
            gone |= {value} if inner else set()
        line.template, line.inputs = line.template.format(*parts), inputs
    return [line for line in lines if line.step not in gone]


def _within(inner: _Line, line: _Line) -> bool:
    """Whether an expression that is read once may stand where it is read."""
    if inner.call or inner.constant:
        return True
    short = len(inner.template) + len(line.template) < _LONGEST_CHAIN
    return inner.chained and line.chained and short
