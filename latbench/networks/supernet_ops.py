"""The layer kinds of a supernet, beside the ordinary ones; only the torch exporter of supernets
(``latbench.search.supernets``) runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from latbench.networks.network import Network
from latbench.networks.ops import Elementwise, Op, Shape


@dataclass(frozen=True)
class Mixed(Op):
    """The sum of alternatives on one input, each weighted by an option of a variable.

    ``again`` makes the alternatives for an input of another shape, such as a part of the channels.
    """

    variable: str
    alternatives: tuple[Network, ...]
    again: Callable[[Shape], tuple[Network, ...]] = field(compare=False, repr=False)

    @property
    def skips(self) -> list[int]:
        """Returns the numbers of the alternatives that pass their input on as it is."""
        return [k for k, one in enumerate(self.alternatives) if len(one.layers) == 1]

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the shape that all alternatives have."""
        return self.alternatives[0].output_shape


@dataclass(frozen=True)
class Blend(Op):
    """The sum of tensors of one shape, each weighted by an option, or a member, of a variable.

    ``options`` are the options' numbers, one an input.
    """

    arity: ClassVar[int | None] = None
    variable: str
    options: tuple[int, ...]


@dataclass(frozen=True)
class Sum(Elementwise):
    """A sum of which some terms may be absent; ``terms`` are the numbers of them that may be
    left."""

    terms: tuple[int, ...] = ()


@dataclass(frozen=True)
class Mask(Op):
    """A tensor with, of each segment of its channels, only as many as the variables say; the others
    are 0.

    ``segments`` are numbers of channels, of which some are open
    (``latbench.spaces.open_number``).
    """

    segments: tuple[int, ...]
