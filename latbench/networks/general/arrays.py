"""Layer kinds that move, choose or sum up elements of tensors of any rank; axes count from 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from latbench.errors import UsageError
from latbench.networks.general.arithmetic import broadcast
from latbench.networks.ops import Dtype, Op, Parameters, Shape


def _check_axis(op: Op, axis: int, shape: Shape) -> None:
    if not 0 <= axis < len(shape):
        raise UsageError(f"{op} has no axis {axis} in an input of shape {shape}")


@dataclass(frozen=True)
class Constant(Op):
    """A tensor that does not depend on the input.

    Its values are the layer's ``value``, float32 as all weights are; integers and truth values are
    converted (those beyond 2^24 are no such constants).
    """

    arity: ClassVar[int | None] = 0
    shape: Shape
    dtype: Dtype = "float32"

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the shape it was made with."""
        return self.shape

    def result_type(self, *inputs: Dtype) -> Dtype:
        """Returns its type."""
        return self.dtype

    def parameters(self, *inputs: Shape) -> Parameters:
        """Returns ``value``, where it is of floats."""
        return {"value": self.shape} if self.dtype == "float32" else {}

    def buffers(self, *inputs: Shape) -> Parameters:
        """Returns ``value``, where it is of integers or truth values."""
        return {} if self.dtype == "float32" else {"value": self.shape}


@dataclass(frozen=True)
class Reshape(Op):
    """A change of shape that keeps the elements and their order."""

    shape: Shape

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the new shape."""
        if math.prod(self.shape) != math.prod(inputs[0]) or min(self.shape, default=1) < 1:
            raise UsageError(f"a tensor of shape {inputs[0]} has no shape {self.shape}")
        return self.shape


@dataclass(frozen=True)
class Transpose(Op):
    """A change of the axes' order: axis ``i`` of the result is axis ``order[i]`` of the input."""

    order: tuple[int, ...]

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the permuted shape."""
        if sorted(self.order) != list(range(len(inputs[0]))):
            raise UsageError(f"{self.order} is no order of the axes of shape {inputs[0]}")
        return tuple(inputs[0][i] for i in self.order)


@dataclass(frozen=True)
class Cut(Op):
    """A part of one axis: every ``step``-th element from ``start`` to ``end`` (exclusive), all
    within it."""

    axis: int
    start: int
    end: int
    step: int = 1

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the shape with the axis shortened."""
        shape = inputs[0]
        _check_axis(self, self.axis, shape)
        size = len(range(self.start, self.end, self.step)) if self.step > 0 else 0
        if not (size and self.start >= 0 and self.end <= shape[self.axis]):
            raise UsageError(f"{self} does not lie in an input of shape {shape}")
        return (*shape[: self.axis], size, *shape[self.axis + 1 :])


@dataclass(frozen=True)
class Join(Op):
    """A concatenation along any axis (``Concat`` is that of channels)."""

    arity: ClassVar[int | None] = None
    axis: int

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the shape with the axes added."""
        a, first = self.axis, inputs[0]
        _check_axis(self, a, first)
        for other in inputs[1:]:
            same = len(other) == len(first) and (*other[:a], *other[a + 1 :]) == (
                *first[:a], *first[a + 1 :],
            )  # fmt: skip
            if not same:
                raise UsageError(f"cannot join shapes {first} and {other} along axis {a}")
        return (*first[:a], sum(s[a] for s in inputs), *first[a + 1 :])


@dataclass(frozen=True)
class Reduce(Op):
    """A mean, sum or the like over some axes, which stay with size 1 if ``keep``."""

    kind: Literal["mean", "sum", "max", "min", "prod", "l1", "l2"]
    axes: tuple[int, ...]
    keep: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the shape without the axes, or with 1 in their place."""
        for axis in self.axes:
            _check_axis(self, axis, inputs[0])
        sizes = (1 if i in self.axes else size for i, size in enumerate(inputs[0]))
        if self.keep:
            return tuple(sizes)
        return tuple(size for i, size in enumerate(inputs[0]) if i not in self.axes)


@dataclass(frozen=True)
class ArgMax(Op):
    """A search for the place of the largest element along an axis, the first of several."""

    axis: int
    keep: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the shape without the axis, or with 1 in its place."""
        return Reduce("max", (self.axis,), self.keep).output_shape(*inputs)

    def result_type(self, *inputs: Dtype) -> Dtype:
        """Returns integers."""
        return "int64"


@dataclass(frozen=True)
class Expand(Op):
    """A copying along axes of size 1, as broadcasting to ``shape`` does it."""

    shape: Shape

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``shape``."""
        if broadcast(self.shape, inputs[0]) != self.shape:
            raise UsageError(f"a tensor of shape {inputs[0]} does not broadcast to {self.shape}")
        return self.shape


@dataclass(frozen=True)
class Gather(Op):
    """A choice of an axis' elements by integers: ``(data, places)``; the axis is replaced by the
    places' axes."""

    arity: ClassVar[int | None] = 2
    axis: int = 0

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the data's shape with the places' in the axis' stead."""
        data, places = inputs
        _check_axis(self, self.axis, data)
        return (*data[: self.axis], *places, *data[self.axis + 1 :])

    def elements_moved(self, output: Shape, *inputs: Shape) -> int:
        """Returns the places, and what is chosen, which is read and written; no more is read."""
        return 2 * math.prod(output) + math.prod(inputs[1])


@dataclass(frozen=True)
class Embedding(Op):
    """A choice of a table's rows by integers: ``(...) -> (..., width)``."""

    rows: int
    width: int

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the integers' shape with ``width`` behind it."""
        if self.rows < 1 or self.width < 1:
            raise UsageError(f"{self} needs at least one row and one column")
        return (*inputs[0], self.width)

    def result_type(self, *inputs: Dtype) -> Dtype:
        """Returns floats."""
        return "float32"

    def parameters(self, *inputs: Shape) -> Parameters:
        """Returns ``weight (rows, width)``."""
        return {"weight": (self.rows, self.width)}

    def elements_moved(self, output: Shape, *inputs: Shape) -> int:
        """Returns the integers, and the rows chosen, which are read and written; no more is
        read."""
        return 2 * math.prod(output) + math.prod(inputs[0])


@dataclass(frozen=True)
class Unread(Op):
    """An operator of a file that latbench has no layer kind for.

    Runtimes that read ONNX run it; for the others it is named, with its place. Its shape is what
    ONNX' own shape inference says, and it counts no work. ``result`` numbers its outputs.
    """

    arity: ClassVar[int | None] = None
    operator: str
    where: str
    shape: Shape
    dtype: Dtype = "float32"
    result: int = 0

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the shape it was made with."""
        return self.shape

    def result_type(self, *inputs: Dtype) -> Dtype:
        """Returns the type it was made with."""
        return self.dtype
