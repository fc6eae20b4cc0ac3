"""A model in ncnn's format in the making.

ncnn's tensors have one to four axes and no batch. So a tensor is stored without its first axis,
where that has one element, and without others of one element where it still has more than four;
what has more after that is stored flat, and only layers that need no axes can read it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from latbench.errors import BackendError
from latbench.export.fold import fusions
from latbench.export.rules import refusal
from latbench.networks.general.arithmetic import broadcast
from latbench.networks.network import Network
from latbench.networks.ops import Op, Shape
from latbench.networks.weights import Array, Weights

INPUT = "input"
MOST_AXES = 4
_FLOAT32 = b"\0\0\0\0"  # the flag before weights that could be stored in another type
_ARRAY = -23300  # an array's key is this, less its index
_LARGEST = float(np.finfo(np.float32).max)
_SIZES = {1: ("p0",), 2: ("p1", "p0"), 3: ("p2", "p1", "p0"), 4: ("p2", "p11", "p1", "p0")}
# ncnn counts the orders of three axes so, the innermost first.
_ORDERS_OF_3 = ((0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0), (2, 1, 0))
ADD, SUB, MUL, DIV, MAX, MIN, POW, RSUB, RDIV, RPOW = range(10)
ABS, NEG, FLOOR, CEIL, SQUARE, SQRT, RSQRT, EXP, LOG, SIN, COS = range(11)
RECIPROCAL, TANH, ROUND, TRUNC = 15, 16, 18, 19


def kept_axes(shape: Shape) -> tuple[int, ...] | None:
    """Returns which of the network's axes a tensor is stored with; None where it is flat."""
    axes = list(range(len(shape)))
    if len(axes) > 1 and shape[0] == 1:
        del axes[0]
    while len(axes) > MOST_AXES:
        short = next((a for a in axes if shape[a] == 1), None)
        if short is None:
            return None
        axes.remove(short)
    return tuple(axes)


def stored(shape: Shape) -> tuple[int, ...]:
    """Returns the shape that ncnn has a tensor in."""
    axes = kept_axes(shape)
    if axes is None:
        return (math.prod(shape),)
    return tuple(shape[a] for a in axes) or (1,)


def permute_type(order: Sequence[int]) -> int:
    """Returns ncnn's number of an order of two to four axes, in which axis ``i`` of the result is
    axis ``order[i]``."""
    rank = len(order)
    inner = [rank - 1 - a for a in reversed(order)]  # the innermost first, and counted from there
    if rank == 2:
        return inner[0]
    if rank == 3:
        return _ORDERS_OF_3.index((inner[0], inner[1], inner[2]))
    rest = sorted(inner[:3])
    a, b, c = (rest.index(axis) for axis in inner[:3])
    return (3 - inner[3]) * 6 + _ORDERS_OF_3.index((a, b, c))


class _Record(NamedTuple):
    """A layer of ncnn's, and those of the network that it computes, alone or with others."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    values: dict[str, Any]
    computed: tuple[int, ...]


class NcnnWriter:
    """A writer of one network: its layers, with what the rules share.

    A blob may be read as often as one likes: what ncnn needs for that stands in ``text``.
    """

    def __init__(
        self,
        network: Network,
        weights: Weights,
        fuse: bool,
        write: Callable[[NcnnWriter, int], None],
    ) -> None:
        self.network, self.weights, self.write = network, weights, write
        self.fusions = fusions(network) if fuse else {}
        self.data: list[bytes] = []
        self.blobs: dict[int, str] = {}  # the layers' results that are written
        self.fixed: dict[int, npt.NDArray[Any]] = {}  # those that are constant
        self.inputs: list[tuple[str, int, str]] = []
        self.writing: tuple[int, ...] = ()  # the layers that are written now
        self.computed: dict[str, tuple[int, ...]] = {}  # by what text calls ncnn's
        self._records: list[_Record] = []
        self._sizes: dict[str, tuple[int, ...]] = {}
        self._names = 0

    def layer(self, kind: str, inputs: list[str], outputs: list[str], **values: Any) -> None:
        """Appends a layer.

        Args:
            kind: ncnn's name of its kind.
            inputs: The blobs that it reads.
            outputs: The names of its results.
            **values: Its numbers, keyed ``p<index>``; those that ncnn has as floats are floats.
        """
        self._records.append(_Record(kind, inputs, outputs, values, self.writing))

    def store(self, array: Array | None, flag: bool = False) -> bool:
        """Appends a tensor, if there is one, and returns whether there is. The tensors must come in
        the order of the layers that they are of."""
        if array is not None:
            self.data.append((_FLOAT32 if flag else b"") + array.astype("<f4").tobytes())
        return array is not None

    def text(self, outputs: list[str]) -> tuple[str, list[str]]:
        """Returns the text of the layers, and the names under which to ask for ``outputs``.

        A blob may be read once, so a ``Split`` stands behind every one that is read more often.
        """
        reads = Counter(name for record in self._records for name in record.inputs)
        reads.update(outputs)
        free: dict[str, list[str]] = {}
        lines: list[str] = []
        count = 0

        def line(record: _Record) -> None:
            nonlocal count
            kind, inputs, made, values, computed = record
            name = f"{kind}_{len(lines)}"
            parts = [kind, name, len(inputs), len(made), *inputs, *made]
            parts += [_value(int(key[1:]), value) for key, value in values.items()]
            lines.append(" ".join(str(part) for part in parts))
            self.computed[name] = computed
            count += len(made)

        for record in self._records:
            line(record._replace(inputs=[free[name].pop() for name in record.inputs]))
            for name in record.outputs:
                free[name] = [name]
                if reads[name] > 1:
                    free[name] = [f"{name}_copy{i}" for i in range(reads[name])]
                    line(_Record("Split", [name], free[name][:], {}, ()))
        asked = [free[name].pop() for name in outputs]
        return "\n".join([f"{len(lines)} {count}", *lines, ""]), asked

    # What follows is for rules of networks from outside.

    def shape(self, index: int) -> Shape:
        """Returns the network's shape of a layer's result."""
        return self.network.layers[index].shape

    def refuse(self, index: int, lacks: str) -> BackendError:
        """Returns the error for a layer that ncnn has nothing for."""
        return refusal("ncnn", index, self.network.layers[index].op, lacks)

    def axis(self, index: int, shape: Shape, axis: int) -> int | None:
        """Returns which axis of a stored tensor is this one of the network's; None where it is left
        out, having one element.

        Raises BackendError, for the layer ``index`` that needs it, where the tensor is flat.
        """
        axes = kept_axes(shape)
        if axis in (axes or ()):
            return (axes or ()).index(axis)
        if axes is None:
            raise self.refuse(index, "no tensors of more than four axes")
        return None

    def add(self, kind: str, inputs: list[str], sizes: Sequence[int], **values: Any) -> str:
        """Appends a layer of one result.

        Args:
            kind: ncnn's name of its kind.
            inputs: The blobs that it reads.
            sizes: The result's shape, as ncnn has it.
            **values: Its numbers, as of ``layer``.

        Returns:
            The name of the result.
        """
        name = f"v{self._names}"
        self._names += 1
        self.layer(kind, inputs, [name], **values)
        self._sizes[name] = tuple(sizes)
        return name

    def known(self, name: str, shape: Shape) -> None:
        """Notes the shape that a blob is stored in."""
        self._sizes[name] = stored(shape)

    def sizes(self, name: str) -> tuple[int, ...]:
        """Returns a blob's shape as ncnn has it."""
        return self._sizes[name]

    def reshape(self, x: str, sizes: Sequence[int]) -> str:
        """Returns a blob in another shape, itself where it has it."""
        sizes = tuple(sizes)
        if self.sizes(x) == sizes:
            return x
        return self.add(
            "Reshape", [x], sizes, **dict(zip(_SIZES[len(sizes)][::-1], sizes[::-1], strict=True))
        )

    def constant(self, array: npt.NDArray[Any]) -> str:
        """Writes a constant of one to four axes; infinite elements are the largest numbers, which a
        product with 0 does not make undefined."""
        values = np.clip(np.asarray(array, np.float32), -_LARGEST, _LARGEST)
        self.store(values)
        keys = dict(zip(_SIZES[values.ndim][::-1], values.shape[::-1], strict=True))
        return self.add("MemoryData", [], values.shape, **keys)

    def one(self, code: int, x: str) -> str:
        """Writes a function of each element."""
        return self.add("UnaryOp", [x], self.sizes(x), p0=code)

    def two(self, code: int, a: str, b: str | float) -> str:
        """Writes a function of each element and a number, or of two blobs of as many axes."""
        if isinstance(b, float):
            number = float(np.clip(b, -_LARGEST, _LARGEST))
            return self.add("BinaryOp", [a], self.sizes(a), p0=code, p1=1, p2=number)
        return self.add("BinaryOp", [a, b], broadcast(self.sizes(a), self.sizes(b)), p0=code)

    def merged(self, x: str, shape: Shape, axis: int) -> str:
        """Returns a blob of a network's ``shape`` with three axes: all before one, it, and all
        behind."""
        before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        return self.reshape(x, (before, shape[axis], after))

    def aligned(self, index: int, indices: Sequence[int]) -> list[str | float]:
        """Brings what layer ``index`` reads, and broadcasts, to as many axes each; constants of one
        element are numbers."""
        shape = self.shape(index)
        axes = kept_axes(shape)
        found: list[str | float] = []
        for j in indices:
            own = (1,) * (len(shape) - len(self.shape(j))) + self.shape(j)
            sizes = [own[a] for a in axes] if axes is not None else [math.prod(own)]
            fixed = self.fixed.get(j)
            if fixed is not None and fixed.size == 1:
                found.append(float(fixed.reshape(())))
            elif axes is None and own not in (shape, (1,) * len(shape)):
                raise self.refuse(index, f"no broadcasting of shapes {own} and {shape}")
            else:
                found.append(self.reshape(self.blob(j), sizes or [1]))
        return found

    def blob(self, index: int) -> str:
        """Returns the name of a layer's result, which is written now where it was not before: a
        constant, an input, or what is of integers."""
        if index not in self.blobs:
            if index in self.fixed:
                value = self.fixed[index]
                self.blobs[index] = self.constant(value.reshape(stored(value.shape)))
            elif index in self.network.inputs:
                self.blobs[index] = self.input(index, "float32")
            else:
                self.write(self, index)
        return self.blobs[index]

    def input(self, index: int, dtype: str) -> str:
        """Writes an input of the network, whose elements are floats, or ``"int32"`` by their
        bits."""
        place = self.network.inputs.index(index)
        name = INPUT + (str(place) if place else "") + ("_ids" if dtype == "int32" else "")
        if (name, place, dtype) not in self.inputs:
            sizes = stored(self.shape(index))
            keys = dict(zip(_SIZES[len(sizes)][::-1], sizes[::-1], strict=True))
            self.layer("Input", [], [name], **keys)
            self.inputs.append((name, place, dtype))
            self._sizes[name] = sizes
        return name

    def give(self, index: int, x: str) -> None:
        """Takes a blob as a layer's result, in the shape that the result is stored in."""
        self.blobs[index] = self.reshape(x, stored(self.shape(index)))


GeneralRule = Callable[[Any, NcnnWriter, int, tuple[int, ...]], str]
GeneralRules = dict[type[Op], GeneralRule]


def _value(index: int, value: Any) -> str:
    if isinstance(value, list):
        return f"{_ARRAY - index}={','.join([str(len(value)), *map(_number, value)])}"
    return f"{index}={_number(value)}"


def _number(value: float) -> str:
    return f"{value:.9e}" if isinstance(value, float) else str(int(value))
