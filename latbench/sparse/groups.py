"""Groups of weights: so many consecutive filters at one channel, row and column of a kernel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from latbench.networks.network import Network
from latbench.networks.ops import Conv
from latbench.networks.weights import Array

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


def weight_mask(stays: npt.NDArray[np.bool_], weight: Array, group: int) -> npt.NDArray[np.bool_]:
    """Returns the mask of a weight ``(K, C, R, S)`` of which such groups stay."""
    whole: npt.NDArray[np.bool_] = np.repeat(stays, group, axis=0)[: len(weight)]
    return whole
