"""The torch code of ``latbench.networks.general``, but for that of windows.

It computes what the modules of ``torch_arrays`` do. Where a shape begins with the batch, another
batch is let through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from latbench.export.code.layer_text import Argument, LayerCode, Text
from latbench.networks.general.arithmetic import Binary, Cast, Unary, Where
from latbench.networks.general.arrays import (
    ArgMax,
    Constant,
    Cut,
    Embedding,
    Expand,
    Gather,
    Join,
    Reduce,
    Reshape,
    Transpose,
)
from latbench.networks.general.products import Dense, GroupNorm, LayerNorm, MatMul, Softmax
from latbench.networks.ops import Op, Shape

# What files write for "no bound": float32's largest number, or int64's.
_UNBOUNDED = 2.0**63


def number(value: float) -> str:
    """Returns a number as code: whole ones without a point, so that it keeps integers."""
    if math.isinf(value):
        return f'float("{value}")'
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


def _clip(op: Unary) -> LayerCode:
    bounds = {"min": op.alpha, "max": op.beta}
    given = ", ".join(f"{k}={number(v)}" for k, v in bounds.items() if abs(v) < _UNBOUNDED)
    return LayerCode("clip", forward=f"{{0}}.clamp({given})" if given else "{0}")


def _slope(op: Unary, module: str, name: str, usual: float) -> LayerCode:
    return LayerCode(op.kind, module, (Argument(name, op.alpha, usual),), follower=True)


_METHODS = (
    "abs", "ceil", "cos", "erf", "exp", "floor", "log", "reciprocal", "round", "sign", "sin",
    "sqrt",
)  # fmt: skip
_MODULES = {
    "gelu": "nn.GELU", "mish": "nn.Mish", "selu": "nn.SELU", "softplus": "nn.Softplus",
    "softsign": "nn.Softsign", "tanh": "nn.Tanh",
}  # fmt: skip
_OTHERS: dict[str, Callable[[Unary], LayerCode]] = {
    "clip": _clip,
    "elu": lambda op: _slope(op, "nn.ELU", "alpha", 1.0),
    "gelu_tanh": lambda op: LayerCode(
        "gelu", "nn.GELU", (Argument("approximate", Text('"tanh"')),), follower=True
    ),
    "hsigmoid": lambda op: LayerCode(
        "hsigmoid", forward=f"({{0}} * {op.alpha} + {op.beta}).clamp(0, 1)"
    ),
    "leaky_relu": lambda op: _slope(op, "nn.LeakyReLU", "negative_slope", 0.01),
    "neg": lambda op: LayerCode("neg", forward="-{0}"),
    "not": lambda op: LayerCode("negation", forward="{0}.logical_not()"),
}


def _unary(op: Unary, inputs: Sequence[Shape]) -> LayerCode:
    if op.kind in _METHODS:
        return LayerCode(op.kind, forward=f"{{0}}.{op.kind}()")
    if op.kind in _MODULES:
        return LayerCode(op.kind, _MODULES[op.kind], follower=True)
    return _OTHERS[op.kind](op)


_BINARY = {
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "div": "{0} / {1}",
    "pow": "{0} ** {1}", "min": "torch.minimum({0}, {1})", "max": "torch.maximum({0}, {1})",
    "mod": "torch.fmod({0}, {1})", "prelu": "{0}.clamp(min=0) + {1} * {0}.clamp(max=0)",
    "equal": "{0} == {1}", "less": "{0} < {1}", "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}", "greater_equal": "{0} >= {1}", "and": "{0} & {1}", "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
}  # fmt: skip
# Integers are divided as integers; their remainder has the divisor's sign.
_INTEGERS = {
    "div": 'torch.div({0}, {1}, rounding_mode="trunc")', "mod": "torch.remainder({0}, {1})",
    "pow": "({0} ** {1}).to({0}.dtype)",
}  # fmt: skip


def _binary(op: Binary, inputs: Sequence[Shape]) -> LayerCode:
    return LayerCode(op.kind, forward=_BINARY[op.kind])


def _binary_of_integers(op: Binary, inputs: Sequence[Shape]) -> LayerCode:
    return LayerCode(op.kind, forward=_INTEGERS.get(op.kind) or _BINARY[op.kind])


_CASTS = {"float32": "float", "int64": "long", "bool": "bool"}


def _constant(op: Constant, inputs: Sequence[Shape]) -> LayerCode:
    if op.dtype == "float32":
        made = Argument("data", Text(f"torch.ones({_sizes(op.shape)})"), by_name=False)
        return LayerCode("constant", "nn.Parameter", (made,), "{self}", tensor=True)
    size = Argument("size", Text(_sizes(op.shape)), by_name=False)
    dtype = Argument("dtype", Text(f"torch.{op.dtype}"))
    return LayerCode("constant", "torch.zeros", (size, dtype), "{self}", tensor=True)


def _sizes(shape: Shape) -> str:
    return ", ".join(map(str, shape)) or "()"


def _reshape(op: Reshape, inputs: Sequence[Shape]) -> LayerCode:
    # The elements' number says what the first axis is, so that it may be of another batch.
    shape = ", ".join(map(str, (-1, *op.shape[1:]))) if op.shape else "()"
    return LayerCode("reshape", forward=f"{{0}}.reshape({shape})")


def _transpose(op: Transpose, inputs: Sequence[Shape]) -> LayerCode:
    moved = [i for i, axis in enumerate(op.order) if i != axis]
    if len(moved) == 2:
        return LayerCode("transpose", forward=f"{{0}}.transpose({moved[0]}, {moved[1]})")
    return LayerCode("permute", forward=f"{{0}}.permute({', '.join(map(str, op.order))})")


def _cut(op: Cut, inputs: Sequence[Shape]) -> LayerCode:
    part = span(op.start, op.end, inputs[0][op.axis]) + (f":{op.step}" if op.step > 1 else "")
    return LayerCode("part", forward=f"{{0}}[{', '.join([':'] * op.axis + [part])}]")


def span(start: int, end: int, size: int) -> str:
    """Returns a slice of an axis, without the ends that are the axis' own."""
    return f"{start or ''}:{'' if end == size else end}"


def _join(op: Join, inputs: Sequence[Shape]) -> LayerCode:
    listed = ", ".join(f"{{{i}}}" for i in range(len(inputs)))
    return LayerCode("concat", forward=f"torch.cat([{listed}], dim={op.axis})")


def _axes(axes: tuple[int, ...], keep: bool) -> str:
    dim = str(axes[0]) if len(axes) == 1 else str(tuple(axes))
    return f"dim={dim}" + (", keepdim=True" if keep else "")


_REDUCE = {
    "mean": ".mean({})", "sum": ".sum({})", "max": ".amax({})", "min": ".amin({})",
    "l1": ".abs().sum({})", "l2": ".square().sum({}).sqrt()",
}  # fmt: skip


def _reduced(op: Reduce) -> str:
    if not op.axes:  # torch would take all of them; each element is reduced alone
        return "{0}.abs()" if op.kind in ("l1", "l2") else "{0}"
    if op.kind == "prod":
        ordered = sorted(op.axes, reverse=True)
        return "{0}" + "".join(f".prod({_axes((axis,), op.keep)})" for axis in ordered)
    return "{0}" + _REDUCE[op.kind].format(_axes(op.axes, op.keep))


def _reduce(op: Reduce, inputs: Sequence[Shape]) -> LayerCode:
    return LayerCode(op.kind, forward=_reduced(op))


def _reduce_integers(op: Reduce, inputs: Sequence[Shape]) -> LayerCode:
    text = _reduced(op)
    if op.axes and op.kind == "mean":
        total = _reduced(Reduce("sum", op.axes, op.keep))
        count = math.prod(inputs[0][axis] for axis in op.axes)
        text = f'torch.div({total}, {count}, rounding_mode="trunc")'
    elif op.axes and op.kind == "l2":
        text += ".long()"
    return LayerCode(op.kind, forward=text)


def _arg_max(op: ArgMax, inputs: Sequence[Shape]) -> LayerCode:
    return LayerCode("argmax", forward=f"{{0}}.argmax({_axes((op.axis,), op.keep)})")


def _expand(op: Expand, inputs: Sequence[Shape]) -> LayerCode:
    given = (0,) * (len(op.shape) - len(inputs[0])) + inputs[0]
    # -1 keeps an axis, whatever its size is.
    sizes = (-1 if a == b else b for a, b in zip(given, op.shape, strict=True))
    return LayerCode("expand", forward=f"{{0}}.expand({', '.join(map(str, sizes))})")


def _gather(op: Gather, inputs: Sequence[Shape]) -> LayerCode:
    return LayerCode("gather", forward=f"{{0}}[{', '.join([':'] * op.axis + ['{1}'])}]")


def _softmax(op: Softmax, inputs: Sequence[Shape]) -> LayerCode:
    function = "log_softmax" if op.log else "softmax"
    return LayerCode(function, forward=f"torch.{function}({{0}}, dim={op.axis})")


def _embedding(op: Embedding, inputs: Sequence[Shape]) -> LayerCode:
    arguments = (
        Argument("num_embeddings", op.rows, by_name=False),
        Argument("embedding_dim", op.width, by_name=False),
    )
    return LayerCode("embedding", "nn.Embedding", arguments)


def _dense(op: Dense, inputs: Sequence[Shape]) -> LayerCode:
    arguments = (
        Argument("in_features", inputs[0][-1], by_name=False),
        Argument("out_features", op.out_features, by_name=False), Argument("bias", op.bias, True),
    )  # fmt: skip
    return LayerCode("linear", "nn.Linear", arguments)


def _layer_norm(op: LayerNorm, inputs: Sequence[Shape]) -> LayerCode:
    shape = inputs[0][-op.dims :]
    arguments = (
        Argument("normalized_shape", shape[0] if op.dims == 1 else shape, by_name=False),
        Argument("eps", float(op.eps), 1e-5), Argument("bias", op.bias, True),
    )  # fmt: skip
    return LayerCode("norm", "nn.LayerNorm", arguments)


def _group_norm(op: GroupNorm, inputs: Sequence[Shape]) -> LayerCode:
    arguments = (
        Argument("num_groups", op.groups, by_name=False),
        Argument("num_channels", inputs[0][1], by_name=False),
        Argument("eps", float(op.eps), 1e-5),
    )
    return LayerCode("norm", "nn.GroupNorm", arguments, follower=True)


GENERAL_CODE: dict[type[Op], Callable[[Any, Sequence[Shape]], LayerCode]] = {
    Unary: _unary,
    Binary: _binary,
    Where: lambda op, _: LayerCode("where", forward="torch.where({0}, {1}, {2})"),
    Cast: lambda op, _: LayerCode("cast", forward=f"{{0}}.{_CASTS[op.to]}()"),
    Constant: _constant,
    Reshape: _reshape,
    Transpose: _transpose,
    Cut: _cut,
    Join: _join,
    Reduce: _reduce,
    ArgMax: _arg_max,
    Expand: _expand,
    Gather: _gather,
    Embedding: _embedding,
    MatMul: lambda op, _: LayerCode("matmul", forward="torch.matmul({0}, {1})"),
    Dense: _dense,
    Softmax: _softmax,
    LayerNorm: _layer_norm,
    GroupNorm: _group_norm,
}
# Those of layers that read integers, where they differ.
INTEGER_CODE: dict[type[Op], Callable[[Any, Sequence[Shape]], LayerCode]] = {
    Binary: _binary_of_integers,
    Reduce: _reduce_integers,
}
