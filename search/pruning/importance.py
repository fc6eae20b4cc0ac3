"""The importance of a network's channels: how much it needs each of them.

The loss is followed to a gate before every layer that reads a channel, one for all places of a unit
(``latbench.networks.channels``): what removing the unit would change to first order. Its square,
averaged over batches, is the unit's importance (Molchanov et al., 2019,
https://arxiv.org/abs/1906.10771, equations 3 and 8, with gates as in their section 4.1). It adds
up, and can be compared between layers without any scale.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latbench.export.torch import to_torch
from latbench.networks.channels import STAYS, Channels
from latbench.networks.general.windows import RectConv
from latbench.networks.ops import Conv, Linear
from latbench.networks.weights import Weights
from latbench.search.images.images import ImageData
from latbench.search.rng import generator
from latbench.search.training.steps import LAYOUT
from latbench.spaces.streams import Purpose

Importance = Mapping[str, npt.NDArray[np.float64]]  # of each unit, by the groups' names


class _Gate(nn.Module):
    """The gates of the units that a layer reads; 1 for what stays."""

    def __init__(self, channels: Channels, layer: int, gates: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._whole = torch.ones(len(channels.group[layer]))
        self._parts = [
            (torch.from_numpy(np.flatnonzero(channels.group[layer] == g)),
             torch.from_numpy(channels.unit[layer][channels.group[layer] == g]), gates[group.name])
            for g, group in enumerate(channels.groups) if (channels.group[layer] == g).any()
        ]  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        gate = self._whole
        for places, units, values in self._parts:
            gate = gate.index_put((places,), values[units])
        return x * gate.view(-1, *[1] * (x.dim() - 2))


def importance(
    channels: Channels, weights: Weights, data: ImageData, *, batches: int = 16, batch: int = 64,
    seed: int = 0,
) -> dict[str, npt.NDArray[np.float64]]:  # fmt: skip
    """Measures how much a trained network needs each unit of its channels.

    Args:
        channels: The groups of the network.
        weights: The network's weights.
        data: The images; training images are read, without augmentation.
        batches: How many batches the mean is over.
        batch: The number of images a batch.
        seed: The seed that draws the images.

    Returns:
        The importance of each unit, in squares of the loss, by the groups' names.
    """
    network = channels.network
    module = to_torch(network, weights).requires_grad_(False)
    gates = {group.name: torch.ones(group.size, requires_grad=True) for group in channels.groups}
    for i, layer in enumerate(network.layers):
        read = layer.inputs[0] if layer.inputs else 0
        reads = isinstance(layer.op, Conv | RectConv | Linear) and not channels.depthwise[i]
        if reads and (channels.group[read] != STAYS).any():
            gate = _Gate(channels, read, gates)
            module.layers[str(i)].register_forward_pre_hook(
                lambda _, inputs, gate=gate: (gate(inputs[0]),)
            )
    found = {name: np.zeros(len(gate)) for name, gate in gates.items()}
    stream = generator(Purpose.TRAINING, seed, 0, 2)
    for _ in range(batches):
        some = torch.randint(len(data.train_labels), (batch,), generator=stream)
        images = data.train_images[some].contiguous(memory_format=LAYOUT)
        loss = F.cross_entropy(module(images), data.train_labels[some])
        # Channels that nobody reads have no slope.
        slopes = torch.autograd.grad(
            loss, list(gates.values()), allow_unused=True, materialize_grads=True
        )
        for name, slope in zip(gates, slopes, strict=True):
            found[name] += slope.double().numpy() ** 2 / batches
    return found
