"""The DARTS space (Liu et al., 2019, https://arxiv.org/abs/1806.09055), as published.

Two cells of four nodes; each node keeps two of its inputs, each through one of seven operations
(``none`` is the eighth, in the supernet only). Networks: CIFAR (C=36, 20 cells, one 3x3 stem) and
ImageNet (C=48, 14 cells, three 3x3 convolutions of stride 2), or any other configuration.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from latbench.errors import UsageError
from latbench.networks.blocks import (
    RELU,
    add_all,
    classifier,
    conv_bn,
    depthwise_separable,
    factorized_reduce,
    pool_3x3,
    relu_conv_bn,
    zero,
)
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import BatchNorm, Concat, Conv
from latbench.spaces.base import Array, SearchSpace, SpaceConfig
from latbench.spaces.genotypes import (
    DARTS_V2,
    EDGES,
    GENOTYPES,
    NODES,
    OPERATIONS,
    Cell,
    Edge,
    Genotype,
    Node,
    parse_genotype,
)
from latbench.spaces.sums import sum_of_parts

CELL_KINDS = ("normal", "reduce")
_NONE_FREE = OPERATIONS[1:]
_BASE = len(_NONE_FREE)
_DIGIT = {name: i for i, name in enumerate(_NONE_FREE)}
_PAIRS = tuple(math.comb(i + 2, 2) for i in range(NODES))  # of inputs that node i can read


def _nodes(architectures: Sequence[Genotype]) -> list[list[Node]]:
    """The first node of every normal cell, the second, and so on to the last of the reductions."""
    normal = [[a.normal[i] for a in architectures] for i in range(NODES)]
    return normal + [[a.reduce[i] for a in architectures] for i in range(NODES)]


# There are 980 nodes a cell.
@lru_cache(maxsize=2 * 980)
def _node_one_hot(position: int, node: Node) -> Array:
    cell, number = divmod(position, NODES)
    out = np.zeros((2, len(EDGES), len(OPERATIONS)), np.float32)
    for name, source in node:
        out[cell, EDGES.index((number, source)), OPERATIONS.index(name)] = 1
    return out.reshape(-1)


@lru_cache(maxsize=2 * 980)
def _node_counts(position: int, node: Node) -> Array:
    out = np.zeros((3, len(_NONE_FREE)), np.float32)
    for name, source in node:
        place = 0 if position < NODES else (1 if source < 2 else 2)
        out[place, _NONE_FREE.index(name)] += 1
    return out.reshape(-1)


def reduction_cells(cells: int) -> set[int]:
    """Returns the positions of the two reduction cells: a third and two thirds of the way."""
    return {cells // 3, 2 * cells // 3}


def check_cells(cells: int) -> None:
    """Raises UsageError where all of so many cells are reduction cells, as 1 and 2 are:
    architectures that differ in their normal cell would be one network, and a search would choose
    operations that are nowhere."""
    if len(reduction_cells(cells)) == cells:
        raise UsageError(
            f"cells must be 3 or more in the DARTS space, got {cells}: the cells at a third and at "
            "two thirds of the depth are reduction cells, so that no normal cell would be left"
        )


@dataclass(frozen=True)
class DartsConfig(SpaceConfig):
    """The settings of a DARTS space; the defaults are DARTS' own: the CIFAR-10 network."""

    channels: int = 36
    cells: int = 20
    stem: Literal["cifar", "imagenet"] = "cifar"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stem not in ("cifar", "imagenet"):
            raise UsageError(f"stem must be 'cifar' or 'imagenet', got {self.stem!r}")
        if self.stem == "imagenet" and self.channels < 2:
            raise UsageError("the ImageNet stem needs at least 2 channels, got 1")
        check_cells(self.cells)


@dataclass(frozen=True)
class Landmarks:
    """The layers of a built network that training needs to know, by index.

    ``edges`` are for drop path: the results of all operations but the identity. ``auxiliary`` is
    for the second classifier: the output of the second reduction cell; it has the ImageNet form
    where ``imagenet``.
    """

    edges: tuple[int, ...]
    auxiliary: int
    imagenet: bool


IMAGENET = DartsConfig(channels=48, cells=14, classes=1000, resolution=224, stem="imagenet")


def operation(
    b: NetworkBuilder, x: int, name: str, channels: int, stride: int, affine: bool = True
) -> int:
    """Appends one of the eight DARTS operations.

    The supernet mixes these very layers, with ``affine=False``.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        name: The operation's name.
        channels: The number of its input and output channels.
        stride: 1, or 2 to halve the resolution.
        affine: Whether the batch norms have scale and shift.

    Returns:
        The index of the last layer; ``x`` itself for an identity.
    """
    if name == "none":
        return zero(b, x, stride)
    if name == "skip_connect":
        return x if stride == 1 else factorized_reduce(b, x, channels, affine)
    if name.endswith("pool_3x3"):
        return pool_3x3(b, x, name[:3], stride)
    kernel = int(name[-1])
    if name.startswith("dil_conv"):
        return depthwise_separable(b, x, channels, kernel, stride, 2, affine)
    x = depthwise_separable(b, x, channels, kernel, stride, 1, affine)
    return depthwise_separable(b, x, channels, kernel, 1, 1, affine)


def preprocess(b: NetworkBuilder, x: int, channels: int, reduce: bool, affine: bool = True) -> int:
    """Brings a previous cell's output to this cell's channels and resolution.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        channels: The number of this cell's channels.
        reduce: Whether the resolution is halved.
        affine: Whether the batch norm has scale and shift.

    Returns:
        The index of the last layer.
    """
    if reduce:
        return factorized_reduce(b, x, channels, affine)
    return relu_conv_bn(b, x, channels, 1, affine=affine)


def cell(
    b: NetworkBuilder, before: int, last: int, nodes: Cell, channels: int, reduction: bool,
    after_reduction: bool,
) -> tuple[int, list[int]]:  # fmt: skip
    """Appends one derived cell on the outputs of the two previous ones.

    Args:
        b: The builder of the network.
        before: The index of the output of the cell before the last one.
        last: The index of the output of the last cell.
        nodes: The operations and inputs of each node.
        channels: The number of channels of a node; the output has ``4 * channels``.
        reduction: Whether operations on the cell's inputs halve the resolution.
        after_reduction: Whether the last cell was a reduction, so that ``before`` has twice the
            resolution.

    Returns:
        The index of the cell's output, and those of the results of its operations other than the
        identity.
    """
    results: list[int] = []
    states = [
        preprocess(b, before, channels, after_reduction),
        preprocess(b, last, channels, False),
    ]
    for node in nodes:
        edges = [
            operation(b, states[source], name, channels, 2 if reduction and source < 2 else 1)
            for name, source in node
        ]
        results += [edge for edge in edges if edge not in states]
        states.append(add_all(b, edges))
    return b.add(Concat(), *states[-NODES:]), results


def stem(b: NetworkBuilder, config: DartsConfig) -> tuple[int, int]:
    """Appends the layers before the first cell; returns what it takes for the two previous
    outputs."""
    c = config.channels
    if config.stem == "cifar":
        x = conv_bn(b, b.input, 3 * c, 3)
        return x, x
    x = b.add(RELU, conv_bn(b, b.input, c // 2, 3, stride=2))
    first = conv_bn(b, x, c, 3, stride=2)
    second = b.add(Conv(c, 3, 2, padding=1), b.add(RELU, first))
    return first, b.add(BatchNorm(), second)


class DartsSpace(SearchSpace[Genotype, DartsConfig]):
    """The space of all pairs of DARTS cells; about 10^18 architectures."""

    name = "darts"
    published = GENOTYPES

    def __init__(self, config: DartsConfig | None = None) -> None:
        self.config = config or DartsConfig()

    @property
    def size(self) -> int:
        """Returns the number of different genotypes."""
        a_cell = math.prod(math.comb(i + 2, 2) * len(_NONE_FREE) ** 2 for i in range(NODES))
        return a_cell**2

    def sample(self, seed: int, index: int) -> Genotype:
        """Draws uniformly over genotypes."""
        rng = self.generator(seed, index)

        def edge(source: int) -> Edge:
            return _NONE_FREE[rng.integers(len(_NONE_FREE))], int(source)

        def one_cell() -> Cell:
            nodes = []
            for i in range(NODES):
                first, second = rng.choice(i + 2, size=2, replace=False)
                nodes.append((edge(first), edge(second)))
            return tuple(nodes)

        return Genotype(one_cell(), one_cell())

    def rank(self, architecture: Genotype) -> int:
        """Returns the genotype's number in mixed radix, the normal cell's first node the lowest
        digits. A node has three: the pair of inputs a < b as b (b - 1) / 2 + a, then the operations
        of a and of b, to base 7."""
        rank, weight = 0, 1
        for i, ((first, a), (second, b)) in enumerate(architecture.normal + architecture.reduce):
            pair = b * (b - 1) // 2 + a
            for digit, base in (
                (pair, _PAIRS[i % NODES]), (_DIGIT[first], _BASE), (_DIGIT[second], _BASE),
            ):  # fmt: skip
                rank += digit * weight
                weight *= base
        return rank

    def unrank(self, rank: int) -> Genotype:
        """Returns the genotype with a number; see ``rank``. Raises UsageError outside 0 to size -
        1."""
        rest = self.check_rank(rank)
        nodes = []
        for i in range(2 * NODES):
            rest, pair = divmod(rest, _PAIRS[i % NODES])
            rest, first = divmod(rest, _BASE)
            rest, second = divmod(rest, _BASE)
            b = next(b for b in range(1, i % NODES + 2) if pair < b * (b + 1) // 2)
            a = pair - b * (b - 1) // 2
            nodes.append(((_NONE_FREE[first], a), (_NONE_FREE[second], b)))
        return Genotype(tuple(nodes[:NODES]), tuple(nodes[NODES:]))

    def parse(self, text: str) -> Genotype:
        """Parses canonical text, ``Genotype(...)`` or a published name; see ``parse_genotype``."""
        return parse_genotype(text)

    def build(self, architecture: Genotype) -> Network:
        """Builds the evaluation network, without drop path and auxiliary head (training adds
        those)."""
        return self._assemble(architecture)[0]

    def landmarks(self, architecture: Genotype) -> Landmarks:
        """Returns the places where training adds drop path and the auxiliary head to
        ``build(architecture)``."""
        return self._assemble(architecture)[1]

    def _assemble(self, architecture: Genotype) -> tuple[Network, Landmarks]:
        config = self.config
        b = NetworkBuilder(config.input_shape)
        before, last = stem(b, config)
        channels, after_reduction = config.channels, config.stem == "imagenet"
        edges, auxiliary = list[int](), last
        for i in range(config.cells):
            reduction = i in reduction_cells(config.cells)
            channels *= 2 if reduction else 1
            nodes = architecture.reduce if reduction else architecture.normal
            x, results = cell(b, before, last, nodes, channels, reduction, after_reduction)
            edges += results
            before, last, after_reduction = last, x, reduction
            auxiliary = x if i == 2 * config.cells // 3 else auxiliary
        # Every layer is needed, so their numbers are those of the built network.
        network = b.build(classifier(b, last, config.classes))
        return network, Landmarks(tuple(edges), auxiliary, config.stem == "imagenet")

    def one_hot(self, architecture: Genotype) -> Array:
        """Encodes ``(2 cells, 14 edges, 8 operations)``, flattened to 224; a dropped edge's row is
        zero."""
        (row,) = self.one_hot_all([architecture])
        return np.asarray(row)

    def counts(self, architecture: Genotype) -> Array:
        """Counts how often each of 7 operations occurs in each of three kinds of place; 21 numbers.

        They are the normal cell, the reduction cell on its inputs (stride 2) and the reduction cell
        inside (stride 1).
        """
        (row,) = self.counts_all([architecture])
        return np.asarray(row)

    def one_hot_all(self, architectures: Sequence[Genotype]) -> Array:
        """Encodes as ``one_hot`` does, ``(n, 224)``."""
        return sum_of_parts(_nodes(architectures), _node_one_hot)

    def counts_all(self, architectures: Sequence[Genotype]) -> Array:
        """Counts as ``counts`` does, ``(n, 21)``."""
        return sum_of_parts(_nodes(architectures), _node_counts)

    def reference(self) -> Genotype:
        """Returns DARTS_V2."""
        return DARTS_V2
