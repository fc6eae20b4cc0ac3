"""The DARTS space (Liu et al., 2019, https://arxiv.org/abs/1806.09055), as published, and wider.

Two cells of four nodes; each node keeps two of its inputs, each through one of seven operations
(``none`` is the eighth, in the supernet only). Networks: CIFAR (C=36, 20 cells, one 3x3 stem) and
ImageNet (C=48, 14 cells, three 3x3 convolutions of stride 2), or any other configuration.

``least_inputs`` and ``most_inputs`` let a node keep another number of inputs, or any from one to
the other. There is no published rule by which DARTS would choose how many; ours is in
``latbench.search.relaxations.tables``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

from latbench.errors import UsageError
from latbench.networks.blocks import (
    RELU,
    classifier,
    conv_bn,
    depthwise_separable,
    factorized_reduce,
    pool_3x3,
    relu_conv_bn,
)
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import BatchNorm, Concat, Conv
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler, Concrete
from latbench.spaces.base import SearchSpace
from latbench.spaces.cells import genotypes
from latbench.spaces.cells.genotype_texts import parse_genotype
from latbench.spaces.cells.genotypes import CELLS, NODES, NONE, OPERATIONS
from latbench.spaces.drawing import CellGraph, CellNode
from latbench.spaces.landmarks import Landmarks
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One, Some, Variable

_BASE = len(OPERATIONS)
_DIGIT = {name: i for i, name in enumerate(OPERATIONS)}
_PAIRS = tuple((i + 2) * (i + 1) // 2 for i in range(NODES))  # of inputs that node i can read
# Of each node, where its variable stands in a code (its inputs' follow), and its number.
_SIZES = [1 + i + 2 for i in range(NODES)] * len(CELLS)
_PLACES = tuple((sum(_SIZES[:k]), k % NODES) for k in range(len(_SIZES)))
_LENGTH = sum(_SIZES)


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


LARGE = 128  # pixels; from here on images are not CIFAR's


@dataclass(frozen=True)
class DartsConfig(SpaceConfig):
    """The settings of a DARTS space; the defaults are DARTS' own: the CIFAR-10 network.

    A node keeps ``least_inputs`` to ``most_inputs`` of its inputs, of which node i has i + 2, or
    all of them where it has fewer.
    """

    channels: int = 36
    cells: int = 20
    stem: Literal["cifar", "imagenet"] = "cifar"
    least_inputs: int = 2
    most_inputs: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stem == "imagenet" and self.channels < 2:
            raise UsageError("the ImageNet stem needs at least 2 channels, got 1")
        check_cells(self.cells)
        if self.least_inputs > self.most_inputs:
            raise UsageError(
                f"least_inputs must be at most most_inputs, got {self.least_inputs} and "
                f"{self.most_inputs}"
            )

    @property
    def doubt(self) -> str:
        """Returns a sentence where images as large as ImageNet's meet the stem of CIFAR's."""
        if self.stem == "imagenet" or self.resolution < LARGE:
            return ""
        return (
            f"resolution={self.resolution} with the CIFAR stem, which keeps an image at its full "
            "size: did you mean stem=imagenet, as the published ImageNet networks have it?"
        )


IMAGENET = DartsConfig(channels=48, cells=14, classes=1000, resolution=224, stem="imagenet")


def operation(
    b: NetworkBuilder, x: int, name: str, channels: int, stride: int, search: bool = False
) -> int:
    """Appends one of the seven DARTS operations.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        name: The operation's name.
        channels: The number of its input and output channels.
        stride: 1, or 2 to halve the resolution.
        search: Whether it is that of the published search network (quark0/darts,
            cnn/model_search.py): batch norms have no scale and shift, and a pooling is followed by
            one.

    Returns:
        The index of the last layer; ``x`` itself for an identity.
    """
    affine = not search
    if name == "skip_connect":
        return x if stride == 1 else factorized_reduce(b, x, channels, affine)
    if name.endswith("pool_3x3"):
        x = pool_3x3(b, x, name[:3], stride)
        return b.add(BatchNorm(affine=False), x) if search else x
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


class DartsSpace(SearchSpace[DartsConfig]):
    """The space of all pairs of DARTS cells; about 10^18 architectures with two inputs a node.

    Its variables are ``cell.node`` (which inputs a node keeps, by their numbers) and
    ``cell.node.input`` (the operation on that one), with the cells ``normal`` and ``reduce``.
    """

    name = "darts"
    published = genotypes.PUBLISHED
    small = MappingProxyType({"channels": 4, "cells": 3, "resolution": 16})

    def __init__(self, config: DartsConfig | None = None) -> None:
        self.config = config or DartsConfig()

    @property
    def _pairs(self) -> bool:
        """Whether every node keeps two inputs, as published."""
        return self.config.least_inputs == self.config.most_inputs == 2

    def variables(self) -> Iterator[Variable]:
        """Yields the inputs of each node, and the operation on each of them."""
        least, most = self.config.least_inputs, self.config.most_inputs
        for cell in CELLS:
            for i in range(NODES):
                node, inputs = f"{cell}.{i}", tuple(map(str, range(i + 2)))
                yield Some(node, inputs, min(least, i + 2), min(most, i + 2))
                for s in inputs:
                    yield One(f"{node}.{s}", OPERATIONS, given=(node, (s,)), absent=NONE)

    def assemble(self, b: Assembler) -> int:
        """Appends the evaluation network, without drop path and auxiliary head (training adds
        those)."""
        config = self.config
        before, last = stem(b, config)
        channels, after_reduction = config.channels, config.stem == "imagenet"
        for i in range(config.cells):
            reduction = i in reduction_cells(config.cells)
            channels *= 2 if reduction else 1
            states = [
                preprocess(b, before, channels, after_reduction, not b.search),
                preprocess(b, last, channels, False, not b.search),
            ]
            for node in range(NODES):
                states.append(self._node(b, f"{CELLS[reduction]}.{node}", states, reduction))
            before, last, after_reduction = last, b.add(Concat(), *states[-NODES:]), reduction
            if i >= 2 * config.cells // 3:
                b.mark("cell", last)
        return classifier(b, last, config.classes)

    def _node(self, b: Assembler, name: str, states: list[int], reduction: bool) -> int:
        """A node: the sum of the operations on the inputs that it keeps."""
        terms = []
        for s, x in b.some(name, {str(s): x for s, x in enumerate(states)}).items():
            y = b.one(f"{name}.{s}", _options(2 if reduction and int(s) < 2 else 1), x)
            if y != x:
                b.mark("edge", y)
            terms.append(y)
        return b.total(terms)

    def label(self, v: Variable, option: str) -> str | None:
        """Counts operations in three kinds of place: the normal cell, the reduction cell on its
        inputs (stride 2) and the reduction cell inside (stride 1)."""
        if isinstance(v, Some):
            return None
        cell, _, source = v.name.split(".")
        place = cell if cell == CELLS[0] else f"{cell}.{'inputs' if int(source) < 2 else 'inside'}"
        return f"{place}.{option}"

    def sample(self, seed: int, index: int) -> Architecture:
        """Draws uniformly over genotypes."""
        if not self._pairs:
            return super().sample(seed, index)
        rng = self.generator(seed, index)

        def node(i: int) -> genotypes.Node:
            first, second = rng.choice(i + 2, size=2, replace=False)
            return tuple(
                (OPERATIONS[rng.integers(len(OPERATIONS))], int(s)) for s in (first, second)
            )

        cells = [[node(i) for i in range(NODES)] for _ in CELLS]
        return self._of_nodes(cells[0] + cells[1])

    def rank(self, architecture: Architecture) -> int:
        """Returns the genotype's number in mixed radix, the normal cell's first node the lowest
        digits. A node of two inputs has three: the pair a < b as b (b - 1) / 2 + a, then the
        operations of a and of b, to base 7. Other numbers of inputs are numbered as any forest."""
        if not self._pairs:
            return super().rank(architecture)
        rank, weight = 0, 1
        for i, ((first, a), (second, b)) in enumerate(self._nodes(architecture)):
            pair = b * (b - 1) // 2 + a
            for digit, base in (
                (pair, _PAIRS[i % NODES]), (_DIGIT[first], _BASE), (_DIGIT[second], _BASE),
            ):  # fmt: skip
                rank += digit * weight
                weight *= base
        return rank

    def unrank(self, rank: int) -> Architecture:
        """Returns the genotype with a number; see ``rank``. Raises UsageError outside 0 to size -
        1."""
        if not self._pairs:
            return super().unrank(rank)
        rest = self.check_rank(rank)
        nodes: list[genotypes.Node] = []
        for i in range(2 * NODES):
            rest, pair = divmod(rest, _PAIRS[i % NODES])
            rest, first = divmod(rest, _BASE)
            rest, second = divmod(rest, _BASE)
            b = next(b for b in range(1, i % NODES + 2) if pair < b * (b + 1) // 2)
            a = pair - b * (b - 1) // 2
            nodes.append(((OPERATIONS[first], a), (OPERATIONS[second], b)))
        return self._of_nodes(nodes)

    def text(self, architecture: Architecture) -> str:
        """Returns the canonical text, see ``latbench.spaces.cells.genotypes``."""
        nodes = self._nodes(architecture)
        return genotypes.format_genotype(nodes[:NODES], nodes[NODES:])

    def parse(self, text: str) -> Architecture:
        """Parses canonical text, a published name, or what other code prints; see
        ``latbench.spaces.cells.genotype_texts``. Raises ParseError saying what is wrong."""
        normal, reduce = parse_genotype(text)
        for name, cell in zip(CELLS, (normal, reduce), strict=True):
            for i, node in enumerate(cell):
                v = self.forest[f"{name}.{i}"]
                assert isinstance(v, Some)
                genotypes.check_node(node, i, v.least, v.most)
        return self._of_nodes([*normal, *reduce])

    def _nodes(self, architecture: Architecture) -> list[genotypes.Node]:
        """The eight nodes, the normal cell's first; edges by their input."""
        code = architecture.code
        return [
            tuple(
                (OPERATIONS[code[first + 1 + s]], s)
                for s in range(i + 2) if code[first] >> s & 1
            )
            for first, i in _PLACES
        ]  # fmt: skip

    def _of_nodes(self, nodes: list[genotypes.Node]) -> Architecture:
        code = [-1] * _LENGTH
        for (first, _), node in zip(_PLACES, nodes, strict=True):
            code[first] = sum(1 << source for _, source in node)
            for name, source in node:
                code[first + 1 + source] = _DIGIT[name]
        return self.of(tuple(code))

    def reference(self) -> Architecture:
        """Returns DARTS_V2; where that is not in the space, an architecture like it."""
        if self.config.least_inputs <= 2 <= self.config.most_inputs:
            return self.parse("DARTS_V2")
        return super().reference()

    def drawing(self, architecture: Architecture) -> list[CellGraph]:
        """Returns the normal and the reduction cell."""
        nodes = self._nodes(architecture)
        return [_graph("Normal cell", nodes[:NODES]), _graph("Reduction cell", nodes[NODES:])]

    def landmarks(self, architecture: Architecture) -> Landmarks:
        """Returns the places where training adds drop path and the auxiliary head to
        ``build(architecture)``."""
        b = Concrete(self, architecture)
        # With one input a node, a cell may read only one of the two before it, so that the other
        # is no part of the network; then the next cell's output serves.
        numbers = b.needed(self.assemble(b))
        edges, cells = (
            [numbers[i] for i in b.marks.get(what, ()) if i in numbers] for what in ("edge", "cell")
        )
        return Landmarks(tuple(edges), cells[0], self.config.stem == "imagenet")


def _options(stride: int) -> dict[str, Callable[[Assembler, int], int]]:
    def one(name: str, b: Assembler, x: int) -> int:
        return operation(b, x, name, b.shape(x)[1], stride, b.search)

    return {name: partial(one, name) for name in OPERATIONS}


def _graph(title: str, cell: list[genotypes.Node]) -> CellGraph:
    nodes = [CellNode("c k−2"), CellNode("c k−1")]
    nodes += [CellNode(str(i), node) for i, node in enumerate(cell)]
    output = CellNode("concat", tuple(("", i + 2) for i in range(len(cell))))
    return CellGraph(title, 2, (*nodes, output))
