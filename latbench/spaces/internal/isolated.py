"""The layers of another space, each as a network of its own: what a lookup table times.

An internal space: a campaign measures it like any other, but no search goes through it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from latbench.errors import ParseError, UsageError, quoted
from latbench.networks.network import Kind, Network, NetworkBuilder
from latbench.networks.ops import Concat, Elementwise, GlobalAvgPool, Shape, Slice
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler
from latbench.spaces.base import AnySpace, SearchSpace
from latbench.spaces.making import parse_space
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One, Variable


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


class IsolatedLayers(SearchSpace[IsolatedConfig]):
    """The space of the ``layer_kinds`` of the space ``config.of``, and that space's reference.

    An architecture is ``layer-N``, the N-th of them; the number after the last is the reference.
    """

    name = "isolated_layers"
    # 2: the layers are all that the space can have, in the order of its assembly; before, those of
    # 64 samples.
    encoding_version = 2
    dropped = MappingProxyType({1: ("cells", "channels")})  # DARTS', until 2026-11-29

    def __init__(self, config: IsolatedConfig | None = None) -> None:
        self.config = config or IsolatedConfig()

    @property
    def parent(self) -> AnySpace:
        """Returns the space whose layers they are."""
        return self._parent

    @cached_property
    def _parent(self) -> AnySpace:
        return parse_space(self.config.of, "the configuration of isolated layers")

    def variables(self) -> Iterator[Variable]:
        """Yields the one choice: which layer."""
        n = len(self.parent.layer_kinds()) + 1
        yield One("layer", tuple(f"layer-{i}" for i in range(n)), kind="layer")

    def assemble(self, b: Assembler) -> int:
        """Raises UsageError: layers of other shapes have no network in common."""
        raise UsageError("single layers have no supernet; search the space whose layers they are")

    def text(self, architecture: Architecture) -> str:
        """Returns ``layer-N``."""
        return f"layer-{architecture.code[0]}"

    def parse(self, text: str) -> Architecture:
        """Parses ``layer-N``. Raises ParseError for anything else."""
        match = re.fullmatch(r"layer-(\d{1,6})", text.strip(), re.ASCII)
        if match is None or int(match[1]) >= self.size:
            raise ParseError(f"{quoted(text)} is none of layer-0 to layer-{self.size - 1}")
        return self.of((int(match[1]),))

    def sample(self, seed: int, index: int) -> Architecture:
        """Draws uniformly."""
        return self.of((int(self.generator(seed, index).integers(self.size)),))

    def build(self, architecture: Architecture) -> Network:
        """Builds the layer as a network, or the other space's reference."""
        if architecture == self.reference():
            return self.parent.build(self.parent.reference())
        try:
            return isolated_network(self.parent.layer_kinds()[architecture.code[0]])
        except UsageError as error:
            raise UsageError(
                f"{architecture} of {self.parent} cannot run alone: {error}"
            ) from error

    def renumbering(self, version: int) -> list[int] | None:
        """Returns today's numbers of version 1, in which layers stood in the order in which the
        reference and 64 samples of the parent have them."""
        if version != 1:
            return None
        drawing, parent = self.parent.with_sampler(1), self.parent
        samples = [parent.reference(), *(drawing.sample(0, i) for i in range(64))]
        seen = dict.fromkeys(
            (layer.op, network.input_shapes(layer))
            for network in map(parent.build, samples)
            for layer in network.layers
            if layer.inputs
        )
        today = {kind: i for i, kind in enumerate(self.layer_kinds())}
        return [*(today[kind] for kind in seen), self.size - 1]

    def layer_kinds(self) -> tuple[Kind, ...]:
        """Returns the other space's."""
        return self.parent.layer_kinds()

    def reference(self) -> Architecture:
        """Returns the other space's reference network."""
        return self.of((self.size - 1,))
