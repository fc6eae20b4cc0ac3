"""Drawn weights scaled so that a deep network's activations, and its logits, stay moderate.

``latbench.networks.weights`` follows second moments through the few layers between two batch norms.
A published network is deeper: each rectifier after a sum passes more than half of what it is given,
since sums of rectified signals have a mean, and that compounds until a softmax gives a single one
and nothing can be compared. Here means are followed as well, every signal taken as Gaussian, and
each matrix and each batch norm's variance is scaled by what reaches it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np

from latbench.networks.general.arithmetic import Binary
from latbench.networks.general.arrays import Constant, Join
from latbench.networks.general.products import Dense, LayerNorm, MatMul, Softmax
from latbench.networks.general.windows import RectConv, RectPool, TransposedConv
from latbench.networks.network import Layer, Network
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    Concat,
    Conv,
    Elementwise,
    GlobalAvgPool,
    Linear,
    Pool,
)
from latbench.networks.weights import Weights

_POINTS, _SHARES = np.polynomial.hermite_e.hermegauss(32)
_SHARES = _SHARES / _SHARES.sum()
_FUNCTIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "hswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
}


class Signal(NamedTuple):
    """The mean and the variance of a layer's elements."""

    mean: float
    variance: float

    @property
    def moment(self) -> float:
        """Returns the mean of the squares."""
        return self.mean**2 + self.variance


def moderated(network: Network, weights: Weights, drawn: Collection[str]) -> Weights:
    """Scales those of a network's weights that were drawn.

    Args:
        network: The network.
        weights: All of its weights.
        drawn: The names of those that may be scaled.

    Returns:
        The weights that were scaled, by name.
    """
    found, signals = Weights(), list[Signal]()
    for i, layer in enumerate(network.layers):
        read = [signals[j] for j in layer.inputs]
        matrix, variance = f"{i}.weight", f"{i}.running_var"
        if isinstance(layer.op, Conv | RectConv | TransposedConv | Linear | Dense):
            values = weights[matrix]
            fan_in = float(np.square(values, dtype=np.float64).sum()) / values.shape[0]
            scale = math.sqrt(max(fan_in * read[0].moment, 1e-12))
            if matrix in drawn:
                found[matrix] = values / np.float32(scale)
            signals.append(Signal(0.0, 1.0 if matrix in drawn else scale**2))
        elif isinstance(layer.op, BatchNorm):
            if variance in drawn:
                found[variance] = np.full_like(weights[variance], max(read[0].moment, 1e-6))
            signals.append(Signal(0.0, 1.0))
        else:
            signals.append(_passed(network, layer, read, weights))
    return found


def _passed(network: Network, layer: Layer, read: list[Signal], weights: Weights) -> Signal:
    """What a layer without a matrix makes of what it reads."""
    op = layer.op
    if not read:
        return Signal(0.0, 1.0)
    if isinstance(op, Activation):
        x = read[0].mean + math.sqrt(max(read[0].variance, 0.0)) * _POINTS
        y = _FUNCTIONS[op.kind](x)
        mean = float(_SHARES @ y)
        return Signal(mean, max(float(_SHARES @ y**2) - mean**2, 1e-12))
    if isinstance(op, Pool | RectPool):
        n = math.prod(op.kernel) if isinstance(op.kernel, tuple) else op.kernel**2
        if op.kind == "max":  # the largest of a few, which are alike where windows overlap
            spread = math.sqrt(read[0].variance)
            return Signal(read[0].mean + min(math.log2(n), 3) / 3 * spread, 0.7 * read[0].variance)
        return Signal(read[0].mean, read[0].variance / math.sqrt(n))
    if isinstance(op, GlobalAvgPool):
        # What is left between channels after averaging: a guess of ours, between 1 and 1 / (H W).
        return Signal(read[0].mean, 0.3 * read[0].variance)
    if isinstance(op, LayerNorm):
        return Signal(0.0, 1.0)
    if isinstance(op, Softmax):
        return Signal(1 / layer.shape[op.axis], 1 / layer.shape[op.axis] ** 2)
    if isinstance(op, Concat | Join):
        axis = op.axis if isinstance(op, Join) else 1
        sizes = [network.layers[j].shape[axis] for j in layer.inputs]
        share = [size / sum(sizes) for size in sizes]
        mean = math.fsum(s.mean * w for s, w in zip(read, share, strict=True))
        moment = math.fsum(s.moment * w for s, w in zip(read, share, strict=True))
        return Signal(mean, max(moment - mean**2, 1e-12))
    if isinstance(op, Elementwise | Binary) and op.kind in ("add", "mul"):
        parts = [
            _constant(weights, j) if isinstance(network.layers[j].op, Constant) else signals
            for j, signals in zip(layer.inputs, read, strict=True)
        ]
        if op.kind == "add":
            return Signal(sum(p.mean for p in parts), sum(p.variance for p in parts))
        mean, moment = math.prod(p.mean for p in parts), math.prod(p.moment for p in parts)
        return Signal(mean, max(moment - mean**2, 1e-12))
    if isinstance(op, MatMul):
        k = network.layers[layer.inputs[0]].shape[-1]
        return Signal(k * read[0].mean * read[1].mean, k * read[0].variance * read[1].variance)
    return read[0]


def _constant(weights: Weights, index: int) -> Signal:
    values = weights[f"{index}.value"]
    return Signal(float(values.mean()), float(values.var()))
