"""The notations of DARTS' genotypes, and the published ones by name.

Canonical text, one group a node, its edges by input number:

    normal:|sep_conv_3x3~0|sep_conv_3x3~1|+|...|;reduce:|max_pool_3x3~0|max_pool_3x3~1|+|...|

``parse_genotype`` also reads the ``Genotype(normal=[('sep_conv_3x3', 0), ...], ...)`` that the
DARTS code base prints, and the names below.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType

from latbench.errors import ParseError, quoted
from latbench.spaces.notation import tight

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


def _checked_cell(cell: Cell, name: str) -> Cell:
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


def _parse_python(text: str) -> tuple[Cell, Cell]:
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

    return cell("normal"), cell("reduce")


def parse_genotype(text: str) -> tuple[Cell, Cell]:
    """Parses the normal and the reduction cell of a genotype from its canonical text, the DARTS
    code's ``Genotype(...)``, or a known name.

    White space around them, and around the signs between their parts, is ignored.
    Raises ParseError saying what is wrong.
    """
    text = text.strip()
    text = PUBLISHED.get(text, text)
    if len(text) > 10_000:
        raise ParseError(f"a genotype has at most 10,000 characters, this text has {len(text):,}")
    if text.startswith("Genotype("):
        normal, reduce = _parse_python(text)
        return _checked_cell(normal, "normal"), _checked_cell(reduce, "reduction")
    match = re.fullmatch(r"normal:([^;]+);reduce:([^;]+)", tight(text))
    if match is None:
        raise ParseError(
            f"{quoted(text)} is not a DARTS genotype; expected "
            "'normal:|op~i|op~j|+...;reduce:...', "
            f"Genotype(...), or one of {', '.join(PUBLISHED)}"
        )
    return (
        _checked_cell(_parse_cell(match[1]), "normal"),
        _checked_cell(_parse_cell(match[2]), "reduction"),
    )


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
        return _checked_cell(_cell_of(edges), "published")

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
