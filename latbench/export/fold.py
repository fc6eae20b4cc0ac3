"""Convolution, batch norm and activation in one, for runtimes that have no graph optimiser.

At inference, batch norm is a scale and a shift of each channel, which the convolution before it
can do by itself: weights times ``slope / sqrt(var + eps)``
(https://pytorch.org/tutorials/intermediate/fx_conv_bn_fuser.html has the derivation).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latbench.networks.general.windows import RectConv
from latbench.networks.network import Network
from latbench.networks.ops import Activation, BatchNorm, Conv, Op
from latbench.networks.weights import Array, Weights


@dataclass(frozen=True)
class Fusion:
    """The layers that a convolution takes over: a batch norm and an activation, by their indices.

    ``last`` is the layer whose result the convolution then computes: its own when it takes nothing
    over.
    """

    batch_norm: int | None
    activation: int | None
    last: int


def only_readers(network: Network) -> dict[int, int]:
    """Returns the layer that reads a layer, for each one that is read once and is no output."""
    reads = [(j, i) for i, layer in enumerate(network.layers) for j in layer.inputs]
    times = Counter(j for j, _ in reads) + Counter(network.outputs)
    return {j: i for j, i in reads if times[j] == 1}


def follower_of(
    network: Network, readers: Mapping[int, int], index: int, kind: type[Op]
) -> int | None:
    """Finds the layer that may be computed together with another one.

    Args:
        network: The network.
        readers: Its ``only_readers``.
        index: The index of a layer.
        kind: The kind of the layer that is looked for.

    Returns:
        The index of the only layer that reads it, None where that is of another kind or there are
        more.
    """
    only = readers.get(index)
    return only if only is not None and isinstance(network.layers[only].op, kind) else None


def fusions(network: Network) -> dict[int, Fusion]:
    """Returns a Fusion for each convolution, by its layer's index.

    A layer is taken over only where nothing else reads what it reads.
    """
    readers = only_readers(network)

    def follower(index: int, kind: type[Op]) -> int | None:
        return follower_of(network, readers, index, kind)

    found = {}
    for i, layer in enumerate(network.layers):
        if isinstance(layer.op, Conv | RectConv):
            batch_norm = follower(i, BatchNorm)
            normed = i if batch_norm is None else batch_norm
            activation = follower(normed, Activation)
            found[i] = Fusion(batch_norm, activation, normed if activation is None else activation)
    return found


def folded(network: Network, weights: Weights, conv: int, batch_norm: int) -> tuple[Array, Array]:
    """Folds a batch norm into the convolution before it.

    Args:
        network: The network.
        weights: The weights of its layers.
        conv: The index of the convolution.
        batch_norm: The index of the batch norm.

    Returns:
        The convolution's weight and bias ``(channels,)`` with the batch norm folded in, float32.
    """
    scale, shift = scale_and_shift(network, weights, batch_norm)
    weight = weights[f"{conv}.weight"] * scale[:, None, None, None]
    bias = weights.get(f"{conv}.bias", np.zeros_like(scale)) * scale + shift
    return weight.astype(np.float32), bias.astype(np.float32)


def scale_and_shift(
    network: Network, weights: Weights, batch_norm: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns what a batch norm, by its layer's index, multiplies each channel by and then adds to
    it, ``(channels,)`` each."""
    op = network.layers[batch_norm].op
    assert isinstance(op, BatchNorm)
    mean = weights[f"{batch_norm}.running_mean"].astype(np.float64)
    scale = 1 / np.sqrt(weights[f"{batch_norm}.running_var"].astype(np.float64) + op.eps)
    shift = np.zeros_like(mean)
    if op.affine:
        scale *= weights[f"{batch_norm}.weight"]
        shift += weights[f"{batch_norm}.bias"]
    return scale, shift - mean * scale
