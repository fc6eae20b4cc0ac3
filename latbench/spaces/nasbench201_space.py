"""The NAS-Bench-201 space (Dong and Yang, 2020, https://arxiv.org/abs/2001.00326).

One cell of four nodes, every pair of them joined by one of five operations: 15,625 architectures.
Three stages of ``cells`` cells each, residual blocks of stride 2 between them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np

from latbench.errors import ParseError, quoted
from latbench.networks.blocks import (
    RELU,
    add_all,
    classifier,
    conv_bn,
    pool_3x3,
    relu_conv_bn,
    zero,
)
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import BatchNorm, Conv, Pool
from latbench.spaces.base import Array, Ints, SearchSpace, SpaceConfig, tight
from latbench.spaces.drawing import CellGraph, CellNode, Drawn
from latbench.spaces.equal201 import representatives

# The order is the benchmark's.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NODES = 4
# (target, source) in the order of the benchmark's strings.
EDGES = tuple((target, source) for target in range(1, NODES) for source in range(target))


@dataclass(frozen=True)
class Cell201(Drawn):
    """One operation for each of the six edges, in the order of the benchmark's strings."""

    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.operations) != len(EDGES):
            raise ParseError(f"a cell has {len(EDGES)} edges, got {len(self.operations)}")
        for op in self.operations:
            if op not in OPERATIONS:
                raise ParseError(
                    f"{op!r} is not a NAS-Bench-201 operation; expected one of "
                    f"{', '.join(OPERATIONS)}"
                )

    def __str__(self) -> str:
        nodes = [
            "|" + "".join(f"{op}~{source}|" for (t, source), op in self.edges() if t == target)
            for target in range(1, NODES)
        ]
        return "+".join(nodes)

    def edges(self) -> list[tuple[tuple[int, int], str]]:
        """Returns ``((target, source), operation)`` of every edge."""
        return list(zip(EDGES, self.operations, strict=True))

    def cells(self) -> list[CellGraph]:
        """Returns the cell, without what its output does not need."""

        def incoming(node: int) -> tuple[tuple[str, int], ...]:
            kept = [(op, s) for (t, s), op in self.edges() if t == node and op != "none"]
            return tuple(kept)

        inner = [CellNode(str(i), incoming(i) or (("none", 0),)) for i in (1, 2, 3)]
        nodes = (CellNode("input"), *inner, CellNode("output", (("", 3),)))
        return [CellGraph("Cell", 1, nodes).live()]


@cache  # there are 15,625
def _cell(rank: int) -> Cell201:
    """The cell whose operations are the digits of ``rank`` to base 5."""
    return Cell201(tuple(OPERATIONS[rank // 5**i % 5] for i in range(len(EDGES))))


@dataclass(frozen=True)
class NasBench201Config(SpaceConfig):
    """The benchmark's network; ``cells`` is the number of cells in each of the three stages."""

    cells: int = 5


def operation(b: NetworkBuilder, x: int, name: str, channels: int, affine: bool = True) -> int:
    """Appends one of the five NAS-Bench-201 operations, with stride 1.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        name: The operation's name.
        channels: The number of its input and output channels.
        affine: Whether the batch norm has scale and shift.

    Returns:
        The index of the last layer; ``x`` itself for an identity.
    """
    if name == "none":
        return zero(b, x)
    if name == "skip_connect":
        return x
    if name == "avg_pool_3x3":
        return pool_3x3(b, x, "avg")
    return relu_conv_bn(b, x, channels, int(name[-1]), affine=affine)


def residual_block(b: NetworkBuilder, x: int, channels: int) -> int:
    """Appends two 3x3 convolutions, the first of stride 2, beside average pooling and a 1x1
    convolution."""
    y = relu_conv_bn(b, relu_conv_bn(b, x, channels, 3, stride=2), channels, 3)
    h = b.shape(x)[2]
    # The published block pools 2x2; an odd size needs the pixel of padding to come out even.
    pool = Pool("avg", 2, 2) if h % 2 == 0 else Pool("avg", 3, 2, padding=1)
    return add_all(b, [b.add(Conv(channels, 1), b.add(pool, x)), y])


class NasBench201Space(SearchSpace[Cell201, NasBench201Config]):
    """The 15,625 cells of the topology search space."""

    name = "nasbench201"

    def __init__(self, config: NasBench201Config | None = None) -> None:
        self.config = config or NasBench201Config()

    @property
    def size(self) -> int:
        """Returns 5 to the power of 6."""
        return int(len(OPERATIONS) ** len(EDGES))

    def sample(self, seed: int, index: int) -> Cell201:
        """Draws uniformly over strings."""
        picks = self.generator(seed, index).integers(len(OPERATIONS), size=len(EDGES))
        return Cell201(tuple(OPERATIONS[i] for i in picks))

    def rank(self, architecture: Cell201) -> int:
        """Returns the operations' numbers as digits to base 5, the first edge's the lowest."""
        base = len(OPERATIONS)
        return sum(OPERATIONS.index(op) * base**i for i, op in enumerate(architecture.operations))

    def unrank(self, rank: int) -> Cell201:
        """Returns the cell with a number; see ``rank``. Raises UsageError outside 0 to 15,624."""
        return _cell(self.check_rank(rank))

    def canonical(self, architecture: Cell201) -> Cell201:
        """Returns the cell of the lowest number that builds the same layers; see ``equal201``."""
        return _cell(int(representatives(EDGES, OPERATIONS)[self.rank(architecture)]))

    def canonical_ranks(self, ranks: Ints) -> Ints:
        """Returns ``canonical`` of numbers."""
        return representatives(EDGES, OPERATIONS)[ranks]

    def parse(self, text: str) -> Cell201:
        """Parses the benchmark's own strings: ``|nor_conv_3x3~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

        White space around the signs is ignored.
        """
        bare = tight(text[:10_000])
        found = re.findall(r"([a-z0-9_]+)~([0-9])\|", bare[:1000])
        if len(found) == len(EDGES):
            cell = Cell201(tuple(op for op, _ in found))
            if str(cell) == bare and len(text) <= 10_000:
                return cell
        raise ParseError(
            f"{quoted(text)} is not a NAS-Bench-201 cell; expected "
            "'|op~0|+|op~0|op~1|+|op~0|op~1|op~2|'"
        )

    def build(self, architecture: Cell201) -> Network:
        """Builds the benchmark's network. Edges that do not reach the output are left out, as every
        graph runtime does."""
        config = self.config
        b = NetworkBuilder(config.input_shape)
        x = conv_bn(b, b.input, config.channels, 3)
        for stage in range(3):
            channels = config.channels * 2**stage
            if stage:
                x = residual_block(b, x, channels)
            for _ in range(config.cells):
                x = self._cell(b, x, architecture, channels)
        x = b.add(RELU, b.add(BatchNorm(), x))
        return b.build(classifier(b, x, config.classes))

    def _cell(self, b: NetworkBuilder, x: int, architecture: Cell201, channels: int) -> int:
        states = [x]
        for target in range(1, NODES):
            edges = [
                (source, op) for (t, source), op in architecture.edges()
                if t == target and op != "none"
            ]  # fmt: skip
            terms = [operation(b, states[source], op, channels) for source, op in edges]
            states.append(add_all(b, terms) if terms else zero(b, states[0]))
        return states[-1]

    def one_hot(self, architecture: Cell201) -> Array:
        """Encodes ``(6 edges, 5 operations)``, flattened to 30."""
        out = np.zeros((len(EDGES), len(OPERATIONS)), np.float32)
        for row, op in zip(out, architecture.operations, strict=True):
            row[OPERATIONS.index(op)] = 1
        return out.reshape(-1)

    def counts(self, architecture: Cell201) -> Array:
        """Counts how often each operation occurs, without ``none``: 4 numbers."""
        return np.array([architecture.operations.count(op) for op in OPERATIONS[1:]], np.float32)

    def reference(self) -> Cell201:
        """Returns the residual cell: two 3x3 convolutions in a row beside a skip connection."""
        return self.parse(
            "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
        )
