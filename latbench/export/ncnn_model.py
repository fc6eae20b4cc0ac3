"""Network -> ncnn's own format, written layer by layer: a text of layers and the raw weights.

Formats: https://github.com/Tencent/ncnn/blob/master/docs/developer-guide/ (the pages
param-and-model-file-structure, operators and operation-param-weight-table). ncnn's tensors have no
batch, so a model takes one image: axis 0 is the channels (``ncnn_rules.ncnn_writer`` has what
happens to other tensors).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latbench.export.ncnn_rules.ncnn_arrays import ARRAY_RULES
from latbench.export.ncnn_rules.ncnn_elements import ELEMENT_RULES
from latbench.export.ncnn_rules.ncnn_products import PRODUCT_RULES
from latbench.export.ncnn_rules.ncnn_windows import (
    AVERAGE_POOL,
    MAX_POOL,
    VALID,
    WINDOW_RULES,
    activation,
    conv,
)
from latbench.export.ncnn_rules.ncnn_writer import ADD, INPUT, MUL, GeneralRules, NcnnWriter
from latbench.export.one_image import split_batch
from latbench.export.rules import ncnn_rule, rule_for
from latbench.networks.general.arrays import Constant
from latbench.networks.network import Layer, Network
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    ChannelShuffle,
    Concat,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Linear,
    Op,
    Pad,
    Pool,
    Shape,
    Slice,
    Zero,
)
from latbench.networks.weights import Weights, check_weights, make_weights

OUTPUT = "output"
MAGIC = 7767517


@dataclass(frozen=True)
class NcnnModel:
    """A model in ncnn's format: ``param`` is the text of layers, ``weights`` the binary.

    ``inputs`` are its blobs, each with the number of the network's input that it takes and the
    type that its elements have there: ``"float32"``, or ``"int32"`` by their bits. ``outputs`` are
    the blobs in the network's order. Without a batch, shapes are the network's less the first axis;
    ``images`` is how many times a model is run for all of a batch. ``computed`` are the network's
    layers that each of ncnn's computes, by its name, alone or with others.
    """

    param: str
    weights: bytes
    inputs: tuple[tuple[str, int, str], ...] = ((INPUT, 0, "float32"),)
    outputs: tuple[str, ...] = (OUTPUT,)
    images: int = 1
    computed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


Rule = Callable[[Any, NcnnWriter, str, list[str], str, Shape], None]


def _conv(op: Conv, w: NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    conv(op, w, key, x, y)


def _batch_norm(op: BatchNorm, w: NcnnWriter, key: str, x: list[str], y: str, shape: Shape) -> None:
    c = shape[1]
    for name, default in (("weight", 1), ("running_mean", 0), ("running_var", 1), ("bias", 0)):
        stored = w.weights.get(f"{key}.{name}")
        w.store(np.full(c, default, np.float32) if stored is None else stored)
    w.layer("BatchNorm", x, [y], p0=c, p1=float(op.eps))


def _activation(op: Activation, w: NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    activation(op, w, x, y)


def _pool(op: Pool, w: NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    kind = MAX_POOL if op.kind == "max" else AVERAGE_POOL
    w.layer("Pooling", x, [y], p0=kind, p1=op.kernel, p2=op.stride, p3=op.padding, p5=VALID, p6=0)


def _global_pool(
    op: GlobalAvgPool, w: NcnnWriter, key: str, x: list[str], y: str, _: Shape
) -> None:
    w.layer("Pooling", x, [f"{y}_1d"], p0=AVERAGE_POOL, p4=1)  # its result has one axis
    w.layer("Reshape", [f"{y}_1d"], [y], p0=1, p1=1, p2=-1)


def _elementwise(op: Elementwise, w: NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    if len(x) == 1:
        w.layer("Noop", x, [y])
    left = x[0]
    for i, right in enumerate(x[1:], start=1):
        out = y if i == len(x) - 1 else f"{y}_part{i}"
        w.layer("BinaryOp", [left, right], [out], p0=ADD if op.kind == "add" else MUL)
        left = out


def _concat(op: Concat, w: NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    w.layer("Concat", x, [y], p0=0)


def _slice(op: Slice, w: NcnnWriter, key: str, x: list[str], y: str, shape: Shape) -> None:
    start, end, _ = slice(op.start, op.end).indices(shape[op.axis])
    w.layer("Crop", x, [y], p9=[start], p10=[end], p11=[op.axis - 1])


def _channel_shuffle(
    op: ChannelShuffle, w: NcnnWriter, key: str, x: list[str], y: str, _: Shape
) -> None:
    w.layer("ShuffleChannel", x, [y], p0=op.groups)


def _pad(op: Pad, w: NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    w.layer("Padding", x, [y], p0=0, p1=op.bottom, p2=0, p3=op.right, p4=0, p5=0.0)


def _zero(op: Zero, w: NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    if op.stride > 1:  # a pool of one value a window takes every stride-th
        w.layer("Pooling", x, [f"{y}_sub"], p0=MAX_POOL, p1=1, p2=op.stride, p5=VALID)
        x = [f"{y}_sub"]
    w.layer("BinaryOp", x, [y], p0=MUL, p1=1, p2=0.0)


def _flatten(op: Flatten, w: NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    w.layer("Flatten", x, [y])


def _linear(op: Linear, w: NcnnWriter, key: str, x: list[str], y: str, shape: Shape) -> None:
    weight = w.weights[f"{key}.weight"]
    w.store(weight, flag=True)
    bias = w.store(w.weights[f"{key}.bias"])
    w.layer("InnerProduct", x, [y], p0=op.out_features, p1=bias, p2=weight.size)


_RULES: dict[type[Op], Rule] = {
    Conv: _conv,
    BatchNorm: _batch_norm,
    Activation: _activation,
    Pool: _pool,
    GlobalAvgPool: _global_pool,
    Elementwise: _elementwise,
    Concat: _concat,
    Slice: _slice,
    ChannelShuffle: _channel_shuffle,
    Pad: _pad,
    Zero: _zero,
    Flatten: _flatten,
    Linear: _linear,
}


_GENERAL: GeneralRules = {**WINDOW_RULES, **ELEMENT_RULES, **ARRAY_RULES, **PRODUCT_RULES}
# Those of latbench's own kinds that ask nothing of the axes.
_FREE = (Activation, Elementwise, Linear)


def to_ncnn(network: Network, weights: Weights | None = None, *, fuse: bool = True) -> NcnnModel:
    """Exports the network for ncnn, float32.

    ``weights`` default to ``make_weights(network)``. ``fuse`` lets convolutions take over the batch
    norm and the activation behind them, as ncnn's own converters do and its runtime does not.
    Raises UsageError when a tensor is missing or has another shape, BackendError for a kind of
    layer that there is no rule for.
    """
    if weights is None:
        weights = make_weights(network)
    check_weights(network, weights)
    network, images = split_batch(network)
    w = NcnnWriter(network, weights, fuse, _write)
    for i, layer in enumerate(network.layers):
        if isinstance(layer.op, Constant):
            w.fixed[i] = weights[f"{i}.value"]
        elif network.types[i] == "float32" and i not in w.blobs:
            w.blob(i)
    given = [w.blob(i) for i in network.outputs]
    if len(network.layers) == 1:
        w.layer("Noop", given, [OUTPUT])
        given = [OUTPUT]
    text, outputs = w.text(given)
    return NcnnModel(
        f"{MAGIC}\n{text}", b"".join(w.data), tuple(w.inputs), tuple(outputs), images, w.computed
    )


def _write(w: NcnnWriter, i: int) -> None:
    fusion, before = w.fusions.get(i), w.writing
    result = i if fusion is None else fusion.last
    w.writing = (result,)
    _write_layer(w, i, result)
    w.writing = before  # of the layer that asked for this one, if any
    if fusion is not None:
        for taken in (i, fusion.batch_norm, fusion.activation):
            if taken is not None:
                w.blobs.setdefault(taken, w.blobs[result])


def _write_layer(w: NcnnWriter, i: int, result: int) -> None:
    layer = w.network.layers[i]
    general = _GENERAL.get(type(layer.op))
    if general is not None and not (type(layer.op) in _RULES and _alone(w, layer)):
        w.give(result, general(layer.op, w, i, layer.inputs))
    else:
        write = rule_for(_RULES, layer.op, ncnn_rule)
        if not isinstance(layer.op, _FREE) and not _alone(w, layer):
            raise w.refuse(i, "no images that are not one at a time")
        y = OUTPUT if (result,) == w.network.outputs else f"t{result}"
        inputs = [w.blob(j) for j in layer.inputs]
        write(layer.op, w, str(i), inputs, y, w.network.input_shapes(layer)[0])
        w.known(y, w.shape(result))
        w.blobs[result] = y


def _alone(w: NcnnWriter, layer: Layer) -> bool:
    """Whether a layer reads images, or vectors, of a batch of one."""
    shapes = w.network.input_shapes(layer)
    return all(len(shape) in (2, 4) and shape[0] == 1 for shape in shapes)
