"""A supernet as a torch module: the torch exporter's rules, and one for each layer kind more.

No layer is listed here. The network is what a space's assembly says, so that what is searched is
what is derived, exported and measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from latbench.export.torch import last_uses, layer_module
from latbench.networks.network import Network
from latbench.networks.ops import Elementwise, Shape
from latbench.networks.supernet_ops import Blend, Mask, Mixed, Sum
from latbench.search.supernets.mixed import (
    MakeMixed,
    MaskModule,
    MixedModule,
    PassWeights,
    WeightLayout,
    read_masked,
    total,
)
from latbench.search.supernets.resolutions import Sizes
from latbench.search.training.steps import LAYOUT
from latbench.spaces.forest import Forest
from latbench.spaces.open_number import at
from latbench.spaces.supernet import resolution_of


class SupernetModule(nn.Module):
    """A network of a supernet, which runs what its output needs at a pass' weights.

    Alternatives and depths of weight 0 do not run. Weights are fresh, from torch's global
    generator, in the order of the layers.
    """

    def __init__(self, network: Network, mixed: MakeMixed) -> None:
        super().__init__()
        self.network = network
        self.layers = nn.ModuleDict()
        for i, layer in enumerate(network.layers):
            shapes = [at(shape, None) for shape in network.input_shapes(layer)]
            if isinstance(layer.op, Mixed):
                self.layers[str(i)] = mixed(layer.op, shapes[0])
            elif isinstance(layer.op, Mask):
                self.layers[str(i)] = MaskModule(layer.op)
            elif isinstance(layer.op, Sum):
                self.layers[str(i)] = layer_module(Elementwise("add"), shapes)
            elif layer.inputs and not isinstance(layer.op, Blend):
                self.layers[str(i)] = layer_module(at(layer.op, None), shapes)
        self._frees = last_uses(network)
        self._masks = {i for i, layer in enumerate(network.layers) if isinstance(layer.op, Mask)}
        self._blends = any(isinstance(layer.op, Blend) for layer in network.layers)

    def forward(self, x: Tensor, weights: PassWeights) -> Tensor:
        """Computes the output at one pass' weights."""
        return self.of_sizes([x], weights, None)[0]

    def of_sizes(
        self, images: Sequence[Tensor], weights: PassWeights, sizes: Sizes | None
    ) -> list[Tensor]:
        """Computes the outputs for images of several sizes, whose maps are mixed by ``sizes``; None
        for images of one size."""
        layers = self.network.layers
        needed, masks = self._needed(weights), dict[int, Tensor]()
        values: dict[int, list[Tensor]] = {0: list(images)}
        for i in range(1, len(layers)):
            if i not in needed:
                continue
            if i in self._masks:  # before layers that read by it
                masks[i] = self.layers[str(i)](weights)
                values[i] = values[layers[i].inputs[0]]
            else:
                read = self._read(i, weights) if self._blends else layers[i].inputs
                values[i] = [
                    self._run(i, read, of, weights, masks)
                    for of in zip(*(values[j] for j in read), strict=True)
                ]
            if sizes is not None:
                values[i] = sizes.mixed(i, values[i], weights)
            for j in self._frees[i]:
                values.pop(j, None)
        return values[len(layers) - 1]

    def _run(
        self, i: int, read: Sequence[int], maps: Sequence[Tensor], weights: PassWeights,
        masks: Mapping[int, Tensor],
    ) -> Tensor:  # fmt: skip
        """The result of a layer from those that it reads."""
        layer = self.network.layers[i]
        if isinstance(layer.op, Blend):
            values = dict(zip(read, maps, strict=True))
            return self._blended(layer.op, layer.inputs, values, weights)
        module = self.layers[str(i)]
        if isinstance(layer.op, Mixed):
            mixed: Tensor = module(maps[0], weights)
            return mixed
        if read[0] in masks:
            return read_masked(module, maps[0], masks[read[0]])
        plain: Tensor = module(*maps)
        return plain

    def _needed(self, weights: PassWeights) -> range | set[int]:
        """The layers that the output needs: all, where no depth or input is left out."""
        layers = self.network.layers
        if not self._blends:
            return range(len(layers))
        found = {len(layers) - 1}
        for i in range(len(layers) - 1, 0, -1):
            if i in found:
                found.update(self._read(i, weights))
        return found

    def _read(self, i: int, weights: PassWeights) -> Sequence[int]:
        """What a layer reads: a blend what has a weight, a sum no blend of nothing."""
        layer = self.network.layers[i]
        if isinstance(layer.op, Blend):
            used = weights.used[layer.op.variable]
            kept = [j for j, o in zip(layer.inputs, layer.op.options, strict=True) if o in used]
        elif isinstance(layer.op, Sum):
            kept = [j for j in layer.inputs if not self._is_empty(j, weights)]
        else:
            return layer.inputs
        return kept or layer.inputs[:1]

    def _is_empty(self, i: int, weights: PassWeights) -> bool:
        op = self.network.layers[i].op
        return isinstance(op, Blend) and not set(op.options) & set(weights.used[op.variable])

    def _blended(
        self, op: Blend, inputs: Sequence[int], values: Mapping[int, Tensor], weights: PassWeights
    ) -> Tensor:
        row, used = weights.rows[op.variable], weights.used[op.variable]
        pairs = zip(inputs, op.options, strict=True)
        if terms := [row[option] * values[j] for j, option in pairs if option in used]:
            return total(terms)
        return row[op.options[0]] * torch.zeros_like(values[inputs[0]])


def mix_all(op: Mixed, input_shape: Shape) -> MixedModule:
    """Makes the module of the weighted sum of all alternatives."""
    return MixedModule(op, input_shape, partial(SupernetModule, mixed=mix_all))


class Supernet(nn.Module):
    """The supernet of a space, run with flat weights, one for each of ``forest.columns``.

    ``mixed`` makes the modules of its Mixed layers: see ``Relaxation.mixed``. A variable for the
    resolution resizes the images; the logits are those of its options, weighed, and where a pass
    has several options their maps are mixed as ``Sizes`` says. Weights are fresh, from torch's
    global generator. Raises UsageError for an input that more than one variable changes.
    """

    def __init__(self, network: Network, forest: Forest, mixed: MakeMixed) -> None:
        super().__init__()
        self.layout, self.body = WeightLayout(forest), SupernetModule(network, mixed)
        resolution = resolution_of(network, forest.space)
        self._sizes = None if resolution is None else Sizes(network, resolution)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Maps images ``(N, C, H, W)`` and weights ``(columns,)`` to logits ``(N, classes)``."""
        read = self.layout.read(weights)
        if self._sizes is None:
            logits: Tensor = self.body(x.contiguous(memory_format=LAYOUT), read)
            return logits
        name = self._sizes.variable
        odds, used = read.rows[name], read.used[name]
        images = [self._sizes.image(x, k).contiguous(memory_format=LAYOUT) for k in used]
        found = self.body.of_sizes(images, read, self._sizes if len(used) > 1 else None)
        return total([odds[k] * of for k, of in zip(used, found, strict=True)])
