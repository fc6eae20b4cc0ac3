"""Rules of matrix products and normalisations, for LiteRT."""

from __future__ import annotations

import math

import numpy as np

from latbench.export.tflite_rules.tflite_writer import (
    OP,
    Stored,
    StoredRules,
    TfliteWriter,
    last_axis,
    permuted,
    plain,
)
from latbench.networks.general.products import Dense, GroupNorm, LayerNorm, MatMul, Softmax
from latbench.networks.ops import Shape


def _mat_mul(op: MatMul, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    tensors, turned = [], []
    for one in x:
        rank = len(one.order)
        flipped = (*range(rank - 2), rank - 1, rank - 2)
        turned.append(one.value is None and one.order == flipped)
        tensors.append(one.tensor if turned[-1] else w.plain(one))
    y = w.add(OP.BATCH_MATMUL, tensors, shape, "BatchMatMul", adjX=turned[0], adjY=turned[1])
    return Stored(y, plain(len(shape)))


def _dense(op: Dense, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    rank = len(shape)
    order = x[0].order if x[0].order[-1] == rank - 1 else plain(rank)
    names = ("weight", "bias") if op.bias else ("weight",)
    inputs = [w.ordered(x[0], order), *(w.constant(w.weights[f"{key}.{n}"]) for n in names)]
    found = permuted(shape, order)
    return Stored(
        w.add(OP.FULLY_CONNECTED, inputs, found, "FullyConnected", keepNumDims=rank != 2), order
    )


def _softmax(op: Softmax, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    order = x[0].order
    if order[-1] != op.axis:
        order = last_axis(len(shape), op.axis)
    y = w.ordered(x[0], order)
    if op.log:
        return Stored(w.one(OP.LOG_SOFTMAX, y, "LogSoftmax"), order)
    return Stored(w.one(OP.SOFTMAX, y, "Softmax", beta=1.0), order)


def _normed(w: TfliteWriter, x: int, axes: list[int], eps: float) -> int:
    """A tensor less its mean over some of its own axes, over its deviation there."""
    shape = w.shape(x)
    kept = [1 if a in axes else size for a, size in enumerate(shape)]

    def mean(tensor: int) -> int:
        where = w.constant(axes, np.int32)
        return w.add(OP.MEAN, [tensor, where], kept, "Reducer", keepDims=True)

    centred = w.two(OP.SUB, x, mean(x), "Sub")
    variance = mean(w.two(OP.MUL, centred, centred, "Mul"))
    return w.two(
        OP.MUL, centred, w.one(OP.RSQRT, w.two(OP.ADD, variance, float(eps), "Add")), "Mul"
    )


def _layer_norm(op: LayerNorm, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    rank = len(shape)
    last = plain(rank)[rank - op.dims :]
    order = x[0].order if x[0].order[rank - op.dims :] == last else plain(rank)
    y = _normed(w, w.ordered(x[0], order), list(last), op.eps)
    y = w.two(OP.MUL, y, w.constant(w.weights[f"{key}.weight"]), "Mul")
    if op.bias:
        y = w.two(OP.ADD, y, w.constant(w.weights[f"{key}.bias"]), "Add")
    return Stored(y, order)


def _group_norm(op: GroupNorm, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    n, c, *pixels = shape
    order = (0, *range(2, len(shape)), 1)
    own = w.ordered(x[0], order)
    grouped = w.reshape(own, (n, math.prod(pixels), op.groups, c // op.groups))
    y = w.reshape(_normed(w, grouped, [1, 3], op.eps), w.shape(own))
    y = w.two(OP.MUL, y, w.constant(w.weights[f"{key}.weight"]), "Mul")
    return Stored(w.two(OP.ADD, y, w.constant(w.weights[f"{key}.bias"]), "Add"), order)


PRODUCT_RULES: StoredRules = {
    MatMul: _mat_mul,
    Dense: _dense,
    Softmax: _softmax,
    LayerNorm: _layer_norm,
    GroupNorm: _group_norm,
}
