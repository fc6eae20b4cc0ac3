"""Deterministic weights for a Network, the same for every backend.

Latency hardly depends on the values, but parity checks do, and values that overflow in half
precision or turn denormal would change the time. So the layers' second moments are followed
through the network, and every convolution is scaled so that its output has second moment 1, as
batch norm makes it in training. Only skip connections add up, between one convolution and the next.

All values come from one Gaussian pool, so that weights for a new architecture cost milliseconds,
not a random number a parameter.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.networks.general.arithmetic import Binary
from latbench.networks.general.arrays import Constant, Embedding
from latbench.networks.general.moments import constant_values, result_moment
from latbench.networks.general.products import Dense, LayerNorm
from latbench.networks.general.windows import RectConv, TransposedConv
from latbench.networks.network import Layer, Network
from latbench.networks.ops import (
    BatchNorm,
    Concat,
    Conv,
    Elementwise,
    Input,
    Linear,
    Op,
    Shape,
    Zero,
)

Array = npt.NDArray[np.float32]
Weights = dict[str, Array]
# A layer's output as a sum of independent signals of second moment 1: the layer where a signal
# arose -> its factor. What two paths share adds up in amplitude (x + x is 2 x), not in power.
_Mix = dict[int, float]

_POOL_SIZE = 1 << 20
# A large odd stride spreads the layers over the pool, so that no two begin with the same values.
_STRIDE = 7_368_787


@lru_cache(maxsize=4)
def _pool(seed: int) -> Array:
    """The Gaussian values of a seed, twice, so that a draw may run over the first end."""
    pool = np.random.default_rng(seed).standard_normal(_POOL_SIZE, dtype=np.float32)
    return np.concatenate([pool, pool])


def _draw(pool: Array, offset: int, shape: Shape, scale: float) -> Array:
    size, start = math.prod(shape), offset % _POOL_SIZE
    values = pool[start : start + size]
    if len(values) < size:
        values = np.resize(np.roll(pool, -start), size)
    scaled: Array = values * np.float32(scale)
    return scaled.reshape(shape)


@lru_cache(maxsize=1024)
def _coverage(size: int, op: Conv | RectConv, axis: int) -> float:
    """Share of a kernel's taps along an axis that fall on the image rather than on its padding."""
    if isinstance(op, Conv):
        kernel, stride, dilation, before, after = (
            op.kernel, op.stride, op.dilation, op.padding, op.padding,
        )  # fmt: skip
    else:
        kernel, stride, dilation = op.kernel[axis], op.stride[axis], op.dilation[axis]
        before, after = op.padding[axis::2]
    first = np.arange(0, size + before + after - dilation * (kernel - 1), stride)
    taps = first[:, None] + dilation * np.arange(kernel) - before
    return float(np.mean((taps >= 0) & (taps < size)))


def _fan_in(op: Op, shape: Shape, weight: Shape) -> float:
    """Returns how many inputs an output sums, on average."""
    if isinstance(op, TransposedConv):
        return shape[1] // op.groups * math.prod(op.kernel) / math.prod(op.stride)
    sizes = shape[2:] if isinstance(op, Conv | RectConv) else ()
    covered = [_coverage(size, op, axis) for axis, size in enumerate(sizes)]
    return math.prod(weight[1:]) * (math.prod(covered) or 1.0)


def _moment(mix: _Mix) -> float:
    return math.fsum(factor**2 for factor in mix.values())


def _output_mix(index: int, layer: Layer, inputs: list[_Mix], shapes: tuple[Shape, ...]) -> _Mix:
    op, moments = layer.op, [_moment(mix) for mix in inputs]
    if isinstance(op, Binary) and op.kind in ("add", "sub"):
        first, second = inputs
        sign = 1 if op.kind == "add" else -1
        return {s: first.get(s, 0) + sign * second.get(s, 0) for s in [*first, *second]}
    general = result_moment(op, shapes, moments)
    if general is not None:
        return {index: math.sqrt(general)}
    if isinstance(op, Zero) or (moments and max(moments) == 0):
        return {}
    if isinstance(op, Elementwise) and op.kind == "add":
        return {s: math.fsum(mix.get(s, 0) for mix in inputs) for mix in inputs for s in mix}
    if isinstance(op, Conv | Linear | Input):
        return {index: 1.0}
    if isinstance(op, Elementwise):
        return {index: math.sqrt(math.prod(moments))}
    if isinstance(op, Concat):
        channels = [s[1] for s in shapes]
        total = sum(m * c for m, c in zip(moments, channels, strict=True))
        return {index: math.sqrt(total / sum(channels))}
    if _mixes(op, shapes):
        return {index: math.sqrt(op.gain(*shapes))}
    if op.gain(*shapes) != 1 or len(inputs) > 1:
        return {index: math.sqrt(op.gain(*shapes) * math.fsum(moments) / len(moments))}
    # Deep features vary slowly over the image, so pooling hardly changes them (measured on
    # 2026-11-24: their second moment by 0.8 to 1.35); neither do a slice and a flattening.
    gain = 1 / math.sqrt(moments[0]) if isinstance(op, BatchNorm) else 1.0
    return {s: factor * gain for s, factor in inputs[0].items()}


def _mixes(op: Op, shapes: tuple[Shape, ...]) -> bool:
    """Returns whether an op has a matrix of weights, scaled so that its result has moment 1."""
    return any(len(shape) > 1 for shape in op.parameters(*shapes).values())


def _layer_weights(
    layer: Layer, shapes: tuple[Shape, ...], moment: float, draw: int, pool: Array
) -> Weights:
    """One layer's tensors by name; ``moment`` is that of its input."""
    op, out = layer.op, Weights()
    parameters = op.parameters(*shapes)
    if isinstance(op, Conv | Linear | Dense | RectConv | TransposedConv):
        weight = parameters["weight"]
        scale = 1 / math.sqrt(_fan_in(op, shapes[0], weight) * moment)
        out["weight"] = _draw(pool, draw, weight, scale)
        if "bias" in parameters:
            out["bias"] = _draw(pool, draw + 7, parameters["bias"], 0.1)
    elif isinstance(op, Embedding):
        out["weight"] = _draw(pool, draw, parameters["weight"], 1)
    elif isinstance(op, LayerNorm):  # whose weights are no matrix, whatever axes they have
        for name, shape in parameters.items():
            values = _draw(pool, draw + 11 * (name == "bias"), shape, 0.05)
            out[name] = np.asarray(values + (name == "weight"), np.float32)
    elif isinstance(op, BatchNorm):
        c = op.buffers(*shapes)["running_mean"]
        if op.affine:
            out["weight"] = 1 + _draw(pool, draw, c, 0.05)
            out["bias"] = _draw(pool, draw + 11, c, 0.05)
        out["running_mean"] = _draw(pool, draw + 13, c, 0.05 * math.sqrt(moment))
        out["running_var"] = np.full(c, moment, np.float32)
    else:
        out = _unknown_weights(op, shapes, moment, draw, pool)
    return out


def _unknown_weights(
    op: Op, shapes: tuple[Shape, ...], moment: float, draw: int, pool: Array
) -> Weights:
    """The tensors of a layer kind of a plug-in, by the names that torch gives such tensors."""
    out = Weights()
    for i, (name, shape) in enumerate(op.parameters(*shapes).items()):
        offset = draw + 17 * i
        if len(shape) > 1:  # a matrix: an output sums over all axes but the first
            out[name] = _draw(pool, offset, shape, 1 / math.sqrt(math.prod(shape[1:]) * moment))
        else:
            one = 0 if "bias" in name else 1
            out[name] = np.asarray(one + _draw(pool, offset, shape, 0.05), np.float32)
    for i, (name, shape) in enumerate(op.buffers(*shapes).items()):
        if name.endswith("mean"):
            out[name] = _draw(pool, draw + 13 + i, shape, 0.05 * math.sqrt(moment))
        else:
            out[name] = np.full(shape, moment if name.endswith("var") else 1, np.float32)
    return out


def make_weights(network: Network, seed: int = 0) -> Weights:
    """Makes weights and running statistics by the names of ``network.tensors()``, float32."""
    pool, weights = _pool(seed), Weights()
    mixes: dict[int, _Mix] = {}
    for i, layer in enumerate(network.layers):
        if isinstance(layer.op, Constant):
            weights[f"{i}.value"] = np.empty(0, np.float32)  # its place; see what reads it first
            continue
        for j in layer.inputs:
            if j not in mixes:
                weights[f"{j}.value"], mixes[j] = _constant(network, j, layer, mixes, pool)
        shapes = network.input_shapes(layer)
        inputs = [mixes[j] for j in layer.inputs]
        # A zero input (the 'none' operation) is not scaled: dividing by its root would overflow.
        moment = (_moment(inputs[0]) if inputs else 0) or 1.0
        for name, array in _layer_weights(layer, shapes, moment, i * _STRIDE, pool).items():
            weights[f"{i}.{name}"] = array
        mixes[i] = _output_mix(i, layer, inputs, shapes)
    for i in network.outputs:
        if i not in mixes:
            weights[f"{i}.value"], mixes[i] = _constant(network, i, None, mixes, pool)
    return weights


def _constant(
    network: Network, index: int, reader: Layer | None, mixes: dict[int, _Mix], pool: Array
) -> tuple[Array, _Mix]:
    """The value of a constant, by the layer that reads it first."""
    op = network.layers[index].op
    assert isinstance(op, Constant)
    inputs = reader.inputs if reader else ()
    others = [_moment(mixes[j]) for j in inputs if j in mixes]
    mean, deviation = constant_values(
        op,
        reader.op if reader else None,
        inputs.index(index) if reader else 0,
        network.input_shapes(reader) if reader else (),
        others[0] if others else 1.0,
    )
    value = np.float32(mean) + _draw(pool, index * _STRIDE, op.shape, deviation)
    return np.asarray(value, np.float32), {index: math.hypot(mean, deviation)}


def check_weights(network: Network, weights: Weights) -> None:
    """Raises UsageError unless every tensor of the network is there, float32, in its shape."""
    for name, shape, _ in network.tensors():
        found = weights.get(name)
        if found is None:
            raise UsageError(f"the weights lack {name!r}; expected float32 of shape {shape}")
        if found.shape != shape or found.dtype != np.float32:
            raise UsageError(
                f"weight {name!r} is {found.dtype} of shape {found.shape}; "
                f"expected float32 of shape {shape}"
            )


def make_inputs(network: Network, seed: int = 0) -> tuple[npt.NDArray[Any], ...]:
    """Makes the inputs that every backend is timed and checked with, in their order.

    Floats are Gaussian, float32. Integers that choose rows of a table are drawn below their number,
    all others are 1, and truth values are true, as those of a mask are that hides nothing.
    """
    rng = np.random.default_rng([seed, 1])
    found = list[npt.NDArray[Any]]()
    for i in network.inputs:
        op = network.layers[i].op
        assert isinstance(op, Input)
        if op.dtype == "float32":
            found.append(rng.standard_normal(op.shape, dtype=np.float32))
        elif op.below:
            found.append(rng.integers(0, op.below, op.shape, dtype=np.int64))
        else:
            found.append(np.ones(op.shape, np.dtype(op.dtype)))
    return tuple(found)


def make_input(network: Network, seed: int = 0) -> Array:
    """Makes the first of ``make_inputs(network)``, which for most networks is the only one."""
    return make_inputs(network, seed)[0]
