"""Arithmetic on every element, with the broadcasting of numpy and ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from latbench.errors import UsageError
from latbench.networks.ops import Dtype, Op, Shape

UnaryKind = Literal[
    "abs", "ceil", "clip", "cos", "elu", "erf", "exp", "floor", "gelu", "gelu_tanh", "hsigmoid",
    "leaky_relu", "log", "mish", "neg", "not", "reciprocal", "round", "selu", "sign", "sin",
    "softplus", "softsign", "sqrt", "tanh",
]  # fmt: skip
BinaryKind = Literal[
    "add", "sub", "mul", "div", "pow", "min", "max", "mod", "prelu",
    "equal", "less", "less_equal", "greater", "greater_equal", "and", "or", "xor",
]  # fmt: skip
TRUTHS = ("equal", "less", "less_equal", "greater", "greater_equal", "and", "or", "xor", "not")
UNARY_KINDS: tuple[str, ...] = get_args(UnaryKind)
BINARY_KINDS: tuple[str, ...] = get_args(BinaryKind)


def broadcast(*shapes: Shape) -> Shape:
    """Returns the shape that numpy's broadcasting gives. Raises UsageError where there is none."""
    rank = max(map(len, shapes))
    columns = zip(*((1,) * (rank - len(s)) + s for s in shapes), strict=True)
    found = []
    for sizes in columns:
        others = {size for size in sizes if size != 1}
        if len(others) > 1:
            raise UsageError(f"shapes {', '.join(map(str, shapes))} do not broadcast")
        found.append(others.pop() if others else 1)
    return tuple(found)


@dataclass(frozen=True)
class Unary(Op):
    """A function of each element that ``Activation`` does not have.

    ``alpha`` and ``beta`` are the slope of ``leaky_relu`` and ``elu`` (``alpha``), scale and shift
    of ``hsigmoid`` (``max(0, min(1, alpha x + beta))``), the bounds of ``clip``. ``selu`` has
    those of its paper.
    """

    elementwise: ClassVar[bool] = True
    kind: UnaryKind
    alpha: float = 0.0
    beta: float = 0.0

    def result_type(self, *inputs: Dtype) -> Dtype:
        """Returns a truth value for ``not``, and the input's type for all others."""
        return "bool" if self.kind in TRUTHS else inputs[0]


@dataclass(frozen=True)
class Binary(Op):
    """A function of two elements, whose tensors broadcast; ``prelu`` is ``max(a, 0) + b min(a,
    0)``, and integers are divided as integers."""

    arity: ClassVar[int | None] = 2
    elementwise: ClassVar[bool] = True
    kind: BinaryKind

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the broadcast shape."""
        return broadcast(*inputs)

    def result_type(self, *inputs: Dtype) -> Dtype:
        """Returns a truth value for comparisons, and the inputs' type for all others."""
        return "bool" if self.kind in TRUTHS else inputs[0]


@dataclass(frozen=True)
class Where(Op):
    """A choice between the elements of two tensors by a third one's truth: ``(truth, then,
    otherwise)``, all broadcast."""

    arity: ClassVar[int | None] = 3
    elementwise: ClassVar[bool] = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the broadcast shape."""
        return broadcast(*inputs)

    def result_type(self, *inputs: Dtype) -> Dtype:
        """Returns the type of what is chosen from."""
        return inputs[1]


@dataclass(frozen=True)
class Cast(Op):
    """A conversion of each element to another type; every float is float32 here."""

    elementwise: ClassVar[bool] = True
    to: Dtype

    def result_type(self, *inputs: Dtype) -> Dtype:
        """Returns the new type."""
        return self.to
