"""Rules of arithmetic on every element, for ncnn.

ncnn's elements are all floats. Integers and truth values are floats there, too, which is exact up
to 2^24; what compares them has no operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from latbench.export.ncnn_rules import ncnn_writer as codes
from latbench.export.ncnn_rules.ncnn_writer import GeneralRules, NcnnWriter
from latbench.networks.general.arithmetic import Binary, Cast, Unary, Where

_SIMPLE = {
    "abs": codes.ABS, "neg": codes.NEG, "floor": codes.FLOOR, "ceil": codes.CEIL,
    "sqrt": codes.SQRT, "exp": codes.EXP, "log": codes.LOG, "sin": codes.SIN, "cos": codes.COS,
    "reciprocal": codes.RECIPROCAL, "tanh": codes.TANH, "round": codes.ROUND,
}  # fmt: skip
# Layers of their own, with their numbers.
_LAYERS: dict[str, tuple[str, Callable[[Unary], dict[str, Any]]]] = {
    "clip": ("Clip", lambda op: {"p0": _finite(op.alpha), "p1": _finite(op.beta)}),
    "elu": ("ELU", lambda op: {"p0": float(op.alpha)}),
    "erf": ("Erf", lambda op: {}),
    "gelu": ("GELU", lambda op: {"p0": 0}),
    "gelu_tanh": ("GELU", lambda op: {"p0": 1}),
    "hsigmoid": ("HardSigmoid", lambda op: {"p0": float(op.alpha), "p1": float(op.beta)}),
    "leaky_relu": ("ReLU", lambda op: {"p0": float(op.alpha)}),
    "selu": ("SELU", lambda op: {}),
}
_LARGEST = float(np.finfo(np.float32).max)


def _finite(bound: float) -> float:
    return max(-_LARGEST, min(float(bound), _LARGEST))


def _sign(w: NcnnWriter, x: str) -> str:
    far = w.two(codes.MUL, x, _LARGEST)
    return w.add("Clip", [far], w.sizes(x), p0=-1.0, p1=1.0)


def _softplus(w: NcnnWriter, x: str) -> str:
    """ncnn's own overflows."""
    shrunk = w.one(codes.EXP, w.one(codes.NEG, w.one(codes.ABS, x)))
    logs = w.one(codes.LOG, w.two(codes.ADD, shrunk, 1.0))
    return w.two(codes.ADD, w.two(codes.MAX, x, 0.0), logs)


_COMPOSED: dict[str, Callable[[NcnnWriter, str], str]] = {
    "mish": lambda w, x: w.two(codes.MUL, x, w.one(codes.TANH, _softplus(w, x))),
    "not": lambda w, x: w.two(codes.RSUB, x, 1.0),
    "sign": _sign,
    "softplus": _softplus,
    "softsign": lambda w, x: w.two(codes.DIV, x, w.two(codes.ADD, w.one(codes.ABS, x), 1.0)),
}


def _unary(op: Unary, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    given = w.blob(x[0])
    if op.kind in _SIMPLE:
        return w.one(_SIMPLE[op.kind], given)
    if op.kind in _COMPOSED:
        return _COMPOSED[op.kind](w, given)
    kind, numbers = _LAYERS[op.kind]
    return w.add(kind, [given], w.sizes(given), **numbers(op))


_TWO = {
    "add": codes.ADD, "sub": codes.SUB, "mul": codes.MUL, "div": codes.DIV, "pow": codes.POW,
    "min": codes.MIN, "max": codes.MAX, "and": codes.MUL, "or": codes.MAX, "xor": codes.SUB,
}  # fmt: skip
_TURNED = {codes.SUB: codes.RSUB, codes.DIV: codes.RDIV, codes.POW: codes.RPOW}


def _applied(w: NcnnWriter, code: int, a: str | float, b: str | float) -> str:
    if isinstance(a, float):
        a, b, code = b, a, _TURNED.get(code, code)
    if isinstance(a, float):
        a = w.constant(np.full(1, a))
    return w.two(code, a, b)


def _binary(op: Binary, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    if op.kind != "prelu" and op.kind not in _TWO:
        raise w.refuse(i, f"no operator {op.kind}")
    a, b = w.aligned(i, x)
    if op.kind == "prelu":
        below = _applied(w, codes.MUL, _applied(w, codes.MIN, a, 0.0), b)
        return w.two(codes.ADD, below, _raised(w, a, below))
    y = _applied(w, _TWO[op.kind], a, b)
    if op.kind == "xor":
        return w.one(codes.ABS, y)
    return w.one(codes.TRUNC, y) if op.kind == "div" and w.network.types[i] == "int64" else y


def _raised(w: NcnnWriter, a: str | float, like: str) -> str:
    """``max(a, 0)``; a number in as many axes as another blob."""
    if isinstance(a, float):
        return w.constant(np.full((1,) * len(w.sizes(like)), max(a, 0.0)))
    return w.two(codes.MAX, a, 0.0)


def _where(op: Where, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    """``truth * then + (1 - truth) * otherwise``, which is exact where both are finite."""
    truth, then, otherwise = w.aligned(i, x)
    chosen = _applied(w, codes.MUL, then, truth)
    rest = _applied(w, codes.MUL, otherwise, _applied(w, codes.RSUB, truth, 1.0))
    return _applied(w, codes.ADD, chosen, rest)


def _cast(op: Cast, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    given, dtype = w.blob(x[0]), w.network.types[x[0]]
    if op.to == "int64" and dtype == "float32":
        return w.one(codes.TRUNC, given)
    if op.to == "bool" and dtype == "int64":
        return w.add("Clip", [w.one(codes.ABS, given)], w.sizes(given), p0=0.0, p1=1.0)
    if op.to == "bool" and dtype == "float32":
        raise w.refuse(i, "no comparison of floats with 0")
    return given


ELEMENT_RULES: GeneralRules = {Unary: _unary, Binary: _binary, Where: _where, Cast: _cast}
