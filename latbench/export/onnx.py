"""Network -> onnx.ModelProto, built node by node (about 10 ms, where torch.onnx takes 0.2 to 3 s;
2026-11-24).

Opset 17 and IR version 8 are old enough for TensorRT 8.6 and ONNX Runtime 1.17, the last ones
that run on a P100. Operator semantics: https://onnx.ai/onnx/operators/

The graph is typed: with ``dtype="float16"`` every weight and every tensor between the layers is
float16, so that a runtime has no choice of precision left to make (TensorRT 11 takes nothing
else). Inputs and outputs of floats stay float32, so that a session's buffers do not depend on the
precision; the casts are part of the network that is timed.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import numpy as np
import onnx
from onnx import TensorProto, helper

from latbench.errors import UsageError
from latbench.export.general.onnx_arrays import GENERAL_RULES
from latbench.export.general.onnx_windows import WINDOW_RULES
from latbench.export.onnx_graph import FLOAT_TYPES, INT64_MAX, FloatType, OnnxGraph, Rule
from latbench.export.rules import onnx_rule, rule_for
from latbench.networks.general.arrays import Constant
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
    Input,
    Linear,
    Op,
    Pad,
    Pool,
    Shape,
    Slice,
    Zero,
)
from latbench.networks.weights import Weights, check_weights, make_weights

OPSET = 17
IR_VERSION = 8
INPUT, OUTPUT = "input", "output"
_TYPES = {"float32": "FLOAT", "int64": "INT64", "bool": "BOOL"}


def _conv(op: Conv, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node(
        "Conv", x + g.layer_weights(key, "weight", "bias"), y,
        kernel_shape=[op.kernel] * 2, strides=[op.stride] * 2, pads=[op.padding] * 4,
        dilations=[op.dilation] * 2, group=op.groups,
    )  # fmt: skip


def _batch_norm(op: BatchNorm, g: OnnxGraph, key: str, x: list[str], y: str, shape: Shape) -> None:
    if op.affine:
        scale = g.layer_weights(key, "weight", "bias")
    else:
        scale = [
            g.store(f"{key}.weight", np.ones(shape[1], np.float32)),
            g.store(f"{key}.bias", np.zeros(shape[1], np.float32)),
        ]
    stats = g.layer_weights(key, "running_mean", "running_var")
    g.node("BatchNormalization", x + scale + stats, y, epsilon=float(op.eps))


def _activation(op: Activation, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    if op.kind == "relu6":
        bounds = [
            g.store(f"{key}.{n}", np.array(v, np.float32)) for n, v in (("min", 0), ("max", 6))
        ]
        g.node("Clip", x + bounds, y)
    elif op.kind == "silu":
        g.node("Sigmoid", x, f"{y}.share")
        g.node("Mul", [*x, f"{y}.share"], y)
    elif op.kind == "hsigmoid":
        g.node("HardSigmoid", x, y, alpha=1 / 6, beta=0.5)
    else:
        g.node({"relu": "Relu", "hswish": "HardSwish", "sigmoid": "Sigmoid"}[op.kind], x, y)


def _pool(op: Pool, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    extra = {"count_include_pad": 0} if op.kind == "avg" else {}
    g.node(
        "AveragePool" if op.kind == "avg" else "MaxPool", x, y,
        kernel_shape=[op.kernel] * 2, strides=[op.stride] * 2, pads=[op.padding] * 4, **extra,
    )  # fmt: skip


def _elementwise(op: Elementwise, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    kind, last = {"add": "Add", "mul": "Mul"}[op.kind], len(x) - 1
    left = x[0]
    for i, right in enumerate(x[1:], start=1):
        out = y if i == last else f"{y}.{i}"
        g.node(kind, [left, right], out)
        left = out
    if last == 0:
        g.node("Identity", x, y)


def _concat(op: Concat, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("Concat", x, y, axis=1)


def _slice_node(g: OnnxGraph, key: str, x: list[str], y: str, **bounds: list[int]) -> None:
    g.node(
        "Slice", x + [g.store(f"{key}.{k}", np.array(v, np.int64)) for k, v in bounds.items()], y
    )


def _slice(op: Slice, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    end = INT64_MAX if op.end is None else op.end
    _slice_node(g, key, x, y, starts=[op.start], ends=[end], axes=[op.axis])


def _channel_shuffle(
    op: ChannelShuffle, g: OnnxGraph, key: str, x: list[str], y: str, shape: Shape
) -> None:
    _, c, h, w = shape
    grouped = np.array([0, op.groups, c // op.groups, h, w], np.int64)  # 0: the batch as it is
    g.node("Reshape", [*x, g.store(f"{key}.grouped", grouped)], f"{y}.grouped")
    g.node("Transpose", [f"{y}.grouped"], f"{y}.turned", perm=[0, 2, 1, 3, 4])
    flat = g.store(f"{key}.flat", np.array([0, c, h, w], np.int64))
    g.node("Reshape", [f"{y}.turned", flat], y)


def _pad(op: Pad, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    pads = np.array([0, 0, 0, 0, 0, 0, op.bottom, op.right], np.int64)
    g.node("Pad", [*x, g.store(f"{key}.pads", pads)], y)


def _zero(op: Zero, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    if op.stride > 1:
        _slice_node(
            g, key, x, f"{y}.sub",
            starts=[0, 0], ends=[INT64_MAX] * 2, axes=[2, 3], steps=[op.stride] * 2,
        )  # fmt: skip
        x = [f"{y}.sub"]
    g.node("Mul", [*x, g.store(f"{key}.zero", np.array(0, np.float32))], y)


def _global_pool(op: GlobalAvgPool, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("GlobalAveragePool", x, y)


def _flatten(op: Flatten, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("Flatten", x, y, axis=1)


def _linear(op: Linear, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("Gemm", x + g.layer_weights(key, "weight", "bias"), y, transB=1)


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
    **GENERAL_RULES,
    **WINDOW_RULES,
}


def input_names(network: Network) -> list[str]:
    """Returns what an exported model calls its inputs, in their order: by their own names, and
    ``input``, ``input_1`` and so on where they have none."""
    own = [getattr(network.layers[i].op, "name", "") for i in network.inputs]
    numbered = iter(name for i in count() if (name := _numbered(INPUT, i)) not in own)
    return [name or next(numbered) for name in own]


def output_names(network: Network) -> list[str]:
    """Returns what an exported model calls its outputs: ``output``, ``output_1`` and so on."""
    taken = input_names(network)
    names = [_numbered(OUTPUT, i) for i in range(len(network.outputs))]
    return [_unlike(name, taken) for name in names]


def _numbered(name: str, index: int) -> str:
    return f"{name}_{index}" if index else name


def _unlike(name: str, taken: list[str]) -> str:
    """A name that none of ``taken`` begins with."""
    while any(other.startswith(name) for other in taken):
        name += "_"
    return name


def _empty_model(network: Network) -> onnx.ModelProto:
    """The model with its inputs and outputs, of which floats are float32, and no node yet."""

    def values(names: list[str], layers: Iterable[int]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(
                name, getattr(TensorProto, _TYPES[network.types[i]]), network.layers[i].shape
            )
            for name, i in zip(names, layers, strict=True)
        ]

    graph = helper.make_graph(
        [],
        "latbench",
        values(input_names(network), network.inputs),
        values(output_names(network), network.outputs),
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="latbench",
    )


def to_onnx(
    network: Network,
    weights: Weights | None = None,
    dtype: FloatType = "float32",
    beside: Weights | None = None,
) -> onnx.ModelProto:
    """Exports a network as an ONNX model with the inputs ``input_names(network)`` and the outputs
    ``output_names(network)``: one of float32 ``input`` and ``output`` for most.

    Args:
        network: The network.
        weights: Its weights; ``make_weights(network)`` by default.
        dtype: "float32", or "float16" for every float between casts at the inputs and at the
            outputs.
        beside: A dictionary that takes tensors of ``BESIDE_BYTES`` or more by name instead of their
            being copied into the model, which calls them external
            (https://onnx.ai/onnx/repo-docs/ExternalData.html): a runtime can then take them from
            memory as they are.

    Returns:
        The model.

    Raises:
        UsageError: When a tensor is missing or has another shape, and for any other ``dtype``.
        BackendError: For a layer kind without a rule.
    """
    if dtype not in FLOAT_TYPES:
        raise UsageError(f"dtype must be {' or '.join(FLOAT_TYPES)}, got {dtype!r}")
    if weights is None:
        weights = make_weights(network)
    check_weights(network, weights)
    model = _empty_model(network)
    g = OnnxGraph(model.graph, weights, dtype, beside)
    results = _results(network, dtype)
    for i, layer in enumerate(network.layers):
        g.results[results[i]] = layer.shape, network.types[i]
    _write_inputs(network, g, results)
    for i, layer in enumerate(network.layers):
        if not isinstance(layer.op, Input):
            write = rule_for(_RULES, layer.op, onnx_rule)
            read = [results[j] for j in layer.inputs]
            write(layer.op, g, str(i), read, results[i], layer.shape)
    _write_outputs(network, g, results)
    g.fill()
    return model


def _results(network: Network, dtype: FloatType) -> list[str]:
    """The name of each layer's result: an output's where it is one, or is cast to be one."""
    inputs, outputs = input_names(network), output_names(network)
    prefix = _unlike("t", inputs)
    names = [f"{prefix}{i}" for i in range(len(network.layers))]

    def suffix(layer: int) -> str:
        return ".cast" if dtype != "float32" and network.types[layer] == "float32" else ""

    for name, i in zip(reversed(outputs), reversed(network.outputs), strict=True):
        if not isinstance(network.layers[i].op, Constant):  # which no node computes
            names[i] = name + suffix(i)
    for name, i in zip(inputs, network.inputs, strict=True):
        names[i] = name + suffix(i)
    return names


def _write_inputs(network: Network, g: OnnxGraph, results: list[str]) -> None:
    for name, i in zip(input_names(network), network.inputs, strict=True):
        if results[i] != name:
            g.node("Cast", [name], results[i], to=FLOAT_TYPES[g.dtype])


def _write_outputs(network: Network, g: OnnxGraph, results: list[str]) -> None:
    for name, i in zip(output_names(network), network.outputs, strict=True):
        if g.dtype != "float32" and network.types[i] == "float32":
            g.node("Cast", [results[i]], name, to=TensorProto.FLOAT)
        elif results[i] != name:
            g.node("Identity", [results[i]], name)
