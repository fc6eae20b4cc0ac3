"""Rules of what moves, chooses or sums up elements, for LiteRT."""

from __future__ import annotations

import numpy as np

from latbench.export.tflite_rules.tflite_writer import (
    OP,
    Stored,
    StoredRules,
    TfliteWriter,
    permuted,
    plain,
)
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
from latbench.networks.ops import Concat, Flatten, Shape, Slice


def _constant(op: Constant, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    value = np.asarray(w.weights[f"{key}.value"]).astype(op.dtype)
    return Stored(-1, plain(len(shape)), value)


def _reshape(op: Reshape, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    return Stored(w.reshape(w.in_order(x[0]), shape), plain(len(shape)))


def _flatten(op: Flatten, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    return Stored(w.reshape(w.in_order(x[0]), shape), plain(2))


def _transpose(op: Transpose, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    order = tuple(op.order.index(a) for a in x[0].order)
    value = x[0].value
    if value is not None:
        return Stored(-1, plain(len(shape)), value.transpose(op.order))
    return Stored(x[0].tensor, order)


def _part(w: TfliteWriter, x: Stored, axis: int, start: int, size: int, step: int = 1) -> Stored:
    return Stored(w.cut(w.ordered(x, x.order), x.axis(axis), start, size, step), x.order)


def _cut(op: Cut, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    return _part(w, x[0], op.axis, op.start, shape[op.axis], op.step)


def _slice(op: Slice, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    start = range(w.sizes(x[0])[op.axis])[op.start : op.end][0]
    return _part(w, x[0], op.axis, start, shape[op.axis])


def _joined(w: TfliteWriter, x: list[Stored], axis: int, shape: Shape) -> Stored:
    order = next((one.order for one in x if one.value is None), x[0].order)
    tensors = [w.ordered(one, order) for one in x]
    found, own = permuted(shape, order), order.index(axis)
    return Stored(w.add(OP.CONCATENATION, tensors, found, "Concatenation", axis=own), order)


def _join(op: Join, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    return _joined(w, x, op.axis, shape)


def _concat(op: Concat, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    return _joined(w, x, 1, shape)


_REDUCTIONS = {
    "mean": OP.MEAN, "sum": OP.SUM, "max": OP.REDUCE_MAX, "min": OP.REDUCE_MIN,
    "prod": OP.REDUCE_PROD, "l1": OP.SUM, "l2": OP.SUM,
}  # fmt: skip


def _reduce(op: Reduce, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    order = x[0].order
    y = w.ordered(x[0], order)
    if op.kind == "l1":
        y = w.one(OP.ABS, y)
    if op.kind == "l2":
        y = w.two(OP.MUL, y, y, "Mul")
    kept = [a for a in order if a not in op.axes]
    left = order if op.keep else tuple(sorted(kept).index(a) for a in kept)
    axes = w.constant([order.index(a) for a in sorted(op.axes)], np.int32)
    found = permuted(shape, left)
    y = w.add(_REDUCTIONS[op.kind], [y, axes], found, "Reducer", keepDims=op.keep)
    return Stored(w.one(OP.SQRT, y) if op.kind == "l2" else y, left)


def _arg_max(op: ArgMax, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    order = x[0].order
    y, own = w.ordered(x[0], order), order.index(op.axis)
    found = [size for i, size in enumerate(w.shape(y)) if i != own]
    axis = w.constant(own, np.int32)
    place = w.add(OP.ARG_MAX, [y, axis], found, "ArgMax", "int64", outputType=w.type_code("int64"))
    if op.keep:
        return Stored(w.reshape(place, permuted(shape, order)), order)
    kept = [a for a in order if a != op.axis]
    return Stored(place, tuple(sorted(kept).index(a) for a in kept))


def _expand(op: Expand, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    order, (y,) = w.aligned(x[0], rank=len(shape))
    target = w.constant(permuted(shape, order), np.int32)
    return Stored(w.add(OP.BROADCAST_TO, [y, target], permuted(shape, order)), order)


def _gather(op: Gather, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    data, places = x
    if places.value is not None:
        size = w.sizes(data)[op.axis]
        places = Stored(-1, places.order, (places.value % size).astype(np.int32))
    inputs = [w.plain(data), w.plain(places)]
    return Stored(w.add(OP.GATHER, inputs, shape, "Gather", axis=op.axis), plain(len(shape)))


def _embedding(op: Embedding, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    inputs = [w.constant(w.weights[f"{key}.weight"]), w.plain(x[0])]
    return Stored(w.add(OP.GATHER, inputs, shape, "Gather", axis=0), plain(len(shape)))


ARRAY_RULES: StoredRules = {
    Constant: _constant,
    Reshape: _reshape,
    Flatten: _flatten,
    Transpose: _transpose,
    Cut: _cut,
    Slice: _slice,
    Join: _join,
    Concat: _concat,
    Reduce: _reduce,
    ArgMax: _arg_max,
    Expand: _expand,
    Gather: _gather,
    Embedding: _embedding,
}
