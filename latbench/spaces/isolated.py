"""The layers of another space, each as a network of its own: what a lookup table times.

An internal space: a campaign measures it like any other, but no search goes through it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from latbench.errors import ParseError, UsageError, quoted
from latbench.networks.network import Kind, Network, NetworkBuilder
from latbench.networks.ops import Concat, Elementwise, GlobalAvgPool, Shape, Slice
from latbench.spaces.base import AnySpace, Array, SearchSpace, SpaceConfig
from latbench.spaces.making import parse_space


@dataclass(frozen=True)
class IsolatedLayer:
    """The ``index``-th of the other space's ``layer_kinds``; the index after the last is that
    space's reference."""

    index: int

    def __str__(self) -> str:
        return f"layer-{self.index}"


@dataclass(frozen=True)
class IsolatedConfig(SpaceConfig):
    """The settings of ``IsolatedLayers``: ``of`` is the text of the space whose layers they are;
    nothing else is looked at."""

    of: str = "nasbench201"


def _inputs(b: NetworkBuilder, kind: Kind) -> list[int]:
    """Returns what the layer reads, made from the one input that a network has."""
    op, shapes = kind
    whole = b.input
    if isinstance(op, Concat):
        widest = b.shape(whole)[1]
        return [whole if s[1] == widest else b.add(Slice(1, 0, s[1]), whole) for s in shapes]
    if isinstance(op, Elementwise):
        return [whole if s == b.shape(whole) else b.add(GlobalAvgPool(), whole) for s in shapes]
    return [whole] * len(shapes)


def isolated_network(kind: Kind) -> Network:
    """Makes a network of one layer. All inputs of a layer are one tensor where their shapes are
    equal.

    Narrower ones are slices of it, and the factors of a product are pooled from it: those layers
    take a little longer here than alone.
    """
    op, shapes = kind
    largest: Shape = max(shapes, key=lambda s: (len(s), *s))
    b = NetworkBuilder(largest)
    return b.build(b.add(op, *_inputs(b, kind)))


class IsolatedLayers(SearchSpace[IsolatedLayer, IsolatedConfig]):
    """The space of ``layer_kinds`` of the space ``config.of``, and that space's reference."""

    name = "isolated_layers"

    def __init__(self, config: IsolatedConfig | None = None) -> None:
        self.config = config or IsolatedConfig()

    @cached_property
    def parent(self) -> AnySpace:
        """Returns the space whose layers they are."""
        return parse_space(self.config.of, "the configuration of isolated layers")

    @property
    def size(self) -> int:
        """Returns the number of layers, and one for the reference."""
        return len(self.parent.layer_kinds()) + 1

    def sample(self, seed: int, index: int) -> IsolatedLayer:
        """Draws uniformly."""
        return IsolatedLayer(int(self.generator(seed, index).integers(self.size)))

    def parse(self, text: str) -> IsolatedLayer:
        """Parses ``layer-N``. Raises ParseError for anything else."""
        match = re.fullmatch(r"layer-(\d{1,6})", text.strip(), re.ASCII)
        if match is None or int(match[1]) >= self.size:
            raise ParseError(f"{quoted(text)} is none of layer-0 to layer-{self.size - 1}")
        return IsolatedLayer(int(match[1]))

    def build(self, architecture: IsolatedLayer) -> Network:
        """Builds the layer as a network, or the other space's reference."""
        if architecture == self.reference():
            return self.parent.build(self.parent.reference())
        try:
            return isolated_network(self.parent.layer_kinds()[architecture.index])
        except UsageError as error:
            raise UsageError(
                f"{architecture} of {self.parent} cannot run alone: {error}"
            ) from error

    def one_hot(self, architecture: IsolatedLayer) -> Array:
        """Returns a vector that is 1 at the layer's number."""
        out = np.zeros(self.size, np.float32)
        out[architecture.index] = 1
        return out

    def counts(self, architecture: IsolatedLayer) -> Array:
        """Returns the same vector as ``one_hot``."""
        return self.one_hot(architecture)

    def reference(self) -> IsolatedLayer:
        """Returns the other space's reference network."""
        return IsolatedLayer(self.size - 1)

    def rank(self, architecture: IsolatedLayer) -> int:
        """Returns the layer's index."""
        return architecture.index

    def unrank(self, rank: int) -> IsolatedLayer:
        """Returns the layer of that index. Raises UsageError outside 0 to size - 1."""
        return IsolatedLayer(self.check_rank(rank))
