"""The ONNX rules of ``latbench.networks.general``, but for those of windows.

Every operator is one of opset 17; what came later is composed of others.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx import TensorProto

from latbench.export.onnx_graph import OnnxGraph, Rule
from latbench.networks.general.arithmetic import Binary, Cast, Unary, Where, broadcast
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

_UNARY = {
    "abs": "Abs", "ceil": "Ceil", "cos": "Cos", "elu": "Elu", "erf": "Erf", "exp": "Exp",
    "floor": "Floor", "hsigmoid": "HardSigmoid", "leaky_relu": "LeakyRelu", "log": "Log",
    "neg": "Neg", "not": "Not", "reciprocal": "Reciprocal", "round": "Round", "selu": "Selu",
    "sign": "Sign", "sin": "Sin", "softplus": "Softplus", "softsign": "Softsign", "sqrt": "Sqrt",
    "tanh": "Tanh",
}  # fmt: skip
_BINARY = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "min": "Min",
    "max": "Max", "mod": "Mod", "equal": "Equal", "less": "Less", "less_equal": "LessOrEqual",
    "greater": "Greater", "greater_equal": "GreaterOrEqual", "and": "And", "or": "Or",
    "xor": "Xor",
}  # fmt: skip
_REDUCE = {
    "mean": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax", "min": "ReduceMin",
    "prod": "ReduceProd", "l1": "ReduceL1", "l2": "ReduceL2",
}  # fmt: skip


def _number(g: OnnxGraph, key: str, name: str, value: float) -> str:
    return g.store(f"{key}.{name}", np.array(value, np.float32))


def _sizes(g: OnnxGraph, key: str, name: str, values: Any) -> str:
    return g.store(f"{key}.{name}", np.array(values, np.int64))


def _unary(op: Unary, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    composed = {"clip": _clip, "gelu": _gelu, "gelu_tanh": _gelu_tanh, "mish": _mish}
    if op.kind in composed:
        composed[op.kind](op, g, key, x[0], y)
        return
    has = {"elu": ("alpha",), "leaky_relu": ("alpha",), "hsigmoid": ("alpha", "beta")}
    g.node(_UNARY[op.kind], x, y, **{n: float(getattr(op, n)) for n in has.get(op.kind, ())})


def _clip(op: Unary, g: OnnxGraph, key: str, x: str, y: str) -> None:
    least, most = op.alpha, op.beta
    if g.results[x][1] == "int64":
        whole = np.iinfo(np.int64)
        first, last = math.ceil(max(least, whole.min)), math.floor(min(most, whole.max))
        bounds = [np.array(min(n, whole.max), np.int64) for n in (first, last)]
    else:
        # Files write "no bound" as the largest float32, which float16 does not have.
        largest = float(np.finfo(g.dtype).max)
        bounds = [np.array(n, np.float32) for n in (max(least, -largest), min(most, largest))]
    names = [g.store(f"{key}.{n}", b) for n, b in zip(("min", "max"), bounds, strict=True)]
    g.node("Clip", [x, *names], y)


def _gelu(op: Unary, g: OnnxGraph, key: str, x: str, y: str) -> None:
    """Writes it as torch exports it, which runtimes find and compute at once."""
    g.node("Div", [x, _number(g, key, "root", math.sqrt(2))], f"{y}.scaled")
    g.node("Erf", [f"{y}.scaled"], f"{y}.erf")
    _half_of_both(g, key, x, f"{y}.erf", y)


def _gelu_tanh(op: Unary, g: OnnxGraph, key: str, x: str, y: str) -> None:
    g.node("Mul", [x, x], f"{y}.square")
    g.node("Mul", [f"{y}.square", x], f"{y}.cube")
    g.node("Mul", [f"{y}.cube", _number(g, key, "share", 0.044715)], f"{y}.small")
    g.node("Add", [x, f"{y}.small"], f"{y}.sum")
    g.node("Mul", [f"{y}.sum", _number(g, key, "root", math.sqrt(2 / math.pi))], f"{y}.scaled")
    g.node("Tanh", [f"{y}.scaled"], f"{y}.tanh")
    _half_of_both(g, key, x, f"{y}.tanh", y)


def _half_of_both(g: OnnxGraph, key: str, x: str, sign: str, y: str) -> None:
    """Writes ``x (1 + sign) / 2``."""
    g.node("Add", [sign, _number(g, key, "one", 1)], f"{y}.shifted")
    g.node("Mul", [x, f"{y}.shifted"], f"{y}.double")
    g.node("Mul", [f"{y}.double", _number(g, key, "half", 0.5)], y)


def _mish(op: Unary, g: OnnxGraph, key: str, x: str, y: str) -> None:
    g.node("Softplus", [x], f"{y}.softplus")
    g.node("Tanh", [f"{y}.softplus"], f"{y}.share")
    g.node("Mul", [x, f"{y}.share"], y)


def _binary(op: Binary, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    shapes, dtype = [g.results[name][0] for name in x], g.results[x[0]][1]
    if op.kind != "prelu":
        floats = op.kind == "mod" and dtype == "float32"
        g.node(_BINARY[op.kind], x, y, fmod=1 if floats else None)
    elif broadcast(*shapes) == shapes[0]:
        g.node("PRelu", x, y)
    else:  # whose slopes are never more than what they multiply
        zero = _number(g, key, "zero", 0)
        g.node("Max", [x[0], zero], f"{y}.above")
        g.node("Min", [x[0], zero], f"{y}.below")
        g.node("Mul", [f"{y}.below", x[1]], f"{y}.sloped")
        g.node("Add", [f"{y}.above", f"{y}.sloped"], y)


def _where(op: Where, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("Where", x, y)


def _cast(op: Cast, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("Cast", x, y, to=g.type(op.to))


def _constant(op: Constant, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.store(y, g.weights[f"{key}.value"].astype(op.dtype))


def _reshape(op: Reshape, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("Reshape", [*x, _sizes(g, key, "shape", op.shape)], y)


def _transpose(op: Transpose, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("Transpose", x, y, perm=op.order)


def _cut(op: Cut, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    bounds = {"starts": op.start, "ends": op.end, "axes": op.axis, "steps": op.step}
    g.node("Slice", [*x, *(_sizes(g, key, n, [v]) for n, v in bounds.items())], y)


def _join(op: Join, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("Concat", x, y, axis=op.axis)


def _reduce(op: Reduce, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    shape, dtype = g.results[x[0]]
    keep = int(op.keep)
    if not op.axes:  # each element is reduced alone
        g.node("Abs" if op.kind in ("l1", "l2") else "Identity", x, y)
    elif op.kind == "sum":
        g.node("ReduceSum", [*x, _sizes(g, key, "axes", op.axes)], y, keepdims=keep)
    elif dtype == "int64" and op.kind in ("mean", "l1", "l2"):
        _reduce_integers(op, g, key, x[0], y, math.prod(shape[i] for i in op.axes))
    else:
        g.node(_REDUCE[op.kind], x, y, axes=op.axes, keepdims=keep)


def _reduce_integers(op: Reduce, g: OnnxGraph, key: str, x: str, y: str, count: int) -> None:
    """Writes what runtimes have of floats alone, by a sum."""
    axes, keep = _sizes(g, key, "axes", op.axes), int(op.keep)
    if op.kind == "mean":
        g.node("ReduceSum", [x, axes], f"{y}.sum", keepdims=keep)
        g.node("Div", [f"{y}.sum", _sizes(g, key, "count", count)], y)
    elif op.kind == "l1":
        g.node("Abs", [x], f"{y}.abs")
        g.node("ReduceSum", [f"{y}.abs", axes], y, keepdims=keep)
    else:
        g.node("Mul", [x, x], f"{y}.square")
        g.node("ReduceSum", [f"{y}.square", axes], f"{y}.sum", keepdims=keep)
        g.node("Cast", [f"{y}.sum"], f"{y}.float", to=TensorProto.FLOAT)
        g.node("Sqrt", [f"{y}.float"], f"{y}.root")
        g.node("Cast", [f"{y}.root"], y, to=TensorProto.INT64)


def _arg_max(op: ArgMax, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    if g.results[x[0]][1] != "float32":  # which runtimes have of floats alone
        g.node("Cast", x, f"{y}.float", to=TensorProto.DOUBLE)
        x = [f"{y}.float"]
    g.node("ArgMax", x, y, axis=op.axis, keepdims=int(op.keep))


def _expand(op: Expand, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("Expand", [*x, _sizes(g, key, "shape", op.shape)], y)


def _gather(op: Gather, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("Gather", x, y, axis=op.axis)


def _embedding(op: Embedding, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("Gather", g.layer_weights(key, "weight") + x, y, axis=0)


def _mat_mul(op: MatMul, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("MatMul", x, y)


def _dense(op: Dense, g: OnnxGraph, key: str, x: list[str], y: str, shape: Shape) -> None:
    if len(shape) == 2:
        g.node("Gemm", x + g.layer_weights(key, "weight", "bias"), y, transB=1)
        return
    weight = g.store(f"{key}.weight", g.weights[f"{key}.weight"].T)
    bias = g.layer_weights(key, "bias")
    product = f"{y}.product" if bias else y
    g.node("MatMul", [*x, weight], product)
    if bias:
        g.node("Add", [product, *bias], y)


def _softmax(op: Softmax, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node("LogSoftmax" if op.log else "Softmax", x, y, axis=op.axis)


def _layer_norm(op: LayerNorm, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    scale = g.layer_weights(key, "weight", "bias")
    g.node("LayerNormalization", x + scale, y, axis=-op.dims, epsilon=float(op.eps))


def _group_norm(op: GroupNorm, g: OnnxGraph, key: str, x: list[str], y: str, shape: Shape) -> None:
    eps = float(op.eps)
    if op.groups == shape[1]:
        g.node("InstanceNormalization", x + g.layer_weights(key, "weight", "bias"), y, epsilon=eps)
        return
    g.node("Reshape", [*x, _sizes(g, key, "groups", [shape[0], op.groups, -1])], f"{y}.groups")
    ones = g.store(f"{key}.ones", np.ones(op.groups, np.float32))
    zeros = g.store(f"{key}.zeros", np.zeros(op.groups, np.float32))
    g.node("InstanceNormalization", [f"{y}.groups", ones, zeros], f"{y}.normed", epsilon=eps)
    g.node("Reshape", [f"{y}.normed", _sizes(g, key, "shape", shape)], f"{y}.whole")
    along = (-1, *(1,) * (len(shape) - 2))
    weight, bias = (
        g.store(f"{key}.{n}", g.weights[f"{key}.{n}"].reshape(along)) for n in ("weight", "bias")
    )
    g.node("Mul", [f"{y}.whole", weight], f"{y}.scaled")
    g.node("Add", [f"{y}.scaled", bias], y)


GENERAL_RULES: dict[type[Op], Rule] = {
    Unary: _unary,
    Binary: _binary,
    Where: _where,
    Cast: _cast,
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
    MatMul: _mat_mul,
    Dense: _dense,
    Softmax: _softmax,
    LayerNorm: _layer_norm,
    GroupNorm: _group_norm,
}
