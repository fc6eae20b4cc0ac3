"""Network -> onnx.ModelProto, built node by node (about 10 ms, where torch.onnx takes 0.2 to 3 s;
2026-11-24).

Opset 17 and IR version 8 are old enough for TensorRT 8.6 and ONNX Runtime 1.17, the last ones
that run on a P100. Operator semantics: https://onnx.ai/onnx/operators/

The graph is typed: with ``dtype="float16"`` every weight and every tensor between the layers is
float16, so that a runtime has no choice of precision left to make (TensorRT 11 takes nothing
else). Input and output stay float32, so that a session's buffers do not depend on the precision;
the two casts are part of the network that is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

from latbench.errors import UsageError
from latbench.export.rules import onnx_rule, rule_for
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
from latbench.networks.weights import Weights, check_weights, make_weights

OPSET = 17
IR_VERSION = 8
INPUT, OUTPUT = "input", "output"
# Smaller tensors stay in the model: a name costs as much, and runtimes fold them as constants.
BESIDE_BYTES = 1024

INT64_MAX = 2**63 - 1
FloatType = Literal["float32", "float16"]
_FLOAT_TYPES: Mapping[str, int] = MappingProxyType(
    {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}
)


class OnnxGraph:
    """A writer of nodes and initializers into a model's graph, in place.

    Protobuf copies a message that is assembled outside and added, weights and all. ``weights`` are
    the network's by name, ``dtype`` what the tensors between layers are of.
    """

    def __init__(
        self, graph: onnx.GraphProto, weights: Weights, dtype: FloatType, beside: Weights | None
    ) -> None:
        self.graph, self.weights, self.dtype, self.beside = graph, weights, dtype, beside
        self._stored: list[tuple[onnx.TensorProto, Any]] = []

    def store(self, name: str, array: Any) -> str:
        """Adds a constant, int64 or else of the graph's ``dtype``, and returns its name; ``fill``
        copies its values.

        Names begin with the layer's key: ``f"{key}.name"``.
        """
        kind = TensorProto.INT64 if array.dtype == np.int64 else _FLOAT_TYPES[self.dtype]
        # A scalar has one dimension, as numpy makes contiguous arrays.
        dims = array.shape or (1,)
        tensor = self.graph.initializer.add(name=name, data_type=kind, dims=dims)
        self._stored.append((tensor, array))
        return name

    def fill(self) -> None:
        """Copies the constants' values into the model, or notes them beside it: the largest first.

        Protobuf copies bytes, which are a copy of an array. In this order the bytes lie where those
        of a larger array were, and the model's copy fills what is left there, so that hardly more
        memory is touched than the model has. In the layers' order it was 1.4 times as much, and the
        copying took 15 ms instead of 11 (MobileNetV3-L, 2026-11-30).
        """
        for tensor, values in sorted(self._stored, key=lambda pair: -pair[1].nbytes):
            dtype = None if tensor.data_type == TensorProto.INT64 else self.dtype
            array = np.ascontiguousarray(values, dtype)
            if self.beside is None or array.nbytes < BESIDE_BYTES:
                tensor.raw_data = array.tobytes()
            else:
                tensor.data_location = TensorProto.EXTERNAL
                tensor.external_data.add(key="location", value="memory")
                self.beside[tensor.name] = array

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Adds a node.

        Args:
            kind: The operator, such as ``"Conv"``.
            inputs: The names of what it reads.
            output: The name of its result, which no other node has.
            attributes: Integers, floats, texts or sequences of integers.
        """
        node = self.graph.node.add(op_type=kind, input=inputs, output=[output], name=output)
        for name, value in attributes.items():
            # helper.make_attribute tries every kind of value that there is; that adds up.
            attribute = node.attribute.add(name=name)
            if isinstance(value, int):
                attribute.type, attribute.i = AttributeProto.INT, value
            elif isinstance(value, float):
                attribute.type, attribute.f = AttributeProto.FLOAT, value
            elif isinstance(value, str):
                attribute.type, attribute.s = AttributeProto.STRING, value.encode()
            else:
                attribute.type = AttributeProto.INTS
                attribute.ints.extend(value)

    def layer_weights(self, key: str, *names: str) -> list[str]:
        """Adds those of a layer's tensors that it has, and returns their names in the graph."""
        return [
            self.store(f"{key}.{n}", self.weights[f"{key}.{n}"])
            for n in names
            if f"{key}.{n}" in self.weights
        ]


# Of an op, the graph, the layer's key (its tensors are "<key>.<name>"), the names of what it reads,
# that of its result, and its shape.
Rule = Callable[[Any, OnnxGraph, str, list[str], str, Shape], None]


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
}


def _empty_model(network: Network) -> onnx.ModelProto:
    """The model with its float32 input and output, and no node yet."""
    graph = helper.make_graph(
        [],
        "latbench",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, network.input_shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, network.output_shape)],
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
    """Exports a network as an ONNX model with one float32 input ``input`` and one output
    ``output``.

    Args:
        network: The network.
        weights: Its weights; ``make_weights(network)`` by default.
        dtype: "float32", or "float16" for everything between a cast at the input and one at the
            output.
        beside: A dictionary that takes tensors of ``BESIDE_BYTES`` or more by name instead of their
            being copied into the model, which calls them external
            (https://onnx.ai/onnx/repo-docs/ExternalData.html): a runtime can then take them from
            memory as they are.

    Returns:
        The model.

    Raises:
        UsageError: When a tensor is missing or has another shape, and for any other ``dtype``.
    """
    if dtype not in _FLOAT_TYPES:
        raise UsageError(f"dtype must be {' or '.join(_FLOAT_TYPES)}, got {dtype!r}")
    if weights is None:
        weights = make_weights(network)
    check_weights(network, weights)
    model = _empty_model(network)
    g = OnnxGraph(model.graph, weights, dtype, beside)
    first, last = (INPUT, OUTPUT) if dtype == "float32" else (f"{INPUT}.cast", f"{OUTPUT}.cast")
    if first != INPUT:
        g.node("Cast", [INPUT], first, to=_FLOAT_TYPES[dtype])
    names = [first]
    for i, layer in enumerate(network.layers[1:], start=1):
        name = last if i == len(network.layers) - 1 else f"t{i}"
        inputs = [names[j] for j in layer.inputs]
        write = rule_for(_RULES, layer.op, onnx_rule)
        write(layer.op, g, str(i), inputs, name, layer.shape)
        names.append(name)
    if len(network.layers) == 1:
        g.node("Identity", [first], last)
    if last != OUTPUT:
        g.node("Cast", [last], OUTPUT, to=TensorProto.FLOAT)
    g.fill()
    return model
