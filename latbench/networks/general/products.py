"""Matrix products of any rank, and the normalisations that networks of attention are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from latbench.errors import UsageError
from latbench.networks.general.arithmetic import broadcast
from latbench.networks.ops import Op, Parameters, Shape


@dataclass(frozen=True)
class MatMul(Op):
    """A product of two tensors' last two axes; those before broadcast."""

    arity: ClassVar[int | None] = 2

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(..., M, N)`` of ``(..., M, K)`` and ``(..., K, N)``."""
        a, b = inputs
        if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
            raise UsageError(f"shapes {a} and {b} have no matrix product")
        return (*broadcast(a[:-2], b[:-2]), a[-2], b[-1])

    def macs(self, output: Shape, *inputs: Shape) -> int:
        """Returns the output elements times ``K``."""
        return math.prod(output) * inputs[0][-1]


@dataclass(frozen=True)
class Dense(Op):
    """A matrix product of the last axis with weights: ``(..., in) -> (..., out_features)``.

    ``Linear`` is that of ``(N, in)`` with a bias.
    """

    out_features: int
    bias: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(..., out_features)``."""
        if self.out_features < 1 or not inputs[0]:
            raise UsageError(f"{self} takes no input of shape {inputs[0]}")
        return (*inputs[0][:-1], self.out_features)

    def parameters(self, *inputs: Shape) -> Parameters:
        """Returns ``weight (out, in)`` and, with a bias, ``bias (out,)``."""
        bias: Parameters = {"bias": (self.out_features,)} if self.bias else {}
        return {"weight": (self.out_features, inputs[0][-1]), **bias}

    def macs(self, output: Shape, *inputs: Shape) -> int:
        """Returns the output elements times ``in``."""
        return math.prod(output) * inputs[0][-1]


@dataclass(frozen=True)
class Softmax(Op):
    """A computation of the shares that ``exp(x)`` has along an axis, or of their logarithms."""

    axis: int
    log: bool = False

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the input's shape."""
        if not 0 <= self.axis < len(inputs[0]):
            raise UsageError(f"{self} has no axis {self.axis} in an input of shape {inputs[0]}")
        return inputs[0]


@dataclass(frozen=True)
class LayerNorm(Op):
    """A normalisation of the last ``dims`` axes to mean 0 and variance 1, with scale and shift."""

    dims: int = 1
    eps: float = 1e-5
    bias: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the input's shape."""
        if not 1 <= self.dims <= len(inputs[0]):
            raise UsageError(f"{self} has not so many axes in an input of shape {inputs[0]}")
        return inputs[0]

    def parameters(self, *inputs: Shape) -> Parameters:
        """Returns ``weight`` and, with a shift, ``bias``, of the last axes' shape."""
        shape = inputs[0][-self.dims :]
        return {"weight": shape} | ({"bias": shape} if self.bias else {})


@dataclass(frozen=True)
class GroupNorm(Op):
    """A normalisation of groups of channels to mean 0 and variance 1, with scale and shift by
    channel; as many groups as channels is called instance norm."""

    groups: int
    eps: float = 1e-5

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the input's shape, ``(N, C, ...)``."""
        if self.groups < 1 or len(inputs[0]) < 3 or inputs[0][1] % self.groups:
            raise UsageError(f"{self} takes no input of shape {inputs[0]}")
        return inputs[0]

    def parameters(self, *inputs: Shape) -> Parameters:
        """Returns ``weight (C,)`` and ``bias (C,)``."""
        c = (inputs[0][1],)
        return {"weight": c, "bias": c}
