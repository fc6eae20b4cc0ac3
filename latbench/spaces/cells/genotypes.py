"""The canonical text of DARTS' genotypes, and the published ones by name.

Canonical text, one group a node, its edges by input number:

    normal:|sep_conv_3x3~0|sep_conv_3x3~1|+|...|;reduce:|max_pool_3x3~0|max_pool_3x3~1|+|...|

What else is read is in ``latbench.spaces.cells.genotype_texts``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType

from latbench.errors import ParseError, quoted

# In the published order (quark0/darts, cnn/genotypes.py), after ``none``.
OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
NONE = "none"
NODES = 4
CELLS = ("normal", "reduce")

Edge = tuple[str, int]  # operation, input: 0 and 1 are the two previous cells, 2 + i is node i
Node = tuple[Edge, ...]  # by input
Cell = tuple[Node, ...]


def _sorted_node(node: Node, position: int) -> Node:
    """The node with its edges by input, so that equal networks have one text."""
    for operation, source in node:
        if operation not in OPERATIONS:
            raise ParseError(
                f"{operation!r} is not a DARTS operation; expected one of {', '.join(OPERATIONS)}"
            )
        if not 0 <= source < position + 2:
            raise ParseError(
                f"node {position} cannot read input {source}; expected 0 to {position + 1}"
            )
    sources = [source for _, source in node]
    for source in sources:
        if sources.count(source) > 1:
            raise ParseError(
                f"node {position} reads input {source} twice; expected different inputs"
            )
    return tuple(sorted(node, key=lambda edge: edge[1]))


def check_node(node: Node, position: int, least: int, most: int) -> None:
    """Checks that a node has as many inputs as a space allows.

    Args:
        node: The node.
        position: Its number in its cell, for the message.
        least: The smallest number of inputs.
        most: The largest.

    Raises:
        ParseError: Where it has another number.
    """
    if not least <= len(node) <= most:
        expected = "two inputs" if least == most == 2 else f"{least} to {most} inputs"
        raise ParseError(f"node {position} reads {len(node)} inputs; expected {expected}")


def checked_cell(cell: Cell, name: str) -> Cell:
    """Returns a cell with the edges of its nodes by input. Raises ParseError where it is none."""
    if len(cell) != NODES:
        raise ParseError(f"the {name} cell has {len(cell)} nodes; expected {NODES}")
    return tuple(_sorted_node(node, i) for i, node in enumerate(cell))


def format_genotype(normal: Sequence[Node], reduce: Sequence[Node]) -> str:
    """Returns the canonical text of two cells, each node's edges by input."""
    return f"normal:{_format_cell(normal)};reduce:{_format_cell(reduce)}"


def _format_cell(cell: Sequence[Node]) -> str:
    return "+".join("|" + "|".join(f"{op}~{source}" for op, source in node) + "|" for node in cell)


# [0-9] and not \d, which takes the digits of every script.
_EDGE = re.compile(r"([a-z0-9_]{1,40})~([0-9]{1,3})")


def parse_cell(text: str) -> Cell:
    """Parses the nodes of one cell. Raises ParseError naming the first that is none."""
    return tuple(_parse_node(group, i) for i, group in enumerate(text.split("+")))


def _parse_node(text: str, position: int) -> Node:
    matches = [_EDGE.fullmatch(part) for part in text[1:-1].split("|")]
    if len(text) < 3 or text[0] != "|" or text[-1] != "|" or None in matches:
        raise ParseError(
            f"node {position} is {quoted(text)}; expected '|operation~input' for each input "
            "(published: two) and '|'"
        )
    return tuple((match[1], int(match[2])) for match in matches if match)


def _cell_of(edges: Sequence[Edge]) -> Cell:
    return tuple((edges[i], edges[i + 1]) for i in range(0, len(edges), 2))


def _published(normal: str, reduce: str) -> str:
    """Canonical text from 'sep3-0 skip-1 ...' shorthand, two edges a node in published order."""
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
        return checked_cell(_cell_of(edges), "published")

    return format_genotype(cell(normal), cell(reduce))


PUBLISHED = MappingProxyType({
    # Liu et al., DARTS, ICLR 2019, https://arxiv.org/abs/1806.09055: first and second order.
    "DARTS_V1": _published(
        "sep3-1 sep3-0 skip-0 sep3-1 skip-0 sep3-1 sep3-0 skip-2",
        "max-0 max-1 skip-2 max-0 max-0 skip-2 skip-2 avg-0",
    ),
    "DARTS_V2": _published(
        "sep3-0 sep3-1 sep3-0 sep3-1 sep3-1 skip-0 skip-0 dil3-2",
        "max-0 max-1 skip-2 max-1 max-0 skip-2 skip-2 max-1",
    ),
    # Xu et al., PC-DARTS, ICLR 2020, https://arxiv.org/abs/1907.05737.
    "PC_DARTS_CIFAR": _published(
        "sep3-1 skip-0 sep3-0 dil3-1 sep5-0 sep3-1 avg-0 dil3-1",
        "sep5-1 max-0 sep5-1 sep5-2 sep3-0 sep3-3 sep3-1 sep3-2",
    ),
    "PC_DARTS_IMAGENET": _published(
        "skip-1 sep3-0 sep3-0 skip-1 sep3-1 sep3-3 sep3-1 dil5-4",
        "sep3-0 skip-1 dil5-2 max-1 sep3-2 sep3-1 sep5-0 sep3-3",
    ),
    # Dong and Yang, GDAS, CVPR 2019, https://arxiv.org/abs/1910.04465.
    "GDAS": _published(
        "skip-0 skip-1 skip-0 sep5-2 sep3-3 skip-0 sep5-4 sep3-3",
        "sep5-0 sep3-1 sep5-2 sep5-1 dil5-2 sep3-1 sep5-0 sep5-1",
    ),
})  # fmt: skip
