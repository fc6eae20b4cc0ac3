"""Rules for arithmetic on elements, and for matrix products and normalisations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from latbench.errors import ParseError
from latbench.importing.graph_reader import Node, Rule
from latbench.networks.general.arithmetic import Binary, Unary, Where, broadcast
from latbench.networks.general.arrays import Constant, Reduce, Transpose
from latbench.networks.general.products import Dense, LayerNorm, MatMul, Softmax
from latbench.networks.ops import Activation, Elementwise, Linear

_ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "HardSwish": "hswish"}
_UNARIES = {
    "Abs": "abs", "Ceil": "ceil", "Cos": "cos", "Erf": "erf", "Exp": "exp", "Floor": "floor",
    "Log": "log", "Mish": "mish", "Neg": "neg", "Not": "not", "Reciprocal": "reciprocal",
    "Round": "round", "Selu": "selu", "Sign": "sign", "Sin": "sin", "Softplus": "softplus",
    "Softsign": "softsign", "Sqrt": "sqrt", "Tanh": "tanh",
}  # fmt: skip
_BINARIES = {
    "Sub": "sub", "Div": "div", "Pow": "pow", "Mod": "mod", "PRelu": "prelu", "Equal": "equal",
    "Less": "less", "LessOrEqual": "less_equal", "Greater": "greater",
    "GreaterOrEqual": "greater_equal", "And": "and", "Or": "or", "Xor": "xor",
}  # fmt: skip
_FOLDS = {"Add": "add", "Mul": "mul", "Sum": "add", "Min": "min", "Max": "max", "Mean": "add"}


def _activation(node: Node) -> list[int]:
    kind: Any = _ACTIVATIONS[node.kind]
    return [node.add(Activation(kind), node.layer())]


def _unary(node: Node) -> list[int]:
    kind: Any = _UNARIES[node.kind]
    if kind == "selu" and ("alpha" in node.attributes or "gamma" in node.attributes):
        usual = (node.attributes.get("alpha", 1.6732632), node.attributes.get("gamma", 1.0507010))
        if not np.allclose(usual, (1.6732632, 1.0507010), rtol=1e-5):
            return []
    return [node.add(Unary(kind), node.layer())]


def _sloped(node: Node) -> list[int]:
    kinds: dict[str, tuple[Any, float]] = {"LeakyRelu": ("leaky_relu", 0.01), "Elu": ("elu", 1.0)}
    kind, default = kinds[node.kind]
    return [node.add(Unary(kind, float(node.attributes.get("alpha", default))), node.layer())]


def _hard_sigmoid(node: Node) -> list[int]:
    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return [node.add(Activation("hsigmoid"), node.layer())]
    return [node.add(Unary("hsigmoid", float(alpha), float(beta)), node.layer())]


def _clip(node: Node) -> list[int]:
    bounds = []
    for i, (name, default) in enumerate((("min", -np.inf), ("max", np.inf)), start=1):
        value: Any = node.attributes.get(name, default)
        if node.has(i):
            value = node.constant(i)
            if value is None:
                return []
        bounds.append(float(np.clip(np.ravel(value)[0], -3.4028234e38, 3.4028234e38)))
    if bounds == [0.0, 6.0]:
        return [node.add(Activation("relu6"), node.layer())]
    return [node.add(Unary("clip", *bounds), node.layer())]


def _gelu(node: Node) -> list[int]:
    tanh = node.attributes.get("approximate", "none") == "tanh"
    return [node.add(Unary("gelu_tanh" if tanh else "gelu"), node.layer())]


def _swish(node: Node) -> list[int]:
    if node.attributes.get("alpha", 1.0) != 1.0:
        return []
    return [node.add(Activation("silu"), node.layer())]


def _is_nan(node: Node) -> list[int]:
    """Only NaN differs from itself."""
    x = node.layer()
    return [node.add(Unary("not"), node.add(Binary("equal"), x, x))]


def _binary(node: Node) -> list[int]:
    kind: Any = _BINARIES[node.kind]
    floats = node.reader.type_of(node.layer(0)) == "float32"
    if kind == "mod" and bool(node.attributes.get("fmod")) != floats:
        return []  # the remainder of floats has the sign of what is divided, that of integers not
    if node.attributes.get("broadcast") or "axis" in node.attributes:
        raise ParseError("it broadcasts as opsets before 7 do; convert the file to a newer one")
    return [node.add(Binary(kind), node.layer(0), node.layer(1))]


def _folded(node: Node) -> list[int]:
    """Sums, products, least and largest of one or more tensors."""
    kind = _FOLDS[node.kind]
    layers = [node.layer(i) for i, name in enumerate(node.proto.input) if name]
    if not layers:
        raise ParseError("it reads nothing")
    telling = _telling(node, kind, layers)
    if telling is not None:
        return [telling]
    x = layers[0]
    for other in layers[1:]:
        x = node.add(Binary(kind), x, other)  # type: ignore[arg-type]
    if node.kind == "Mean" and len(layers) > 1:
        share = node.reader.scalar(1 / len(layers))
        x = node.add(Binary("mul"), x, share)
    return [x]


def _telling(node: Node, kind: str, layers: list[int]) -> int | None:
    """A sum or product as the layer of ``latbench.networks.ops`` that it is, if any."""
    reader = node.reader
    floats = all(reader.type_of(i) == "float32" for i in layers)
    if kind not in ("add", "mul") or not floats or node.kind == "Mean":
        return None
    if kind == "add" and len(layers) == 2:
        found = _with_bias(node, *layers) or _with_bias(node, *reversed(layers))
        if found is not None:
            return found
    if kind == "mul" and len(layers) == 2:
        for x, share in (layers, reversed(layers)):
            op, read = reader.op_of(share)
            if isinstance(op, Activation) and read == (x,):
                if op.kind == "sigmoid":
                    return node.add(Activation("silu"), x)
                if op.kind == "hsigmoid":
                    return node.add(Activation("hswish"), x)
    if any(isinstance(reader.op_of(i)[0], Constant) for i in layers):
        return None
    layers = sorted(layers, key=lambda i: -math.prod(reader.shape(i)))
    full = reader.shape(layers[0])
    gated = len(full) == 4 and kind == "mul"
    allowed = {full, (*full[:2], 1, 1)} if gated else {full}
    if all(reader.shape(i) in allowed for i in layers):
        return node.add(Elementwise(kind), *layers)  # type: ignore[arg-type]
    return None


def _with_bias(node: Node, product: int, other: int) -> int | None:
    """A product with weights and the addition of one constant row, as one layer."""
    reader = node.reader
    op, read = reader.op_of(product)
    added, _ = reader.op_of(other)
    if not (isinstance(op, Dense) and not op.bias and isinstance(added, Constant)):
        return None
    shape = reader.shape(other)
    if math.prod(shape) != op.out_features or shape[-1:] != (op.out_features,):
        return None
    if len(shape) > len(reader.shape(product)):
        return None
    values, origin = reader.weights[other]["value"]
    bias = (values.reshape(-1), origin)
    return _dense(node, read[0], reader.weights[product]["weight"], bias)


def _dense(node: Node, x: int, weight: Any, bias: Any = None) -> int:
    out = weight[0].shape[0]
    if bias is not None and len(node.reader.shape(x)) == 2:
        return node.add(Linear(out), x, weight=weight, bias=bias)
    if bias is not None:
        return node.add(Dense(out), x, weight=weight, bias=bias)
    return node.add(Dense(out, bias=False), x, weight=weight)


def _mat_mul(node: Node) -> list[int]:
    right = node.constant(1)
    if right is not None and right.ndim == 2 and node.constant(0) is None:
        if node.shape(0)[-1:] != right.shape[:1]:
            raise ParseError(f"shapes {node.shape(0)} and {right.shape} have no matrix product")
        return [_dense(node, node.layer(0), node.weight(1, transposed=True))]
    a, b, reader = node.shape(0), node.shape(1), node.reader
    x, y = node.layer(0), node.layer(1)
    if len(a) > 1 < len(b):
        return [node.add(MatMul(), x, y)]
    # A row or a column of numbers, as numpy multiplies them.
    x = reader.reshaped(x, (1, *a)) if len(a) == 1 else x
    y = reader.reshaped(y, (*b, 1)) if len(b) == 1 else y
    product = node.add(MatMul(), x, y)
    shape = list(reader.shape(product))
    if len(b) == 1:
        del shape[-1]
    if len(a) == 1:
        del shape[-1 if len(b) == 1 else -2]
    return [reader.reshaped(product, tuple(shape))]


def _gemm(node: Node) -> list[int]:
    given = node.attributes
    alpha, beta = float(given.get("alpha", 1.0)), float(given.get("beta", 1.0))
    x, weight = node.layer(0), node.constant(1)
    if len(node.shape(0)) != 2:
        raise ParseError(f"it multiplies matrices, got one of shape {node.shape(0)}")
    if given.get("transA"):
        x = node.add(Transpose((1, 0)), x)
    if weight is None or weight.ndim != 2 or (node.has(2) and node.constant(2) is None):
        return _general_gemm(node, x, alpha, beta)
    values, origin = node.weight(1, transposed=not given.get("transB"))
    held = (values, origin) if alpha == 1.0 else (values * np.float32(alpha), None)
    if not node.has(2):
        return [_dense(node, x, held)]
    bias, come = node.weight(2)
    if bias.size not in (1, values.shape[0]) or bias.ndim > 2 or bias.shape[:-1] not in ((), (1,)):
        return _general_gemm(node, x, alpha, beta)
    if beta != 1.0 or bias.size != values.shape[0]:
        bias, come = np.broadcast_to(bias.ravel() * np.float32(beta), values.shape[:1]), None
    return [_dense(node, x, held, (bias.reshape(-1), come))]


def _general_gemm(node: Node, x: int, alpha: float, beta: float) -> list[int]:
    b = node.layer(1)
    if node.attributes.get("transB"):
        b = node.add(Transpose((1, 0)), b)
    y = node.add(MatMul(), x, b)
    if alpha != 1.0:
        y = node.add(Binary("mul"), y, node.reader.scalar(alpha))
    if node.has(2):
        c = node.layer(2)
        if beta != 1.0:
            c = node.add(Binary("mul"), c, node.reader.scalar(beta))
        y = node.add(Binary("add"), y, c)
    return [y]


def _softmax(node: Node) -> list[int]:
    shape, log = node.shape(), node.kind == "LogSoftmax"
    default = -1 if node.opset >= 13 else 1
    axis = node.axis(int(node.attributes.get("axis", default)), len(shape))
    x = node.layer()
    if node.opset >= 13 or math.prod(shape[axis + 1 :]) == 1:
        return [node.add(Softmax(axis, log), x)]
    # Before opset 13 everything from the axis on is one (its documentation).
    flat = node.reader.reshaped(x, (math.prod(shape[:axis]), math.prod(shape[axis:])))
    return [node.reader.reshaped(node.add(Softmax(1, log), flat), shape)]


def _layer_norm(node: Node) -> list[int]:
    if len([name for name in node.proto.output if name]) > 1 or node.constant(1) is None:
        return []
    rank = len(node.shape())
    dims = rank - node.axis(int(node.attributes.get("axis", -1)), rank)
    given = {"weight": node.weight(1)}
    if node.has(2):
        if node.constant(2) is None:
            return []
        given["bias"] = node.weight(2)
    op = LayerNorm(dims, float(node.attributes.get("epsilon", 1e-5)), "bias" in given)
    return [node.add(op, node.layer(), **given)]


def _where(node: Node) -> list[int]:
    layers = [node.layer(i) for i in range(3)]
    broadcast(*[node.reader.shape(i) for i in layers])
    return [node.add(Where(), *layers)]


def _sum_of_squares(node: Node) -> list[int]:
    x, rank = node.layer(), len(node.shape())
    given = node.numbers(1, "axes")
    axes = tuple(sorted({node.axis(a, rank) for a in given or range(rank)}))
    squares = node.add(Binary("mul"), x, x)
    return [node.add(Reduce("sum", axes, bool(node.attributes.get("keepdims", 1))), squares)]


ARITHMETIC: dict[str, Rule] = {
    **dict.fromkeys(_ACTIVATIONS, _activation),
    **dict.fromkeys(_UNARIES, _unary),
    **dict.fromkeys(_BINARIES, _binary),
    **dict.fromkeys(_FOLDS, _folded),
    "LeakyRelu": _sloped,
    "Elu": _sloped,
    "HardSigmoid": _hard_sigmoid,
    "Clip": _clip,
    "Gelu": _gelu,
    "Swish": _swish,
    "IsNaN": _is_nan,
    "MatMul": _mat_mul,
    "Gemm": _gemm,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "LayerNormalization": _layer_norm,
    "Where": _where,
    "ReduceSumSquare": _sum_of_squares,
}
