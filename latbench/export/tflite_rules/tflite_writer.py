"""A LiteRT model in the making, in which every tensor knows the order that its axes lie in.

LiteRT's images are NHWC, while the network's axes are ``(N, C, H, W)``, and a tensor of four axes
need not be an image. So nothing is decided by rank: a result is ``Stored`` in whatever order it was
computed in, a layer asks for the order that it needs, and only where the two differ is a transpose
written, once for all who ask for the same. A transpose of the network itself is another order of
the same tensor, and nothing is written for it until somebody needs another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from latbench.export.flatbuffer import FlatbufferWriter
from latbench.export.fold import fusions
from latbench.networks.network import Network
from latbench.networks.ops import Op, Shape
from latbench.networks.weights import Weights

OP, FUSED = schema.BuiltinOperator, schema.ActivationFunctionType
_TYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if name.isupper()}
MOST_AXES = 4  # what all of LiteRT's kernels that broadcast take


@dataclass(frozen=True)
class Stored:
    """A layer's result: a tensor, and which of the network's axes each of the tensor's own is.

    A constant has its ``value`` in place of a tensor, and is written where it is read, in the order
    that is asked for.
    """

    tensor: int
    order: tuple[int, ...]
    value: npt.NDArray[Any] | None = field(default=None, compare=False)

    def axis(self, axis: int) -> int:
        """Returns which of the tensor's axes is this one of the network's."""
        return self.order.index(axis)


def plain(rank: int) -> tuple[int, ...]:
    """Returns the order of the network's own axes."""
    return tuple(range(rank))


def image_order(rank: int) -> tuple[int, ...]:
    """Returns NHWC for a tensor of four axes, and the network's own order for all others."""
    return (0, 2, 3, 1) if rank == 4 else plain(rank)


def last_axis(rank: int, axis: int) -> tuple[int, ...]:
    """Returns an order that has one axis behind all others."""
    return (*(a for a in range(rank) if a != axis), axis)


def permuted(shape: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """Returns a shape whose axes are in another order."""
    return tuple(shape[a] for a in order)


class TfliteWriter(FlatbufferWriter):
    """A writer of one network, with what its layers' rules share."""

    def __init__(self, network: Network, weights: Weights) -> None:
        super().__init__()
        self.network, self.weights, self.fusions = network, weights, fusions(network)
        self._ordered: dict[tuple[Stored, tuple[int, ...]], int] = {}

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Returns a tensor's own shape."""
        return tuple(self.tensors[tensor].shape)

    def type(self, tensor: int) -> str:
        """Returns the type of a tensor's elements."""
        return str(_TYPES[self.tensors[tensor].type])

    def sizes(self, x: Stored) -> Shape:
        """Returns the shape that the network knows a result by."""
        if x.value is not None:
            return tuple(x.value.shape)
        own = self.shape(x.tensor)
        return tuple(own[x.axis(a)] for a in range(len(own)))

    def ordered(self, x: Stored, order: Sequence[int]) -> int:
        """Returns the tensor whose axes are in this order, transposed if need be."""
        order = tuple(order)
        if x.value is not None:
            return self.tensor(permuted(x.value.shape, order), x.value.transpose(order))
        if x.order == order:
            return x.tensor
        if (x, order) not in self._ordered:
            self._ordered[x, order] = self._transposed(x, order)
        return self._ordered[x, order]

    def _transposed(self, x: Stored, order: tuple[int, ...]) -> int:
        own, moves = self.shape(x.tensor), [x.axis(a) for a in order]
        found = permuted(own, moves)
        longer = [a for a in moves if own[a] > 1]
        if longer == sorted(longer):  # what moves has one element, so that the data stay
            return self.reshape(x.tensor, found)
        moves_at = self.constant(moves, np.int32)
        return self.add(OP.TRANSPOSE, [x.tensor, moves_at], found, "Transpose")

    def plain(self, x: Stored) -> int:
        """Returns the tensor in the order of the network's axes."""
        return self.ordered(x, plain(len(x.order)))

    def in_order(self, x: Stored) -> int:
        """Returns a tensor, of whatever shape, whose data lie as the network's axes are."""
        if x.value is None:
            own = self.shape(x.tensor)
            longer = [a for a, size in zip(x.order, own, strict=True) if size > 1]
            if longer == sorted(longer):
                return x.tensor
        return self.plain(x)

    def aligned(self, *given: Stored, rank: int = 0) -> tuple[tuple[int, ...], list[int]]:
        """Brings results that are broadcast into one order: that of the first one that has all axes
        and is computed.

        Args:
            given: The results.
            rank: How many axes there are at least.

        Returns:
            The order, and the tensors; a scalar that is constant has no axes.
        """
        rank = max(rank, *(len(x.order) for x in given))
        full = [x for x in given if len(x.order) == rank]
        order = next((x.order for x in full if x.value is None), plain(rank))
        return order, [self._widened(x, order) for x in given]

    def type_code(self, dtype: str) -> int:
        """Returns the schema's number of a type."""
        return int(getattr(schema.TensorType, dtype.upper()))

    def _widened(self, x: Stored, order: tuple[int, ...]) -> int:
        more = len(order) - len(x.order)
        if x.value is not None:
            if x.value.size == 1:
                return self.constant(x.value.reshape(()), x.value.dtype)
            return self.ordered(
                Stored(-1, order, x.value.reshape((1,) * more + x.value.shape)), order
            )
        if not more:
            return self.ordered(x, order)
        if order == plain(len(order)):
            return self.plain(x)
        wide = self.reshape(x.tensor, (*(1,) * more, *self.shape(x.tensor)))
        return self.ordered(Stored(wide, (*range(more), *(a + more for a in x.order))), order)

    def reshape(self, x: int, shape: Sequence[int]) -> int:
        """Writes a change of a tensor's shape."""
        target = self.constant(shape, np.int32)
        return self.add(OP.RESHAPE, [x, target], shape, "Reshape", newShape=list(shape))

    def scalar(self, value: float, like: int) -> int:
        """Adds a constant of the type of another tensor."""
        return self.constant(value, np.dtype(self.type(like)))

    def one(self, code: int, x: int, kind: str = "", **options: Any) -> int:
        """Writes an operator on each element of a tensor.

        Args:
            code: The operator's code.
            x: The tensor.
            kind: The beginning of the name of its options, as of ``add``.
            **options: Their values.

        Returns:
            The result, of the tensor's shape and type.
        """
        return self.add(code, [x], self.shape(x), kind, **options)

    def two(self, code: int, a: int, b: int | float, kind: str = "", **options: Any) -> int:
        """Writes an operator on the elements of a tensor and of another, or of a number.

        Args:
            code: The operator's code.
            a: The tensor.
            b: The other tensor, or a float that is a number.
            kind: The beginning of the name of its options, as of ``add``.
            **options: Their values.

        Returns:
            The result, of the broadcast shape.
        """
        other = self.scalar(b, a) if isinstance(b, float) else b
        return self.broadcast(code, [a, other], kind, **options)

    def broadcast(self, code: int, x: list[int], kind: str = "", **options: Any) -> int:
        """Writes an operator on the elements of tensors that are broadcast, of however many axes.

        Args:
            code: The operator's code.
            x: The tensors.
            kind: The beginning of the name of its options, as of ``add``.
            **options: Their values.

        Returns:
            The result, of the broadcast shape.
        """
        shapes = [self.shape(one) for one in x]
        found = np.broadcast_shapes(*shapes)
        if len(found) <= MOST_AXES or all(s in ((), found) for s in shapes):
            return self.add(code, x, found, kind, **options)
        wide = [(*(1,) * (len(found) - len(s)), *s) for s in shapes]
        runs = _runs(wide)
        merged = [
            self.reshape(one, [math.prod(s[a] for a in run) for run in runs])
            for one, s in zip(x, wide, strict=True)
        ]
        short = np.broadcast_shapes(*(self.shape(one) for one in merged))
        return self.reshape(self.add(code, merged, short, kind, **options), found)

    def cast(self, x: int, dtype: str) -> int:
        """Writes a conversion to another type, where it is one."""
        if self.type(x) == dtype:
            return x
        to = self.type_code(dtype)
        return self.add(
            OP.CAST, [x], self.shape(x), "Cast", dtype,
            inDataType=self.tensors[x].type, outDataType=to,
        )  # fmt: skip

    def pad(self, x: int, before: int, after: Sequence[int], value: float | None = None) -> int:
        """Pads height and width of an image.

        Args:
            x: The image, NHWC.
            before: How many rows are added above, and columns on the left.
            after: How many rows below, and columns on the right.
            value: What is added; zeros by default.

        Returns:
            The padded image.
        """
        return self.pad_sides(x, ([0, 0], [before, after[0]], [before, after[1]], [0, 0]), value)

    def pad_sides(self, x: int, sides: Sequence[Sequence[int]], value: float | None = None) -> int:
        """Pads each of a tensor's own axes, with zeros or with ``value``."""
        if len(sides) > MOST_AXES:
            for axis, ends in enumerate(sides):
                if any(ends):
                    shape = self.shape(x)
                    found = (*shape[:axis], shape[axis] + sum(ends), *shape[axis + 1 :])
                    padded = self.pad_sides(self.merged(x, axis), [[0, 0], ends, [0, 0]], value)
                    x = self.reshape(padded, found)
            return x
        grown = [s + sum(ends) for s, ends in zip(self.shape(x), sides, strict=True)]
        sizes = self.constant(sides, np.int32)
        if value is None:
            return self.add(OP.PAD, [x, sizes], grown, "Pad")
        return self.add(OP.PADV2, [x, sizes, self.scalar(value, x)], grown, "PadV2")

    def merged(self, x: int, axis: int) -> int:
        """Returns a tensor with three axes: all before one, it, and all behind."""
        shape = self.shape(x)
        parts = [shape[:axis], shape[axis : axis + 1], shape[axis + 1 :]]
        return self.reshape(x, [math.prod(part) for part in parts])

    def cut(self, x: int, axis: int, start: int, size: int, step: int = 1) -> int:
        """Writes a part of one of a tensor's own axes.

        Args:
            x: The tensor.
            axis: The axis.
            start: The first element.
            size: How many.
            step: The distance between them.

        Returns:
            The part.
        """
        shape = self.shape(x)
        if len(shape) > MOST_AXES:
            found = (*shape[:axis], size, *shape[axis + 1 :])
            return self.reshape(self.cut(self.merged(x, axis), 1, start, size, step), found)
        begin, part = [0] * len(shape), list(shape)
        begin[axis], part[axis] = start, size
        if step == 1:
            inputs = [x, self.constant(begin, np.int32), self.constant(part, np.int32)]
            return self.add(OP.SLICE, inputs, part, "Slice")
        steps, end = [1] * len(shape), list(shape)
        steps[axis], end[axis] = step, start + (size - 1) * step + 1
        inputs = [x, *(self.constant(bound, np.int32) for bound in (begin, end, steps))]
        return self.add(OP.STRIDED_SLICE, inputs, part, "StridedSlice")

    def chosen(self, x: int, places: Sequence[int], axis: int) -> int:
        """Writes a choice of elements along one of a tensor's own axes."""
        shape = self.shape(x)
        found = (*shape[:axis], len(places), *shape[axis + 1 :])
        inputs = [x, self.constant(places, np.int32)]
        return self.add(OP.GATHER, inputs, found, "Gather", axis=axis)


StoredRule = Callable[[Any, TfliteWriter, int, list[Stored], Shape], Stored]
StoredRules = dict[type[Op], StoredRule]


def _runs(shapes: list[tuple[int, ...]]) -> list[list[int]]:
    """Neighbouring axes that are broadcast in the same way, or not at all."""
    runs: list[list[int]] = []
    before = None
    for axis, sizes in enumerate(zip(*shapes, strict=True)):
        longest = max(sizes)
        pattern = tuple(size == longest for size in sizes)
        if runs and (pattern == before or longest == 1):
            runs[-1].append(axis)
        else:
            runs.append([axis])
            before = pattern if longest > 1 else before
    return runs
