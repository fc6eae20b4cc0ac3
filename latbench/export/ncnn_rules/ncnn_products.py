"""Rules of matrix products and normalisations, for ncnn."""

from __future__ import annotations

import math

import numpy as np

from latbench.export.ncnn_rules import ncnn_writer as codes
from latbench.export.ncnn_rules.ncnn_writer import GeneralRules, NcnnWriter
from latbench.networks.general.products import Dense, GroupNorm, LayerNorm, MatMul, Softmax

_LOG_SUM_EXP, _HIGHEST = 10, 4


def _mat_mul(op: MatMul, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    *batch, rows, columns = w.shape(i)
    given = []
    for j in x:
        shape = w.shape(j)
        given.append(((1,) * (len(batch) + 2 - len(shape)) + shape)[:-2])
    kept = [a for a, size in enumerate(batch) if size > 1]
    whole = [all(shape[a] == batch[a] for a in kept) for shape in given]
    if len(kept) > 2 and not all(whole):
        raise w.refuse(i, "no product of matrices with more than two axes that are broadcast")
    blobs, found = [], [math.prod(batch)] if len(kept) > 2 else [batch[a] for a in kept]
    for j, shape in zip(x, given, strict=True):
        own = found if len(kept) > 2 else [shape[a] for a in kept]
        blobs.append(w.reshape(w.blob(j), (*own, *w.shape(j)[-2:])))
    return w.add("MatMul", blobs, (*found, rows, columns))


def _dense(op: Dense, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    *outer, features = w.shape(x[0])
    rows, weight = math.prod(outer), w.weights[f"{i}.weight"]
    given = w.reshape(w.blob(x[0]), (features,) if rows == 1 else (rows, features))
    w.store(weight, flag=True)
    bias = w.store(w.weights.get(f"{i}.bias"))
    sizes = (*w.sizes(given)[:-1], op.out_features)
    return w.add("InnerProduct", [given], sizes, p0=op.out_features, p1=bias, p2=weight.size)


def _softmax(op: Softmax, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    given, shape = w.blob(x[0]), w.shape(x[0])
    own = w.axis(i, shape, op.axis)
    if own is None:
        given, own = w.merged(given, shape, op.axis), 1
    sizes = w.sizes(given)
    if not op.log:
        return w.add("Softmax", [given], sizes, p0=own, p1=1)
    kept = [1 if a == own else size for a, size in enumerate(sizes)]
    over = {"p1": 0, "p3": [own], "p4": 1, "p5": 1}
    y = w.two(codes.SUB, given, w.add("Reduction", [given], kept, p0=_HIGHEST, **over))
    return w.two(codes.SUB, y, w.add("Reduction", [y], kept, p0=_LOG_SUM_EXP, **over))


def _layer_norm(op: LayerNorm, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    shape = w.shape(x[0])
    size = math.prod(shape[len(shape) - op.dims :])
    given = w.reshape(w.blob(x[0]), (math.prod(shape) // size, size))
    weight = w.weights[f"{i}.weight"].reshape(-1)
    w.store(weight)
    w.store(w.weights.get(f"{i}.bias", np.zeros(size, np.float32)).reshape(-1))
    return w.add("LayerNorm", [given], w.sizes(given), p0=size, p1=float(op.eps), p2=1)


def _group_norm(op: GroupNorm, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    n, c, *pixels = w.shape(x[0])
    if n != 1:
        raise w.refuse(i, "no normalisation of several images at a time")
    given = w.reshape(w.blob(x[0]), (c, 1, math.prod(pixels)))
    for name in ("weight", "bias"):
        w.store(w.weights[f"{i}.{name}"])
    sizes = w.sizes(given)
    return w.add("GroupNorm", [given], sizes, p0=op.groups, p1=c, p2=float(op.eps), p3=1)


PRODUCT_RULES: GeneralRules = {
    MatMul: _mat_mul,
    Dense: _dense,
    Softmax: _softmax,
    LayerNorm: _layer_norm,
    GroupNorm: _group_norm,
}
