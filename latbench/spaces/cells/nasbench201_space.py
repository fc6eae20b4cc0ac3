"""The NAS-Bench-201 space (Dong and Yang, 2020, https://arxiv.org/abs/2001.00326).

One cell of four nodes, every pair of them joined by one of five operations: 15,625 architectures.
Three stages of ``cells`` cells each, residual blocks of stride 2 between them.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

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
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import BatchNorm, Conv, Pool
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler
from latbench.spaces.base import Ranks, SearchSpace
from latbench.spaces.cells.equal201 import representatives
from latbench.spaces.drawing import CellGraph, CellNode
from latbench.spaces.notation import read_values, tight
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One, Variable

# The order is the benchmark's.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NODES = 4
# (target, source) in the order of the benchmark's strings.
EDGES = tuple((target, source) for target in range(1, NODES) for source in range(target))


@dataclass(frozen=True)
class NasBench201Config(SpaceConfig):
    """The benchmark's network; ``cells`` is the number of cells in each of the three stages."""

    channels: int = 16
    cells: int = 5


def operation(b: NetworkBuilder, x: int, name: str, channels: int, search: bool = False) -> int:
    """Appends one of the five NAS-Bench-201 operations, with stride 1.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        name: The operation's name.
        channels: The number of its input and output channels.
        search: Whether the batch norm is that of the published search network: without scale and
            shift, and always of the batch.

    Returns:
        The index of the last layer; ``x`` itself for an identity.
    """
    if name == "none":
        return zero(b, x)
    if name == "skip_connect":
        return x
    if name == "avg_pool_3x3":
        return pool_3x3(b, x, "avg")
    kernel = int(name[-1])
    x = b.add(Conv(channels, kernel, padding=kernel // 2), b.add(RELU, x))
    return b.add(BatchNorm(affine=not search, running=not search), x)


def residual_block(b: NetworkBuilder, x: int, channels: int) -> int:
    """Appends two 3x3 convolutions, the first of stride 2, beside average pooling and a 1x1
    convolution."""
    y = relu_conv_bn(b, relu_conv_bn(b, x, channels, 3, stride=2), channels, 3)
    h = b.shape(x)[2]
    # The published block pools 2x2; an odd size needs the pixel of padding to come out even.
    pool = Pool("avg", 2, 2) if h % 2 == 0 else Pool("avg", 3, 2, padding=1)
    return add_all(b, [b.add(Conv(channels, 1), b.add(pool, x)), y])


class NasBench201Space(SearchSpace[NasBench201Config]):
    """The 15,625 cells of the topology search space."""

    name = "nasbench201"
    small = MappingProxyType({"channels": 4, "cells": 3, "resolution": 16})

    def __init__(self, config: NasBench201Config | None = None) -> None:
        self.config = config or NasBench201Config()

    def variables(self) -> Iterator[One]:
        """Yields the operation of each edge, ``target.source``."""
        for target, source in EDGES:
            yield One(f"{target}.{source}", OPERATIONS)

    def assemble(self, b: Assembler) -> int:
        """Appends the benchmark's network. Edges that do not reach the output are left out, as
        every graph runtime does.

        As it is searched (D-X-Y/AutoDL-Projects, xautodl/models/cell_searchs), batch norms inside
        cells have no scale and shift and always normalise by the batch.
        """
        alternatives = {name: partial(_option, name) for name in OPERATIONS}
        x = conv_bn(b, b.input, self.config.channels, 3)
        for stage in range(3):
            if stage:
                x = residual_block(b, x, self.config.channels * 2**stage)
            for _ in range(self.config.cells):
                states = [x]
                for target in range(1, NODES):
                    terms = [
                        b.one(f"{target}.{source}", alternatives, states[source])
                        for source in range(target)
                    ]
                    states.append(b.total(terms))
                x = states[-1]
        return classifier(b, b.add(RELU, b.add(BatchNorm(), x)), self.config.classes)

    def label(self, v: Variable, option: str) -> str | None:
        """Counts operations, without ``none``."""
        return None if option == "none" else option

    def sample(self, seed: int, index: int) -> Architecture:
        """Draws uniformly over strings."""
        picks = self.generator(seed, index).integers(len(OPERATIONS), size=len(EDGES))
        return self.of(tuple(picks.tolist()))

    def rank(self, architecture: Architecture) -> int:
        """Returns the operations' numbers as digits to base 5, the first edge's the lowest."""
        return sum(k * len(OPERATIONS) ** i for i, k in enumerate(architecture.code))

    def unrank(self, rank: int) -> Architecture:
        """Returns the cell with a number; see ``rank``. Raises UsageError outside 0 to 15,624."""
        rank = self.check_rank(rank)
        return self.of(tuple(rank // len(OPERATIONS) ** i % 5 for i in range(len(EDGES))))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Returns the cell of the lowest number that builds the same layers; see ``equal201``."""
        return self.unrank(int(representatives(EDGES, OPERATIONS)[self.rank(architecture)]))

    def canonical_ranks(self, ranks: Ranks) -> Ranks:
        """Returns ``canonical`` of numbers."""
        return representatives(EDGES, OPERATIONS)[ranks]

    def text(self, architecture: Architecture) -> str:
        """Returns the benchmark's own string: ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
        chosen = dict(zip(EDGES, architecture.code, strict=True))
        return "+".join(
            "|" + "".join(f"{OPERATIONS[chosen[target, s]]}~{s}|" for s in range(target))
            for target in range(1, NODES)
        )

    def parse(self, text: str) -> Architecture:
        """Parses the benchmark's own strings: ``|nor_conv_3x3~0|+|op~0|op~1|+|op~0|op~1|op~2|``,
        its indices as ``nb201#1234``, and HW-NAS-Bench's dictionaries.

        White space around the signs is ignored.
        """
        text = text.strip()
        if index := re.fullmatch(r"(?i:nb201|nas-?bench-?201)#([0-9]{1,9})", text):
            return self.unrank(rank_of_index(int(index[1])))
        if text.startswith("{"):
            text = self.from_values(read_values(text))
        bare = tight(text[:10_000])
        found = re.findall(r"([a-z0-9_]+)~([0-9])\|", bare[:1000])
        if len(found) == len(EDGES):
            for op, _ in found:
                if op not in OPERATIONS:
                    raise ParseError(
                        f"{quoted(op)} is not a NAS-Bench-201 operation; expected one of "
                        f"{', '.join(OPERATIONS)}"
                    )
            cell = self.of(tuple(OPERATIONS.index(op) for op, _ in found))
            if str(cell) == bare and len(text) <= 10_000:
                return cell
        raise ParseError(
            f"{quoted(text)} is not a NAS-Bench-201 cell; expected "
            f"'|op~0|+|op~0|op~1|+|op~0|op~1|op~2|'{_of_numbers(bare)}"
        )

    def from_values(self, values: Mapping[str, Any]) -> str:
        """Reads HW-NAS-Bench's dictionary, whose network has to be one of this space."""
        if not isinstance(values.get("arch_str"), str):
            raise ParseError(
                "the dictionary has no text 'arch_str'; expected HW-NAS-Bench's, as in "
                "{'C': 16, 'N': 5, 'arch_str': '|op~0|+...', 'num_classes': 10}"
            )
        config = self.config
        own = {"C": config.channels, "N": config.cells, "num_classes": config.classes}
        for name, value in own.items():
            if values.get(name, value) != value:
                raise ParseError(
                    f"the dictionary has {name}={quoted(str(values[name]))}, and this space has "
                    f"{name}={value}; name the space of that network, such as "
                    f"{self.name}(channels=16, cells=5, classes=10)"
                )
        return str(values["arch_str"])

    def reference(self) -> Architecture:
        """Returns the residual cell: two 3x3 convolutions in a row beside a skip connection."""
        return self.parse(
            "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
        )

    def drawing(self, architecture: Architecture) -> list[CellGraph]:
        """Returns the cell, without what its output does not need."""
        chosen = dict(zip(EDGES, architecture.code, strict=True))

        def incoming(node: int) -> tuple[tuple[str, int], ...]:
            kept = [(OPERATIONS[chosen[node, s]], s) for s in range(node)]
            return tuple((op, s) for op, s in kept if op != "none")

        inner = [CellNode(str(i), incoming(i) or (("none", 0),)) for i in range(1, NODES)]
        nodes = (CellNode("input"), *inner, CellNode("output", (("", NODES - 1),)))
        note = "Edges of 'none', and what does not reach the output, are left out."
        return [CellGraph("Cell", 1, nodes, note).live()]


def _option(name: str, b: Assembler, x: int) -> int:
    return operation(b, x, name, b.shape(x)[1], b.search)


def _of_numbers(text: str) -> str:
    """What to say of a text that is numbers alone, which could be of several orders."""
    if re.fullmatch(r"[0-9]+", text):
        return (
            ". A number alone may be the benchmark's index or latbench's: for the index write "
            f"nb201#{text[:9]}"
        )
    if re.fullmatch(r"[(\[]? ?[0-9]( ?, ?[0-9]){5} ?[)\]]?", text):
        return (
            ". Six numbers mean different operations in different code (the order of edges and of "
            "operations is not the same); write their names"
        )
    return ""


@lru_cache(maxsize=1)
def _shuffled() -> tuple[int, ...]:
    """The numbers of all cells in the order of the benchmark's indices.

    The benchmark (D-X-Y/AutoDL-Projects) lists its cells, the first edge's operation as the highest
    digit, and shuffles the list by Python's generator with the seed 88, which no version of Python
    has changed since. All 15,625 are compared with the benchmark's own strings in the tests.
    """
    base, edges = len(OPERATIONS), len(EDGES)
    ranks = [
        sum(digit * base**i for i, digit in enumerate(digits))
        for digits in itertools.product(range(base), repeat=edges)
    ]
    random.Random(88).shuffle(ranks)
    return tuple(ranks)


def rank_of_index(index: int) -> int:
    """Returns latbench's number of the cell with an index of the benchmark.

    Raises ParseError outside 0 to 15,624.
    """
    if index >= len(_shuffled()):
        raise ParseError(
            f"NAS-Bench-201 has the indices 0 to {len(_shuffled()) - 1:,}, got {index:,}"
        )
    return _shuffled()[index]
