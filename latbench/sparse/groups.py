"""Groups of weights: so many consecutive filters at one channel, row and column of a kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from latbench.models import Model
from latbench.networks.network import Network
from latbench.networks.ops import Conv
from latbench.networks.weights import Array, Weights

_IMAGE_CHANNELS = 4  # a layer that reads so few does little work, and all of it is needed


def prunable_layers(network: Network) -> tuple[int, ...]:
    """Returns the indices of the layers whose groups may be pruned.

    They are the convolutions of more than one pixel and of more channels than an image has;
    depthwise ones and those in groups are left, since they have few weights for each channel.
    """
    found = []
    for i, layer in enumerate(network.layers):
        if isinstance(layer.op, Conv) and layer.op.groups == 1 and layer.shape[2:] != (1, 1):
            (shape,) = network.input_shapes(layer)
            if shape[1] > _IMAGE_CHANNELS:
                found.append(i)
    return tuple(found)


def group_energies(weight: Array, group: int) -> npt.NDArray[np.float64]:
    """Returns the sum of squares of each group of a convolution's weight ``(K, C, R, S)``, shape
    ``(ceil(K / group), C, R, S)``; the last filters may be fewer."""
    blocks = -(-len(weight) // group)
    squares = np.zeros((blocks * group, *weight.shape[1:]))
    squares[: len(weight)] = np.square(weight, dtype=np.float64)
    total: npt.NDArray[np.float64] = squares.reshape(blocks, group, *weight.shape[1:]).sum(axis=1)
    return total


def kept_groups_of(model: Model, group: int) -> dict[int, int]:
    """Returns how many groups each layer that may be pruned has left, by layers."""
    weights = model.arrays
    return {
        layer: int((group_energies(weights[f"{layer}.weight"], group) > 0).sum())
        for layer in prunable_layers(model.network)
    }


def with_groups(
    weights: Weights, stays: Mapping[int, npt.NDArray[np.bool_]], group: int
) -> Weights:
    """Makes weights of which only some groups are left.

    Args:
        weights: The weights by the names of the network's tensors, which stay as they are.
        stays: Which groups are left, by layers, each in the shape of ``group_energies``.
        group: How many filters make a group.

    Returns:
        The weights, zero where a group is gone.
    """
    left = dict(weights)
    for layer, kept in stays.items():
        weight = weights[f"{layer}.weight"]
        left[f"{layer}.weight"] = weight * np.repeat(kept, group, axis=0)[: len(weight)]
    return left


def thinned(
    model: Model, group: int, densities: float | Mapping[int, float], seed: int = 0
) -> Weights:
    """Makes the weights of a model of whose prunable groups a share stays, at random.

    Args:
        model: The model.
        group: How many filters make a group.
        densities: The share of the groups that stays, of all layers or by layers.
        seed: The seed that draws them.

    Returns:
        The weights, by the names of the network's tensors.
    """
    return with_groups(model.arrays, drawn_groups(model.network, group, densities, seed), group)


def drawn_groups(
    network: Network, group: int, densities: float | Mapping[int, float], seed: int = 0
) -> dict[int, npt.NDArray[np.bool_]]:
    """Draws which of a network's prunable groups stay.

    Args:
        network: The network.
        group: How many filters make a group.
        densities: The share of the groups that stays, of all layers or by layers.
        seed: The seed that draws them.

    Returns:
        Which groups stay, by layers, each in the shape of ``group_energies``.
    """
    shapes = {name: shape for name, shape, _ in network.tensors()}
    rng, stays = np.random.default_rng(seed), {}
    for layer in prunable_layers(network):
        filters, *rest = shapes[f"{layer}.weight"]
        shape = (-(-filters // group), *rest)
        density = densities if isinstance(densities, float) else densities[layer]
        kept = np.zeros(math.prod(shape), np.bool_)
        kept[rng.permutation(kept.size)[: max(1, round(density * kept.size))]] = True
        stays[layer] = kept.reshape(shape)
    return stays
