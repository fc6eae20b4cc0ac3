"""The widths of one network: a space of what pruning its channels can leave.

Each group of channels that can be removed (``latbench.networks.channels``) is a variable, whose
options are how many stay. An internal space: it has no networks without a model to name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from annotated_types import Ge, Le

from latbench.errors import UsageError, quoted
from latbench.models import read_model
from latbench.networks.channels import Channels, channels_of
from latbench.networks.network import Kind, Network
from latbench.networks.ops import Shape
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler
from latbench.spaces.base import SearchSpace
from latbench.spaces.open_number import open_number, settled
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One
from latbench.validation import Count

MOST = 16  # options of a group


@dataclass(frozen=True)
class WidthsConfig(SpaceConfig):
    """The network and the widths that it may have.

    ``model`` is the folder of a saved model, which is kept as an absolute path, and ``digest`` that
    of its network, which is filled in and, where it is given, checked. A group keeps a multiple of
    ``step`` channels, or all of them, and ``least`` per cent at least; where that were more than 16
    widths the step is a multiple of ``step``. All other settings are the network's own.
    """

    model: str = ""
    digest: str = ""
    step: Count = 8
    least: Annotated[int, Ge(1), Le(100)] = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model:
            return
        object.__setattr__(self, "model", str(Path(self.model).absolute()))
        network = self.network
        shape = network.input_shape
        if not network.classifies_images:
            raise UsageError(
                f"the network of {self.model} reads {shape} and gives {network.output_shape}; the "
                "widths of a network are of one that classifies square images"
            )
        own = {"batch": shape[0], "in_channels": shape[1], "resolution": shape[2],
               "classes": network.output_shape[1], "digest": _digest(network)}  # fmt: skip
        if self.digest not in ("", own["digest"]):
            raise UsageError(
                f"the network of {self.model} is another one ({own['digest']}) than that of which "
                f"these widths are ({self.digest}); name the model that it was"
            )
        for name, value in own.items():
            object.__setattr__(self, name, value)

    @cached_property
    def network(self) -> Network:
        """Returns the network; raises ParseError where there is no such model."""
        return read_model(self.model).network

    def options(self, size: int) -> tuple[int, ...]:
        """Returns how many of so many channels may stay, rising."""
        step = self.step * max(1, -(-size // (self.step * MOST)))
        floor = max(1, -(-size * self.least // 100))
        return (*(n for n in range(step, size, step) if n >= floor), size)


def _digest(network: Network) -> str:
    from latbench.models import Model

    return Model("network", network).digest


class WidthsSpace(SearchSpace[WidthsConfig]):
    """The widths of the network ``config.model``; the variable ``"12"`` is of the channels that
    layer 12 is the first to have. The reference is the network itself."""

    name = "widths"
    small = MappingProxyType({})

    def __init__(self, config: WidthsConfig | None = None) -> None:
        self.config = config or WidthsConfig()

    @cached_property
    def channels(self) -> Channels:
        """Returns the groups of the network. Raises UsageError where no model is named."""
        if not self.config.model:
            raise UsageError("the space 'widths' is of a model; name its folder: widths(model=...)")
        return channels_of(self.config.network)

    def variables(self) -> Iterator[One]:
        """Yields the width of each group that may have several.

        Raises UsageError for a network without any.
        """
        options = {g.name: self.config.options(g.size) for g in self.channels.groups}
        if all(len(of) == 1 for of in options.values()):
            raise UsageError(
                f"no channels of {quoted(self.config.model)} can be removed in steps of "
                f"{self.config.step}; take a smaller step, or another network"
            )
        for name, of in options.items():
            if len(of) > 1:
                yield One(name, tuple(map(str, of)), kind="width")

    def _widths(self, number: Callable[[str], int]) -> dict[str, int]:
        return {
            g.name: number(g.name) if g.name in self.forest.index else g.size
            for g in self.channels.groups
        }

    def widths(self, architecture: Architecture) -> dict[str, int]:
        """Returns how many channels each group keeps, by its name."""
        return self._widths(lambda name: int(str(architecture[name])))

    def assemble(self, b: Assembler) -> int:
        """Appends the network's layers, with the widths that are asked for."""
        widths, places = self._widths(b.number), [b.input]
        for i, layer in enumerate(self.config.network.layers[1:], 1):
            op = self.channels.narrowed_op(i, widths)
            places.append(b.add(op, *(places[j] for j in layer.inputs)))
        return places[-1]

    def reference(self) -> Architecture:
        """Returns the network itself."""
        return self.of(tuple(len(v.options) - 1 for v in self.forest.variables))

    def layer_kinds(self) -> tuple[Kind, ...]:
        """Returns the kinds of layers of all widths, in the network's order."""
        return self._kinds

    @cached_property
    def _kinds(self) -> tuple[Kind, ...]:
        widths = self._widths(self._open)
        options = {v.name: len(v.options) for v in self.forest.variables}
        found: dict[Kind, None] = {}
        layers = self.config.network.layers
        for i, layer in enumerate(layers):
            if layer.inputs:
                shapes = tuple(self._shape(j, layers[j].shape, widths) for j in layer.inputs)
                kind = (self.channels.narrowed_op(i, widths), shapes)
                found.update(dict.fromkeys(settled(kind, options)))
        return tuple(found)

    def _open(self, name: str) -> int:
        options = self.forest[name].options
        return open_number((name,), {(k,): int(n) for k, n in enumerate(options)})

    def _shape(self, layer: int, shape: Shape, widths: Mapping[str, int]) -> tuple[Any, ...]:
        if len(shape) < 2:  # of a number for all channels
            return shape
        return (shape[0], self.channels.width(layer, widths), *shape[2:])
