"""The DARTS genotype: a value, its notations, and the published ones by name.

Canonical text, one group a node, its two edges by input number:

    normal:|sep_conv_3x3~0|sep_conv_3x3~1|+|...|;reduce:|max_pool_3x3~0|max_pool_3x3~1|+|...|

``parse_genotype`` also reads the ``Genotype(normal=[('sep_conv_3x3', 0), ...], ...)`` that the
DARTS code base prints, and the names below.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from latbench.errors import ParseError, quoted
from latbench.spaces.base import tight
from latbench.spaces.drawing import CellGraph, CellNode, Drawn

# In the published order (quark0/darts, cnn/genotypes.py).
OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
NODES = 4
# Edge number of (node, input): node i reads inputs 0 .. i + 1, and the edges are counted in order.
EDGES = tuple((node, source) for node in range(NODES) for source in range(node + 2))

Edge = tuple[str, int]  # operation, input: 0 and 1 are the two previous cells, 2 + i is node i
Node = tuple[Edge, Edge]
Cell = tuple[Node, ...]


def _check_node(node: Node, position: int) -> Node:
    for operation, source in node:
        if operation not in OPERATIONS[1:]:
            raise ParseError(
                f"{operation!r} is not a DARTS operation; expected one of "
                f"{', '.join(OPERATIONS[1:])}"
            )
        if not 0 <= source < position + 2:
            raise ParseError(
                f"node {position} cannot read input {source}; expected 0 to {position + 1}"
            )
    if node[0][1] == node[1][1]:
        raise ParseError(f"node {position} reads input {node[0][1]} twice; expected two inputs")
    first, second = sorted(node, key=lambda edge: edge[1])
    return (first, second)


def _check_cell(cell: Cell, name: str) -> Cell:
    if len(cell) != NODES:
        raise ParseError(f"the {name} cell has {len(cell)} nodes; expected {NODES}")
    return tuple(_check_node(node, i) for i, node in enumerate(cell))


@dataclass(frozen=True)
class Genotype(Drawn):
    """A normal and a reduction cell of four nodes with two kept edges each.

    Edges of a node are kept sorted by input, so that equal networks are equal values.
    Raises ParseError for an operation or input that the space does not have.
    """

    normal: Cell
    reduce: Cell

    def __post_init__(self) -> None:
        object.__setattr__(self, "normal", _check_cell(self.normal, "normal"))
        object.__setattr__(self, "reduce", _check_cell(self.reduce, "reduction"))

    def __str__(self) -> str:
        return f"normal:{_format_cell(self.normal)};reduce:{_format_cell(self.reduce)}"

    def cells(self) -> list[CellGraph]:
        """Returns the normal and the reduction cell."""
        return [_graph("Normal cell", self.normal), _graph("Reduction cell", self.reduce)]


def _graph(title: str, cell: Cell) -> CellGraph:
    nodes = [CellNode("c k−2"), CellNode("c k−1")]
    nodes += [CellNode(str(i), node) for i, node in enumerate(cell)]
    output = CellNode("concat", tuple(("", i + 2) for i in range(len(cell))))
    return CellGraph(title, 2, (*nodes, output))


def _format_cell(cell: Cell) -> str:
    return "+".join("|" + "|".join(f"{op}~{source}" for op, source in node) + "|" for node in cell)


# [0-9] and not \d, which takes the digits of every script.
_EDGE = r"\|([a-z0-9_]{1,40})~([0-9]{1,3})"
_NODE = re.compile(rf"{_EDGE}{_EDGE}\|")
_PAIR = r"\('([a-z0-9_]{1,40})',([0-9]{1,3})\)"


def _cell_pattern(name: str) -> str:
    """Eight pairs in a row, or (in the code of GDAS) two and two in brackets; all nodes go out."""
    pairs = rf"(?P<{name}>(?:[(\[]?{_PAIR}[)\]]?,?){{{2 * NODES}}})"
    return rf"{name}=\[{pairs}\],{name}_concat=(?:range\(2,6\)|[(\[]2,3,4,5[)\]])"


_CALL = re.compile(
    rf"Genotype\({_cell_pattern('normal')},{_cell_pattern('reduce')}"
    r"(?:,connectN=None,connects=None)?,?\)"
)


def _parse_cell(text: str) -> Cell:
    nodes = []
    for i, group in enumerate(text.split("+")):
        match = _NODE.fullmatch(group)
        if match is None:
            raise ParseError(
                f"node {i} is {quoted(group)}; expected '|operation~input' twice and '|'"
            )
        nodes.append(((match[1], int(match[2])), (match[3], int(match[4]))))
    return tuple(nodes)


def _cell_of(edges: Sequence[Edge]) -> Cell:
    return tuple((edges[i], edges[i + 1]) for i in range(0, len(edges), 2))


def _parse_python(text: str) -> Genotype:
    """Reads ``Genotype(normal=[...], normal_concat=..., reduce=[...], ...)`` without running it."""
    text = re.sub(r"\s+", " ", text).replace('"', "'")
    match = _CALL.fullmatch(re.sub(r" ?([()\[\],=]) ?", r"\1", text))
    if match is None:
        raise ParseError(
            "the text starts like a DARTS Genotype(...) but is not one; expected "
            "Genotype(normal=[(operation, input), ... 8 times], normal_concat=range(2, 6), "
            "reduce=[... 8 times], reduce_concat=range(2, 6))"
        )

    def cell(name: str) -> Cell:
        return _cell_of([(op, int(source)) for op, source in re.findall(_PAIR, match[name])])

    return Genotype(cell("normal"), cell("reduce"))


def parse_genotype(text: str) -> Genotype:
    """Parses a genotype from its canonical text, the DARTS code's ``Genotype(...)``, or a known
    name.

    White space around them, and around the signs between their parts, is ignored.
    Raises ParseError saying what is wrong.
    """
    text = text.strip()
    if text in GENOTYPES:
        return GENOTYPES[text]
    if len(text) > 10_000:
        raise ParseError(f"a genotype has at most 10,000 characters, this text has {len(text):,}")
    if text.startswith("Genotype("):
        return _parse_python(text)
    match = re.fullmatch(r"normal:([^;]+);reduce:([^;]+)", tight(text))
    if match is None:
        raise ParseError(
            f"{quoted(text)} is not a DARTS genotype; expected "
            "'normal:|op~i|op~j|+...;reduce:...', "
            f"Genotype(...), or one of {', '.join(GENOTYPES)}"
        )
    return Genotype(_parse_cell(match[1]), _parse_cell(match[2]))


def _published(normal: str, reduce: str) -> Genotype:
    """A genotype from 'sep3-0 skip-1 ...' shorthand, two edges a node in published order."""
    long = {
        "max": "max_pool_3x3",
        "avg": "avg_pool_3x3",
        "skip": "skip_connect",
        "sep3": "sep_conv_3x3",
        "sep5": "sep_conv_5x5",
        "dil3": "dil_conv_3x3",
        "dil5": "dil_conv_5x5",
    }

    def cell(text: str) -> Cell:
        edges = [(long[e.split("-")[0]], int(e.split("-")[1])) for e in text.split()]
        return _cell_of(edges)

    return Genotype(cell(normal), cell(reduce))


# Liu et al., DARTS, ICLR 2019, https://arxiv.org/abs/1806.09055: first and second order.
DARTS_V1 = _published(
    "sep3-1 sep3-0 skip-0 sep3-1 skip-0 sep3-1 sep3-0 skip-2",
    "max-0 max-1 skip-2 max-0 max-0 skip-2 skip-2 avg-0",
)
DARTS_V2 = _published(
    "sep3-0 sep3-1 sep3-0 sep3-1 sep3-1 skip-0 skip-0 dil3-2",
    "max-0 max-1 skip-2 max-1 max-0 skip-2 skip-2 max-1",
)
# Xu et al., PC-DARTS, ICLR 2020, https://arxiv.org/abs/1907.05737.
PC_DARTS_CIFAR = _published(
    "sep3-1 skip-0 sep3-0 dil3-1 sep5-0 sep3-1 avg-0 dil3-1",
    "sep5-1 max-0 sep5-1 sep5-2 sep3-0 sep3-3 sep3-1 sep3-2",
)
PC_DARTS_IMAGENET = _published(
    "skip-1 sep3-0 sep3-0 skip-1 sep3-1 sep3-3 sep3-1 dil5-4",
    "sep3-0 skip-1 dil5-2 max-1 sep3-2 sep3-1 sep5-0 sep3-3",
)
# Dong and Yang, GDAS, CVPR 2019, https://arxiv.org/abs/1910.04465.
GDAS = _published(
    "skip-0 skip-1 skip-0 sep5-2 sep3-3 skip-0 sep5-4 sep3-3",
    "sep5-0 sep3-1 sep5-2 sep5-1 dil5-2 sep3-1 sep5-0 sep5-1",
)

GENOTYPES = {
    "DARTS_V1": DARTS_V1,
    "DARTS_V2": DARTS_V2,
    "PC_DARTS_CIFAR": PC_DARTS_CIFAR,
    "PC_DARTS_IMAGENET": PC_DARTS_IMAGENET,
    "GDAS": GDAS,
}
