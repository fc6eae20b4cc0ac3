"""A supernet as a torch module: the torch exporter's rules, and one for each layer kind more.

No layer is listed here. The network is what a space's assembly says, so that what is searched is
what is derived, exported and measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latbench.errors import UsageError
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
)
from latbench.search.training.steps import LAYOUT
from latbench.spaces.forest import Forest
from latbench.spaces.open_number import at, open_names


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
        self._frees = last_uses(network.layers)
        self._blends = any(isinstance(layer.op, Blend) for layer in network.layers)

    def forward(self, x: Tensor, weights: PassWeights) -> Tensor:
        """Computes the output at one pass' weights."""
        layers = self.network.layers
        needed, values = self._needed(weights), {0: x}
        for i in range(1, len(layers)):
            if i not in needed:
                continue
            op, inputs = layers[i].op, layers[i].inputs
            if isinstance(op, Blend):
                values[i] = self._blended(op, inputs, values, weights)
            elif isinstance(op, Mixed | Mask):
                values[i] = self.layers[str(i)](values[inputs[0]], weights)
            else:
                read = self._read(i, weights) if self._blends else inputs
                values[i] = self.layers[str(i)](*[values[j] for j in read])
            for j in self._frees[i]:
                values.pop(j, None)
        return values[len(layers) - 1]

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
        self, op: Blend, inputs: Sequence[int], values: dict[int, Tensor], weights: PassWeights
    ) -> Tensor:
        row, used = weights.rows[op.variable], weights.used[op.variable]
        total: Tensor | None = None
        for j, option in zip(inputs, op.options, strict=True):
            if option in used:
                term = row[option] * values[j]
                total = term if total is None else total + term
        if total is None:
            return row[op.options[0]] * torch.zeros_like(values[inputs[0]])
        return total


def mix_all(op: Mixed, input_shape: Shape) -> MixedModule:
    """Makes the module of the weighted sum of all alternatives."""
    return MixedModule(op, input_shape, partial(SupernetModule, mixed=mix_all))


class Supernet(nn.Module):
    """The supernet of a space, run with flat weights, one for each of ``forest.columns``.

    ``mixed`` makes the modules of its Mixed layers: see ``Relaxation.mixed``. A variable for the
    resolution resizes the images, and must have one option of weight other than 0 a pass. Weights
    are fresh, from torch's global generator. Raises UsageError for an input that more than one
    variable changes.
    """

    def __init__(self, network: Network, forest: Forest, mixed: MakeMixed) -> None:
        super().__init__()
        self.layout, self.body = WeightLayout(forest), SupernetModule(network, mixed)
        names = open_names(network.input_shape)
        if len(names) > 1:
            raise UsageError(
                f"space {forest.space!r}: the input's shape depends on {', '.join(names)}; "
                "expected one variable for the resolution"
            )
        self._resolution = names[0] if names else None
        self._space = forest.space

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Maps images ``(N, C, H, W)`` and weights ``(columns,)`` to logits ``(N, classes)``."""
        read = self.layout.read(weights)
        logits: Tensor = self.body(self._resized(x, read).contiguous(memory_format=LAYOUT), read)
        return logits

    def _resized(self, x: Tensor, weights: PassWeights) -> Tensor:
        if self._resolution is None:
            return x
        used = weights.used[self._resolution]
        if len(used) != 1:
            raise UsageError(
                f"space {self._space!r}: a pass mixes {len(used)} values of {self._resolution!r}; "
                "a resolution is not mixed: search it by a method that draws one a pass (gdas, "
                "single-path)"
            )
        shape = at(self.body.network.input_shape, {self._resolution: used[0]})
        if x.shape[2:] == shape[2:]:
            return x
        return F.interpolate(x, size=shape[2:], mode="bilinear", antialias=True)
