"""Network -> a LiteRT (TensorFlow Lite) flatbuffer, written operator by operator.

The runtime ``ai-edge-litert`` brings the schema's Python classes, so no converter is needed (those
on PyPI bring TensorFlow, or JAX and 800 MB; 2026-11-24). Operators:
https://ai.google.dev/edge/litert/conversion/tensorflow/ops_compatibility and the schema's comments.

LiteRT's images are NHWC: the model takes and gives them so, as a model for a device does
(``tflite_rules.tflite_writer`` has what happens to other tensors). A convolution takes over the
batch norm behind it, and a ReLU or ReLU6, as every converter does it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from latbench.export.rules import rule_for, tflite_rule
from latbench.export.tflite_rules.tflite_arrays import ARRAY_RULES
from latbench.export.tflite_rules.tflite_elements import ELEMENT_RULES
from latbench.export.tflite_rules.tflite_products import PRODUCT_RULES
from latbench.export.tflite_rules.tflite_windows import WINDOW_RULES, as_rect, conv, pool
from latbench.export.tflite_rules.tflite_writer import (
    OP,
    Stored,
    StoredRules,
    TfliteWriter,
    image_order,
    permuted,
    plain,
)
from latbench.networks.general.arrays import Transpose
from latbench.networks.general.windows import RectConv, RectPool
from latbench.networks.network import Layer, Network
from latbench.networks.ops import (
    BatchNorm,
    ChannelShuffle,
    Conv,
    GlobalAvgPool,
    Linear,
    Op,
    Pad,
    Pool,
    Shape,
    Zero,
)
from latbench.networks.weights import Weights, check_weights, make_weights


@dataclass(frozen=True)
class TfliteModel:
    """A LiteRT model: ``content`` is the file. ``inputs`` and ``outputs`` say of each, in the
    network's order, which of the network's axes each of its own is: ``(0, 2, 3, 1)`` of images."""

    content: bytes
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]


Rule = Callable[[Any, TfliteWriter, int, list[int], Shape], int]


def _conv(op: Conv, w: TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    rect = as_rect(op)
    assert isinstance(rect, RectConv)
    return conv(rect, w, key, x[0], shape)


def _batch_norm(op: BatchNorm, w: TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    scale = 1 / np.sqrt(w.weights[f"{key}.running_var"].astype(np.float64) + op.eps)
    shift = np.zeros_like(scale)
    if op.affine:
        scale = scale * w.weights[f"{key}.weight"]
        shift = shift + w.weights[f"{key}.bias"]
    shift -= w.weights[f"{key}.running_mean"] * scale
    y = w.add(OP.MUL, [x[0], w.constant(scale)], shape, "Mul")
    return w.add(OP.ADD, [y, w.constant(shift)], shape, "Add")


def _pool(op: Pool, w: TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    rect = as_rect(op)
    assert isinstance(rect, RectPool)
    return pool(rect, w, x[0], shape)


def _global_pool(op: GlobalAvgPool, w: TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    axes = w.constant([1, 2], np.int32)
    return w.add(OP.MEAN, [*x, axes], shape, "Reducer", keepDims=True)


def _channel_shuffle(
    op: ChannelShuffle, w: TfliteWriter, key: int, x: list[int], shape: Shape
) -> int:
    *pixels, c = shape
    grouped = w.reshape(x[0], (*pixels, op.groups, c // op.groups))
    order = w.constant([0, 1, 2, 4, 3], np.int32)
    turned = w.add(
        OP.TRANSPOSE, [grouped, order], (*pixels, c // op.groups, op.groups), "Transpose"
    )
    return w.reshape(turned, shape)


def _pad(op: Pad, w: TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    return w.pad(x[0], 0, [op.bottom, op.right])


def _zero(op: Zero, w: TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    if op.stride > 1:
        bounds = ([0] * 4, w.tensors[x[0]].shape, [1, op.stride, op.stride, 1])
        inputs = [*x, *(w.constant(bound, np.int32) for bound in bounds)]
        x = [w.add(OP.STRIDED_SLICE, inputs, shape, "StridedSlice")]
    return w.add(OP.MUL, [*x, w.constant(0)], shape, "Mul")


def _linear(op: Linear, w: TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    inputs = [*x, *(w.constant(w.weights[f"{key}.{name}"]) for name in ("weight", "bias"))]
    return w.add(OP.FULLY_CONNECTED, inputs, shape, "FullyConnected")


# Kinds of images alone, and those of plug-ins: they get them as NHWC, and all else in the network's
# order.
_RULES: dict[type[Op], Rule] = {
    Conv: _conv,
    BatchNorm: _batch_norm,
    Pool: _pool,
    GlobalAvgPool: _global_pool,
    ChannelShuffle: _channel_shuffle,
    Pad: _pad,
    Zero: _zero,
    Linear: _linear,
}
_STORED_RULES: StoredRules = {**WINDOW_RULES, **ELEMENT_RULES, **ARRAY_RULES, **PRODUCT_RULES}
# Those whose axes may lie as they like.
_FREE = {*ELEMENT_RULES, *(kind for kind in ARRAY_RULES if kind.__name__ in (
    "Cut", "Slice", "Join", "Concat", "Reduce", "ArgMax", "Flatten",
))}  # fmt: skip


def to_tflite(network: Network, weights: Weights | None = None) -> TfliteModel:
    """Exports the network as a LiteRT model, images as NHWC.

    ``weights`` default to ``make_weights(network)``. Raises UsageError when a tensor is missing or
    has another shape, BackendError for a kind of layer that there is no rule for.
    """
    if weights is None:
        weights = make_weights(network)
    check_weights(network, weights)
    w = TfliteWriter(network, weights)
    orders = _input_orders(network)
    results: dict[int, Stored] = {}
    for i in network.inputs:
        shape = network.layers[i].shape
        results[i] = Stored(w.tensor(permuted(shape, orders[i]), dtype=network.types[i]), orders[i])
    taken = [results[i] for i in network.inputs]
    for i, layer in enumerate(network.layers):
        if i in results:
            continue  # an input, or the convolution before it took it over
        y = _written(w, i, layer, [results[j] for j in layer.inputs])
        fusion = w.fusions.get(i)
        others = [] if fusion is None else [fusion.batch_norm, fusion.activation]
        results |= {j: y for j in (i, *others) if j is not None}
    given = _outputs(w, [results[i] for i in network.outputs], {x.tensor for x in taken})
    content = w.packed([x.tensor for x in taken], [y.tensor for y in given])
    return TfliteModel(content, tuple(x.order for x in taken), tuple(y.order for y in given))


def _written(w: TfliteWriter, i: int, layer: Layer, given: list[Stored]) -> Stored:
    stored = _STORED_RULES.get(type(layer.op))
    if stored is not None:
        return stored(layer.op, w, i, given, layer.shape)
    write = rule_for(_RULES, layer.op, tflite_rule)
    tensors = [w.ordered(x, image_order(len(x.order))) for x in given]
    order = image_order(len(layer.shape))
    return Stored(write(layer.op, w, i, tensors, permuted(layer.shape, order)), order)


def _outputs(w: TfliteWriter, results: list[Stored], taken: set[int]) -> list[Stored]:
    """The results in the network's order or as NHWC, each a tensor that an operator computes."""
    found: list[Stored] = []
    for y in results:
        order = y.order if y.order == image_order(len(y.order)) else plain(len(y.order))
        tensor = w.ordered(y, order)
        if y.value is not None or tensor in taken | {one.tensor for one in found}:
            tensor = w.reshape(tensor, w.shape(tensor))
        found.append(Stored(tensor, order))
    return found


def _input_orders(network: Network) -> dict[int, tuple[int, ...]]:
    """The order that each input is taken in: that which the first layers need that mind."""
    asked: dict[int, list[tuple[int, ...]]] = {i: [] for i in range(len(network.layers))}
    for i in reversed(range(len(network.layers))):
        layer = network.layers[i]
        rank = len(layer.shape)
        for j in layer.inputs:
            own = len(network.layers[j].shape)
            if isinstance(layer.op, Transpose):
                order = asked[i][0] if asked[i] else plain(rank)
                asked[j].insert(0, tuple(layer.op.order[a] for a in order))
            elif type(layer.op) not in _FREE:
                images = type(layer.op) in WINDOW_RULES or type(layer.op) not in _STORED_RULES
                asked[j].insert(0, image_order(own) if images else plain(own))
            elif own == rank and asked[i]:
                asked[j].insert(0, asked[i][0])
    return {
        i: next(
            (o for o in asked[i] if o != plain(len(o))),
            asked[i][0] if asked[i] else image_order(len(network.layers[i].shape)),
        )
        for i in network.inputs
    }
