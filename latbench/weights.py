"""Deterministic weights for a Network, the same for every backend.

Latency hardly depends on the values, but parity checks do, and values that overflow or turn
denormal would change the time. So convolutions get He-scaled Gaussian weights, and the running
statistics of batch norms are set to the second moment that their input is expected to have, as
training would do; activations then stay near 1 through any depth.

All values are views into one Gaussian pool, so that weights for a new architecture cost
milliseconds, not a random number a parameter.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from latbench.network import Layer, Network
from latbench.ops import Activation, BatchNorm, Concat, Conv, Elementwise, Linear, Pool, Shape, Zero

Array = npt.NDArray[np.float32]
Weights = dict[str, Array]

_POOL_SIZE = 1 << 20
_GAIN = {"relu": 0.5, "relu6": 0.5, "hswish": 0.35, "sigmoid": 0.29}  # E[f(x)^2] for x ~ N(0, 1)


@lru_cache(maxsize=4)
def _pool(seed: int) -> Array:
    pool = np.random.default_rng(seed).standard_normal(_POOL_SIZE, dtype=np.float32)
    pool.setflags(write=False)
    return pool


def _draw(pool: Array, offset: int, shape: Shape, scale: float) -> Array:
    size = math.prod(shape)
    start = offset % _POOL_SIZE
    flat = np.take(pool, range(start, start + size), mode="wrap") if (
        start + size > _POOL_SIZE
    ) else pool[start : start + size]
    return (flat * np.float32(scale)).reshape(shape)


def _second_moment(layer: Layer, moments: list[float], shapes: tuple[Shape, ...]) -> float:
    """Expected mean square of a layer's output, given its inputs'. Weights are independent."""
    op, m = layer.op, [moments[i] for i in layer.inputs]
    if isinstance(op, BatchNorm):
        return 1.0 if m[0] > 0 else 0.0
    if isinstance(op, Activation):
        return m[0] * _GAIN[op.kind]
    if isinstance(op, Conv | Linear):
        return m[0]
    if isinstance(op, Pool) and op.kind == "avg":
        return m[0] / op.kernel
    if isinstance(op, Zero):
        return 0.0
    if isinstance(op, Elementwise):
        return sum(m) if op.kind == "add" else math.prod(m)
    if isinstance(op, Concat):
        channels = [s[1] for s in shapes]
        return sum(a * c for a, c in zip(m, channels, strict=True)) / sum(channels)
    return m[0] if m else 1.0


def _layer_weights(layer: Layer, shapes: tuple[Shape, ...], moment: float, draw: int, pool: Array
                   ) -> Weights:
    op, out = layer.op, {}
    parameters = op.parameters(*shapes)
    if isinstance(op, Conv | Linear):
        weight = parameters["weight"]
        out["weight"] = _draw(pool, draw, weight, 1 / math.sqrt(math.prod(weight[1:])))
        if "bias" in parameters:
            out["bias"] = _draw(pool, draw + 7, parameters["bias"], 0.1)
    elif isinstance(op, BatchNorm):
        c = op.buffers(*shapes)["running_mean"]
        if op.affine:
            out["weight"] = 1 + _draw(pool, draw, c, 0.05)
            out["bias"] = _draw(pool, draw + 11, c, 0.05)
        out["running_mean"] = _draw(pool, draw + 13, c, 0.05 * math.sqrt(moment))
        # A zero input (the 'none' operation) has no variance; dividing by its root would overflow.
        out["running_var"] = np.full(c, moment or 1.0, np.float32)
    return out


def make_weights(network: Network, seed: int = 0) -> Weights:
    """Weights and running statistics by the names of ``network.tensors()``, float32."""
    pool, moments, weights = _pool(seed), [], Weights()
    for i, layer in enumerate(network.layers):
        shapes = network.input_shapes(layer)
        moment = moments[layer.inputs[0]] if layer.inputs else 1.0
        # A large odd stride spreads the layers over the pool, so that no two share their values.
        for name, array in _layer_weights(layer, shapes, moment, i * 7_368_787, pool).items():
            weights[f"{i}.{name}"] = array
        moments.append(_second_moment(layer, moments, shapes))
    return weights


def make_input(network: Network, seed: int = 0) -> Array:
    """The input that every backend is timed and checked with: Gaussian, float32."""
    rng = np.random.default_rng([seed, 1])
    return rng.standard_normal(network.input_shape, dtype=np.float32)
