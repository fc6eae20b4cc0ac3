"""Network -> a file of torch code that needs nothing of latbench, and reads as if somebody had
written it: what repeats is a function or a class, the rest is named by what it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from latbench.export.code.forward_text import argument_names, forward_lines, input_names
from latbench.export.code.layer_text import LayerCode
from latbench.export.code.literal_numbers import literal_numbers
from latbench.export.code.part_arguments import Given, Parameter, Signature, signatures
from latbench.export.code.part_modules import Row, module_paths, rows_of
from latbench.export.code.part_names import PartName, name_parts
from latbench.export.code.repeated_parts import CodePart, parts_of
from latbench.networks.general.arrays import Constant
from latbench.networks.network import Network
from latbench.networks.ops import Input
from latbench.networks.weights import Weights

WIDTH = 100  # characters a line
_COUNTER = "num_batches_tracked"

_MAIN = '''

def load(path: str) -> Net:
    """The network with the weights of a safetensors file, ready to be run."""
    net = Net()
    net.load_state_dict(load_file(path))
    return net.eval()


if __name__ == "__main__":
    net = load(sys.argv[1]) if len(sys.argv) > 1 else Net().eval()
{inputs}    with torch.no_grad():
        print({printed})
'''


@dataclass(frozen=True)
class TorchCode:
    """A file of torch code, and the names of a network's tensors in it.

    ``names`` has the name in the module's state by that of ``network.tensors()``, but for constants
    that are numbers in the text; ``counters`` are those of the batches that batch norms count,
    which a state has besides.
    """

    text: str
    names: dict[str, str]
    counters: tuple[str, ...]


def torch_code(network: Network, about: Sequence[str], weights: Weights | None = None) -> TorchCode:
    """Writes a network as torch code: a class ``Net``, and ``load(path)``.

    ``about`` are the paragraphs of the file's docstring. With ``weights`` constants of one value
    are numbers in it, and none of its tensors. Raises BackendError for a layer kind without a rule.
    """
    numbers = {} if weights is None else literal_numbers(network, weights)
    parts = parts_of(network, numbers)
    named, signed = name_parts(parts), signatures(parts)
    sources = dict.fromkeys(
        step.does.source
        for part in parts for step in part.body
        if isinstance(step.does, LayerCode) and step.does.source
    )  # fmt: skip
    blocks = [source.strip("\n") for source in sources]
    heads = [_Head(argument_names(part.arguments)) for part in parts[:-1]]
    heads.append(_Head(input_names(network), len(network.outputs)))
    blocks += [
        "\n".join(_definition(part, named, signed, head))
        for part, head in zip(parts, heads, strict=True)
    ]
    functional = any(re.search(r"\bF\.", block) for block in blocks)
    inputs, printed = _run(network)
    text = "\n\n\n".join([_head(about, functional), *blocks]) + "\n"
    text += _MAIN.format(inputs=inputs, printed=printed)
    paths = module_paths(parts, named)
    names = {}
    for name, _, _ in network.tensors():
        layer, _, tensor = name.partition(".")
        row = int(layer)
        if row in numbers:
            continue
        # A constant is the tensor itself.
        own = isinstance(network.layers[row].op, Constant)
        names[name] = paths[row] if own else f"{paths[row]}.{tensor}"
    counters = tuple(
        f"{paths[row]}.{_COUNTER}"
        for part in parts for step in part.body
        if isinstance(step.does, LayerCode) and step.does.counts_batches
        for row in step.rows
    )  # fmt: skip
    return TorchCode(text, names, counters)


@dataclass(frozen=True)
class _Head:
    """What a ``forward`` takes and gives."""

    given: list[str]
    results: int = 1

    @property
    def result(self) -> str:
        """Returns the type of what it gives."""
        if self.results == 1:
            return "Tensor"
        listed = ", ".join(["Tensor"] * self.results if self.results < 4 else ["Tensor", "..."])
        return f"tuple[{listed}]"


def _run(network: Network) -> tuple[str, str]:
    """The lines that make inputs of the network's shapes, where there are several, and the shapes
    of what is computed of them."""
    made = []
    for i in network.inputs:
        op = network.layers[i].op
        assert isinstance(op, Input)
        if op.dtype == "float32":
            made.append(f"torch.zeros({', '.join(map(str, op.shape)) or '()'})")
        elif op.below:
            made.append(f"torch.randint({op.below}, {op.shape})")
        else:
            made.append(f"torch.ones({op.shape}, dtype=torch.{op.dtype})")
    lines, run = "", f"net({made[0]})"
    if len(made) > 1:
        wrapped = _wrapped("    inputs = (", made, ")", "    ")
        lines, run = "".join(f"{line}\n" for line in wrapped), "net(*inputs)"
    several = len(network.outputs) > 1
    return lines, f"*(tuple(y.shape) for y in {run})" if several else f"tuple({run}.shape)"


def _head(about: Sequence[str], functional: bool) -> str:
    """The docstring and the imports. What it says was read from files, and is no code."""
    said = "\n\n".join(about).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return (
        f'"""{said}\n"""\n\nimport sys\n\nimport torch\n'
        + ("import torch.nn.functional as F\n" if functional else "")
        + "from safetensors.torch import load_file\nfrom torch import Tensor, nn"
    )


def _definition(
    part: CodePart, named: dict[int, PartName], signed: dict[int, Signature], head: _Head
) -> list[str]:  # fmt: skip
    """The lines of a part's function, or class."""
    name, signature = named[id(part)], signed[id(part)]
    rows = rows_of(part, named)
    calls = [
        _call(step.does if isinstance(step.does, LayerCode) else named[id(step.does)], given)
        for step, given in zip(part.body, signature.given, strict=True)
    ]
    listed = [_parameter(p) for p in signature.parameters]
    if rows and not rows[0].name:
        first = _wrapped(f"def {name.name}(", listed, ") -> nn.Sequential:", "")
        return [*first, *_wrapped("    return nn.Sequential(", _repeated(calls), ")", "    ")]
    lines = [
        f"class {name.name}(nn.Module):", f'    """{name.meaning}"""', "",
        *_wrapped("    def __init__(", ["self", *listed], ") -> None:", "    "),
        "        super().__init__()",
    ]  # fmt: skip
    for row in rows:
        lines += _attribute(row, calls[row.first : row.last + 1])
    given = ["self", *(f"{n}: Tensor" for n in head.given)]
    lines += ["", *_wrapped("    def forward(", given, f") -> {head.result}:", "    ")]
    for line in forward_lines(part, rows, head.given):
        lines += _fitted(f"        {line}")
    return lines


def _parameter(one: Parameter) -> str:
    kinds = {type(value).__name__ for value in one.values}
    usual = "" if one.usual is None else f" = {one.usual!r}"
    return f"{one.name}: {' | '.join(sorted(kinds))}{usual}"


def _call(does: LayerCode | PartName, given: Sequence[Given]) -> str:
    name = does.module if isinstance(does, LayerCode) else does.name
    ordered = sorted(filter(lambda g: g.text, given), key=lambda g: g.by_name)
    return f"{name}({', '.join(one.text for one in ordered)})"


def _attribute(row: Row, calls: list[str]) -> list[str]:
    if not row.several:
        if calls[0].startswith("torch."):  # a tensor that is not trained
            return _fitted(f'        self.register_buffer("{row.name}", {calls[0]})')
        return _fitted(f"        self.{row.name} = {calls[0]}")
    return _wrapped(f"        self.{row.name} = nn.Sequential(", _repeated(calls), ")", " " * 8)


def _repeated(calls: Sequence[str]) -> list[str]:
    """Calls, with those that repeat in a row as a loop."""
    found: list[str] = []
    i = 0
    while i < len(calls):
        times = 1
        while calls[i : i + 1] == calls[i + times : i + times + 1]:
            times += 1
        found.append(calls[i] if times < 3 else f"*({calls[i]} for _ in range({times}))")
        i += times if times > 2 else 1
    return found


def _wrapped(head: str, items: Sequence[str], tail: str, indent: str) -> list[str]:
    """Items between brackets: on one line where they fit, or a line each."""
    line, joined = f"{head}{', '.join(items)}{tail}", f"{indent}    {', '.join(items)}"
    calls = sum("(" in item for item in items) > 2
    if len(line) <= WIDTH and not calls:
        return [line]
    inner = [joined]
    if calls or len(joined) > WIDTH:
        inner = [part for item in items for part in _fitted(f"{indent}    {item},")]
    return [head, *inner, f"{indent}{tail}"]


def _fitted(line: str) -> list[str]:
    """A line, broken within its last bracket where it is too long."""
    bare = line.rstrip(",")
    if len(line) <= WIDTH or bare[-1:] != ")":
        return [line]
    start, commas, depth = len(bare), list[int](), 0
    while start and (depth or start == len(bare)):
        start -= 1
        depth += {")": 1, "]": 1, "(": -1, "[": -1}.get(bare[start], 0)
        if depth == 1 and bare[start] == ",":
            commas.insert(0, start)
    indent = " " * (len(line) - len(line.lstrip()))
    inner = [f"{indent}    {bare[start + 1 : -1]}"]
    if len(inner[0]) > WIDTH:
        ends = [start, *commas, len(bare) - 1]
        inner = [f"{indent}    {bare[a + 1 : b].strip()}," for a, b in pairwise(ends)]
    return [bare[: start + 1], *inner, f"{indent}{line[len(bare) - 1 :]}"]
