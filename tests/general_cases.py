"""Networks of each general layer kind, with every attribute that changes what is computed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from latbench.models import Model
from latbench.networks.general.arithmetic import (
    BINARY_KINDS,
    TRUTHS,
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
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    Concat,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Input,
    Linear,
    Op,
    Shape,
)
from latbench.networks.weights import Weights, make_weights

IMAGE = (1, 4, 7, 6)
FLOATS = tuple(kind for kind in UNARY_KINDS if kind != "not")
_POSITIVE = ("log", "sqrt")

WINDOWS: list[Op] = [
    RectConv(6, (3, 2), (2, 1), (1, 0, 2, 1), bias=True),
    RectConv(4, (1, 3), padding=(0, 1, 0, 1)),
    RectConv(8, (2, 3), (1, 2), (0, 1, 1, 1), (2, 1), groups=2),
    RectConv(4, (3, 3), (2, 2), (0, 0, 1, 1), groups=4, bias=True),
    RectConv(8, (3, 1), (1, 1), (1, 0, 1, 0), groups=4),
    TransposedConv(6, (2, 2), (2, 2), bias=True),
    TransposedConv(6, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), bias=True),
    TransposedConv(4, (4, 3), (2, 1), (1, 0, 1, 2), (0, 0), (1, 2)),
    TransposedConv(8, (3, 2), (3, 2), (1, 0, 0, 1), (1, 0), groups=2, bias=True),
    TransposedConv(4, (3, 3), (2, 2), (0, 0, 0, 0), (1, 1), groups=4, bias=True),
    *[
        RectPool(kind, (3, 2), (2, 2), (1, 0, 0, 1), ceil=ceil, counted=counted)
        for kind in ("max", "avg")
        for ceil in (False, True)
        for counted in ((False, True) if kind == "avg" else (False,))
    ],
    RectPool("max", (3, 3), (2, 2), ceil=True),
    RectPool("avg", (3, 3), (2, 2), (1, 1, 1, 1), ceil=True, counted=True),
    RectPool("max", (2, 3), (2, 1), (1, 0, 0, 1), dilation=(2, 2)),
    RectPool("avg", (1, 6)),
    RectPool("avg", (7, 6)),
    LocalResponseNorm(3, 0.5, 0.75, 1.5),
    LocalResponseNorm(5, 1.0, 0.5, 1.0),
    LocalResponseNorm(2, 0.7, 0.75, 1.0),
    *[
        Resize(height, width, "nearest", places, nearest)  # type: ignore[arg-type]
        for height, width in ((14, 12), (3, 11))
        for places, nearest in (
            ("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"),
            ("half_pixel", "round_prefer_ceil"), ("align_corners", "ceil"),
        )
    ],
    *[
        Resize(height, width, kind, places)
        for kind in ("linear", "cubic")
        for places in ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")
        for height, width in ((13, 12), (1, 4))
    ],
    Resize(14, 9, "linear", "asymmetric", scales=(2.0, 1.6)),
    *[
        PadAround(*sides, kind, value)  # type: ignore[arg-type]
        for kind, value in (("constant", 0.0), ("constant", -1.5), ("reflect", 0.0), ("edge", 0.0))
        for sides in (
            ((0, 0, 1, 2), (0, 0, 2, 1)), ((0, 1, 0, 0), (0, 2, 3, 0)),
            ((0, -1, 2, -1), (0, 0, -3, 1)),
        )
    ],
]  # fmt: skip

VECTORS: list[tuple[Shape, Op]] = [
    ((1, 5, 8), Dense(6)),
    ((1, 5, 8), Dense(6, bias=False)),
    ((1, 8), Dense(3)),
    ((2, 3, 4, 8), Dense(5)),
    ((8,), Dense(5)),
    *[((1, 4, 5, 6), Softmax(axis, log)) for axis in (1, 2, 3) for log in (False, True)],
    ((2, 7), Softmax(0)),
    ((1, 9), Softmax(1)),
    ((1, 5, 8), LayerNorm()),
    ((1, 5, 8), LayerNorm(2, 1e-3)),
    ((1, 3, 5, 8), LayerNorm(1, 0.1, bias=False)),
    ((1, 3, 5, 8), LayerNorm(3)),
    ((1, 6, 5, 4), GroupNorm(3)),
    ((1, 6, 5, 4), GroupNorm(6, 0.1)),
    ((1, 6, 5), GroupNorm(2)),
]

ARRAYS: list[tuple[Shape, Op]] = [
    ((1, 4, 5, 6), Reshape((1, 4, 30))),
    ((1, 4, 5, 6), Reshape((120,))),
    ((1, 4, 5, 6), Reshape((2, 2, 5, 6))),
    ((1, 8), Reshape((1, 2, 1, 2, 1, 2))),
    ((1, 4, 5, 6), Transpose((0, 2, 3, 1))),
    ((1, 4, 5, 6), Transpose((0, 3, 1, 2))),
    ((1, 4, 5, 6), Transpose((3, 2, 1, 0))),
    ((1, 5, 6), Transpose((0, 2, 1))),
    ((2, 5, 6), Transpose((2, 0, 1))),
    ((1, 5, 3, 2, 4), Transpose((2, 0, 3, 1, 4))),
    ((2, 3, 4, 5), Transpose((2, 0, 3, 1))),
    ((2, 3, 4, 5), Transpose((1, 3, 0, 2))),
    ((1, 4, 7, 6), Cut(1, 1, 3)),
    ((1, 4, 7, 6), Cut(2, 1, 7, 2)),
    ((1, 4, 7, 6), Cut(3, 0, 6, 3)),
    ((3, 5), Cut(0, 1, 2)),
    ((1, 5, 6), Cut(1, 0, 1)),
    *[
        ((1, 4, 5, 6), Reduce(kind, axes, keep))
        for kind in ("mean", "sum", "max", "min", "prod", "l1", "l2")
        for axes, keep in (((1,), True), ((2, 3), False), ((0, 3), True), ((1, 2, 3), False))
    ],
    ((1, 5, 6), Reduce("mean", (1,), False)),
    ((1, 5, 6), Reduce("l2", (0,), True)),
    ((1, 4, 5, 6), ArgMax(1)),
    ((1, 4, 5, 6), ArgMax(3, keep=False)),
    ((1, 1, 5, 1), Expand((1, 4, 5, 6))),
    ((5, 1), Expand((2, 5, 3))),
    ((1, 5), Expand((1, 5))),
]


def of_one(op: Op, *shapes: Shape) -> Network:
    """A network of one layer."""
    b = NetworkBuilder.of_inputs(*(Input(shape) for shape in shapes))
    return b.build(b.add(op, *range(len(shapes))))


def behind_image(op: Op) -> Network:
    """A layer between convolutions, where LiteRT has its images as NHWC."""
    b = NetworkBuilder(IMAGE)
    x = b.add(op, b.add(Conv(4, 1, bias=True), b.input))
    if len(b.shape(x)) == 4 and b.shape(x)[0] == 1:
        x = b.add(Conv(3, 1, bias=True), x)
    return b.build(x)


def unary(kind: str) -> Network:
    numbers = {"clip": (-0.5, 0.7), "elu": (0.8, 0), "leaky_relu": (0.1, 0), "hsigmoid": (0.3, 0.4)}
    b = NetworkBuilder((1, 3, 5, 4))
    x = b.input
    if kind in _POSITIVE:
        x = b.add(Unary("abs"), x)
    return b.build(b.add(Unary(kind, *map(float, numbers.get(kind, (0, 0)))), x))  # type: ignore[arg-type]


BROADCASTS: list[tuple[Shape, Shape]] = [
    ((1, 4, 5, 6), (1, 4, 5, 6)),
    ((1, 4, 5, 6), (4, 1, 1)),
    ((1, 4, 5, 6), (6,)),
    ((1, 4, 1, 6), (1, 1, 5, 1)),
    ((1, 5, 6), (1, 1, 6)),
    ((6,), (1, 5, 6)),
    ((2, 1, 3), (4, 1)),
    ((1, 2, 3, 2, 3, 4), (3, 1, 1, 4)),
]


def binary(kind: str, a: Shape, b: Shape) -> Network:
    build = NetworkBuilder.of_inputs(Input(a), Input(b))
    x, y = 0, 1
    if kind in ("and", "or", "xor"):
        x, y = (build.add(Cast("bool"), build.add(Activation("relu"), i)) for i in (x, y))
    if kind == "pow":
        x = build.add(Unary("abs"), x)
    z = build.add(Binary(kind), x, y)  # type: ignore[arg-type]
    return build.build(build.add(Cast("float32"), z) if kind in TRUTHS else z)


def with_constant(kind: str, value: Shape, first: bool, image: bool) -> Network:
    b = NetworkBuilder(IMAGE)
    x = b.add(Conv(4, 1), b.input) if image else b.input
    c = b.add(Constant(value))
    if kind == "pow":
        c = b.add(Unary("abs"), c)
    return b.build(b.add(Binary(kind), *((c, x) if first else (x, c))))  # type: ignore[arg-type]


MATRICES: list[tuple[Shape, Shape]] = [
    ((4, 5), (5, 6)),
    ((1, 4, 5), (1, 5, 6)),
    ((3, 4, 5), (3, 5, 6)),
    ((1, 2, 4, 5), (1, 2, 5, 6)),
    ((2, 3, 4, 5), (2, 3, 5, 6)),
    ((3, 4, 5), (5, 6)),
    ((2, 3, 4, 5), (3, 5, 6)),
    ((1, 4, 5), (3, 5, 6)),
]


def transformer(integers: bool = True) -> Network:
    """An encoder of one block, with a mask: integers in, attention as torch exports it."""
    b = NetworkBuilder.of_inputs(Input((1, 5), "ids", "int64", 11), Input((1, 5), "mask", "int64"))
    x = b.add(Embedding(11, 8), 0)
    places = b.add(Constant((1, 5, 8)))
    x = b.add(LayerNorm(), b.add(Binary("add"), x, places))
    hidden = b.add(Reshape((1, 1, 1, 5)), b.add(Cast("float32"), 1))
    one, far = b.add(Constant(())), b.add(Constant(()))
    hidden = b.add(Binary("mul"), b.add(Binary("sub"), one, hidden), far)
    heads = [
        b.add(Transpose((0, 2, 1, 3)), b.add(Reshape((1, 5, 2, 4)), b.add(Dense(8), x)))
        for _ in range(3)
    ]
    turned = b.add(Transpose((0, 1, 3, 2)), heads[1])
    scores = b.add(Binary("add"), b.add(MatMul(), heads[0], turned), hidden)
    y = b.add(MatMul(), b.add(Softmax(3), scores), heads[2])
    y = b.add(Reshape((1, 5, 8)), b.add(Transpose((0, 2, 1, 3)), y))
    x = b.add(LayerNorm(), b.add(Elementwise("add"), x, b.add(Dense(8), y)))
    y = b.add(Dense(8), b.add(Unary("gelu"), b.add(Dense(16), x)))
    x = b.add(LayerNorm(), b.add(Elementwise("add"), x, y))
    first = b.add(Reshape((1, 8)), b.add(Cut(1, 0, 1), x))
    return b.build(x, b.add(Unary("tanh"), b.add(Linear(3), first)))


def detector() -> Network:
    """A detector: a pyramid that is resized and joined, and heads with several outputs."""
    b = NetworkBuilder((1, 3, 16, 24))
    x = b.add(
        Activation("silu"), b.add(RectConv(8, (3, 3), (2, 2), (0, 0, 1, 1), bias=True), b.input)
    )
    low = b.add(Activation("relu"), b.add(BatchNorm(), b.add(Conv(8, 3, 1, 1), x)))
    high = b.add(RectPool("max", (3, 3), (2, 2), (0, 0, 0, 0), ceil=True), low)
    high = b.add(Unary("leaky_relu", 0.1), b.add(Conv(8, 3, 1, 1, bias=True), high))
    up = b.add(Resize(8, 12, "nearest", "asymmetric", "floor"), high)
    up2 = b.add(TransposedConv(4, (2, 2), (2, 2), bias=True), high)
    low = b.add(Join(1), low, up, up2)
    flat = []
    for y in (low, high):
        y = b.add(Conv(10, 1, bias=True), y)
        h, w = b.shape(y)[2:]
        y = b.add(Transpose((0, 1, 3, 4, 2)), b.add(Reshape((1, 2, 5, h, w)), y))
        flat.append(b.add(Reshape((1, 2 * h * w, 5)), y))
    y = b.add(Join(1), *flat)
    boxes = b.add(Unary("exp"), b.add(Cut(2, 0, 4), y))
    scores = b.add(Activation("sigmoid"), b.add(Cut(2, 4, 5), y))
    return b.build(boxes, scores, high)


def weights_of(network: Network) -> Weights:
    """The invented weights, with the constants of a mask and of a choice."""
    weights = make_weights(network)
    scalars = iter((1.0, -1e4))
    for i, layer in enumerate(network.layers):
        if layer.op == Constant(()):
            weights[f"{i}.value"] = np.array(next(scalars), np.float32)
        elif layer.op == Constant((2, 2), "int64"):
            weights[f"{i}.value"] = np.array([[3, 0], [1, 3]], np.float32)
    return weights


def cases() -> Iterator[tuple[str, Network]]:
    """Every case by its name."""
    for op in WINDOWS:
        yield str(op), of_one(op, IMAGE)
        if isinstance(op, RectConv):
            b = NetworkBuilder(IMAGE)
            x = b.add(Activation("hswish"), b.add(BatchNorm(), b.add(op, b.input)))
            yield f"{op} with what follows", b.build(x)
    for shape, op in [*VECTORS, *ARRAYS]:
        yield f"{op} of {shape}", of_one(op, shape)
        if shape == IMAGE or (len(shape) == 4 and shape[0] == 1):
            b = NetworkBuilder(shape)
            x = b.add(op, b.add(Conv(shape[1], 1, bias=True), b.input))
            yield f"{op} of {shape} behind a convolution", b.build(x)
    for kind in FLOATS:
        yield kind, unary(kind)
    for kind in BINARY_KINDS:
        for a, other in BROADCASTS:
            yield f"{kind} of {a} and {other}", binary(kind, a, other)
    for kind in ("sub", "div", "pow", "prelu", "min"):
        for value in ((), (4, 1, 1), (6,), (1, 4, 7, 6)):
            for first in (False, True):
                if kind == "pow" and not first:
                    continue
                for image in (False, True):
                    name = f"{kind} with {value} {'first' if first else 'second'} {image}"
                    yield name, with_constant(kind, value, first, image)
    for a, other in MATRICES:
        yield f"product of {a} and {other}", of_one(MatMul(), a, other)
    yield "transformer", transformer()
    yield "detector", detector()
    b = NetworkBuilder.of_inputs(Input((1, 4, 5), "x"), Input((1, 1, 5), "truth", "bool"))
    otherwise = b.add(Constant((1, 4, 5)))
    yield "where", b.build(b.add(Where(), b.add(Unary("not"), 1), 0, otherwise))
    b = NetworkBuilder.of_inputs(Input((1, 4, 6)))
    places = b.add(Constant((2, 2), "int64"))
    yield "gather", b.build(b.add(Gather(1), 0, places))
    b = NetworkBuilder.of_inputs(Input((1, 4, 6)), Input((3,), "places", "int64", 4))
    yield "gather by computed places", b.build(b.add(Gather(1), 0, b.add(Binary("min"), 1, 1)))
    b = NetworkBuilder.of_inputs(Input((2, 3), "a", "int64", 9), Input((3,), "b", "int64"))
    two = b.add(Binary("add"), 0, b.add(Binary("add"), 1, 1))
    for kind in ("sub", "mul", "div", "mod", "min", "max"):
        two = b.add(Binary(kind), two, 1)  # type: ignore[arg-type]
    yield "integers", b.build(two, b.add(Cast("float32"), two), b.add(Unary("neg"), two))
    b = NetworkBuilder.of_inputs(Input((1, 3, 4, 4)), Input((1, 3, 4, 4)))
    y = b.add(Concat(), b.add(Activation("relu"), 0), 1)
    yield "two images", b.build(b.add(GlobalAvgPool(), y), y, b.add(Flatten(), y), 1)
    b = NetworkBuilder((1, 8, 8, 3))
    x = b.add(Conv(4, 3), b.add(Transpose((0, 3, 1, 2)), b.input))
    yield "an image that is NHWC in its file", b.build(b.add(Transpose((0, 2, 3, 1)), x))


def model_of(network: Network, name: str = "case") -> Model:
    """A model of a case, with its weights."""
    return Model(name, network, weights_of(network))
