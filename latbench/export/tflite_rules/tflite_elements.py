"""Rules of arithmetic on every element, for LiteRT. None of it minds how the axes lie."""

from __future__ import annotations

import math
from collections.abc import Callable

from latbench.export.rules import refusal
from latbench.export.tflite_rules.tflite_writer import (
    FUSED,
    OP,
    Stored,
    StoredRules,
    TfliteWriter,
)
from latbench.networks.general.arithmetic import Binary, Cast, Unary, Where
from latbench.networks.ops import Activation, Elementwise, Shape

# SELU's constants (https://arxiv.org/abs/1706.02515, section 2), as torch and ONNX have them.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
# Below it erf is a line, to 2 of 10 million; above it two GELUs keep their digits.
_SMALL = 0.01
_HSIGMOID = (1 / 6, 0.5)


def activation(kind: str, w: TfliteWriter, x: int) -> int:
    """Writes one of the kinds of ``Activation``."""
    if kind == "hswish":
        return w.one(OP.HARD_SWISH, x, "HardSwish")
    if kind == "silu":
        return w.two(OP.MUL, x, w.one(OP.LOGISTIC, x), "Mul")
    if kind == "hsigmoid":
        relu6 = {"fusedActivationFunction": FUSED.RELU6}
        raised = w.two(OP.ADD, x, 3.0, "Add", **relu6)
        return w.two(OP.MUL, raised, 1 / 6, "Mul")
    codes = {"relu": OP.RELU, "relu6": OP.RELU6, "sigmoid": OP.LOGISTIC}
    return w.one(codes[kind], x)


def _activation(op: Activation, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    return Stored(activation(op.kind, w, w.ordered(x[0], x[0].order)), x[0].order)


def _elementwise(
    op: Elementwise, w: TfliteWriter, key: int, x: list[Stored], shape: Shape
) -> Stored:
    order, tensors = w.aligned(*x)
    if len(x) == 1:
        return Stored(w.reshape(tensors[0], w.shape(tensors[0])), order)
    y = tensors[0]
    for other in tensors[1:]:
        y = w.two(getattr(OP, op.kind.upper()), y, other, op.kind.capitalize())
    return Stored(y, order)


_ONE = {
    "abs": OP.ABS, "ceil": OP.CEIL, "cos": OP.COS, "exp": OP.EXP, "floor": OP.FLOOR, "log": OP.LOG,
    "neg": OP.NEG, "not": OP.LOGICAL_NOT, "round": OP.ROUND, "sign": OP.SIGN, "sin": OP.SIN,
    "sqrt": OP.SQRT, "tanh": OP.TANH,
}  # fmt: skip
_NO_INTEGERS = ("abs", "sign")  # of 64 bits


def _clip(op: Unary, w: TfliteWriter, x: int) -> int:
    low, high = op.alpha, op.beta
    if (low, high) == (0, 6) and w.type(x) == "float32":
        return w.one(OP.RELU6, x)
    if math.isfinite(low):
        x = w.two(OP.MAXIMUM, x, float(low), "MaximumMinimum")
    return w.two(OP.MINIMUM, x, float(high), "MaximumMinimum") if math.isfinite(high) else x


def _elu(op: Unary, w: TfliteWriter, x: int) -> int:
    if op.alpha == 1:
        return w.one(OP.ELU, x)
    below = w.two(OP.MINIMUM, x, 0.0, "MaximumMinimum")
    bent = w.two(OP.MUL, w.one(OP.ELU, below), float(op.alpha), "Mul")
    return w.two(OP.ADD, w.one(OP.RELU, x), bent, "Add")


def _selu(op: Unary, w: TfliteWriter, x: int) -> int:
    return w.two(OP.MUL, _elu(Unary("elu", _SELU_ALPHA), w, x), _SELU_SCALE, "Mul")


def _erf(op: Unary, w: TfliteWriter, x: int) -> int:
    """LiteRT has the function only within GELU: ``gelu(z) + gelu(-z) = z erf(z / sqrt 2)``."""
    z = w.two(OP.MUL, x, math.sqrt(2), "Mul")
    far = w.two(OP.MAXIMUM, w.one(OP.ABS, z), _SMALL, "MaximumMinimum")
    both = w.two(OP.ADD, _gelu(w, far), _gelu(w, w.one(OP.NEG, far)), "Add")
    slope = w.two(OP.DIV, z, far, "Div")
    return w.two(OP.MUL, w.two(OP.DIV, both, far, "Div"), slope, "Mul")


def _gelu(w: TfliteWriter, x: int, tanh: bool = False) -> int:
    return w.one(OP.GELU, x, "Gelu", approximate=tanh)


def _hsigmoid(op: Unary, w: TfliteWriter, x: int) -> int:
    y = w.two(OP.ADD, w.two(OP.MUL, x, float(op.alpha), "Mul"), float(op.beta), "Add")
    return _clip(Unary("clip", 0, 1), w, y)


def _softplus(w: TfliteWriter, x: int) -> int:
    shrunk = w.one(OP.EXP, w.one(OP.NEG, w.one(OP.ABS, x)))
    return w.two(OP.ADD, w.one(OP.RELU, x), w.one(OP.LOG, w.two(OP.ADD, shrunk, 1.0, "Add")), "Add")


def _softsign(op: Unary, w: TfliteWriter, x: int) -> int:
    return w.two(OP.DIV, x, w.two(OP.ADD, w.one(OP.ABS, x), 1.0, "Add"), "Div")


def _reciprocal(op: Unary, w: TfliteWriter, x: int) -> int:
    return w.two(OP.DIV, w.scalar(1, x), x, "Div")


_UNARY: dict[str, Callable[[Unary, TfliteWriter, int], int]] = {
    "clip": _clip,
    "elu": _elu,
    "erf": _erf,
    "gelu": lambda op, w, x: _gelu(w, x),
    "gelu_tanh": lambda op, w, x: _gelu(w, x, tanh=True),
    "hsigmoid": _hsigmoid,
    "leaky_relu": lambda op, w, x: w.one(OP.LEAKY_RELU, x, "LeakyRelu", alpha=float(op.alpha)),
    "mish": lambda op, w, x: w.two(OP.MUL, x, w.one(OP.TANH, _softplus(w, x)), "Mul"),
    "reciprocal": _reciprocal,
    "selu": _selu,
    "softplus": lambda op, w, x: _softplus(w, x),
    "softsign": _softsign,
}


def _unary(op: Unary, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    order = x[0].order
    y = w.ordered(x[0], order)
    if op.kind in _UNARY:
        return Stored(_UNARY[op.kind](op, w, y), order)
    if w.type(y) == "int64" and op.kind in ("ceil", "floor", "round"):
        return Stored(y, order)
    if w.type(y) == "int64" and op.kind in _NO_INTEGERS:
        short = w.one(_ONE[op.kind], w.cast(y, "int32"))
        return Stored(w.cast(short, "int64"), order)
    return Stored(w.one(_ONE[op.kind], y), order)


_TWO = {
    "add": (OP.ADD, "Add"), "sub": (OP.SUB, "Sub"), "mul": (OP.MUL, "Mul"), "div": (OP.DIV, "Div"),
    "pow": (OP.POW, "Pow"), "min": (OP.MINIMUM, "MaximumMinimum"),
    "max": (OP.MAXIMUM, "MaximumMinimum"), "mod": (OP.FLOOR_MOD, "FloorMod"),
}  # fmt: skip
_TRUTHS = {
    "equal": OP.EQUAL, "less": OP.LESS, "less_equal": OP.LESS_EQUAL, "greater": OP.GREATER,
    "greater_equal": OP.GREATER_EQUAL, "and": OP.LOGICAL_AND, "or": OP.LOGICAL_OR,
    "xor": OP.NOT_EQUAL,
}  # fmt: skip
_SHORT = ("div", "pow")  # integers of 32 bits only


def _binary(op: Binary, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    order, (a, b) = w.aligned(*x)
    if op.kind in _TRUTHS:
        return Stored(w.broadcast(_TRUTHS[op.kind], [a, b], dtype="bool"), order)
    if op.kind == "prelu":
        bent = w.two(OP.MUL, w.two(OP.MINIMUM, a, 0.0, "MaximumMinimum"), b, "Mul")
        return Stored(w.two(OP.ADD, w.one(OP.RELU, a), bent, "Add"), order)
    if w.type(a) == "bool":
        raise refusal("LiteRT", key, op, f"no {op.kind} of truth values")
    if op.kind == "mod" and w.type(a) == "float32":
        # LiteRT's has the divisor's sign, this one the dividend's.
        rest = w.two(OP.FLOOR_MOD, w.one(OP.ABS, a), w.one(OP.ABS, b), "FloorMod")
        return Stored(w.two(OP.MUL, rest, w.one(OP.SIGN, a), "Mul"), order)
    code, kind = _TWO[op.kind]
    if w.type(a) == "int64" and op.kind in _SHORT:
        return Stored(
            w.cast(w.two(code, w.cast(a, "int32"), w.cast(b, "int32"), kind), "int64"), order
        )
    return Stored(w.two(code, a, b, kind), order)


def _where(op: Where, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    order, tensors = w.aligned(*x)
    dtype = w.type(tensors[1])
    return Stored(w.broadcast(OP.SELECT_V2, tensors, "SelectV2", dtype=dtype), order)


def _cast(op: Cast, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    y = w.ordered(x[0], x[0].order)
    if op.to == "bool" and w.type(y) != "bool":  # LiteRT's own would cut fractions off
        return Stored(w.broadcast(OP.NOT_EQUAL, [y, w.scalar(0, y)], dtype="bool"), x[0].order)
    return Stored(w.cast(y, op.to), x[0].order)


ELEMENT_RULES: StoredRules = {
    Activation: _activation,
    Elementwise: _elementwise,
    Unary: _unary,
    Binary: _binary,
    Where: _where,
    Cast: _cast,
}
