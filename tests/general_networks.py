"""Networks of the general layer kinds that tests share: one of each kind, and an encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import torch

from latbench.export.onnx import input_names, output_names, to_onnx
from latbench.export.onnx_graph import FloatType
from latbench.export.torch import run_layers
from latbench.networks.general.arithmetic import (
    BINARY_KINDS,
    UNARY_KINDS,
    Binary,
    Cast,
    Unary,
    Where,
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
from latbench.networks.general.products import Dense, GroupNorm, LayerNorm, MatMul, Softmax
from latbench.networks.general.windows import (
    LocalResponseNorm,
    PadAround,
    RectConv,
    RectPool,
    Resize,
    TransposedConv,
)
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Input, Op, Shape
from latbench.networks.weights import Weights, make_inputs, make_weights

Case = tuple[Op, tuple[Input, ...]]
Arrays = list[np.ndarray[Any, Any]]

IMAGE = Input((2, 4, 7, 9))
ROWS = Input((2, 3, 8))
LOGICAL = ("and", "or", "xor")


def integers(*shape: int, name: str = "", below: int = 8) -> Input:
    return Input(shape, name, "int64", below)


def truths(*shape: int, name: str = "") -> Input:
    return Input(shape, name, "bool")


def _unary(kind: Any) -> Case:
    given = truths(2, 3, 8) if kind == "not" else ROWS
    bounds = {
        "clip": (-0.5, 0.7),
        "hsigmoid": (0.3, 0.4),
        "elu": (1.3, 0.0),
        "leaky_relu": (0.2, 0.0),
    }
    return Unary(kind, *bounds.get(kind, (0.0, 0.0))), (given,)


def _binary(kind: Any) -> Case:
    return Binary(kind), (truths(2, 3, 8), truths(3, 8)) if kind in LOGICAL else (
        ROWS,
        Input((3, 1)),
    )


# One of each kind at least, each of which ONNX Runtime runs.
CASES: list[Case] = [
    *map(_unary, UNARY_KINDS),
    *map(_binary, BINARY_KINDS),
    *((Binary(k), (integers(2, 5), integers(5, below=0))) for k in ("add", "div", "mod", "less")),
    (Where(), (truths(3, 8), ROWS, Input((2, 3, 1)))),
    *((Cast(to), (ROWS,)) for to in ("int64", "bool")),
    *((Cast("float32"), (given,)) for given in (integers(2, 5), truths(2, 5))),
    (Reshape((6, 8)), (ROWS,)),
    (Transpose((2, 0, 1)), (ROWS,)),
    (Cut(2, 1, 7, 2), (ROWS,)),
    (Join(2), (ROWS, Input((2, 3, 5)), ROWS)),
    *((Reduce(k, (1, 2), keep), (ROWS,)) for k in ("mean", "sum", "l2") for keep in (True, False)),
    *((Reduce(k, (0,)), (ROWS,)) for k in ("max", "min", "prod", "l1")),
    *((Reduce(k, (1,)), (integers(2, 5),)) for k in ("mean", "sum", "max", "l1", "l2")),
    (Reduce("mean", ()), (ROWS,)),
    (Reduce("l1", ()), (ROWS,)),
    (ArgMax(2, keep=False), (ROWS,)),
    (ArgMax(1), (integers(2, 5),)),
    (Expand((4, 2, 3, 8)), (Input((2, 1, 8)),)),
    (Gather(2), (ROWS, integers(2, 5))),
    (Embedding(8, 6), (integers(2, 5),)),
    (MatMul(), (ROWS, Input((8, 5)))),
    (MatMul(), (Input((2, 1, 3, 8)), Input((4, 8, 5)))),
    (Dense(5), (ROWS,)),
    (Dense(5, bias=False), (Input((3, 8)),)),
    (Dense(5), (Input((8,)),)),
    (Softmax(1), (ROWS,)),
    (Softmax(2, log=True), (ROWS,)),
    (LayerNorm(2, eps=0.1), (ROWS,)),
    (LayerNorm(bias=False), (ROWS,)),
    (GroupNorm(2, eps=0.1), (IMAGE,)),
    (GroupNorm(4), (Input((2, 4, 5)),)),
    (RectConv(6, (3, 2), (2, 1), (1, 0, 2, 3), (1, 2), 2, True), (IMAGE,)),
    (TransposedConv(6, (3, 2), (2, 3), (1, 0, 0, 1), (1, 2), (1, 1), 2, True), (IMAGE,)),
    (RectPool("max", (3, 2), (2, 1), (1, 0, 2, 1), (1, 2)), (IMAGE,)),
    (RectPool("avg", (3, 2), (2, 2), (1, 1, 0, 1), ceil=True, counted=True), (IMAGE,)),
    (LocalResponseNorm(3, 0.5, 0.6, 1.1), (IMAGE,)),
    (Resize(9, 5, "cubic", cubic=-0.5), (IMAGE,)),
    (PadAround((0, 0, 1, -1), (0, 1, 2, 3), value=0.5), (IMAGE,)),
    (PadAround((0, 0, 2, 0), (0, 0, 0, 3), "reflect"), (IMAGE,)),
]  # fmt: skip


def network_of(op: Op, *inputs: Input) -> Network:
    """A network of one layer."""
    b = NetworkBuilder.of_inputs(*inputs)
    return b.build(b.add(op, *range(len(inputs))))


def torch_arrays(network: Network, weights: Weights | None = None, dtype: Any = None) -> Arrays:
    """What torch computes of a network's own inputs."""
    xs = [torch.from_numpy(x) for x in make_inputs(network)]
    weights = make_weights(network) if weights is None else weights
    found = run_layers(network, weights, *xs, dtype=dtype)
    return [y.numpy() for y in (found if isinstance(found, tuple) else (found,))]


def onnx_arrays(
    network: Network, weights: Weights | None = None, optimise: bool = True,
    dtype: FloatType = "float32",
) -> Arrays:  # fmt: skip
    """What ONNX Runtime computes of a network's own inputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = to_onnx(network, weights, dtype).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = dict(zip(input_names(network), make_inputs(network), strict=True))
    return list(session.run(output_names(network), feeds))


def differs(actual: Arrays, expected: Arrays, tolerance: float = 1e-4) -> str:
    """In what two runs differ; empty where they do not, to rounding in the scale of each."""
    for one, other in zip(actual, expected, strict=True):
        if one.dtype != other.dtype or one.shape != other.shape:
            return f"{one.dtype} of {one.shape}, not {other.dtype} of {other.shape}"
        known = np.isfinite(other) if other.dtype == np.float32 else np.ones(other.shape, bool)
        if not np.array_equal(one[~known], other[~known], equal_nan=True):
            return "other numbers are infinite or none"
        scale = float(np.abs(other[known]).max(initial=0)) if other.dtype == np.float32 else 0.0
        error = np.abs(np.asarray(one[known], np.float64) - np.asarray(other[known], np.float64))
        if (error > tolerance * scale + 1e-7).any():
            return f"off by {error.max():g} of {scale:g}"
    return ""


def encoder(batch: int = 1, length: int = 6, width: int = 8, heads: int = 2) -> Network:
    """A block of BERT: integers and a mask in, each place's features and the first one's summary
    out."""
    ids = integers(batch, length, name="input_ids", below=11)
    b = NetworkBuilder.of_inputs(ids, truths(batch, length, name="attention_mask"))
    places = b.add(Constant((length, width)))
    x = b.add(LayerNorm(), b.add(Binary("add"), b.add(Embedding(11, width), 0), places))
    x = b.add(LayerNorm(), b.add(Binary("add"), x, _attention(b, x, 1, heads)))
    hidden = b.add(Unary("gelu"), b.add(Dense(4 * width), x))
    x = b.add(LayerNorm(), b.add(Binary("add"), x, b.add(Dense(width), hidden)))
    first = b.add(Reshape((batch, width)), b.add(Cut(1, 0, 1), x))
    return b.build(x, b.add(Unary("tanh"), b.add(Dense(width), first)))


def _attention(b: NetworkBuilder, x: int, mask: int, heads: int) -> int:
    batch, length, width = b.shape(x)
    split: Shape = (batch, length, heads, width // heads)
    q, k, v = (
        b.add(Transpose((0, 2, 1, 3)), b.add(Reshape(split), b.add(Dense(width), x)))
        for _ in range(3)
    )
    scores = b.add(MatMul(), q, b.add(Transpose((0, 1, 3, 2)), k))
    scores = b.add(Binary("mul"), scores, b.add(Constant(())))
    seen = b.add(Reshape((batch, 1, 1, length)), mask)
    scores = b.add(Where(), seen, scores, b.add(Constant(())))
    mixed = b.add(MatMul(), b.add(Softmax(3), scores), v)
    flat = b.add(Reshape((batch, length, width)), b.add(Transpose((0, 2, 1, 3)), mixed))
    return b.add(Dense(width), flat)
