"""The second moments of the general kinds' results, by which invented weights keep them moderate.

They are estimates for Gaussian inputs: what counts is that no layer's values grow or vanish beyond
what half a float holds, and that attention looks at more than one place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from latbench.networks.general.arithmetic import TRUTHS, Binary, Unary, Where
from latbench.networks.general.arrays import Constant, Embedding, Gather, Join, Reduce
from latbench.networks.general.products import Dense, GroupNorm, LayerNorm, MatMul, Softmax
from latbench.networks.general.windows import LocalResponseNorm, RectConv, TransposedConv
from latbench.networks.ops import Concat, Op, Shape

_LEAST, _MOST = 1e-6, 1e6

_UNARY: dict[str, Callable[[Unary, float], float]] = {
    "clip": lambda op, m: min(m, max(op.alpha**2, op.beta**2)),
    "cos": lambda op, m: (1 + math.exp(-2 * m)) / 2,
    "elu": lambda op, m: m * (1 + op.alpha**2 / 4) / 2,
    "erf": lambda op, m: m / (1 + m),
    "exp": lambda op, m: math.exp(min(2 * m, 10)),
    "gelu": lambda op, m: 0.42 * m,
    "gelu_tanh": lambda op, m: 0.42 * m,
    "hsigmoid": lambda op, m: min(1, op.alpha**2 * m + op.beta**2),
    "leaky_relu": lambda op, m: m * (1 + op.alpha**2) / 2,
    "log": lambda op, m: 1 + math.log(m) ** 2 / 4,
    "mish": lambda op, m: 0.46 * m,
    "reciprocal": lambda op, m: 1 / m,
    "sign": lambda op, m: 1,
    "sin": lambda op, m: (1 - math.exp(-2 * m)) / 2,
    "softplus": lambda op, m: (1 + m) / 2,
    "softsign": lambda op, m: m / (1 + m),
    "sqrt": lambda op, m: math.sqrt(m),
    "tanh": lambda op, m: m / (1 + m),
}
_BINARY: dict[str, Callable[[float, float], float]] = {
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a * a,
    "mod": min,
    "prelu": lambda a, b: a * (1 + b) / 2,
}


def _unary(op: Unary, shapes: Sequence[Shape], moments: Sequence[float]) -> float:
    return _UNARY[op.kind](op, moments[0]) if op.kind in _UNARY else moments[0]


def _binary(op: Binary, shapes: Sequence[Shape], moments: Sequence[float]) -> float:
    if op.kind in _BINARY:
        return _BINARY[op.kind](*moments)
    return 1.0 if op.kind in TRUTHS else math.fsum(moments) / 2


def _reduce(op: Reduce, shapes: Sequence[Shape], moments: Sequence[float]) -> float:
    # What varies slowly keeps its mean, see ``latbench.networks.weights``.
    count = math.prod(shapes[0][axis] for axis in op.axes)
    times = {"sum": count**2, "l1": count**2 * 2 / math.pi, "l2": count}
    return moments[0] * times.get(op.kind, 1)


def _softmax(op: Softmax, shapes: Sequence[Shape], moments: Sequence[float]) -> float:
    count, (moment,) = shapes[0][op.axis], moments
    if op.log:
        return math.log(count) ** 2 + moment
    return min(math.exp(min(moment, 10)) / count, 1) / count


def _response(op: LocalResponseNorm, shapes: Sequence[Shape], moments: Sequence[float]) -> float:
    divisor: float = max(op.bias + op.alpha * moments[0], _LEAST) ** (2 * op.beta)
    return moments[0] / divisor


def _product(op: MatMul, shapes: Sequence[Shape], moments: Sequence[float]) -> float:
    return shapes[0][-1] * math.prod(moments)


def _one(op: Op, shapes: Sequence[Shape], moments: Sequence[float]) -> float:
    return 1.0


_MOMENTS: dict[type[Op], Callable[[Any, Sequence[Shape], Sequence[float]], float]] = {
    Unary: _unary,
    Binary: _binary,
    Where: lambda op, _, moments: math.fsum(moments[1:]) / 2,
    Reduce: _reduce,
    Join: lambda op, _, moments: math.fsum(moments) / len(moments),
    Gather: lambda op, _, moments: moments[0],
    Embedding: _one,
    MatMul: _product,
    Dense: _one,
    Softmax: _softmax,
    LayerNorm: _one,
    GroupNorm: _one,
    RectConv: _one,
    TransposedConv: _one,
    LocalResponseNorm: _response,
}


def result_moment(op: Op, shapes: Sequence[Shape], moments: Sequence[float]) -> float | None:
    """Estimates the second moment of a general kind's result.

    Args:
        op: The layer's op.
        shapes: The shapes of what it reads.
        moments: Their second moments.

    Returns:
        The moment; None for other kinds, and for those whose result is what they read, such as a
        change of shape.
    """
    rule = _MOMENTS.get(type(op))
    if rule is None:
        return None
    return min(max(rule(op, shapes, [max(m, _LEAST) for m in moments]), _LEAST), _MOST)


def constant_values(
    constant: Constant, reader: Op | None, place: int, shapes: Sequence[Shape], moment: float
) -> tuple[float, float]:
    """Chooses the values of a constant by what reads it, so that its result is a moderate number.

    Args:
        constant: The constant.
        reader: The op that reads it first, None for an output that nothing reads.
        place: The constant's place among what the reader reads.
        shapes: The shapes of all that the reader reads.
        moment: The second moment of the rest of it.

    Returns:
        Their mean and their standard deviation.
    """
    if constant.dtype != "float32":
        return (0, 0) if isinstance(reader, Gather) and place else (1, 0)
    moment = max(moment, _LEAST)
    if isinstance(reader, MatMul):
        return 0, 1 / math.sqrt(shapes[0][-1] * moment)
    kind = getattr(reader, "kind", "")
    if kind == "pow" and place:
        return 2, 0  # which a negative number may be raised to
    if kind == "prelu" and place:
        return 0.25, 0.01
    if kind in ("mul", "div"):
        root = math.sqrt(moment)
        one = 1 / root if kind == "mul" else root
        return one, 0.05 * one
    # A number for all elements may be what keeps a root or a divisor positive.
    many = math.prod(constant.shape) > 1
    if many and (kind in ("add", "sub") or isinstance(reader, Concat | Join | Gather)):
        return 0, 1
    return 1, 0.05
