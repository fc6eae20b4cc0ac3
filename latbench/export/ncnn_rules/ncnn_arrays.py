"""Rules of what moves, chooses or sums up elements, for ncnn."""

from __future__ import annotations

import math

import numpy as np

from latbench.export.ncnn_rules import ncnn_writer as codes
from latbench.export.ncnn_rules.ncnn_windows import cut
from latbench.export.ncnn_rules.ncnn_writer import (
    MOST_AXES,
    GeneralRules,
    NcnnWriter,
    kept_axes,
    permute_type,
    stored,
)
from latbench.networks.general.arrays import (
    ArgMax,
    Cut,
    Embedding,
    Expand,
    Gather,
    Join,
    Reduce,
    Reshape,
    Transpose,
)
from latbench.networks.ops import Concat, Flatten, Shape, Slice


def _reshape(op: Reshape | Flatten, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    return w.reshape(w.blob(x[0]), stored(w.shape(i)))


def _transpose(op: Transpose, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    return turned(w, i, w.blob(x[0]), w.shape(x[0]), op.order)


def turned(w: NcnnWriter, index: int, x: str, shape: Shape, order: tuple[int, ...]) -> str:
    """Writes another order of the axes.

    Args:
        w: The writer.
        index: The layer that needs it.
        x: The blob.
        shape: The shape that the network knows it by.
        order: Which axis each of the result's is.

    Returns:
        The blob in that order, without axes of one element.

    Raises:
        BackendError: When more than four groups of axes move.
    """
    runs: list[list[int]] = []  # axes that stay neighbours
    for axis in (a for a in order if shape[a] > 1):
        between = range(runs[-1][-1] + 1, axis) if runs else range(0)
        if runs and axis > runs[-1][-1] and all(shape[a] == 1 for a in between):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    if len(runs) > MOST_AXES:
        raise w.refuse(index, "no permutation of more than four axes")
    sizes = {run[0]: math.prod(shape[a] for a in run) for run in runs}
    first = sorted(sizes)
    moves = [first.index(run[0]) for run in runs]
    if moves == sorted(moves):
        return x
    x = w.reshape(x, [sizes[a] for a in first])
    found = [sizes[run[0]] for run in runs]
    return w.add("Permute", [x], found, p0=permute_type(moves))


def _cut(op: Cut, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    size = w.shape(i)[op.axis]
    return cut(w, w.blob(x[0]), w.shape(x[0]), op.axis, op.start, size, op.step)


def _slice(op: Slice, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    shape = w.shape(x[0])
    start = range(shape[op.axis])[op.start : op.end][0]
    return cut(w, w.blob(x[0]), shape, op.axis, start, w.shape(i)[op.axis])


def _joined(w: NcnnWriter, i: int, x: tuple[int, ...], axis: int) -> str:
    if len(x) == 1:
        return w.blob(x[0])
    axes, shape = kept_axes(w.shape(i)), w.shape(i)
    if axes is not None and all(kept_axes(w.shape(j)) == axes for j in x):
        return w.add("Concat", [w.blob(j) for j in x], stored(shape), p0=axes.index(axis))
    parts = [w.merged(w.blob(j), w.shape(j), axis) for j in x]
    before, _, after = w.sizes(parts[0])
    return w.add("Concat", parts, (before, shape[axis], after), p0=1)


def _join(op: Join, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    return _joined(w, i, x, op.axis)


def _concat(op: Concat, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    return _joined(w, i, x, 1)


_REDUCTIONS = {"sum": 0, "mean": 3, "max": 4, "min": 5, "prod": 6, "l1": 7, "l2": 8}


def _reduce(op: Reduce, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    shape, given = w.shape(x[0]), w.blob(x[0])
    found = [w.axis(i, shape, axis) for axis in sorted(op.axes)]
    own = [axis for axis in found if axis is not None]
    if not own:
        return w.one(codes.ABS, given) if op.kind in ("l1", "l2") else given
    sizes = [1 if a in own else size for a, size in enumerate(w.sizes(given))]
    return w.add("Reduction", [given], sizes, p0=_REDUCTIONS[op.kind], p1=0, p3=own, p4=1, p5=1)


def _expand(op: Expand, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    shape = w.shape(i)
    own = (1,) * (len(shape) - len(w.shape(x[0]))) + w.shape(x[0])
    axes = kept_axes(shape)
    if axes is None:
        raise w.refuse(i, "no tensors of more than four axes")
    given = w.reshape(w.blob(x[0]), [own[a] for a in axes] or [1])
    times = [shape[a] // own[a] for a in axes]
    if set(times) <= {1}:
        return given
    return w.add("Tile", [given], stored(shape), p2=times)


def _gather(op: Gather, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    data, shape = x[0], w.shape(x[0])
    places = w.fixed.get(x[1])
    if places is None:
        raise w.refuse(i, "no choice by places that are computed")
    size = shape[op.axis]
    chosen = places.reshape(-1).astype(np.int64) % size
    if len(chosen) and np.array_equal(chosen, np.arange(chosen[0], chosen[0] + len(chosen))):
        return cut(w, w.blob(data), shape, op.axis, int(chosen[0]), len(chosen))
    given = w.merged(w.blob(data), shape, op.axis)
    before, _, after = w.sizes(given)
    one_of = np.eye(size, dtype=np.float32)[chosen]
    left = w.constant(one_of[None])
    return w.add("MatMul", [left, given], (before, len(chosen), after))


def _arg_max(op: ArgMax, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    raise w.refuse(i, "no search for the largest element along an axis")


def _embedding(op: Embedding, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    words = math.prod(w.shape(x[0]))
    ids = w.reshape(whole_numbers(w, i, x[0]), (words,))
    weight = w.weights[f"{i}.weight"]
    w.store(weight, flag=True)
    return w.add("Embed", [ids], (words, op.width), p0=op.width, p1=op.rows, p2=0, p3=weight.size)


def whole_numbers(w: NcnnWriter, index: int, j: int) -> str:
    """Returns a blob whose elements are integers by their bits, which ncnn's ``Embed`` alone reads.

    Raises BackendError, for the layer ``index``, where they are neither an input nor constant.
    """
    layer = w.network.layers[j]
    if j in w.fixed:
        bits = w.fixed[j].astype(np.int32).reshape(-1).view(np.float32)
        w.store(bits)
        return w.add("MemoryData", [], bits.shape, p0=len(bits))
    if not layer.inputs:
        return w.input(j, "int32")
    if isinstance(layer.op, Reshape | Flatten):
        return whole_numbers(w, index, layer.inputs[0])
    if isinstance(layer.op, Cut):
        (read,) = layer.inputs
        given, size = whole_numbers(w, index, read), layer.shape[layer.op.axis]
        if layer.op.step == 1:
            return cut(w, given, w.shape(read), layer.op.axis, layer.op.start, size)
    raise w.refuse(index, "no embedding of integers that are computed")


ARRAY_RULES: GeneralRules = {
    Reshape: _reshape,
    Flatten: _reshape,
    Transpose: _transpose,
    Cut: _cut,
    Slice: _slice,
    Join: _join,
    Concat: _concat,
    Reduce: _reduce,
    Expand: _expand,
    Gather: _gather,
    ArgMax: _arg_max,
    Embedding: _embedding,
}
