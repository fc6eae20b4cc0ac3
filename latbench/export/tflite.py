"""Network -> a LiteRT (TensorFlow Lite) flatbuffer, written operator by operator.

The runtime ``ai-edge-litert`` brings the schema's Python classes, so no converter is needed (those
on PyPI bring TensorFlow, or JAX and 800 MB; 2026-11-24). Operators:
https://ai.google.dev/edge/litert/conversion/tensorflow/ops_compatibility and the schema's comments.

LiteRT's images are NHWC: the model takes and gives them so, as a model for a device does. A
convolution takes over the batch norm behind it, and a ReLU or ReLU6, as every converter does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from latbench.export.flatbuffer import FlatbufferWriter
from latbench.export.fold import folded, fusions
from latbench.export.rules import rule_for, tflite_rule
from latbench.networks.network import Network
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
from latbench.networks.weights import Array, Weights, check_weights, make_weights

_OP, _FUSED = schema.BuiltinOperator, schema.ActivationFunctionType
_SAME, _VALID = schema.Padding.SAME, schema.Padding.VALID
_AXES = {0: 0, 1: 3, 2: 1, 3: 2}  # of NCHW in NHWC
_FUSIBLE = {"relu": _FUSED.RELU, "relu6": _FUSED.RELU6}


def nhwc(shape: Sequence[int]) -> tuple[int, ...]:
    """Converts a shape ``(N, C, H, W)`` to ``(N, H, W, C)``; one of two axes stays as it is."""
    return (shape[0], *shape[2:], shape[1])


class _TfliteWriter(FlatbufferWriter):
    def __init__(self, network: Network, weights: Weights) -> None:
        super().__init__()
        self.network, self.weights, self.fusions = network, weights, fusions(network)

    def pad(self, x: int, before: int, after: Sequence[int], value: float | None = None) -> int:
        """Pads height and width, with zeros or with ``value``."""
        n, h, w, c = self.tensors[x].shape
        shape = (n, h + before + after[0], w + before + after[1], c)
        sizes = self.constant([[0, 0], [before, after[0]], [before, after[1]], [0, 0]], np.int32)
        if value is None:
            return self.add(_OP.PAD, [x, sizes], shape, "Pad")
        return self.add(_OP.PADV2, [x, sizes, self.constant(value)], shape, "PadV2")


Rule = Callable[[Any, _TfliteWriter, int, list[int], Shape], int]


def _pads_itself(size: int, out: int, op: Conv | Pool) -> bool:
    """Returns whether LiteRT's SAME padding puts as much before the image as ``op`` does."""
    dilation = op.dilation if isinstance(op, Conv) else 1
    total = (out - 1) * op.stride + (op.kernel - 1) * dilation + 1 - size
    return out == -(-size // op.stride) and max(total, 0) // 2 == op.padding


def _window(
    op: Conv | Pool, w: _TfliteWriter, x: int, shape: Shape, value: float | None = None
) -> tuple[int, int]:
    """Returns what the window slides over, padded if need be, and the padding that is left to
    LiteRT."""
    size = w.tensors[x].shape[1:3]
    if op.padding == 0:
        return x, _VALID
    if all(_pads_itself(s, out, op) for s, out in zip(size, shape[1:3], strict=True)):
        return x, _SAME
    return w.pad(x, op.padding, [op.padding] * 2, value), _VALID


def _conv(op: Conv, w: _TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    weight = w.weights[f"{key}.weight"]
    bias = w.weights.get(f"{key}.bias", np.zeros(op.out_channels, np.float32))
    fusion, kind = w.fusions[key], None
    if fusion.batch_norm is not None:
        weight, bias = folded(w.network, w.weights, key, fusion.batch_norm)
    if fusion.activation is not None:
        activation = w.network.layers[fusion.activation].op
        assert isinstance(activation, Activation)
        kind = activation.kind
    source, padding = _window(op, w, x[0], shape)
    options = {
        "padding": padding, "strideH": op.stride, "strideW": op.stride,
        "dilationHFactor": op.dilation, "dilationWFactor": op.dilation,
        "fusedActivationFunction": _FUSIBLE.get(kind or "", _FUSED.NONE),
    }  # fmt: skip
    y = _convolve(op, w, source, weight, bias, shape, options)
    if kind is None or kind in _FUSIBLE:
        return y
    return _activation(Activation(kind), w, key, [y], shape)


def _convolve(
    op: Conv,
    w: _TfliteWriter,
    x: int,
    weight: Array,
    bias: Array,
    shape: Shape,
    options: dict[str, Any],
) -> int:  # fmt: skip
    channels = w.tensors[x].shape[3]
    if op.groups == channels and op.groups > 1:
        inputs = [x, w.constant(weight.transpose(1, 2, 3, 0)), w.constant(bias)]
        options["depthMultiplier"] = op.out_channels // channels
        return w.add(_OP.DEPTHWISE_CONV_2D, inputs, shape, "DepthwiseConv2D", **options)
    inputs = [x, w.constant(weight.transpose(0, 2, 3, 1)), w.constant(bias)]
    return w.add(_OP.CONV_2D, inputs, shape, "Conv2D", **options)


def _batch_norm(op: BatchNorm, w: _TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    scale = 1 / np.sqrt(w.weights[f"{key}.running_var"].astype(np.float64) + op.eps)
    shift = np.zeros_like(scale)
    if op.affine:
        scale = scale * w.weights[f"{key}.weight"]
        shift = shift + w.weights[f"{key}.bias"]
    shift -= w.weights[f"{key}.running_mean"] * scale
    y = w.add(_OP.MUL, [x[0], w.constant(scale)], shape, "Mul")
    return w.add(_OP.ADD, [y, w.constant(shift)], shape, "Add")


def _activation(op: Activation, w: _TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    if op.kind == "hswish":
        return w.add(_OP.HARD_SWISH, x, shape, "HardSwish")
    if op.kind == "silu":
        share = w.add(_OP.LOGISTIC, x, shape)
        return w.add(_OP.MUL, [*x, share], shape, "Mul")
    if op.kind == "hsigmoid":
        relu6 = {"fusedActivationFunction": _FUSED.RELU6}
        raised = w.add(_OP.ADD, [*x, w.constant(3)], shape, "Add", **relu6)
        return w.add(_OP.MUL, [raised, w.constant(1 / 6)], shape, "Mul")
    codes = {"relu": _OP.RELU, "relu6": _OP.RELU6, "sigmoid": _OP.LOGISTIC}
    return w.add(codes[op.kind], x, shape)


def _pool(op: Pool, w: _TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    lowest = float(np.finfo(np.float32).min) if op.kind == "max" else None
    source, padding = _window(op, w, x[0], shape, lowest)
    y = w.add(
        _OP.MAX_POOL_2D if op.kind == "max" else _OP.AVERAGE_POOL_2D, [source], shape, "Pool2D",
        padding=padding, strideH=op.stride, strideW=op.stride, filterHeight=op.kernel,
        filterWidth=op.kernel,
    )  # fmt: skip
    if op.kind == "max" or source == x[0]:
        return y
    # The zeros that were padded were averaged too; this takes them out.
    height, width = (
        _inside(op, size, out)
        for size, out in zip(w.tensors[x[0]].shape[1:3], shape[1:3], strict=True)
    )
    share = op.kernel**2 / (height[:, None] * width[None, :])
    return w.add(_OP.MUL, [y, w.constant(share[None, :, :, None])], shape, "Mul")


def _inside(op: Pool, size: int, out: int) -> npt.NDArray[np.int64]:
    """Counts how many of each window's places along an axis lie on the image."""
    first = np.arange(out) * op.stride - op.padding
    places: npt.NDArray[np.int64] = np.minimum(first + op.kernel, size) - np.maximum(first, 0)
    return places


def _global_pool(op: GlobalAvgPool, w: _TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    axes = w.constant([1, 2], np.int32)
    return w.add(_OP.MEAN, [*x, axes], shape, "Reducer", keepDims=True)


def _elementwise(op: Elementwise, w: _TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    if len(x) == 1:
        return _reshape(w, x[0], shape)
    kind = op.kind.capitalize()
    y = x[0]
    for other in x[1:]:
        y = w.add(getattr(_OP, op.kind.upper()), [y, other], shape, kind)
    return y


def _concat(op: Concat, w: _TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    return w.add(_OP.CONCATENATION, x, shape, "Concatenation", axis=len(shape) - 1)


def _slice(op: Slice, w: _TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    axis = _AXES[op.axis] if len(shape) == 4 else op.axis
    begin = [0] * len(shape)
    begin[axis] = range(w.tensors[x[0]].shape[axis])[op.start : op.end][0]
    inputs = [*x, w.constant(begin, np.int32), w.constant(shape, np.int32)]
    return w.add(_OP.SLICE, inputs, shape, "Slice")


def _channel_shuffle(
    op: ChannelShuffle, w: _TfliteWriter, key: int, x: list[int], shape: Shape
) -> int:
    *pixels, c = shape
    grouped = _reshape(w, x[0], (*pixels, op.groups, c // op.groups))
    order = w.constant([0, 1, 2, 4, 3], np.int32)
    turned = w.add(
        _OP.TRANSPOSE, [grouped, order], (*pixels, c // op.groups, op.groups), "Transpose"
    )
    return _reshape(w, turned, shape)


def _pad(op: Pad, w: _TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    return w.pad(x[0], 0, [op.bottom, op.right])


def _zero(op: Zero, w: _TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    if op.stride > 1:
        bounds = ([0] * 4, w.tensors[x[0]].shape, [1, op.stride, op.stride, 1])
        inputs = [*x, *(w.constant(bound, np.int32) for bound in bounds)]
        x = [w.add(_OP.STRIDED_SLICE, inputs, shape, "StridedSlice")]
    return w.add(_OP.MUL, [*x, w.constant(0)], shape, "Mul")


def _flatten(op: Flatten, w: _TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    source = w.tensors[x[0]].shape
    if len(source) == 4 and source[3] > 1 and source[1] * source[2] > 1:
        order = w.constant([0, 3, 1, 2], np.int32)  # the features of an NCHW image
        n, h, width, c = source
        x = [w.add(_OP.TRANSPOSE, [*x, order], (n, c, h, width), "Transpose")]
    return _reshape(w, x[0], shape)


def _reshape(w: _TfliteWriter, x: int, shape: Shape) -> int:
    target = w.constant(shape, np.int32)
    return w.add(_OP.RESHAPE, [x, target], shape, "Reshape", newShape=list(shape))


def _linear(op: Linear, w: _TfliteWriter, key: int, x: list[int], shape: Shape) -> int:
    inputs = [*x, *(w.constant(w.weights[f"{key}.{name}"]) for name in ("weight", "bias"))]
    return w.add(_OP.FULLY_CONNECTED, inputs, shape, "FullyConnected")


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


def to_tflite(network: Network, weights: Weights | None = None) -> bytes:
    """Exports the network as a LiteRT model with one float32 input and one output, images as NHWC.

    ``weights`` default to ``make_weights(network)``. Raises UsageError when a tensor is missing or
    has another shape, BackendError for a kind of layer that there is no rule for.
    """
    if weights is None:
        weights = make_weights(network)
    check_weights(network, weights)
    w = _TfliteWriter(network, weights)
    results = {0: w.tensor(nhwc(network.input_shape))}
    for i, layer in enumerate(network.layers[1:], start=1):
        if i in results:
            continue  # the convolution before it took it over
        inputs = [results[j] for j in layer.inputs]
        write = rule_for(_RULES, layer.op, tflite_rule)
        y = write(layer.op, w, i, inputs, nhwc(layer.shape))
        fusion = w.fusions.get(i)
        taken = [] if fusion is None else [fusion.batch_norm, fusion.activation]
        results |= {j: y for j in (i, *taken) if j is not None}
    last = results[len(network.layers) - 1]
    if not w.operators:
        last = _reshape(w, last, nhwc(network.output_shape))
    return w.packed(results[0], last)
