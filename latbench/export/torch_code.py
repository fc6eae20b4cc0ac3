"""Layer kind -> lines of torch code: how each reads in a file that knows nothing of latbench.

One rule a kind. ``latbench.export.code`` finds what repeats and writes the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from latbench.export.code.layer_text import Argument, LayerCode
from latbench.export.general.code_arrays import GENERAL_CODE, INTEGER_CODE
from latbench.export.general.code_windows import WINDOW_CODE
from latbench.export.rules import rule_for, torch_code_rule
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    ChannelShuffle,
    Concat,
    Conv,
    Dtype,
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

__all__ = ["Argument", "LayerCode", "layer_code"]


def _module(name: str, module: str, *arguments: Argument, follower: bool = False) -> LayerCode:
    return LayerCode(name, module, arguments, follower=follower)


def _conv(op: Conv, inputs: Sequence[Shape]) -> LayerCode:
    name = "conv"
    if op.depthwise(inputs[0]):
        name = "depthwise"
    elif op.groups > 1:
        name = "grouped"
    elif op.kernel == 1:
        name = "pointwise"
    return _module(
        name, "nn.Conv2d",
        Argument("in_channels", inputs[0][1], by_name=False),
        Argument("out_channels", op.out_channels, by_name=False),
        Argument("kernel_size", op.kernel), Argument("stride", op.stride, 1),
        Argument("padding", op.padding, 0), Argument("dilation", op.dilation, 1),
        Argument("groups", op.groups, 1), Argument("bias", op.bias, True),
    )  # fmt: skip


def _batch_norm(op: BatchNorm, inputs: Sequence[Shape]) -> LayerCode:
    arguments = (
        Argument("num_features", inputs[0][1], by_name=False),
        Argument("eps", float(op.eps), 1e-5), Argument("affine", op.affine, True),
        Argument("track_running_stats", op.running, True),
    )  # fmt: skip
    return LayerCode("norm", "nn.BatchNorm2d", arguments, follower=True, counts_batches=op.running)


_ACTIVATIONS = {
    "relu": "nn.ReLU", "relu6": "nn.ReLU6", "hswish": "nn.Hardswish", "sigmoid": "nn.Sigmoid",
    "silu": "nn.SiLU", "hsigmoid": "nn.Hardsigmoid",
}  # fmt: skip


def _activation(op: Activation, inputs: Sequence[Shape]) -> LayerCode:
    return _module(op.kind, _ACTIVATIONS[op.kind], follower=True)


def _pool(op: Pool, inputs: Sequence[Shape]) -> LayerCode:
    sizes = (
        Argument("kernel_size", op.kernel, by_name=False), Argument("stride", op.stride),
        Argument("padding", op.padding, 0),
    )  # fmt: skip
    if op.kind == "max":
        return _module("max_pool", "nn.MaxPool2d", *sizes)
    if not op.padding:
        return _module("avg_pool", "nn.AvgPool2d", *sizes)
    return _module("avg_pool", "nn.AvgPool2d", *sizes, Argument("count_include_pad", False))


def _elementwise(op: Elementwise, inputs: Sequence[Shape]) -> LayerCode:
    sign = {"add": " + ", "mul": " * "}[op.kind]
    return LayerCode(op.kind, forward=sign.join(_inputs(inputs)))


def _inputs(inputs: Sequence[Shape]) -> list[str]:
    return [f"{{{i}}}" for i in range(len(inputs))]


def _concat(op: Concat, inputs: Sequence[Shape]) -> LayerCode:
    return LayerCode("concat", forward=f"torch.cat([{', '.join(_inputs(inputs))}], dim=1)")


def _slice(op: Slice, inputs: Sequence[Shape]) -> LayerCode:
    part = f"{op.start or ''}:{'' if op.end is None else op.end}"
    return LayerCode("part", forward=f"{{0}}[{', '.join([':'] * op.axis + [part])}]")


def _pad(op: Pad, inputs: Sequence[Shape]) -> LayerCode:
    return _module(
        "pad", "nn.ZeroPad2d", Argument("padding", (0, op.right, 0, op.bottom), by_name=False)
    )


def _zero(op: Zero, inputs: Sequence[Shape]) -> LayerCode:
    part = f"[:, :, ::{op.stride}, ::{op.stride}]" if op.stride > 1 else ""
    return LayerCode("zero", forward=f"{{0}}{part} * 0.0")


def _linear(op: Linear, inputs: Sequence[Shape]) -> LayerCode:
    return _module(
        "linear", "nn.Linear", Argument("in_features", inputs[0][1], by_name=False),
        Argument("out_features", op.out_features, by_name=False),
    )  # fmt: skip


# Of an op and the shapes that it reads.
_RULES: dict[type[Op], Callable[[Any, Sequence[Shape]], LayerCode]] = {
    Conv: _conv,
    BatchNorm: _batch_norm,
    Activation: _activation,
    Pool: _pool,
    GlobalAvgPool: lambda op, _: _module(
        "global_pool", "nn.AdaptiveAvgPool2d", Argument("output_size", 1, by_name=False)
    ),
    Elementwise: _elementwise,
    Concat: _concat,
    Slice: _slice,
    ChannelShuffle: lambda op, _: _module(
        "shuffle", "nn.ChannelShuffle", Argument("mixed_groups", op.groups, by_name=False)
    ),
    Pad: _pad,
    Zero: _zero,
    Flatten: lambda op, _: _module("flatten", "nn.Flatten"),
    Linear: _linear,
    **GENERAL_CODE,
    **WINDOW_CODE,
}


def layer_code(op: Op, shapes: Sequence[Shape], types: Sequence[Dtype] = ()) -> LayerCode:
    """Returns how one layer reads, by the rule of its kind.

    ``types`` are those of what it reads, floats by default. Raises BackendError for a kind without
    a rule, and for a layer that torch has nothing for.
    """
    rules = _RULES | INTEGER_CODE if "int64" in types[:1] else _RULES
    return rule_for(rules, op, torch_code_rule)(op, shapes)
