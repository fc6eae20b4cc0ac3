"""Network -> ncnn's own format, written layer by layer: a text of layers and the raw weights.

Formats: https://github.com/Tencent/ncnn/blob/master/docs/developer-guide/ (the pages
param-and-model-file-structure, operators and operation-param-weight-table). ncnn's tensors have no
batch, so a model takes one image: axis 0 is the channels. A result may be read once only, so a
``Split`` (which copies nothing) stands behind every one that is read more often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from latbench.export.fold import folded, fusions
from latbench.export.rules import ncnn_rule, rule_for
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

INPUT, OUTPUT = "input", "output"
MAGIC = 7767517

_FLOAT32 = b"\0\0\0\0"  # the flag before weights that could be stored in another type
_ARRAY = -23300  # an array's key is this, less its index
_MAX, _AVG = 0, 1
_VALID = 1  # pad as told; the default rounds the output's size up
_ADD, _MUL = 0, 2
# What a convolution may do to its result, and an activation's constants: the limits of a clip, or
# a and b of x * clip(a * x + b, 0, 1).
_FUSED = {"relu": 1, "relu6": 3, "sigmoid": 4, "hswish": 6}
_BOUNDS = {"relu6": [0.0, 6.0], "hswish": [1 / 6, 0.5], "hsigmoid": [1 / 6, 0.5]}


@dataclass(frozen=True)
class NcnnModel:
    """A model in ncnn's format: ``param`` is the text of layers, ``weights`` the binary. Input and
    output are ``INPUT`` and ``OUTPUT``; without a batch, their shapes are the network's less the
    first axis."""

    param: str
    weights: bytes


class _NcnnWriter:
    def __init__(self, network: Network, weights: Weights, fuse: bool) -> None:
        self.network, self.weights = network, weights
        self.reads = Counter(j for layer in network.layers for j in layer.inputs)
        self.fusions = fusions(network) if fuse else {}
        self.lines: list[str] = []
        self.blobs = 0
        self.data: list[bytes] = []

    def layer(self, kind: str, inputs: list[str], outputs: list[str], **values: Any) -> None:
        """One line. Values are keyed ``p<index>``; floats must show a decimal point."""
        name = f"{kind}_{len(self.lines)}"
        parts = [kind, name, len(inputs), len(outputs), *inputs, *outputs]
        parts += [_value(int(key[1:]), value) for key, value in values.items()]
        self.lines.append(" ".join(str(part) for part in parts))
        self.blobs += len(outputs)

    def store(self, array: Array | None, flag: bool = False) -> bool:
        """Appends the tensor, if there is one; whether there is."""
        if array is not None:
            self.data.append((_FLOAT32 if flag else b"") + array.astype("<f4").tobytes())
        return array is not None

    def copies(self, index: int, blob: str) -> list[str]:
        """A layer's result under as many names as it is read."""
        count = self.reads[index]
        if count < 2:
            return [blob]
        names = [f"{blob}_copy{i}" for i in range(count)]
        self.layer("Split", [blob], names)
        return names


def _value(index: int, value: Any) -> str:
    if isinstance(value, list):
        return f"{_ARRAY - index}={','.join([str(len(value)), *map(_number, value)])}"
    return f"{index}={_number(value)}"


def _number(value: float) -> str:
    return f"{value:.9e}" if isinstance(value, float) else str(int(value))


Rule = Callable[[Any, _NcnnWriter, str, list[str], str, Shape], None]


def _conv(op: Conv, w: _NcnnWriter, key: str, x: list[str], y: str, shape: Shape) -> None:
    weight, bias = w.weights[f"{key}.weight"], w.weights.get(f"{key}.bias")
    fusion, extra, after = w.fusions.get(int(key)), {}, None
    if fusion is not None and fusion.batch_norm is not None:
        weight, bias = folded(w.network, w.weights, int(key), fusion.batch_norm)
    if fusion is not None and fusion.activation is not None:
        activation = w.network.layers[fusion.activation].op
        assert isinstance(activation, Activation)
        if activation.kind in _FUSED:
            extra = {"p9": _FUSED[activation.kind], "p10": _BOUNDS.get(activation.kind, [])}
        else:
            after = activation
    if op.groups > 1:
        extra["p7"] = op.groups
    w.store(weight, flag=True)
    result = y if after is None else f"{y}_conv"
    w.layer(
        "ConvolutionDepthWise" if op.groups > 1 else "Convolution", x, [result], p0=op.out_channels,
        p1=op.kernel, p2=op.dilation, p3=op.stride, p4=op.padding, p5=w.store(bias),
        p6=weight.size, **extra,
    )  # fmt: skip
    if after is not None:
        _activation(after, w, key, [result], y, shape)


def _batch_norm(
    op: BatchNorm, w: _NcnnWriter, key: str, x: list[str], y: str, shape: Shape
) -> None:
    c = shape[1]
    for name, default in (("weight", 1), ("running_mean", 0), ("running_var", 1), ("bias", 0)):
        stored = w.weights.get(f"{key}.{name}")
        w.store(np.full(c, default, np.float32) if stored is None else stored)
    w.layer("BatchNorm", x, [y], p0=c, p1=float(op.eps))


def _activation(op: Activation, w: _NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    kinds = {
        "relu": "ReLU", "relu6": "Clip", "hswish": "HardSwish", "sigmoid": "Sigmoid",
        "silu": "Swish", "hsigmoid": "HardSigmoid",
    }  # fmt: skip
    bounds = {f"p{i}": bound for i, bound in enumerate(_BOUNDS.get(op.kind, []))}
    w.layer(kinds[op.kind], x, [y], **bounds)


def _pool(op: Pool, w: _NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    kind = _MAX if op.kind == "max" else _AVG
    w.layer("Pooling", x, [y], p0=kind, p1=op.kernel, p2=op.stride, p3=op.padding, p5=_VALID, p6=0)


def _global_pool(
    op: GlobalAvgPool, w: _NcnnWriter, key: str, x: list[str], y: str, _: Shape
) -> None:
    w.layer("Pooling", x, [f"{y}_1d"], p0=_AVG, p4=1)  # its result has one axis
    w.layer("Reshape", [f"{y}_1d"], [y], p0=1, p1=1, p2=-1)


def _elementwise(op: Elementwise, w: _NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    if len(x) == 1:
        w.layer("Noop", x, [y])
    left = x[0]
    for i, right in enumerate(x[1:], start=1):
        out = y if i == len(x) - 1 else f"{y}_part{i}"
        w.layer("BinaryOp", [left, right], [out], p0=_ADD if op.kind == "add" else _MUL)
        left = out


def _concat(op: Concat, w: _NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    w.layer("Concat", x, [y], p0=0)


def _slice(op: Slice, w: _NcnnWriter, key: str, x: list[str], y: str, shape: Shape) -> None:
    start, end, _ = slice(op.start, op.end).indices(shape[op.axis])
    w.layer("Crop", x, [y], p9=[start], p10=[end], p11=[op.axis - 1])


def _channel_shuffle(
    op: ChannelShuffle, w: _NcnnWriter, key: str, x: list[str], y: str, _: Shape
) -> None:
    w.layer("ShuffleChannel", x, [y], p0=op.groups)


def _pad(op: Pad, w: _NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    w.layer("Padding", x, [y], p0=0, p1=op.bottom, p2=0, p3=op.right, p4=0, p5=0.0)


def _zero(op: Zero, w: _NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    if op.stride > 1:  # a pool of one value a window takes every stride-th
        w.layer("Pooling", x, [f"{y}_sub"], p0=_MAX, p1=1, p2=op.stride, p5=_VALID)
        x = [f"{y}_sub"]
    w.layer("BinaryOp", x, [y], p0=_MUL, p1=1, p2=0.0)


def _flatten(op: Flatten, w: _NcnnWriter, key: str, x: list[str], y: str, _: Shape) -> None:
    w.layer("Flatten", x, [y])


def _linear(op: Linear, w: _NcnnWriter, key: str, x: list[str], y: str, shape: Shape) -> None:
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


def _input_line(w: _NcnnWriter, shape: Shape) -> None:
    sizes = dict(zip(("p0", "p1", "p2"), reversed(shape[1:]), strict=False))
    w.layer("Input", [], [INPUT], **sizes)


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
    w = _NcnnWriter(network, weights, fuse)
    _input_line(w, network.input_shape)
    last = len(network.layers) - 1
    free = {0: w.copies(0, INPUT)}  # names under which a result can still be read
    for i, layer in enumerate(network.layers[1:], start=1):
        if i in free:
            continue  # the convolution before it took it over
        inputs = [free[j].pop() for j in layer.inputs]
        result = w.fusions[i].last if i in w.fusions else i
        name = OUTPUT if result == last else f"t{result}"
        shape = network.layers[layer.inputs[0]].shape
        write = rule_for(_RULES, layer.op, ncnn_rule)
        write(layer.op, w, str(i), inputs, name, shape)
        free |= {j: [] for j in _taken_over(w, i)}
        free[result] = w.copies(result, name)
    if last == 0:
        w.layer("Noop", [INPUT], [OUTPUT])
    head = [str(MAGIC), f"{len(w.lines)} {w.blobs}"]
    return NcnnModel("\n".join([*head, *w.lines, ""]), b"".join(w.data))


def _taken_over(w: _NcnnWriter, index: int) -> list[int]:
    fusion = w.fusions.get(index)
    layers = [] if fusion is None else [fusion.batch_norm, fusion.activation]
    return [layer for layer in layers if layer is not None]
